"use strict";
// Parts, in order: data and marks; the grid; the viewer (slider, zoom); dialogs; keys.

const data = JSON.parse(document.getElementById("data").textContent);
const photos = data.photos;
const element = id => document.getElementById(id);
function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// --- marks: id of a picture -> {mark: "keep" | "redo", settings} ------------------------------
// An id changes with the picture, so what was made again waits for a look again.

const memory = "recolor-gallery-" + data.id;
const FLAGS = { gray: "nearly grey", vivid: "very saturated", unsure: "low confidence" };
let marks = {};
let savedMarks = "{}";

// A browser may forbid storage for file:// pages; marks then live until the page is closed.
function remember() {
  try { localStorage.setItem(memory, JSON.stringify({ marks, savedMarks })); } catch (e) { }
}
function recall() {
  try {
    const known = JSON.parse(localStorage.getItem(memory)) || {};
    const ids = new Set(photos.map(photo => photo.id));
    for (const id of Object.keys(known.marks || {})) if (ids.has(id)) marks[id] = known.marks[id];
    savedMarks = known.savedMarks || "{}";
  } catch (e) { }
}

function markOf(photo) { return marks[photo.id] || null; }
function hasSettings(mark) { return mark && mark.settings && Object.keys(mark.settings).length > 0; }

function setMark(photo, mark, settings) {
  if (mark === "keep" && photo.status !== "done") return;
  const before = markOf(photo);
  const same = before && before.mark === mark && !settings && !hasSettings(before);
  if (mark === null || same) delete marks[photo.id];
  else marks[photo.id] = settings ? { mark, settings } : { mark };
  remember();
  refreshMarks(photo);
}

function review() {
  const marked = photos.filter(markOf).map(photo => {
    const { mark, settings } = markOf(photo);
    const record = { output: photo.key, sha256: photo.sha256, mark };
    if (settings) record.settings = settings;
    return record;
  });
  return JSON.stringify({ format: data.format, out: data.out,
    saved: new Date().toISOString(), photos: marked }, null, 1) + "\n";
}

function quoted(path) {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : "'" + path.replaceAll("'", "'\\''") + "'";
}

function save() {
  const file = URL.createObjectURL(new Blob([review()], { type: "application/json" }));
  make("a", { href: file, download: "review.json" }).click();
  setTimeout(() => URL.revokeObjectURL(file), 10000);
  savedMarks = JSON.stringify(marks);
  remember();
  showSaving();
  element("command").textContent =
    "recolor colorize --redo ~/Downloads/review.json -o " + quoted(data.out);
  element("saved").showModal();
}

function showSaving() {
  const all = photos.map(markOf).filter(Boolean);
  const keep = all.filter(mark => mark.mark === "keep").length;
  const unsaved = JSON.stringify(marks) !== savedMarks;
  element("marked").textContent = all.length === 0 ? "nothing marked yet"
    : `${keep} keep, ${all.length - keep} redo` + (unsaved ? ", not saved" : ", saved");
  element("save").disabled = all.length === 0;
}

// --- the grid ---------------------------------------------------------------------------------

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

function name(photo) { return photo.folder ? photo.folder + "/" + photo.name : photo.name; }

function badges(photo) {
  const made = [];
  if (photo.status !== "done") made.push(make("span", { className: "badge " + (photo.status === "failed" ? "bad" : ""), textContent: photo.status }));
  if (photo.kept) made.push(make("span", { className: "badge kept", textContent: "kept" }));
  for (const flag of photo.flags) made.push(make("span", { className: "badge look", textContent: FLAGS[flag] }));
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

const near = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) {
    fill(entry.target);
    near.unobserve(entry.target);
  }
}, { rootMargin: "800px 0px" });

for (const [place, photo] of photos.entries()) {
  photo.place = place;
  photo.tile = make("li", { className: "tile" });
  photo.tile.dataset.place = place;
  photo.tile.dataset.key = photo.key;
  near.observe(photo.tile);
}

