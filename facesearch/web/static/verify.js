// Sends two photos as on the page Identify, and shows the result for the pair.

import { complain, element, get, NoAnswer, send } from "./talk.js";

const sides = [...document.querySelectorAll(".drop[data-side]")];
const result = document.getElementById("result");
const photos = {}; // side -> id of its photo
const faces = {}; // side -> number of the face to compare
const newest = {}; // side -> the newest file
let asked = 0;

for (const side of sides) {
  const input = side.querySelector("input");
  input.addEventListener("change", () => {
    if (input.files.length) take(side, input.files[0]);
    input.value = "";
  });
}
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    light(event.target.closest(".drop"));
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) light(null);
});
document.addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser opens the photo in place of the page
  light(null);
  const aimed = event.target.closest(".drop") ?? sides.find((side) => !photos[side.dataset.side]) ?? sides[0];
  const other = sides.find((side) => side !== aimed);
  const files = event.dataTransfer.files;
  if (files.length) take(aimed, files[0]);
  if (files.length > 1) take(other, files[1]);
});

function light(lit) {
  for (const side of sides) side.classList.toggle("over", side === lit);
}

async function take(side, file) {
  const name = side.dataset.side;
  const status = side.querySelector("[role=status]");
  const image = side.querySelector("img");
  newest[name] = file;
  delete photos[name];
  result.replaceChildren();
  image.hidden = true;
  status.classList.remove("trouble");
  status.textContent = `${file.name}: looking for faces`;
  try {
    const { address } = (await send(file)).dataset;
    if (newest[name] !== file) return; // outdated: another file was chosen
    photos[name] = address.split("/").pop();
    faces[name] = 1;
    status.textContent = file.name;
    image.src = `${address}/picture`;
    image.alt = file.name;
    image.hidden = false;
    await compare();
  } catch (error) {
    if (newest[name] !== file) return;
    status.textContent = `${file.name}: ${error.message}`;
    status.classList.add("trouble");
    if (error instanceof NoAnswer) complain(error);
  }
}

async function compare() {
  if (!photos.a || !photos.b) return;
  asked += 1;
  const mine = asked;
  const query = new URLSearchParams({ a: photos.a, b: photos.b, face_a: faces.a, face_b: faces.b });
  const html = await (await get(`/verify/pair?${query}`)).text();
  if (mine === asked) result.replaceChildren(element(html));
}

result.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-face]");
  if (!button) return;
  const { side, face } = button.dataset;
  faces[side] = Number(face);
  try {
    await compare();
    result.querySelector(`button[data-side="${side}"][data-face="${face}"]`)?.focus();
  } catch (error) {
    complain(error);
  }
});
