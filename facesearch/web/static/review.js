// Asks about one case after the other: a key decides, the next case is shown at once, and the request
// runs in the background. Requests keep the order of the keys; each names its case, never "the current
// one".

import "./names.js";
import { follow } from "./progress.js";
import { complain, element, get, NoAnswer, post, say } from "./talk.js";

const AHEAD = 5; // cases held ready behind the shown one, with their pictures
const LOOK_MS = 250; // nobody sees and decides faster: an earlier key was pressed twice

const bar = document.querySelector("progress");
const review = document.getElementById("review");
const shownCases = document.getElementById("cases");
const answers = document.getElementById("answers");
const nothing = document.getElementById("nothing");
const refusal = document.getElementById("refused");
const keys = document.getElementById("keys");
const field = document.querySelector("#other input");

const cases = []; // undecided cases: {article, nPending}; those before `at` were skipped
const decisions = []; // made here and not undone: {one, number, isUndoing}; number is null until stored
let at = 0;
let more = null; // where the cases not fetched yet begin; null: all are fetched
let nToCome = 0;
let isComing = false;
let asked = { since: 0 }; // the question on the screen: {one, meaning of the keys, since when}
let sent = Promise.resolve(); // resolves when the server has answered all decisions
let nUnsent = 0; // decisions and undos that the server has not answered yet

const DOES = {
  yes: () => answer(() => askedAbout(current())?.querySelector("[data-is]").dataset.is),
  no: () => reject(),
  stranger: () => decide("stranger"),
  "no-face": () => decide("no-face"),
  skip: () => skip(),
  next: () => go(at + 1),
  previous: () => go(at - 1),
  undo: () => undo(),
  keys: () => keys.showModal(),
};
const KEYS = {
  y: "yes",
  enter: "yes",
  n: "no",
  backspace: "no",
  t: "stranger",
  x: "no-face",
  s: "skip",
  j: "next",
  k: "previous",
  u: "undo",
  "?": "keys",
};

if (bar) {
  follow(bar);
} else if (review) {
  take(document.getElementById("first").firstElementChild);
  show();
  listen();
}

function listen() {
  document.addEventListener("keydown", onKey);
  window.addEventListener("beforeunload", (event) => {
    if (nUnsent) event.preventDefault(); // the browser asks first: what is not sent would be lost
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.does) DOES[button.dataset.does]();
    else if (button?.dataset.is) answer(() => button.dataset.is);
  });
  document.getElementById("other").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (!name || !decide("is", { name })) return;
    field.value = "";
    field.blur();
    focusQuestion();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    field.blur();
    focusQuestion();
  });
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.defaultPrevented || keys.open || event.target.closest("input, textarea, select")) return;
  const key = event.key.toLowerCase();
  if (key === "enter" && event.target.closest("a, button, summary")) return; // the key presses it
  const isStep = key === "j" || key === "k";
  if (event.repeat && !isStep) return; // a key held down counts once
  if (key === "/") focusField();
  else if (/^[1-9]$/.test(key)) answer(() => nth(Number(key)));
  else if (Object.hasOwn(KEYS, key)) DOES[KEYS[key]]();
  else return;
  event.preventDefault();
}

function focusField() {
  if (!review.hidden) field.focus();
}

// Cases

function current() {
  return cases[at];
}

function nth(number) {
  const places = [...current().article.querySelectorAll("kbd")];
  const place = places.find((kbd) => kbd.textContent === String(number));
  return place?.closest("[data-is]").dataset.is;
}

// Returns the proposal that is asked about: the first that is probable enough
function askedAbout({ article }) {
  return article.querySelector("[data-question]");
}

function take(list) {
  more = list.dataset.more ?? null;
  nToCome = Number(list.dataset.left);
  for (const article of [...list.children]) cases.push({ article, nPending: 0 });
}

async function fetchMore() {
  if (isComing || more === null || cases.length - at > AHEAD) return;
  isComing = true;
  try {
    do take(element(await (await get(`/review/items?start=${more}`)).text()));
    while (more !== null && cases.length <= at); // all of them were decided elsewhere
    show();
  } catch (error) {
    complain(error);
  } finally {
    isComing = false;
  }
}

// Shows the current case; the next ones are in the page, hidden, so that their pictures load
function show() {
  if (at >= cases.length && more === null) at = 0; // skipped cases come again
  const one = current();
  const hadFocus = shownCases.contains(document.activeElement) || document.activeElement === document.body;
  const near = cases.slice(Math.max(0, at - 1), at + 1 + AHEAD);
  shownCases.replaceChildren(...near.map(({ article }) => article));
  for (const other of near) other.article.hidden = other !== one;
  review.hidden = !one;
  nothing.hidden = Boolean(one) || more !== null;
  const n = cases.length + nToCome;
  document.getElementById("left").textContent = `${n.toLocaleString("en")} left to review.`;
  if (one) ask(one);
  if (hadFocus || review.hidden) focusQuestion();
  fetchMore();
}