function showGrid() {
  const wanted = element("search").value.trim().toLowerCase();
  const test = FILTERS.find(([id]) => id === filter)[2];
  shown = photos.filter(photo => test(photo) && name(photo).toLowerCase().includes(wanted));
  shown.sort(ORDERS[element("order").value]);
  element("grid").replaceChildren(...shown.map(photo => photo.tile));
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

function columns() {
  return getComputedStyle(element("grid")).gridTemplateColumns.split(" ").length;
}
function focusTile(photo) {
  fill(photo.tile);
  photo.tile.querySelector(".open").focus();
  photo.tile.scrollIntoView({ block: "nearest" });
}

// --- the viewer -------------------------------------------------------------------------------
// Both pictures get the same transform, so they are always in step; the grey one is cut off at the
// line. `at` is the line's place across the visible part of the picture, 0 to 1.

let current = null;
const look = { at: .5, scale: 1, x: 0, y: 0, fit: true, width: 1, height: 1 };
const [stage, divider] = [element("stage"), element("divider")];

function view(photo) {
  current = photo;
  if (!element("viewer").open) element("viewer").showModal();
  element("viewer-name").textContent = name(photo);
  element("viewer-name").title = name(photo);
  element("position").textContent = `${shown.indexOf(photo) + 1} of ${shown.length}`;
  element("viewer-marks").replaceChildren(...markButtons(photo));
  press(element("viewer-marks"), markOf(photo));
  element("problem").textContent = photo.status === "done" ? "" : `${photo.status}: ${photo.reason}`;
  const both = Boolean(photo.after && photo.before);
  divider.hidden = !both;
  element("before-layer").hidden = !both;
  load(photo, both);
  showFacts(photo);
  divider.focus({ preventScroll: true });
  for (const step of [1, -1]) {  // the neighbours are wanted next
    const neighbour = shown[shown.indexOf(photo) + step];
    for (const url of neighbour ? [neighbour.after, neighbour.before] : []) if (url) new Image().src = url;
  }
}

function load(photo, both) {
  const [after, before] = [element("after"), element("before")];
  look.fit = true;
  [look.width, look.height] = photo.size || [1, 1];
  before.classList.remove("derived");
  after.alt = `${name(photo)}, ${both ? "coloured" : photo.status}`;
  before.alt = both ? `${name(photo)}, before` : "";
  after.onload = () => {
    if (!photo.size) [look.width, look.height] = [after.naturalWidth, after.naturalHeight];
    place();
  };
  after.onerror = () => {
    element("problem").textContent = "The picture is not where it was: " + name(photo);
  };
  before.onload = null;
  before.onerror = () => {  // the original was moved away: its luminance is in the result
    before.onerror = null;
    before.classList.add("derived");
    before.src = photo.after;
  };
  after.src = photo.after || photo.before || "";
  if (both) before.src = photo.before; else before.removeAttribute("src");
  after.hidden = !(photo.after || photo.before);
  place();
}

function fitScale() {  // small photographs are enlarged, but not to single pixels
  return Math.min(stage.clientWidth / look.width, stage.clientHeight / look.height, 4 / devicePixelRatio);
}
function place() {
  const [w, h] = [stage.clientWidth, stage.clientHeight];
  if (look.fit) look.scale = fitScale();
  const [pw, ph] = [look.width * look.scale, look.height * look.scale];
  const within = (at, room, size) =>
    size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at));
  look.x = within(look.x, w, pw);
  look.y = within(look.y, h, ph);
  for (const id of ["after", "before"]) {
    const style = element(id).style;
    style.width = look.width + "px";
    style.height = look.height + "px";
    style.transform = `translate(${look.x}px, ${look.y}px) scale(${look.scale})`;
    style.imageRendering = look.scale * devicePixelRatio >= 3 ? "pixelated" : "auto";
  }
  const [left, right] = visible();
  const line = left + look.at * (right - left);
  element("before-layer").style.clipPath = `inset(0 ${w - line}px 0 0)`;
  divider.style.left = line + "px";
  const share = Math.round(look.at * 100);
  divider.setAttribute("aria-valuenow", String(share));
  divider.setAttribute("aria-valuetext", `${share} % grey`);
  stage.classList.toggle("zoomed", !look.fit);
  element("zoom").setAttribute("aria-pressed", String(!look.fit));
  element("scale").textContent = Math.round(look.scale * devicePixelRatio * 100) + " %";
}
function visible() {
  return [Math.max(0, look.x), Math.min(stage.clientWidth, look.x + look.width * look.scale)];
}
// Where a point of the window lies in the picture, 0 to 1 from its left and top.
function toPicture(clientX, clientY) {
  const box = stage.getBoundingClientRect();
  return { x: (clientX - box.left - look.x) / look.scale / look.width,
    y: (clientY - box.top - look.y) / look.scale / look.height };
}

