// Shows one card after the other, with a key for each decision; the last decision can be undone.

import "./names.js";
import { complain, element, get, post, say } from "./talk.js";

const ASK_MS = 500;
const stack = document.getElementById("stack");
const keys = document.getElementById("keys");
const made = []; // decisions, oldest first: the request that undoes each, and its card
let after = 0; // the number before the shown card's
let busy = false;

if (stack) next();
else if (document.getElementById("again")) say(document.getElementById("looking").textContent, { trouble: true });
else look(document.getElementById("looking").dataset.looking);

// Search

async function look(already) {
  try {
    if (!already) await post("/duplicates/look", {});
    const { looking, doing } = await (await get("/duplicates/progress")).json();
    if (!looking) {
      location.reload();
      return;
    }
    const place = document.getElementById("looking");
    if (doing && place.textContent !== doing) place.textContent = doing;
    setTimeout(() => look("yes"), ASK_MS);
  } catch (error) {
    complain(error);
  }
}

document.getElementById("again")?.addEventListener("click", () =>
  alone(async () => {
    await post("/duplicates/look", {});
    location.reload();
  }),
);

// Cards

const card = () => stack.querySelector("[data-card]");

async function next() {
  show(await (await get(`/duplicates/${stack.dataset.kind}/next?start=${after}`)).text());
}

async function showAgain(number) {
  show(await (await get(`/duplicates/cards/${number}`)).text());
  after = number - 1;
}

function show(html) {
  stack.replaceChildren(element(html));
  stack.querySelector("h2").focus();
}

const does = {
  same: () => decide("same"),
  "not-same": () => decide("not-same"),
  move: () => moveAway(`cards/${card().dataset.card}/move`, { photos: chosen() }),
  skip: async () => {
    after = Number(card().dataset.card);
    await next();
  },
  first: async () => {
    after = 0;
    await next();
  },
  undo,
};

async function decide(verb) {
  const shown = card();
  const body = { stamp: shown.dataset.stamp, keep: kept() };
  const name = shown.querySelector("[name=name]");
  if (verb === "not-same" && name) body.name = name.value;
  try {
    const { said, undo: number } = await post(`/duplicates/cards/${shown.dataset.card}/${verb}`, body);
    await decided(said, { address: "/undo", body: { number }, card: Number(shown.dataset.card) });
  } catch (error) {
    complain(error);
    await get(`/duplicates/cards/${shown.dataset.card}`).then(
      async (response) => show(await response.text()),
      next,
    );
  }
}

async function moveAway(address, body) {
  const { said, operation, card: number } = await post(`/duplicates/${address}`, body);
  if (operation === null) say(said, { trouble: true });
  else await decided(said, { address: "/duplicates/trash/move-back", body: { operation }, card: number });
}

async function decided(said, undoing) {
  made.push(undoing);
  await next();
  say(said, { undo: () => alone(undo) });
}

async function undo() {
  const last = made.at(-1);
  if (!last) {
    say("There is nothing to undo on this page.");
    return;
  }
  const { said } = await post(last.address, last.body);
  made.pop();
  if (last.card) await showAgain(last.card).catch(next);
  else await next();
  say(said, { undo: made.length && (() => alone(undo)) });
}

const kept = () => Number(card().querySelector("[name=keep]:checked")?.value ?? 0);
const chosen = () => [...card().querySelectorAll("[name=chosen]:checked")].map((box) => Number(box.value));

// One request at a time: a key pressed during another one would decide about a card that nobody has seen
async function alone(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    complain(error);
  } finally {
    busy = false;
  }
}

// Buttons and keys

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.id === "show-keys") keys.showModal();
  else if (button?.dataset.does) alone(does[button.dataset.does]);
  else if (button?.dataset.trash) trash(button.dataset.trash);
});
document.addEventListener("submit", (event) => {
  if (event.target.method === "dialog") return;
  event.preventDefault();
  alone(does[event.target.dataset.does]);
});

function trash(verb) {
  if (verb === "move-all") alone(() => moveAway("trash/move-all", {}));
  else {
    alone(async () => {
      const { said } = await post(`/duplicates/trash/${verb}`, {});
      after = 0;
      await next();
      say(said);
    });
  }
}

document.addEventListener("keydown", (event) => {
  if (!stack || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (keys.open || event.target.matches("input[type=text], textarea, select")) return;
  const key = event.key.toLowerCase();
  if (key === "?") keys.showModal();
  else if (key === "u") alone(undo);
  else if (!card()) return;
  else if (key === "y") (card().querySelector("[data-does=same], [data-does=move]")).click();
  else if (key === "s") alone(does.skip);
  else if (key === "n") answerNo();
  else if (key === "1" || key === "2") choose(key);
  else return;
  event.preventDefault(); // else the key is typed into the field that gets the focus
});

// If one name covers two people, the others need a name first
function answerNo() {
  const name = card().querySelector("[name=name]");
  if (name && !name.value) name.focus();
  else card().querySelector("[data-key=n]").click();
}

function choose(key) {
  const side = card().querySelectorAll("[name=keep]")[Number(key) - 1];
  if (side) side.checked = true;
}
