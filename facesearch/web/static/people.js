// Narrows the grid of people while a name is typed.

import { complain, get } from "./talk.js";
import { watch } from "./windows.js";

const WAIT_MS = 150;
const field = document.getElementById("search");
const grid = document.querySelector(".grid");
let timer = 0;
let newest = 0;

grid.dataset.search = field.value;
watch();
field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, WAIT_MS);
});

async function search() {
  newest += 1;
  const asked = newest;
  const query = field.value ? `?${new URLSearchParams({ search: field.value })}` : "";
  try {
    const html = await (await get(`/people${query}`)).text();
    if (asked !== newest) return; // outdated: more was typed
    const page = new DOMParser().parseFromString(html, "text/html");
    grid.dataset.search = field.value;
    grid.replaceChildren(...page.querySelector(".grid").children);
    document.getElementById("n-found").textContent = page.getElementById("n-found").textContent;
    history.replaceState(null, "", `/people${query}`);
    watch();
  } catch (error) {
    complain(error);
  }
}
