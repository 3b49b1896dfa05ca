// Lists come in windows: the button at the end of one is pressed by being scrolled to, or by hand.

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

// Call when a list came or changed
export function watch() {
  for (const button of document.querySelectorAll(".more button")) seen.observe(button);
}

async function more(button) {
  if (button.disabled) return;
  button.disabled = true; // so that it is asked once
  const list = button.closest("[data-rows]");
  const query = new URLSearchParams({ start: button.dataset.start, search: list.dataset.search ?? "" });
  try {
    const rows = await (await get(`${list.dataset.rows}?${query}`)).text();
    const hadFocus = document.activeElement === button;
    const place = button.closest(".more");
    if (!place.isConnected) return; // another search meanwhile
    seen.unobserve(button);
    place.insertAdjacentHTML("beforebegin", rows);
    if (hadFocus) place.previousElementSibling?.querySelector("a, button")?.focus();
    place.remove();
    watch();
  } catch (error) {
    button.disabled = false;
    complain(error);
  }
}
