// The viewer: one photograph, grey and coloured, a line between them, zoom.
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
  showHints();
  showFacts(photo);
  (hinting ? element("aim") : divider).focus({ preventScroll: true });
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
  placeHints();
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

function step(count) {
  const next = shown[shown.indexOf(current) + count];
  if (next) view(next);
}

function toggleFacts(hide = !element("facts").hidden) {
  element("facts").hidden = hide;
  element("facts-toggle").setAttribute("aria-pressed", String(!hide));
  place();
}

element("previous").onclick = () => step(-1);
element("next").onclick = () => step(1);
element("close").onclick = () => element("viewer").close();
element("zoom").onclick = () => toggleZoom();
element("facts-toggle").onclick = () => toggleFacts();
element("viewer-marks").onclick = event => {
  const mark = event.target.closest("[data-mark]")?.dataset.mark;
  if (mark) act(current, mark);
};
element("viewer").addEventListener("close", () => {
  const photo = current;
  useHints(false);
  current = null;
  if (photo?.tile.isConnected) focusTile(photo);
});
