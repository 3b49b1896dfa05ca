// Asks for news every few seconds, and replaces the parts that changed.

import { ask, complain, refuseTrouble } from "./talk.js";

const ASK_MS = 3000;
const place = document.getElementById("training");
let tag = "";
let failed = false;

setTimeout(follow, ASK_MS);

async function follow() {
  try {
    const response = await ask("/training/now", { headers: { "If-None-Match": tag, Accept: "text/html" } });
    if (response.status !== 304) {
      await refuseTrouble(response);
      tag = response.headers.get("ETag") ?? "";
      replaceParts(await response.text());
    }
    if (failed) document.getElementById("said").hidden = true;
    failed = false;
  } catch (error) {
    if (!failed) complain(error); // once, though it keeps asking
    failed = true;
  }
  setTimeout(follow, ASK_MS);
}

function replaceParts(html) {
  const news = document.createElement("template");
  news.innerHTML = html; // from our own template
  const parts = [...news.content.children];
  if (parts.some((part) => !document.getElementById(part.id))) {
    place.replaceChildren(...parts); // the training has begun
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
