// Asks every few seconds what is new, and exchanges the parts that changed.

import { complain, refuseTrouble } from "./talk.js";

const ASK_MS = 3000;
const place = document.getElementById("training");
let tag = "";
let failed = false;

setTimeout(ask, ASK_MS);

async function ask() {
  try {
    const response = await fetch("/training/now", { headers: { "If-None-Match": tag, Accept: "text/html" } });
    if (response.status !== 304) {
      await refuseTrouble(response);
      tag = response.headers.get("ETag") ?? "";
      exchange(await response.text());
    }
    if (failed) document.getElementById("said").hidden = true;
    failed = false;
  } catch (error) {
    if (!failed) complain(error); // once; it is asked again all the same
    failed = true;
  }
  setTimeout(ask, ASK_MS);
}

function exchange(html) {
  const news = document.createElement("template");
  news.innerHTML = html; // of our own template
  const parts = [...news.content.children];
  if (parts.some((part) => !document.getElementById(part.id))) {
    place.replaceChildren(...parts); // it has begun
    return;
  }
  for (const part of parts) {
    const old = document.getElementById(part.id);
    if (old.outerHTML === part.outerHTML) continue;
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    const focused = [...old.querySelectorAll("summary")].indexOf(document.activeElement);
    part.querySelectorAll("details").forEach((details, i) => {
      details.open = open[i] ?? false;
    });
    old.replaceWith(part);
    if (focused >= 0) part.querySelectorAll("summary")[focused]?.focus();
  }
}
