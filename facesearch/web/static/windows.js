// Lists come in windows: scrolling to the button at the end of one, or pressing it, adds the next.

import { complain, get } from "./talk.js";

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) more(entry.target);
  },
  { rootMargin: "600px" },
);

document.addEventListener("click", (event) => {
  const button = event.target.closest(".more button");
  if (button) more(button);
});

// Call when a list was added or changed
export function watch() {
  for (const button of document.querySelectorAll(".more button")) seen.observe(button);
}

async function more(button) {
  if (button.disabled) return;
  button.disabled = true; // so that it asks once
  const list = button.closest("[data-rows]");
  const query = new URLSearchParams({ start: button.dataset.start, search: list.dataset.search ?? "" });
  try {
    const rows = await (await get(`${list.dataset.rows}?${query}`)).text();
    const hadFocus = document.activeElement === button;
    const place = button.closest(".more");
    if (!place.isConnected) return; // outdated: another search
    seen.unobserve(button);
    const last = place.previousElementSibling;
    place.insertAdjacentHTML("beforebegin", rows);
    const first = last ? last.nextElementSibling : list.firstElementChild;
    place.remove();
    if (hadFocus) first.querySelector("input, a, button")?.focus();
    watch();
  } catch (error) {
    button.disabled = false;
    complain(error);
  }
}
