// Marks: id of a picture -> {mark: "keep" | "redo", settings}; remembered, and saved as review.json.
// An id changes with the picture, so what was made again waits for a look again.

const memory = "recolor-gallery-" + data.id;
let marks = {};
let edits = {};  // id of a picture -> its hints as a person changed them
let savedState = "";

// A browser may forbid storage for file:// pages; marks then live until the page is closed.
function remember() {
  try { localStorage.setItem(memory, JSON.stringify({ marks, edits, savedState })); } catch (e) { }
}
function recall() {
  try {
    const known = JSON.parse(localStorage.getItem(memory)) || {};
    const ids = new Set(photos.map(photo => photo.id));
    for (const id of Object.keys(known.marks || {})) if (ids.has(id)) marks[id] = known.marks[id];
    for (const id of Object.keys(known.edits || {})) if (ids.has(id)) edits[id] = known.edits[id];
    savedState = known.savedState || "";
  } catch (e) { }
}

function state() { return JSON.stringify([marks, edits]); }

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
    if (mark === "redo" && edits[photo.id]) record.hints = edits[photo.id];
    return record;
  });
  return JSON.stringify({ format: data.format, out: data.out,
    saved: new Date().toISOString(), photos: marked }, null, 1) + "\n";
}

function quoted(path) {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : "'" + path.replaceAll("'", "'\\''") + "'";
}

function save() {
  download("review.json", review());
  savedState = state();
  remember();
  showSaving();
  element("command").textContent =
    "recolor colorize --redo ~/Downloads/review.json -o " + quoted(data.out);
  element("saved").showModal();
}

function showSaving() {
  const all = photos.map(markOf).filter(Boolean);
  const keep = all.filter(mark => mark.mark === "keep").length;
  const unsaved = state() !== savedState;
  element("marked").textContent = all.length === 0 ? "nothing marked yet"
    : `${keep} keep, ${all.length - keep} redo` + (unsaved ? ", not saved" : ", saved");
  element("save").disabled = all.length === 0;
}