function slideTo(at) { look.at = Math.min(1, Math.max(0, at)); place(); }
function slideToPoint(clientX) {
  const [left, right] = visible();
  slideTo((clientX - stage.getBoundingClientRect().left - left) / Math.max(1, right - left));
}

// Zooms so that what is under a point of the window stays there.
function zoomTo(scale, clientX, clientY) {
  const box = stage.getBoundingClientRect();
  const x = clientX ?? box.left + box.width / 2, y = clientY ?? box.top + box.height / 2;
  const under = toPicture(x, y);
  look.scale = Math.min(8 / devicePixelRatio, Math.max(Math.min(fitScale(), 1 / devicePixelRatio), scale));
  look.fit = Math.abs(look.scale / fitScale() - 1) < .001;
  look.x = x - box.left - under.x * look.width * look.scale;
  look.y = y - box.top - under.y * look.height * look.scale;
  place();
}
function toggleZoom(clientX, clientY) {
  if (!look.fit) { look.fit = true; place(); } else zoomTo(1 / devicePixelRatio, clientX, clientY);
}

const pointers = new Map();
let gesture = null;  // "slide", "pan" or "pinch"
stage.addEventListener("pointerdown", event => {
  if (event.button > 0) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  const line = divider.getBoundingClientRect();
  const onLine = !divider.hidden && Math.abs(event.clientX - line.left - 1) < 28;
  gesture = pointers.size === 2 ? "pinch" : look.fit || onLine ? "slide" : "pan";
  stage.classList.toggle("dragging", gesture === "pan");
  if (gesture === "slide" && !divider.hidden) slideToPoint(event.clientX);
});
stage.addEventListener("pointermove", event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (gesture === "slide") slideToPoint(event.clientX);
  else if (gesture === "pan") {
    look.x += event.clientX - before.clientX;
    look.y += event.clientY - before.clientY;
    place();
  } else if (gesture === "pinch") {
    const other = [...pointers.values()].find(p => p.pointerId !== event.pointerId);
    if (!other) return;
    const reach = p => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    const [x, y] = [(event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2];
    zoomTo(look.scale * reach(event) / Math.max(1, reach(before)), x, y);
  }
  pointers.set(event.pointerId, event);
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, event => {
  pointers.delete(event.pointerId);
  gesture = null;
  stage.classList.remove("dragging");
});
stage.addEventListener("dblclick", event => toggleZoom(event.clientX, event.clientY));
stage.addEventListener("wheel", event => {
  event.preventDefault();
  zoomTo(look.scale * Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
}, { passive: false });
new ResizeObserver(() => { if (current) place(); }).observe(stage);

function showFacts(photo) {
  const mark = markOf(photo);
  const settings = Object.entries(photo.settings).map(([key, value]) => `${key.replace("_", " ")} ${value}`);
  const chosen = hasSettings(mark)
    ? Object.entries(mark.settings).map(([key, value]) => `${key.replace("_", " ")} ${value}`).join(", ") : "";
  const copy = photo.after_is_copy ? "shown as a JPEG copy" : "";
  const facts = [
    ["Mark", !mark ? "" : mark.mark === "keep" ? "keep" : chosen ? "redo with " + chosen : "redo"],
    ["Suspicious", photo.flags.map(flag => FLAGS[flag]).join(", ")],
    ["Reason", photo.status === "done" ? "" : photo.reason],
    ["Size", photo.size ? `${photo.size[0]} × ${photo.size[1]}` : ""],
    ["", [photo.pages > 1 ? `page 1 of ${photo.pages}` : "", copy].filter(Boolean).join(", ")],
    ["Weights", photo.model ? photo.model + (photo.weights ? ` (${photo.weights})` : "") : ""],
    ["Settings", settings.join(", ")],
    ["Confidence", photo.confidence === null ? "" : Math.round(photo.confidence * 100) + " %"],
    ["Mean chroma", photo.chroma === null ? "" : String(photo.chroma)],
    ["Time", photo.seconds === null ? "" : photo.seconds + " s"],
    ["Made", photo.made.replace("T", " ").replace("+00:00", " UTC")],
    ["Kept", photo.kept ? "yes: later runs leave it" : ""],
    ["Notes", photo.notes.join("; ")],
    ["Input", photo.source],
    ["Before", photo.derived ? "made from the result; the input was not there" : ""],
  ].filter(([, value]) => value);
  const list = make("dl");
  for (const [key, value] of facts)
    list.append(...(key ? [make("dt", { textContent: key })] : []), make("dd", { textContent: value }));
  element("facts").replaceChildren(list);
}

function step(count) {
  const next = shown[shown.indexOf(current) + count];
  if (next) view(next);
}

function toggleFacts() {
  const hide = !element("facts").hidden;
  element("facts").hidden = hide;
  element("facts-toggle").setAttribute("aria-pressed", String(!hide));
}

element("previous").onclick = () => step(-1);
element("next").onclick = () => step(1);
element("close").onclick = () => element("viewer").close();
element("zoom").onclick = () => toggleZoom();
element("facts-toggle").onclick = toggleFacts;
element("viewer-marks").onclick = event => {
  const mark = event.target.closest("[data-mark]")?.dataset.mark;
  if (mark) act(current, mark);
};
element("viewer").addEventListener("close", () => {
  const photo = current;
  current = null;
  if (photo?.tile.isConnected) focusTile(photo);
});

// --- dialogs ----------------------------------------------------------------------------------

const WITH = ["model", "saturation", "temperature", "input_size"];
let redoing = null;
for (const model of data.models) element("models").append(make("option", { value: model }));

function openRedoWith(photo) {
  redoing = photo;
  const settings = markOf(photo)?.settings || {};
  element("redo-with-name").textContent = name(photo);
  for (const key of WITH) {
    const was = key === "model" ? photo.model : photo.settings[key];
    element("with-" + key).value = settings[key] ?? "";
    element("with-" + key).placeholder = was === undefined || was === null ? "as before" : `as before: ${was}`;
  }
  element("redo-with").returnValue = "cancel";
  element("redo-with").showModal();
}
element("redo-with").addEventListener("close", () => {
  if (element("redo-with").returnValue !== "mark") return;
  const settings = {};
  for (const key of WITH) {
    const value = element("with-" + key).value.trim();
    if (value !== "") settings[key] = key === "model" ? value : Number(value);
  }
  delete marks[redoing.id];
  setMark(redoing, "redo", Object.keys(settings).length ? settings : undefined);
});
element("redo-with-cancel").onclick = () => element("redo-with").close("cancel");
element("save").onclick = save;
element("help-open").onclick = () => element("help").showModal();

// --- keys -------------------------------------------------------------------------------------

const MARK_KEYS = { k: "keep", r: "redo", w: "with", u: null };
const VIEWER_KEYS = {
  ArrowLeft: event => slideTo(look.at - (event.shiftKey ? .01 : .05)),
  ArrowRight: event => slideTo(look.at + (event.shiftKey ? .01 : .05)),
  Home: () => slideTo(0),
  End: () => slideTo(1),
  " ": () => slideTo(look.at > 0 ? 0 : 1),
  ArrowUp: () => step(-1),
  ArrowDown: () => step(1),
  PageUp: () => step(-1),
  PageDown: () => step(1),
  z: () => toggleZoom(),
  "+": () => zoomTo(look.scale * 1.5),
  "=": () => zoomTo(look.scale * 1.5),
  "-": () => zoomTo(look.scale / 1.5),
  i: toggleFacts,
};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, select, #redo-with, #saved, #help")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const inViewer = element("viewer").open;
  const photo = inViewer ? current : photoOf(event.target);
  if (key === "?") element("help").showModal();
  else if (photo && key in MARK_KEYS) act(photo, MARK_KEYS[key]);
  else if (inViewer && key in VIEWER_KEYS) {
    if (key === " " && event.target.closest("button")) return;  // presses the button
    VIEWER_KEYS[key](event);
  } else if (photo && !inViewer) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    const next = shown[shown.indexOf(photo) + steps[key]];
    if (!(key in steps) || !next) return;
    focusTile(next);
  } else return;
  event.preventDefault();
});

for (const [id, text] of FILTERS) {
  const button = make("button", { id: "filter-" + id, type: "button" }, text,
    make("span", { className: "number" }));
  button.onclick = () => { filter = id; showGrid(); };
  element("filters").append(button);
}
element("search").oninput = showGrid;
element("order").onchange = showGrid;
document.title = data.title + ", gallery";
element("title").textContent = data.title;
element("counts").textContent = `${photos.length.toLocaleString("en")} photographs, ` +
  `page made ${data.made.replace("T", " ").replace("+00:00", " UTC")}`;
recall();
showGrid();
showSaving();
