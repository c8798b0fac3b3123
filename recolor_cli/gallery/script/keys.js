// The keyboard, everywhere.

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
  i: () => toggleFacts(),
};

document.addEventListener("keydown", event => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && hinting) {
    undoHints();
    event.preventDefault();
  }
  if (event.key === "Escape" && hinting && !element("help").open) {
    leaveHints();
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, select, #redo-with, #saved, #help")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const inViewer = element("viewer").open;
  const photo = inViewer ? current : photoOf(event.target);
  if (key === "?") element("help").showModal();
  else if (inViewer && hintKey(event, key)) { /* it was for the hints */ }
  else if (photo && key in MARK_KEYS) act(photo, MARK_KEYS[key]);
  else if (inViewer && key in VIEWER_KEYS) {
    if (key === " " && event.target.closest("button")) return;  // presses the button
    VIEWER_KEYS[key](event);
  } else if (photo && !inViewer) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const next = shown[shown.indexOf(photo) + steps[key]];
    if (!(key in steps) || !next) return;
    focusTile(next);
  } else return;
  event.preventDefault();
});
