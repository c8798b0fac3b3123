// What is known about the photograph that is shown.

function hintFacts(photo) {
  const count = hintsOf(photo).length;
  if (!edits[photo.id]) return count ? String(count) : "";
  return `${count}, changed` + (markOf(photo)?.mark === "redo" ? "" : "; mark it redo to use them");
}

function showFacts(photo) {
  const mark = markOf(photo);
  const settings = Object.entries(photo.settings).map(([key, value]) => `${key.replace("_", " ")} ${value}`);
  const chosen = hasSettings(mark)
    ? Object.entries(mark.settings).map(([key, value]) => `${key.replace("_", " ")} ${value}`).join(", ") : "";
  const copy = photo.after_is_copy ? "shown as a JPEG copy" : "";
  const facts = [
    ["Mark", !mark ? "" : mark.mark === "keep" ? "keep" : chosen ? "redo with " + chosen : "redo"],
    ["Hints", hintFacts(photo)],
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
