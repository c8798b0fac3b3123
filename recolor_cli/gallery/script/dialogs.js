// Redo with ..., and what is said after saving.

const WITH = ["model", "saturation", "warmth", "temperature", "input_size"];
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
