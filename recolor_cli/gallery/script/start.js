// Fills the page, last of all.

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
element("counts").textContent =
  `${photos.length.toLocaleString("en")} photograph${photos.length === 1 ? "" : "s"}, ` +
  `page made ${data.made.replace("T", " ").replace("+00:00", " UTC")}`;
recall();
showGrid();
showSaving();
