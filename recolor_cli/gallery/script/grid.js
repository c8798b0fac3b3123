// The grid: filters, orders, tiles that are filled when they come near the window.
// Tiles stand in blocks of some rows. The browser lays out only blocks that can be seen, so that
// 5,000 tiles cost no more than 50.

const FILTERS = [
  ["all", "All", () => true],
  ["done", "Done", photo => photo.status === "done"],
  ["failed", "Failed", photo => photo.status === "failed"],
  ["skipped", "Skipped", photo => photo.status === "skipped"],
  ["suspicious", "Suspicious", photo => photo.flags.length > 0],
  ["gray", "Nearly grey", photo => photo.flags.includes("gray")],
  ["vivid", "Very saturated", photo => photo.flags.includes("vivid")],
  ["unsure", "Low confidence", photo => photo.flags.includes("unsure")],
  ["keep", "Keep", photo => markOf(photo)?.mark === "keep"],
  ["redo", "Redo", photo => markOf(photo)?.mark === "redo"],
  ["hints", "With hints", photo => hintsOf(photo).length > 0],
  ["unmarked", "Not marked", photo => !markOf(photo)],
];
const ALWAYS = new Set(["all", "done", "failed", "suspicious"]);
const last = value => value === null ? Infinity : value;
const ORDERS = {
  name: (a, b) => a.place - b.place,
  gray: (a, b) => last(a.chroma) - last(b.chroma) || a.place - b.place,
  vivid: (a, b) => (b.chroma ?? -1) - (a.chroma ?? -1) || a.place - b.place,
  unsure: (a, b) => last(a.confidence) - last(b.confidence) || a.place - b.place,
  new: (a, b) => b.made.localeCompare(a.made) || a.place - b.place,
};
let filter = "all";
let shown = [];

function badges(photo) {
  const made = [];
  if (photo.status !== "done") made.push(make("span", { className: "badge " + (photo.status === "failed" ? "bad" : ""), textContent: photo.status }));
  if (photo.kept) made.push(make("span", { className: "badge kept", textContent: "kept" }));
  for (const flag of photo.flags) made.push(make("span", { className: "badge look", textContent: FLAGS[flag] }));
  const hints = hintsOf(photo).length;
  if (hints) made.push(make("span", { className: "badge kept", textContent: hints === 1 ? "1 hint" : `${hints} hints` }));
  if (!made.length && photo.confidence !== null)
    made.push(make("span", { textContent: `confidence ${Math.round(photo.confidence * 100)} %` }));
  return made;
}

const MARKS = [["keep", "Keep"], ["redo", "Redo"], ["with", "Redo with …"]];
function markButtons(photo) {
  return MARKS.map(([mark, text]) => {
    const button = make("button", { type: "button", textContent: text });
    button.dataset.mark = mark;
    button.disabled = mark === "keep" && photo.status !== "done";
    return button;
  });
}

// A tile is an empty box until it comes near the window: 5,000 of them are there at once.
function fill(tile) {
  if (tile.firstChild) return;
  const photo = photos[tile.dataset.place];
  const open = make("button", { className: "open", type: "button" });
  if (photo.after_thumb || photo.before_thumb) {
    open.setAttribute("aria-label", "Open " + name(photo));
    const what = photo.after_thumb ? "coloured" : photo.status;
    open.append(picture(photo.after_thumb || photo.before_thumb, name(photo) + ", " + what));
    if (photo.after_thumb && photo.before_thumb) open.append(picture(photo.before_thumb, ""));
  } else open.append(make("span", { textContent: photo.reason || "no picture" }));
  const title = make("div", { className: "name", title: name(photo) }, photo.name);
  if (photo.folder) title.append(make("span", { className: "folder", textContent: "  " + photo.folder }));
  const group = make("div", { className: "marks" }, ...markButtons(photo));
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Mark " + name(photo));
  tile.append(open, make("div", { className: "about" }, title,
    make("div", { className: "badges" }, ...badges(photo))), group);
  refreshTile(photo);
}

