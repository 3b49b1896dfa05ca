// Renames, merges, forgets and undoes; the page is then shown as the gallery has it.

import "./names.js";
import { complain, get, post, say } from "./talk.js";
import { watch } from "./windows.js";

ready();
document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const verb = form.dataset.does;
  const address = form.closest("[data-address]").dataset.address;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const told = await post(`${address}/${verb}`, { name: form.elements.name.value });
    if (verb === "forget") {
      gone(told.said);
      return;
    }
    if (told.go) history.replaceState(null, "", told.go);
    await refresh();
    tell(told);
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-undo]");
  if (button) undo(Number(button.dataset.undo));
});

// Until then the forms cannot be sent: a browser alone would put names into the address
function ready() {
  for (const button of document.querySelectorAll(".actions button")) button.disabled = false;
  watch();
}

async function undo(number) {
  try {
    const told = await post("/undo", { number });
    await refresh();
    tell(told);
  } catch (error) {
    complain(error);
  }
}

function tell({ said, undo: number }) {
  say(said, { undo: number && (() => undo(number)) });
}

async function refresh() {
  const main = document.getElementById("main");
  try {
    const html = await (await get(location.pathname)).text();
    const page = new DOMParser().parseFromString(html, "text/html");
    main.replaceChildren(...page.getElementById("main").childNodes);
    document.title = page.title;
    ready();
  } catch (error) {
    gone(error.message); // an undone enrollment can take the person away
  }
  main.focus();
}

function gone(sentence) {
  const heading = document.createElement("h1");
  heading.textContent = sentence;
  const back = document.createElement("a");
  back.href = "/people";
  back.textContent = "All people";
  const main = document.getElementById("main");
  main.replaceChildren(heading, back);
  main.focus();
}
