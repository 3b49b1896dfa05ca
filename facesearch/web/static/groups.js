// Shows the progress of reading photos; then names one group after the other.
//
// A named group is hidden and the next one gets the focus at once; the requests run in the background
// in the order of the names. What is typed meanwhile is in the field of the next group.

import "./names.js";
import { follow } from "./progress.js";
import { complain, post, say } from "./talk.js";
import { watch } from "./windows.js";

let sent = Promise.resolve(); // resolves when the server has answered all requests
let nUnsent = 0; // requests that the server has not answered yet

const bar = document.querySelector("progress");
if (bar) follow(bar);
else watch();

window.addEventListener("beforeunload", (event) => {
  if (nUnsent) event.preventDefault(); // the browser asks first: what is not sent would be lost
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const group = form.closest("[data-group]");
  const name = form.elements.name.value;
  group.querySelector(".trouble")?.remove();
  group.hidden = true;
  focusAfter(group);
  queue(async () => {
    try {
      const answer = await post(form.dataset.address, { name });
      const left = answer.left_out ? ` ${answer.left_out} photos were left out.` : "";
      say(answer.said + left, { undo: answer.undo && (() => undo(answer.undo, group)) });
    } catch (error) {
      putBack(group, error.message);
      complain(error);
    }
  });
});

function queue(request) {
  nUnsent += 1;
  sent = sent.then(request).finally(() => (nUnsent -= 1));
}

// Focuses the next group that is shown, else the button for more, else an earlier group
function focusAfter(group) {
  const rows = [...group.parentElement.children];
  const place = rows.indexOf(group);
  const next = [...rows.slice(place + 1), ...rows.slice(0, place)].find((row) => !row.hidden);
  (next?.querySelector("input, button") ?? document.querySelector("h1")).focus();
}

// The focus stays: the next name may be half typed
function putBack(group, sentence) {
  const reason = document.createElement("p");
  reason.className = "trouble";
  reason.textContent = sentence;
  group.append(reason);
  group.hidden = false;
}

function undo(number, group) {
  if (nUnsent) say("It will be undone as soon as the names before are stored.");
  else say("Undoing.");
  queue(async () => {
    try {
      const { said } = await post("/undo", { number });
      group.hidden = false;
      say(said);
    } catch (error) {
      say(error.message, { trouble: true, undo: () => undo(number, group) });
    }
  });
}
