// Mouse, pen and fingers on the photograph: the line, moving, zooming, hints.

const STILL_PX = 6;  // a pointer that moves less is a click
const pointers = new Map();
let gesture = null;  // "slide", "pan", "pinch"; for hints "point", "box" or "carry"
let grip = null;  // where a gesture began, and what it holds

function gestureOf(event) {
  if (pointers.size === 2) return "pinch";
  if (event.button > 0) return "pan";
  const line = divider.getBoundingClientRect();
  const onLine = !divider.hidden && Math.abs(event.clientX - line.left - 1) < 28;
  if (hinting && event.target.closest(".marker")) return "carry";
  if (hinting && !event.target.closest("#divider span")) return "point";  // the handle is the line's
  return look.fit || onLine ? "slide" : "pan";
}

stage.addEventListener("pointerdown", event => {
  if (event.button > 0 && !hinting) return;
  const marker = event.target.closest(".marker");
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  carried = begun = null;  // a second finger makes a pinch of what a first began
  gesture = gestureOf(event);
  grip = { x: event.clientX, y: event.clientY, number: Number(marker?.dataset.number),
    from: toPicture(event.clientX, event.clientY), moved: false };
  stage.classList.toggle("dragging", gesture === "pan");
  if (gesture === "slide" && !divider.hidden) slideToPoint(event.clientX);
  if (gesture === "pinch") placeHints();
});

stage.addEventListener("pointermove", event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  pointers.set(event.pointerId, event);
  const here = toPicture(event.clientX, event.clientY);
  grip.moved ||= Math.hypot(event.clientX - grip.x, event.clientY - grip.y) >= STILL_PX;
  if (gesture === "slide") slideToPoint(event.clientX);
  else if (gesture === "pan") {
    look.x += event.clientX - before.clientX;
    look.y += event.clientY - before.clientY;
    place();
  } else if (gesture === "pinch") pinch(before, event);
  else if ((gesture === "point" || gesture === "box") && grip.moved && !picking) {
    gesture = "box";
    begun = { from: grip.from, to: here };
    placeHints();
  } else if (gesture === "carry" && grip.moved) {
    const list = hintsOf(current).filter(isShown);
    carried = list.with(grip.number, movedHint(list[grip.number], here.x - grip.from.x, here.y - grip.from.y));
    placeHints();
  }
});

// Two fingers: what lay between them stays between them, so they move it as well.
function pinch(before, event) {
  const other = [...pointers.values()].find(p => p.pointerId !== event.pointerId);
  if (!other) return;
  const reach = p => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
  const between = p => [(p.clientX + other.clientX) / 2, (p.clientY + other.clientY) / 2];
  const [was, is] = [between(before), between(event)];
  look.x += is[0] - was[0];
  look.y += is[1] - was[1];
  zoomTo(look.scale * reach(event) / Math.max(1, reach(before)), ...is);
}

stage.addEventListener("pointerup", event => {
  const here = toPicture(event.clientX, event.clientY);
  const inside = here.x >= 0 && here.x <= 1 && here.y >= 0 && here.y <= 1;
  if (gesture === "point" && picking) { if (inside) pickAt(here); }
  else if (gesture === "point" && selected >= 0 && !grip.moved) selectHint(-1);
  else if (gesture === "point" && inside) addHint({ point: [fraction(here.x), fraction(here.y)] });
  else if (gesture === "box" && begun) endBox();
  else if (gesture === "carry") {
    const [list, number] = [carried, grip.number];
    carried = null;
    if (list) changeHints(list, placeName(list[number]));
    else selectHint(number === selected ? -1 : number);
    element("hint-layer").querySelectorAll(".marker")[number]?.focus({ preventScroll: true });
  }
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, event => {
  pointers.delete(event.pointerId);
  gesture = null;
  carried = begun = null;
  stage.classList.remove("dragging");
  if (hinting) placeHints();
});
stage.addEventListener("contextmenu", event => { if (hinting) event.preventDefault(); });
stage.addEventListener("dblclick", event => { if (!hinting) toggleZoom(event.clientX, event.clientY); });
stage.addEventListener("wheel", event => {
  event.preventDefault();
  zoomTo(look.scale * Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
}, { passive: false });
new ResizeObserver(() => { if (current) place(); }).observe(stage);
