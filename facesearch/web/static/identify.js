// Sends dropped or chosen photos, two at a time, and shows their cards.

import "./names.js";
import { TWICE, complain, element, get, post, postAsking, say, send } from "./talk.js";

const AT_ONCE = 2;
const files = document.getElementById("files");
const drop = document.getElementById("drop");
const waiting = document.getElementById("waiting");
const photos = document.getElementById("photos");
const queue = [];
let nUnderWay = 0;

files.addEventListener("change", () => {
  add(files.files);
  files.value = ""; // else the same file cannot be chosen again
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser opens the photo in place of the page
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});

function add(some) {
  for (const file of some) {
    const line = document.createElement("li");
    line.textContent = `${file.name}: waiting`;
    waiting.append(line);
    queue.push({ file, line });
  }
  sendNext();
}

function sendNext() {
  while (queue.length && nUnderWay < AT_ONCE) {
    nUnderWay += 1;
    identify(queue.shift()).finally(() => {
      nUnderWay -= 1;
      sendNext();
    });
  }
}

async function identify({ file, line }) {
  line.textContent = `${file.name}: looking for faces`;
  try {
    photos.prepend(await send(file));
    line.remove();
  } catch (error) {
    line.textContent = error.message.includes(file.name)
      ? error.message
      : `${file.name}: ${error.message}`;
    line.classList.add("trouble");
    if (error instanceof TypeError) complain(error);
  }
}

// A face opens its details

const panel = document.getElementById("panel");
let opened = null; // the card and number of the shown face

photos.addEventListener("click", (event) => {
  const face = event.target.closest("[data-face]");
  if (face) showFace(face.closest(".photo"), face.dataset.face);
});
for (const [kind, lit] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]]) {
  photos.addEventListener(kind, (event) => {
    const button = event.target.closest("button[data-face]");
    if (!button) return;
    const box = button.closest(".photo").querySelector(`g[data-face="${button.dataset.face}"]`);
    box.classList.toggle("lit", lit);
  });
}

async function showFace(card, number) {
  try {
    const response = await get(`${card.dataset.address}/faces/${number}`);
    opened = { id: card.id, number };
    panel.replaceChildren(element(await response.text()));
    panel.showModal();
    panel.querySelector("h2").focus();
  } catch (error) {
    complain(error);
  }
}

panel.addEventListener("close", () => focusFace());
panel.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (event.target === panel || button?.matches(".close")) panel.close();
  else if (button?.dataset.is) decide("is", { name: button.dataset.is });
  else if (button?.dataset.isNot) decide("is-not", { name: button.dataset.isNot });
});
panel.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = event.target.elements.name.value;
  decide("is", { name, new: event.submitter?.value === "new" });
});

async function decide(verb, body) {
  const address = panel.querySelector(".panel").dataset.address;
  setBusy(true);
  try {
    const answer = await postAsking(`${address}/${verb}`, body, TWICE);
    if (!answer) return;
    const { said, undo } = answer;
    panel.close();
    await refresh();
    say(said, { undo: undo && (() => undoDecision(undo)) });
  } catch (error) {
    showRefusal(error);
  } finally {
    setBusy(false);
  }
}

async function undoDecision(number) {
  try {
    const { said, undo } = await post("/undo", { number });
    await refresh();
    say(said, { undo: undo && (() => undoDecision(undo)) });
  } catch (error) {
    complain(error);
  }
}

function setBusy(busy) {
  for (const button of panel.querySelectorAll("button")) button.disabled = busy;
}

// Shown within the dialog, which covers the foot of the page
function showRefusal(error) {
  let place = panel.querySelector(".panel > .trouble");
  if (!place) {
    place = document.createElement("p");
    place.className = "trouble";
    place.setAttribute("role", "alert");
    panel.querySelector("form").before(place);
  }
  place.textContent = error.message;
}

// One decision can change the names in every photo
async function refresh() {
  for (const card of [...photos.children]) {
    const response = await get(card.dataset.address);
    card.replaceWith(element(await response.text()));
  }
  focusFace();
}

function focusFace() {
  if (!opened) return;
  document.getElementById(opened.id)?.querySelector(`button[data-face="${opened.number}"]`)?.focus();
}
