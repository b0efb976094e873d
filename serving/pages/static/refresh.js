// Shows what is new without losing the reader's place: only the parts that changed are replaced, and never one that
// the reader has selected text in or is at with the keyboard.
"use strict";
const EVERY_MS = 5000;
let busy = false;

function inUse(part) {
  const selection = document.getSelection();
  const selected = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return selected || (part.contains(document.activeElement) && document.activeElement !== document.body);
}

function replace(part, fresh) {
  const places = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const open = [...part.querySelectorAll("details")].map((box) => box.open);
  part.innerHTML = fresh.innerHTML;
  part.querySelectorAll(".scroll").forEach((box, at) => { box.scrollLeft = places[at] || 0; });
  part.querySelectorAll("details").forEach((box, at) => { box.open = open[at] || false; });
}

async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const top = [window.scrollX, window.scrollY];
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML && !inUse(part)) replace(part, fresh);
    }
    document.title = page.title;
    window.scrollTo(...top);
  } catch {
    // The service is away for a moment: what is shown stays, and the next try comes by itself.
  } finally {
    busy = false;
  }
}

setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", refresh);
