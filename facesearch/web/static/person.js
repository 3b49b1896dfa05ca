// Moves faces, renames, merges, separates, forgets and undoes; then shows the page as the gallery
// has it now.

import "./names.js";
import { TWICE, complain, element, get, post, postAsking, say, undoAsking } from "./talk.js";
import { watch } from "./windows.js";

ready();
document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const body = { name: form.elements.name.value };
  if (form.dataset.does === "give") body.faces = chosen();
  send(addressOf(form), body, form.querySelector("button"));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.undo) undo(Number(button.dataset.undo));
  else if (button.dataset.does === "reject") send(addressOf(button), { faces: chosen() }, button);
  else if (button.dataset.post) send(button.dataset.post, { name: button.dataset.name }, button);
});
document.addEventListener("change", (event) => {
  if (event.target.name === "face") count();
});

function addressOf(part) {
  return `${part.closest("[data-address]").dataset.address}/${part.dataset.does}`;
}

function chosen() {
  return [...document.querySelectorAll("[name=face]:checked")].map((box) => Number(box.value));
}

function count() {
  const n = chosen().length;
  document.getElementById("n-chosen").textContent = n ? `${n} selected.` : "None selected.";
  for (const button of document.querySelectorAll(".chosen button")) button.disabled = n === 0;
}

async function send(address, body, button) {
  button.disabled = true;
  try {
    const answer = await postAsking(address, body, TWICE);
    if (!answer) return;
    if (address.endsWith("/forget")) {
      gone(answer.said);
      return;
    }
    if (answer.go) history.replaceState(null, "", answer.go);
    await refresh();
    report(answer);
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
}

// Buttons start disabled: without this script a browser would put names into the address
function ready() {
  for (const button of document.querySelectorAll(".actions button")) button.disabled = false;
  watch();
  count();
  compare();
}

// After the page, since comparing may take a second in a large gallery
async function compare() {
  const place = document.getElementById("alike");
  try {
    const html = await (await get(place.dataset.address)).text();
    place.lastElementChild.replaceChildren(element(html));
  } catch (error) {
    complain(error);
  }
}

async function undo(number) {
  try {
    const answer = await undoAsking(number);
    if (!answer) return;
    await refresh();
    report(answer);
  } catch (error) {
    complain(error);
  }
}

function report({ said, undo: number }) {
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
    gone(error.message); // undoing an enrollment can remove the person
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
  document.getElementById("said").hidden = true; // an earlier refusal is outdated
  main.focus();
}
