// Hints on the photograph that is shown: lists that are changed and undone, and their markers.
// A hint is as in the file: {point: [x, y] | box: [left, top, right, bottom], color, page}.

const MOST_HINTS = 200;
const undoable = new Map();  // id of a picture -> lists as they were before
let hinting = false;  // whether a click on the photograph is a hint
let selected = -1;  // of the hints that are shown; a colour that is chosen goes to it
let carried = null;  // the hints while one of them is moved
let begun = null;  // the box that is being drawn

function hintsOf(photo) { return edits[photo.id] || photo.hints; }
function isShown(hint) { return (hint.page ?? 1) === 1; }
// The shown hints of the photograph; those of other pages stay as they are.
function shownHints() { return carried || hintsOf(current).filter(isShown); }
function middle(hint) {
  if (hint.point) return hint.point;
  const [left, top, right, bottom] = hint.box;
  return [(left + right) / 2, (top + bottom) / 2];
}
function fraction(value) { return Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4; }
function percent(value) { return `${Math.round(value * 100)} %`; }
function placeName(hint) {
  return (hint.point ? "point at " : "box around ") + middle(hint).map(percent).join(", ");
}

function setHints(list, photo = current) {
  const edited = Boolean(edits[photo.id]);
  const all = [...list, ...photo.hints.filter(hint => !isShown(hint))];
  const same = JSON.stringify(all) === JSON.stringify(photo.hints);
  if (same) delete edits[photo.id]; else edits[photo.id] = all;
  const mark = markOf(photo);
  if (!same && mark?.mark !== "redo") marks[photo.id] = { mark: "redo", forHints: true };
  else if (same && edited && mark?.forHints) delete marks[photo.id];
  remember();
  refreshMarks(photo);
  showHints();
}
function changeHints(list, said) {
  const before = undoable.get(current.id) || [];
  undoable.set(current.id, [...before, hintsOf(current).filter(isShown)]);
  setHints(list);
  sayHints(said);
}
function undoHints() {
  const before = undoable.get(current.id) || [];
  if (!before.length) return;
  selected = -1;
  setHints(before.pop());
  sayHints("Undone");
}

function addHint(hint) {
  if (hintsOf(current).length >= MOST_HINTS) { sayHints(`At most ${MOST_HINTS} hints for a photograph`); return; }
  selected = -1;
  const made = { ...hint, color: hintColor };
  changeHints([...shownHints(), made], `${colorName(hintColor)}, ${placeName(made)}`);
}
function removeHint(number) {
  const list = shownHints();
  const was = list[number];
  selected = -1;
  changeHints(list.toSpliced(number, 1), `Removed ${colorName(was.color)}`);
  const next = element("hint-layer").querySelectorAll(".marker")[Math.min(number, list.length - 2)];
  (next || element("aim")).focus({ preventScroll: true });
}
function recolorHint(number, color) {
  const list = shownHints();
  if (list[number].color !== color) changeHints(list.with(number, { ...list[number], color }), colorName(color));
}
// A hint moved by parts of the picture, and not out of it.
function movedHint(hint, dx, dy) {
  if (hint.point) return { ...hint, point: [fraction(hint.point[0] + dx), fraction(hint.point[1] + dy)] };
  const [left, top, right, bottom] = hint.box;
  dx = Math.min(1 - right, Math.max(-left, dx));
  dy = Math.min(1 - bottom, Math.max(-top, dy));
  return { ...hint, box: [left + dx, top + dy, right + dx, bottom + dy].map(fraction) };
}
function boxBetween(a, b) {
  const [x, y] = [[a.x, b.x], [a.y, b.y]].map(pair => pair.map(fraction).sort((p, q) => p - q));
  return { box: [x[0], y[0], x[1], y[1]] };
}
function selectHint(number) {
  selected = number;
  if (number >= 0) chooseColor(shownHints()[number].color, false);
  showHints();
}

// --- markers: real buttons over the photograph, so that keys reach them -----------------------

