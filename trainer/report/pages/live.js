// Keeps the page up to date. It asks for the page again, and replaces the parts that have changed: what you read, have
// opened or have scrolled stays as it is.
const EVERY_MS = 2000;
const PARTS = "header, footer, main > section";
const line = document.createElement("p");
line.className = "live";
line.setAttribute("role", "status");
document.querySelector("header").append(line);

let tag = null;
let shown = sourcesOf(document);  // as the server sent them, before Vega draws in them

function sourcesOf(page) {
  // Section -> the sources of its parts.
  const sources = new Map();
  for (const section of page.querySelectorAll(PARTS)) {
    sources.set(section.id || section.tagName, [...section.children].filter((part) => part !== line)
      .map((part) => part.outerHTML));
  }
  return sources;
}

function placed(part) {
  // State of a part that the reader has made.
  return {
    open: [...part.querySelectorAll("details"), ...(part.matches("details") ? [part] : [])].map((each) => each.open),
    left: part.scrollLeft,
    focused: part.contains(document.activeElement) ? focusable(part).indexOf(document.activeElement) : -1,
  };
}

function focusable(part) {
  return [part, ...part.querySelectorAll("[tabindex], summary, a")];
}

function restore(part, state) {
  [...part.querySelectorAll("details"), ...(part.matches("details") ? [part] : [])]
    .forEach((each, number) => { each.open = state.open[number] ?? false; });
  part.scrollLeft = state.left;
  if (state.focused >= 0) focusable(part)[state.focused]?.focus({ preventScroll: true });
}

function specsOf(page) {
  return new Map([...page.querySelectorAll("script[id]")].map((each) => [each.id, each.textContent]));
}

function replaceSection(section, fresh, before, after) {
  // Same number of parts: each that has changed is replaced. Otherwise all of them, with the same state by place.
  const old = [...section.children].filter((part) => part !== line);
  const parts = [...fresh.children];
  const same = old.length === parts.length;
  parts.forEach((part, number) => {
    if (same && before[number] === after[number]) return;
    const there = same ? old[number] : old.find((each) => each.tagName === part.tagName && nameOf(each) === nameOf(part));
    const state = there ? placed(there) : null;
    const own = document.importNode(part, true);
    const height = there?.querySelector(".chart")?.clientHeight;
    if (same) old[number].replaceWith(own);
    else section.insertBefore(own, section.contains(line) ? line : null);
    if (state) restore(own, state);
    if (height) own.querySelector(".chart").style.minHeight = `${height}px`;  // so that nothing below it jumps
  });
  if (!same) old.forEach((part) => part.remove());
}

function nameOf(part) {
  return part.getAttribute("aria-label") ?? part.querySelector("summary, figcaption, h3")?.textContent ?? "";
}

async function update(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = sourcesOf(page);
  const main = document.querySelector("main");
  for (const section of [...main.children]) if (!fresh.has(section.id)) section.remove();
  let previous = null;
  for (const part of page.querySelectorAll(PARTS)) {
    const name = part.id || part.tagName;
    const there = part.id ? document.getElementById(part.id) : document.querySelector(part.tagName);
    if (!there) {
      const own = document.importNode(part, true);
      if (previous) previous.after(own); else main.prepend(own);
    } else if (shown.get(name)?.join() !== fresh.get(name).join()) {
      replaceSection(there, part, shown.get(name) ?? [], fresh.get(name));
    }
    if (part.id) previous = document.getElementById(part.id);
  }
  const specs = specsOf(document);
  for (const [name, content] of specsOf(page)) {
    if (specs.get(name) === content) continue;
    let script = document.getElementById(name);
    if (!script) {
      script = document.createElement("script");
      script.type = "application/json";
      script.id = name;
      document.body.append(script);
    }
    script.textContent = content;
    for (const place of document.querySelectorAll(`[data-spec="${name}"]`)) delete place.dataset.drawn;
  }
  document.title = page.title;
  shown = fresh;
  await draw(".chart:not([data-drawn])");
}

function say(text) {
  if (line.textContent !== text) line.textContent = text;  // a screen reader reads each change aloud
}

async function poll() {
  try {
    const answer = await fetch("./", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 200) {
      tag = answer.headers.get("ETag");
      await update(await answer.text());
    }
    if (answer.ok || answer.status === 304) say("Live: this page updates itself.");
    else say(`The server answers ${answer.status}. The page is as it was then.`);
  } catch {
    say("The server has ended. The page is as it was then, and goes on when the server is back.");
  }
  setTimeout(poll, EVERY_MS);
}

addEventListener("DOMContentLoaded", poll);