function picture(source, alt) {
  const made = make("img", { alt, loading: "lazy", decoding: "async", draggable: false });
  made.src = source;
  return made;
}

const BLOCK_ROWS = 6;
const near = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) {
    for (const tile of entry.target.children) fill(tile);
    near.unobserve(entry.target);
  }
}, { rootMargin: "800px 0px" });

for (const [place, photo] of photos.entries()) {
  photo.place = place;
  photo.tile = make("div", { className: "tile" });
  photo.tile.setAttribute("role", "listitem");
  photo.tile.dataset.place = place;
  photo.tile.dataset.key = photo.key;
}

let columns = 0;  // tiles side by side; follows the window
function countColumns() {
  const style = getComputedStyle(element("grid"));
  const [least, gap] = ["--least", "--gap"].map(length => parseFloat(style.getPropertyValue(length)));
  return Math.max(1, Math.floor((element("grid").clientWidth + gap) / (least + gap)));
}
function layOut() {
  columns = countColumns();
  const grid = element("grid");
  grid.style.setProperty("--columns", columns);
  near.disconnect();
  const blocks = [];
  for (let first = 0; first < shown.length; first += BLOCK_ROWS * columns) {
    const tiles = shown.slice(first, first + BLOCK_ROWS * columns).map(photo => photo.tile);
    const block = make("div", { className: "block" }, ...tiles);
    block.setAttribute("role", "presentation");
    block.style.setProperty("--rows", Math.ceil(tiles.length / columns));
    blocks.push(block);
  }
  grid.replaceChildren(...blocks);
  for (const block of blocks) near.observe(block);
}
function followWindow() { if (columns && countColumns() !== columns) layOut(); }
new ResizeObserver(() => requestAnimationFrame(followWindow)).observe(element("grid"));

function showGrid() {
  const wanted = element("search").value.trim().toLowerCase();
  const test = FILTERS.find(([id]) => id === filter)[2];
  shown = photos.filter(photo => test(photo) && name(photo).toLowerCase().includes(wanted));
  shown.sort(ORDERS[element("order").value]);
  layOut();
  element("nothing").hidden = shown.length > 0;
  showCounts();
}

function showCounts() {
  for (const [id, , test] of FILTERS) {
    const button = element("filter-" + id);
    const count = photos.filter(test).length;
    button.querySelector(".number").textContent = count.toLocaleString("en");
    button.hidden = count === 0 && !ALWAYS.has(id) && id !== filter;
    button.setAttribute("aria-pressed", String(id === filter));
  }
}

function refreshTile(photo) {
  const mark = markOf(photo);
  photo.tile.querySelector(".badges")?.replaceChildren(...badges(photo));
  photo.tile.classList.toggle("keep", mark?.mark === "keep");
  photo.tile.classList.toggle("redo", mark?.mark === "redo");
  press(photo.tile, mark);
}
function press(place, mark) {
  const now = !mark ? null : mark.mark === "keep" ? "keep" : hasSettings(mark) ? "with" : "redo";
  for (const button of place.querySelectorAll("[data-mark]"))
    button.setAttribute("aria-pressed", String(button.dataset.mark === now));
}
function refreshMarks(photo) {
  refreshTile(photo);
  if (photo === current) { press(element("viewer-marks"), markOf(photo)); showFacts(photo); }
  showCounts();
  showSaving();
}

function photoOf(target) {
  const tile = target.closest?.(".tile");
  return tile ? photos[tile.dataset.place] : null;
}

function act(photo, mark) {
  if (mark === "with") openRedoWith(photo);
  else setMark(photo, mark);
}

element("grid").addEventListener("click", event => {
  const photo = photoOf(event.target);
  const button = event.target.closest("button");
  if (!photo || !button) return;
  if (button.dataset.mark) act(photo, button.dataset.mark);
  else view(photo);
});

function focusTile(photo) {
  fill(photo.tile);
  photo.tile.querySelector(".open").focus();
  photo.tile.scrollIntoView({ block: "nearest" });
}
