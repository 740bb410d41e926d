// Draws every chart of the page in the reader's own light or dark, as wide as there is room.
const dark = matchMedia("(prefers-color-scheme: dark)");
const views = new Map();  // element -> what Vega has drawn in it

function contentOf(name) {
  return JSON.parse(document.getElementById(name).textContent);
}

function fitted(spec, width) {
  // A narrow screen gets shorter labels, fewer ticks and legends of one column.
  const copy = JSON.parse(JSON.stringify(spec));
  const narrow = width < 560;
  (function walk(part) {
    if (!part || typeof part !== "object") return;
    for (const [key, value] of Object.entries(part)) {
      if (key === "data") continue;
      if (narrow && key === "labelLimit") part[key] = 120;
      if (narrow && key === "tickCount") part[key] = 4;
      if (narrow && key === "columns") part[key] = 1;
      walk(value);
    }
  })(copy);
  return { ...copy, width: "container", autosize: { type: "fit-x", contains: "padding" } };
}

async function drawChart(place) {
  const looks = contentOf("looks");
  place.style.minHeight = `${place.clientHeight}px`;  // a chart that is drawn again must not move what is below it
  views.get(place)?.finalize();
  // `ast`: expressions are interpreted, so that a server may forbid scripts that are made from texts.
  const view = await vegaEmbed(place, fitted(contentOf(place.dataset.spec), place.clientWidth), {
    config: dark.matches ? looks.dark : looks.light,
    renderer: "svg", actions: false, tooltip: true, logLevel: 1, ast: true,
  });
  views.set(place, view);
  place.style.minHeight = "";
  // The figure's caption and its label say what the drawing shows: one image, not hundreds of marks.
  const svg = place.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", place.dataset.alt);
  for (const mark of svg.querySelectorAll("[role], [aria-label], [aria-roledescription]")) {
    for (const name of ["role", "aria-label", "aria-roledescription"]) mark.removeAttribute(name);
  }
  place.dataset.drawn = view.view ? "yes" : "no";
}

function forget() {
  for (const [place, view] of views) {
    if (!place.isConnected) { view.finalize(); views.delete(place); }
  }
}

let drawing = Promise.resolve();

function draw(which = ".chart") {
  // One after the other: two drawings in one place would both stay.
  drawing = drawing.then(async () => {
    forget();
    for (const place of document.querySelectorAll(which)) await drawChart(place);
  });
  return drawing;
}

let last = innerWidth;
addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; draw(); } });
dark.addEventListener("change", () => draw());
addEventListener("DOMContentLoaded", () => draw());
