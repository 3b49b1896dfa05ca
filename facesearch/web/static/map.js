// Draws the faces as points; pointer or arrow keys point at one, a click or Enter selects its person.

import "./names.js";
import { complain, get } from "./talk.js";

const COLORS = 8; // in the style sheet, as --map-0 to --map-7
const SHAPES = ["circle", "square", "triangle", "diamond"];
const MARGIN_PX = 16;
const NEAR_PX = 24; // a pointer farther away points at nothing
const SHOWN_FACES = 24;

const canvas = document.getElementById("map");
const context = canvas.getContext("2d");
const pointed = document.getElementById("map-at");
const theirs = document.getElementById("map-theirs");
const search = document.getElementById("map-search");
let map = null; // the server's answer, and in `at` where each point is drawn
let at = -1; // the point under the pointer
let chosen = null; // the selected person
let kinds = new Map(); // person -> number that selects color and shape

load();

async function load() {
  try {
    map = await (await get("/model/map/points")).json();
  } catch (error) {
    document.getElementById("map-said").textContent = "The map could not be drawn.";
    complain(error);
    return;
  }
  const n = map.faces.length;
  kinds = new Map([...new Set(map.people)].map((person, number) => [person, number]));
  document.getElementById("map-said").textContent = sentence(n);
  const strays = document.getElementById("strays");
  strays.querySelector("div").innerHTML = map.strays; // from our own template
  strays.hidden = !n;
  document.querySelector(".map").hidden = !n;
  if (n) new ResizeObserver(fit).observe(canvas);
}

function sentence(n) {
  if (!n) return "Nobody is enrolled yet, so the map is empty.";
  const all = `${map.n_faces.toLocaleString("en")} ${map.what}s of ${map.n_people.toLocaleString("en")} people`;
  if (n === map.n_faces) return `Everything enrolled: ${all}.`;
  return `A sample: ${n.toLocaleString("en")} of ${all}, evenly spread.`;
}

function fit() {
  const sharp = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * sharp);
  canvas.height = Math.round(canvas.clientHeight * sharp);
  context.setTransform(sharp, 0, 0, sharp, 0, 0);
  const [across, down] = [canvas.clientWidth - 2 * MARGIN_PX, canvas.clientHeight - 2 * MARGIN_PX];
  map.at = map.x.map((x, i) => [
    MARGIN_PX + (across * x) / map.grid,
    MARGIN_PX + (down * map.y[i]) / map.grid,
  ]);
  draw();
}

function draw() {
  const style = getComputedStyle(canvas);
  const colors = Array.from({ length: COLORS }, (_, i) => style.getPropertyValue(`--map-${i}`));
  const ink = style.getPropertyValue("--ink");
  const size = Math.max(3, Math.min(7, 130 / Math.sqrt(map.at.length)));
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  const order = map.at.map((_, i) => i);
  if (chosen !== null) order.sort((a, b) => (map.people[a] === chosen) - (map.people[b] === chosen));
  for (const i of order) {
    const mine = chosen === null || map.people[i] === chosen;
    const number = kinds.get(map.people[i]);
    context.globalAlpha = mine ? 0.9 : 0.15;
    context.fillStyle = colors[number % COLORS];
    point(SHAPES[Math.floor(number / COLORS) % SHAPES.length], map.at[i], chosen !== null && mine ? size * 1.6 : size);
    context.fill();
    if (chosen !== null && mine) {
      context.strokeStyle = ink;
      context.lineWidth = 1.5;
      context.stroke();
    }
  }
  context.globalAlpha = 1;
  if (at < 0) return;
  context.strokeStyle = ink;
  context.lineWidth = 2.5;
  context.beginPath();
  context.arc(...map.at[at], size * 2 + 3, 0, 2 * Math.PI);
  context.stroke();
}