function showHints() {
  const layer = element("hint-layer");
  const focused = [...layer.querySelectorAll(".marker")].indexOf(document.activeElement);
  layer.querySelectorAll(".marker, .area").forEach(old => old.remove());
  const list = current ? shownHints() : [];
  for (const [number, hint] of list.entries()) {
    const marker = make("button", { type: "button", className: "marker" });
    marker.dataset.number = number;
    marker.setAttribute("aria-label", `Hint ${number + 1}: ${colorName(hint.color)}, ${placeName(hint)}`);
    marker.title = colorName(hint.color);
    paintSample(marker, hint.color);
    marker.classList.toggle("selected", number === selected);
    if (hint.box) {
      const area = make("span", { className: "area" });
      area.classList.toggle("selected", number === selected);
      layer.append(area);
    }
    layer.append(marker);
  }
  placeHints();
  if (focused >= 0) layer.querySelectorAll(".marker")[focused]?.focus({ preventScroll: true });
  showHintPanel();
}

function placeAt(thing, [x, y]) {
  thing.style.left = look.x + x * look.width * look.scale + "px";
  thing.style.top = look.y + y * look.height * look.scale + "px";
}
function placeArea(area, [left, top, right, bottom]) {
  placeAt(area, [left, top]);
  area.style.width = (right - left) * look.width * look.scale + "px";
  area.style.height = (bottom - top) * look.height * look.scale + "px";
}
function placeHints() {
  const layer = element("hint-layer");
  layer.hidden = !hinting;
  if (!hinting || !current) return;
  const list = shownHints();
  const boxes = list.filter(hint => hint.box);
  for (const [number, marker] of layer.querySelectorAll(".marker").entries()) placeAt(marker, middle(list[number]));
  for (const [number, area] of layer.querySelectorAll(".area").entries()) placeArea(area, boxes[number].box);
  placeAt(element("aim"), [aim.x, aim.y]);
  element("drawn").hidden = !begun;
  if (begun) placeArea(element("drawn"), boxBetween(begun.from, begun.to).box);
}

// --- by key: an aim that moves over the photograph -------------------------------------------

const aim = { x: .5, y: .5 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function moveAim(dx, dy) {
  aim.x = fraction(aim.x + dx);
  aim.y = fraction(aim.y + dy);
  if (begun) begun.to = { ...aim };
  element("aim").setAttribute("aria-label", `Aim at ${percent(aim.x)}, ${percent(aim.y)}`);
  placeHints();
}
function useAim() {
  if (picking) pickAt(aim);
  else if (begun) endBox();
  else addHint({ point: [aim.x, aim.y] });
}
function endBox() {
  const hint = boxBetween(begun.from, begun.to);
  begun = null;
  const [left, top, right, bottom] = hint.box;
  if (left < right && top < bottom) addHint(hint);
  placeHints();
}

// Whether a key was for the hints.
function hintKey(event, key) {
  const target = event.target;
  const marker = target.closest?.(".marker");
  if (key === "h") useHints(!hinting);
  else if (!hinting) return false;
  else if (key === "p") usePick(!picking);
  else if (target === element("aim")) {
    const far = event.shiftKey ? .0025 : .02;
    if (key in ARROWS) moveAim(ARROWS[key][0] * far, ARROWS[key][1] * far);
    else if (key === "Enter" || key === " ") useAim();
    else if (key === "b") {
      if (begun) endBox(); else { begun = { from: { ...aim }, to: { ...aim } }; sayHints("A box begins here; move, and press B again"); }
    } else return false;
  } else if (marker) {
    const number = Number(marker.dataset.number);
    const far = event.shiftKey ? .0025 : .02;
    if (key in ARROWS) {
      const moved = movedHint(shownHints()[number], ARROWS[key][0] * far, ARROWS[key][1] * far);
      changeHints(shownHints().with(number, moved), placeName(moved));
    } else if (key === "Delete" || key === "Backspace") removeHint(number);
    else if (key === "Enter" || key === " ") selectHint(number === selected ? -1 : number);
    else return false;
  } else return false;
  return true;
}
