// Sends dropped or chosen photos, two at a time, and shows their cards.

import "./names.js";
import {
  TWICE,
  complain,
  element,
  get,
  NoAnswer,
  postAsking,
  say,
  send,
  undoAsking,
} from "./talk.js";

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
  addDropped(event.dataTransfer.items);
});
window.addEventListener("beforeunload", (event) => {
  if (queue.length + nUnderWay) event.preventDefault(); // the browser asks first: it would be lost
});

// Adds dropped files, and the photos in dropped folders
async function addDropped(items) {
  const dropped = [...items]
    .filter((item) => item.kind === "file")
    // asked for at once: the browser forgets the items after the event
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  for (const { entry, file } of dropped) {
    if (entry?.isDirectory) await addFolder(entry);
    else add([file]);
  }
}

async function addFolder(folder) {
  try {
    const inside = await filesIn(folder);
    const some = inside.filter(isPhoto);
    const nOthers = inside.length - some.length;
    add(some);
    if (some.length === 0) tell(`${folder.name}: there is no photo in this folder.`);
    else if (nOthers) tell(`${folder.name}: ${nOthers} of ${inside.length} files are not photos and were left out.`);
  } catch (error) {
    tell(`${folder.name}: this folder cannot be read (${error.message}). Drop the photos in it.`);
  }
}

// Returns the files in a folder and the folders in it, without hidden ones
async function filesIn(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return found; // it lists a hundred at a time
    for (const entry of some) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) found.push(...(await filesIn(entry)));
      else found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    }
  }
}

function isPhoto(file) {
  const suffixes = files.accept.split(",").slice(1);
  return file.type.startsWith("image/") || suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));
}

function tell(sentence) {
  const line = document.createElement("li");
  line.className = "trouble";
  line.textContent = sentence;
  waiting.append(line);
}

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
    remember();
  } catch (error) {
    line.textContent = error.message.includes(file.name)
      ? error.message
      : `${file.name}: ${error.message}`;
    line.classList.add("trouble");
    if (error instanceof NoAnswer) complain(error);
  }
}

// The cards of this tab come back with it, as long as the server holds their photos

const CARDS = "cards"; // addresses in the tab's storage, newest first

function remember() {
  const addresses = [...photos.children].map((card) => card.dataset.address);
  sessionStorage.setItem(CARDS, JSON.stringify(addresses));
}

async function bringBack() {
  for (const address of JSON.parse(sessionStorage.getItem(CARDS) ?? "[]")) {
    try {
      photos.append(element(await (await get(address)).text()));
    } catch (error) {
      if (error instanceof NoAnswer) return complain(error);
      // the server was started again and holds this photo no longer
    }
  }
  remember();
}

bringBack();

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
    const answer = await undoAsking(number);
    if (!answer) return;
    const { said, undo } = answer;
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