// Asks about the first proposal that is left
function ask(one) {
  const { article } = one;
  const first = askedAbout(one);
  const question = first?.dataset.question ?? article.dataset.nobody;
  article.querySelector("h2").textContent = question;
  for (const verb of ["yes", "no"]) answers.querySelector(`[data-does=${verb}]`).disabled = !first;
  if (answers.contains(document.activeElement)) document.getElementById("asked").textContent = question;
  if (document.activeElement !== field) field.value = ""; // it was typed for another case
  const people = [...article.querySelectorAll("[data-is]")];
  const keyed = people.map((button) => button.querySelector("kbd").textContent + button.dataset.is);
  const meaning = [question, ...keyed].join();
  if (asked.one !== one || asked.meaning !== meaning) asked = { one, meaning, since: performance.now() };
}

function focusQuestion() {
  if (!nothing.hidden) nothing.focus();
  else current()?.article.querySelector("h2").focus();
}

function go(place) {
  if (place < 0) return say("This is the first one.");
  refusal.textContent = "";
  if (place >= cases.length && more !== null) return fetchMore();
  at = place;
  show();
}

function skip() {
  if (!isReady()) return;
  if (cases.length === 1 && more === null) return say("This is the only one left.");
  go(at + 1);
}

// Deciding

function isReady() {
  if (!current() || performance.now() - asked.since < LOOK_MS) return false;
  if (current().article.querySelector(".crop").complete) return true;
  say("The picture is still loading.");
  return false;
}

// Confirms a proposed person for the current case
function answer(whom) {
  const name = isReady() ? whom() : null;
  if (name) decide("is", { name, known: true });
}

function decide(verb, body = {}) {
  if (!isReady()) return false;
  const one = current();
  cases.splice(at, 1);
  store(one, verb, body);
  show();
  return true;
}

function reject() {
  const first = isReady() && askedAbout(current());
  if (!first) return;
  const one = current();
  const name = first.querySelector("[data-is]").dataset.is;
  first.remove();
  store(one, "is-not", { name });
  ask(one);
}

function store(one, verb, body) {
  const decision = { one, number: null, isUndoing: false };
  decisions.push(decision);
  one.nPending += 1;
  nUnsent += 1;
  refusal.textContent = "";
  sent = sent.then(async () => {
    try {
      const { said, undo: number } = await post(`${one.article.dataset.address}/${verb}`, body);
      decision.number = number;
      say(said, { undo: number && undo });
      one.nPending -= 1;
      nUnsent -= 1;
      if (verb === "is-not") await renew(one);
    } catch (error) {
      one.nPending -= 1;
      nUnsent -= 1;
      decisions.splice(decisions.indexOf(decision), 1);
      await putBack(one, error.message);
      complain(error);
    }
  });
}

// Fetches new proposals: without the rejected person all others are more probable
async function renew(one) {
  if (one.nPending || !cases.includes(one)) return; // it has another decision already
  try {
    const article = element(await (await get(one.article.dataset.address)).text());
    if (one.nPending || !cases.includes(one)) return;
    one.article.querySelector(".asked").replaceWith(article.querySelector(".asked"));
    if (one === current()) show();
  } catch (error) {
    complain(error); // the rejection itself is stored
  }
}

// Shows a case again, with the reason, unless it was decided elsewhere
async function putBack(one, sentence) {
  if (one.nPending) return; // another decision about it is not answered yet
  try {
    one.article = element(await (await get(one.article.dataset.address)).text());
  } catch (error) {
    if (!(error instanceof NoAnswer)) {
      if (cases.includes(one)) leaveOut(one); // decided elsewhere: `complain` says so
      return;
    }
  }
  if (cases.includes(one)) at = cases.indexOf(one);
  else cases.splice(at, 0, one);
  show();
  refusal.textContent = sentence;
}

function leaveOut(one) {
  const place = cases.indexOf(one);
  cases.splice(place, 1);
  if (place < at) at -= 1;
  show();
}

function undo() {
  const newest = decisions.findLast((decision) => !decision.isUndoing);
  if (!newest) return say("There is nothing to undo on this page.");
  newest.isUndoing = true;
  if (nUnsent) say("It will be undone as soon as it is stored.");
  nUnsent += 1;
  sent = sent.then(async () => {
    if (decisions.includes(newest)) await undoDecision(newest);
    else nUnsent -= 1; // it was refused in the meantime
  });
}

async function undoDecision(decision) {
  try {
    if (decision.number !== null) say((await post("/undo", { number: decision.number })).said);
  } catch (error) {
    complain(error);
    if (error instanceof NoAnswer) {
      decision.isUndoing = false; // it can be tried again
      return;
    }
  } finally {
    nUnsent -= 1;
  }
  decisions.splice(decisions.indexOf(decision), 1);
  await putBack(decision.one, ""); // also if it was already undone elsewhere
  focusQuestion();
}
