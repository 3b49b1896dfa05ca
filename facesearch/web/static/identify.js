// Photos that are dropped or chosen go up, two at a time; their cards come down.

import { complain, element, refuseTrouble } from "./talk.js";

const AT_ONCE = 2;
const files = document.getElementById("files");
const drop = document.getElementById("drop");
const waiting = document.getElementById("waiting");
const photos = document.getElementById("photos");
const queue = [];
let nUnderWay = 0;

files.addEventListener("change", () => {
  add(files.files);
  files.value = ""; // so that the same file can be chosen again
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
  event.preventDefault(); // else the browser leaves the page for the photo
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
  goOn();
}

function goOn() {
  while (queue.length && nUnderWay < AT_ONCE) {
    nUnderWay += 1;
    look(queue.shift()).finally(() => {
      nUnderWay -= 1;
      goOn();
    });
  }
}

async function look({ file, line }) {
  line.textContent = `${file.name}: looking`;
  try {
    const response = await fetch(`/photos?name=${encodeURIComponent(file.name)}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream", Accept: "application/json" },
      body: file,
    });
    await refuseTrouble(response);
    photos.prepend(element(await response.text()));
    line.remove();
  } catch (error) {
    line.textContent = `${file.name}: ${error.message}`;
    line.classList.add("trouble");
    if (error instanceof TypeError) complain(error);
  }
}
