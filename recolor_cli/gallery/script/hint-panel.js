// The panel beside the photograph: which colour the next hint has, and the list of hints.

let hintColor = "#2a3a6e";
let picking = false;  // whether the next click takes a colour out of the photograph

function useHints(use) {
  if (use && !current?.size) return;
  hinting = use;
  selected = -1;
  begun = carried = null;
  usePick(false);
  element("hints-toggle").setAttribute("aria-pressed", String(use));
  element("hinting").hidden = !use;
  element("facts").classList.toggle("aside", use);
  stage.classList.toggle("hinting", use);
  if (!current) return;
  place();  // the panel took its room from the stage
  if (use) moveAim(0, 0);
  showHints();
  (use ? element("aim") : divider).focus({ preventScroll: true });
}

// Escape leaves one thing at a time.
function leaveHints() {
  if (picking) usePick(false);
  else if (begun) { begun = null; placeHints(); }
  else if (selected >= 0) selectHint(-1);
  else useHints(false);
}

function paintSample(thing, color) {
  thing.classList.toggle("as-is", color === KEEP);
  thing.style.backgroundColor = color === KEEP ? "" : color;
}

// A colour for the next hint, and for the one that is selected.
function chooseColor(color, apply = true) {
  hintColor = color;
  if (color !== KEEP) element("hint-color").value = color;
  paintSample(element("hint-sample"), color);
  element("hint-name").textContent = colorName(color);
  for (const swatch of element("swatches").querySelectorAll(".swatch")) {
    const same = swatch.dataset.color === color;
    swatch.setAttribute("aria-checked", String(same));
    swatch.tabIndex = same ? 0 : -1;
  }
  const first = element("swatches").querySelector(".swatch");
  if (!COLOR_NAMES.has(color)) first.tabIndex = 0;
  if (apply && selected >= 0) recolorHint(selected, color);
}

function showHintPanel() {
  const list = current ? shownHints() : [];
  const rows = list.map((hint, number) => {
    const sample = make("span", { className: "sample" });
    paintSample(sample, hint.color);
    const open = make("button", { type: "button", className: "row" }, sample,
      make("span", {}, colorName(hint.color)), make("span", { className: "where" }, placeName(hint)));
    open.dataset.select = number;
    open.setAttribute("aria-pressed", String(number === selected));
    const remove = make("button", { type: "button", textContent: "✕", title: "Remove" });
    remove.dataset.remove = number;
    remove.setAttribute("aria-label", `Remove hint ${number + 1}, ${colorName(hint.color)}`);
    return make("li", {}, open, remove);
  });
  element("hint-list").replaceChildren(...rows);
  element("hint-count").textContent = list.length === 0 ? "No hints yet" : list.length === 1 ? "1 hint" : `${list.length} hints`;
  element("hint-undo").disabled = !(undoable.get(current?.id) || []).length;
  element("hint-clear").disabled = list.length === 0;
  element("hint-save").disabled = !current || hintsOf(current).length === 0;
  element("hint-save").textContent = current ? "Save " + current.hints_file : "Save";
  element("hint-task").textContent = picking ? "Click the photograph where it has the colour."
    : selected >= 0 ? "Choose another colour for the hint that is selected, or drag it."
    : "Click the photograph where the colour belongs, or drag a box inside the thing.";
}

function sayHints(text) { element("hint-said").textContent = text; }

function saveHints() {
  download(current.hints_file, JSON.stringify({ hints: hintsOf(current) }, null, 1) + "\n");
  sayHints(`Saved. Lay ${current.hints_file} beside ${current.source}, and every run uses it.`);
}

// --- a colour out of the photograph -----------------------------------------------------------
// A page from the disk may show pictures but not read them. So small copies lie beside it as
// scripts; one is loaded when a colour is wanted, and calls `pickable`.

const pickables = new Map();  // id of a picture -> its pixels
function pickable(id, source) {
  const image = new Image();
  image.onload = () => {
    const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    pickables.set(id, context);
  };
  image.src = source;
}

function usePick(use) {
  picking = use && Boolean(current?.pick);
  element("hint-pick").setAttribute("aria-pressed", String(picking));
  element("hint-pick").disabled = !current?.pick;
  stage.classList.toggle("picking", picking);
  if (picking && !pickables.has(current.pick_id))
    document.head.append(make("script", { src: current.pick, onerror: () => {
      usePick(false);
      sayHints("The small copy for this is not there; make the page again with recolor gallery");
    } }));
  if (current) showHintPanel();
}

function pickAt({ x, y }) {
  const context = pickables.get(current.pick_id);
  if (!context) return;  // not there yet: one more click
  const { width, height } = context.canvas;
  const [left, top] = [[x, width], [y, height]].map(([at, size]) => Math.min(size - 1, Math.floor(at * size)));
  const [r, g, b] = context.getImageData(left, top, 1, 1).data;
  usePick(false);
  chooseColor("#" + [r, g, b].map(value => value.toString(16).padStart(2, "0")).join(""));
  sayHints(`The colour is ${hintColor}`);
}

// --- what is pressed -----------------------------------------------------------------------------

for (const [title, colors] of SWATCHES) {
  const group = make("div", { className: "swatch-group" }, make("span", { className: "swatch-title" }, title));
  for (const [text, color] of colors) {
    const swatch = make("button", { type: "button", className: "swatch", title: text });
    swatch.dataset.color = color;
    swatch.setAttribute("role", "radio");
    swatch.setAttribute("aria-label", text);
    paintSample(swatch, color);
    group.append(swatch);
  }
  element("swatches").append(group);
}
element("swatches").onclick = event => {
  const color = event.target.closest(".swatch")?.dataset.color;
  if (color) chooseColor(color);
};
element("swatches").addEventListener("keydown", event => {
  const all = [...element("swatches").querySelectorAll(".swatch")];
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };
  if (!(event.key in steps)) return;
  const next = all.at((all.indexOf(event.target) + steps[event.key]) % all.length);
  chooseColor(next.dataset.color);
  next.focus();
  event.preventDefault();
  event.stopPropagation();
});
element("hint-color").oninput = event => chooseColor(event.target.value, false);
element("hint-color").onchange = event => chooseColor(event.target.value);
element("hint-pick").onclick = () => usePick(!picking);
element("hint-undo").onclick = undoHints;
element("hint-clear").onclick = () => { selected = -1; changeHints([], "All removed"); };
element("hint-save").onclick = saveHints;
element("hints-toggle").onclick = () => useHints(!hinting);
element("hints-close").onclick = () => useHints(false);
element("hint-list").onclick = event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.remove) removeHint(Number(button.dataset.remove));
  else { const number = Number(button.dataset.select); selectHint(number === selected ? -1 : number); }
};
chooseColor(hintColor);
