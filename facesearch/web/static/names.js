// Completes names of the gallery in inputs whose list is the datalist `names`.

import { get } from "./talk.js";

const WAIT_MS = 120;
let timer = 0;
let newest = 0;

document.addEventListener("input", (event) => {
  if (event.target.getAttribute("list") !== "names") return;
  clearTimeout(timer);
  timer = setTimeout(() => propose(event.target.value), WAIT_MS);
});

async function propose(typed) {
  newest += 1;
  const asked = newest;
  try {
    const names = await (await get(`/names?typed=${encodeURIComponent(typed)}`)).json();
    if (asked !== newest) return; // outdated: more was typed
    const proposals = document.getElementById("names"); // some pages replace it
    proposals.replaceChildren(...names.map((name) => new Option(name, name)));
  } catch {
    // without completion a name can still be typed
  }
}
