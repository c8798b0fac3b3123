// What the page shows, and two helpers that every part uses.

const data = JSON.parse(document.getElementById("data").textContent);
const photos = data.photos;
const FLAGS = { gray: "nearly grey", vivid: "very saturated", unsure: "low confidence" };
const element = id => document.getElementById(id);
function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function name(photo) { return photo.folder ? photo.folder + "/" + photo.name : photo.name; }

// Hands a text to the person as a file.
function download(file, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href: address, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