function point(shape, [x, y], size) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - size, y - size, 2 * size, 2 * size);
  else {
    const below = shape === "diamond" ? [[x + size * 1.2, y], [x, y + size * 1.3], [x - size * 1.2, y]] : [[x + size * 1.2, y + size], [x - size * 1.2, y + size]];
    context.moveTo(x, y - size * 1.3);
    for (const corner of below) context.lineTo(...corner);
    context.closePath();
  }
}

// Pointing and selecting

function nearest(x, y, most, allowed = () => true) {
  let best = -1;
  let least = most ** 2;
  map.at.forEach(([px, py], i) => {
    const far = (px - x) ** 2 + (py - y) ** 2;
    if (far < least && allowed(i, px - x, py - y)) [best, least] = [i, far];
  });
  return best;
}

function pointAt(i) {
  if (i === at) return;
  at = i;
  draw();
  if (i >= 0) describe(map.people[i], map.faces[i]);
  else if (chosen !== null) describe(chosen, null);
}

function describe(person, face) {
  const link = document.createElement("a");
  link.href = `/people/${person}`;
  link.textContent = map.names[person];
  const line = document.createElement("p");
  line.append(link);
  pointed.replaceChildren(line);
  if (face !== null) pointed.prepend(picture(face, "large", map.names[person]));
}

function picture(face, size, name) {
  const image = document.createElement("img");
  image.className = `thumb ${size}`;
  image.src = `/faces/${face}/picture`;
  image.alt = name;
  return image;
}

function choose(person) {
  chosen = person;
  theirs.replaceChildren();
  if (person !== null) {
    const faces = map.faces.filter((_, i) => map.people[i] === person);
    describe(person, at >= 0 && map.people[at] === person ? map.faces[at] : faces[0]);
    for (const face of faces.slice(0, SHOWN_FACES)) {
      const line = document.createElement("li");
      line.append(picture(face, "small", map.names[person]));
      theirs.append(line);
    }
    const count = document.createElement("p");
    count.className = "quiet";
    count.textContent = `${faces.length} on the map`;
    pointed.append(count);
  }
  draw();
}

canvas.addEventListener("pointermove", (event) => pointAt(nearest(event.offsetX, event.offsetY, NEAR_PX)));
canvas.addEventListener("pointerleave", () => {
  if (document.activeElement !== canvas) pointAt(-1);
});
canvas.addEventListener("click", (event) => {
  const i = nearest(event.offsetX, event.offsetY, NEAR_PX);
  pointAt(i);
  choose(i < 0 || map.people[i] === chosen ? null : map.people[i]);
});

const WAYS = {
  ArrowLeft: (dx, dy) => dx < 0 && Math.abs(dy) <= -dx,
  ArrowRight: (dx, dy) => dx > 0 && Math.abs(dy) <= dx,
  ArrowUp: (dx, dy) => dy < 0 && Math.abs(dx) <= -dy,
  ArrowDown: (dx, dy) => dy > 0 && Math.abs(dx) <= dy,
};
canvas.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    choose(null);
    pointAt(-1);
  } else if (event.key === "Enter" && at >= 0) {
    choose(map.people[at] === chosen ? null : map.people[at]);
  } else if (WAYS[event.key]) {
    event.preventDefault(); // else the page scrolls
    const [x, y] = at >= 0 ? map.at[at] : [0, 0];
    const next = at < 0 ? nearest(x, y, Infinity) : nearest(x, y, Infinity, (i, dx, dy) => i !== at && WAYS[event.key](dx, dy));
    if (next >= 0) pointAt(next);
  }
});

search.addEventListener("input", () => {
  const typed = search.value.trim().toLocaleLowerCase();
  const found = Object.entries(map.names).find(([, name]) => name.toLocaleLowerCase() === typed);
  choose(found ? Number(found[0]) : null);
});

// A possible mistake is pointed at on the map
for (const kind of ["pointerover", "focusin"]) {
  document.getElementById("strays").addEventListener(kind, (event) => {
    const link = event.target.closest("[data-face]");
    if (link && map) pointAt(map.faces.indexOf(Number(link.dataset.face)));
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => map?.at && draw());
