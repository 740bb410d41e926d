// Draws every chart of the page in the reader's own light or dark, as wide as there is room.
const looks = JSON.parse(document.getElementById("looks").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

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

async function draw() {
  for (const place of document.querySelectorAll(".chart")) {
    const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
    const config = dark.matches ? looks.dark : looks.light;
    const view = await vegaEmbed(place, fitted(spec, place.clientWidth), {
      config, renderer: "svg", actions: false, tooltip: true, logLevel: 1,
    });
    // The figure's caption and its label say what the drawing shows: one image, not hundreds of marks.
    const svg = place.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.dataset.alt);
    for (const mark of svg.querySelectorAll("[role], [aria-label], [aria-roledescription]")) {
      for (const name of ["role", "aria-label", "aria-roledescription"]) mark.removeAttribute(name);
    }
    place.dataset.drawn = view.view ? "yes" : "no";
  }
}

let last = innerWidth;
addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; draw(); } });
dark.addEventListener("change", draw);
draw();
