// Shows how far the looking is; then one name a group, and on to the next.

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
    const told = await post(form.dataset.address, { name: form.elements.name.value });
    const next = group.nextElementSibling?.querySelector("input");
    group.remove();
    next?.focus();
    const left = told.left_out ? ` ${told.left_out} photos were left out.` : "";
    say(told.said + left, { undo: told.undo && (() => takeBack(told.undo)) });
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
});

async function takeBack(number) {
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
