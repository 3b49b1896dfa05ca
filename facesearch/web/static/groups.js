// Shows the progress of reading photos; then names a group and moves on to the next.

import "./names.js";
import { follow } from "./progress.js";
import { complain, get, post, say } from "./talk.js";
import { watch } from "./windows.js";

const bar = document.querySelector("progress");
if (bar) follow(bar);
else watch();

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const group = form.closest("[data-group]");
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await post(form.dataset.address, { name: form.elements.name.value });
    const next = group.nextElementSibling?.querySelector("input");
    group.remove();
    next?.focus();
    const left = answer.left_out ? ` ${answer.left_out} photos were left out.` : "";
    say(answer.said + left, { undo: answer.undo && (() => undo(answer.undo)) });
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
});

async function undo(number) {
  try {
    const { said } = await post("/undo", { number });
    const page = new DOMParser().parseFromString(await (await get("/groups")).text(), "text/html");
    document.querySelector(".groups").replaceChildren(...page.querySelector(".groups").children);
    watch();
    say(said);
  } catch (error) {
    complain(error);
  }
}
