// The page of a run: it turns through the samples, and loads itself anew while the run goes on.
const slider = document.querySelector(".time input");
const kept = JSON.parse(sessionStorage.getItem(location.pathname) || "{}");
let touched = 0;

function show(number) {
  const [file, words] = SAMPLES[number];
  document.querySelector(".time output").textContent = words;
  const image = document.querySelector("#sample");
  image.src = file;
  image.alt = `grey, generated and true, ${words}`;
}

if (slider) {
  // Who looks at an early panel goes on seeing it; who looks at the latest sees the latest.
  if (kept.sample !== undefined && kept.sample < SAMPLES.length) slider.value = kept.sample;
  show(Number(slider.value));
  slider.addEventListener("input", () => show(Number(slider.value)));
}
for (const kind of ["input", "pointerdown", "keydown", "scroll", "wheel"]) {
  addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
}

const news = document.querySelector("#news");
function tell() {
  const minutes = Math.floor((Date.now() / 1000 - WRITTEN) / 60);
  if (minutes >= 15) {
    news.hidden = false;
    news.querySelector("b").textContent = `No news for ${minutes} minutes.`;
  }
}

if (RUNNING) {
  tell();
  setInterval(() => {
    tell();
    if (document.hidden || Date.now() - touched < 15000 || getSelection().toString()) return;
    const latest = slider && Number(slider.value) === SAMPLES.length - 1;
    const sample = slider && !latest ? Number(slider.value) : undefined;
    const open = [...document.querySelectorAll("details")].map((part) => part.open);
    sessionStorage.setItem(location.pathname, JSON.stringify({ sample, open }));
    location.reload();
  }, 10000);
}
(kept.open || []).forEach((open, number) => {
  const part = document.querySelectorAll("details")[number];
  if (part) part.open = open;
});
