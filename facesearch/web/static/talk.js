// Talks to the server; a refusal becomes an Error with the server's sentence.

// A request got no answer, though it may have reached the server
export class NoAnswer extends Error {
  constructor(isRunning) {
    super(
      isRunning
        ? "The browser lost the connection. Try again."
        : "The server does not answer. Is facesearch web still running?",
    );
    this.isRunning = isRunning;
  }
}

// Returns the answer of `fetch`, also a refusal; raises NoAnswer
export async function ask(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new NoAnswer(await isRunning());
  }
}

async function isRunning() {
  try {
    await fetch("/static/icon.svg", { cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

export async function get(address) {
  const response = await ask(address, { headers: { Accept: "application/json, text/html" } });
  await refuseTrouble(response);
  return response;
}

export async function post(address, body) {
  const response = await ask(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  await refuseTrouble(response);
  return response.json();
}

// As `post`; what only the user can allow is asked first, and null is returned at a no
export async function postAsking(address, body, questions) {
  try {
    return await post(address, body);
  } catch (error) {
    const question = questions[error.ask];
    if (!question) throw error;
    return window.confirm(question(error)) ? post(address, { ...body, [error.ask]: true }) : null;
  }
}

export const TWICE = {
  same_person_twice: () =>
    "Another face of this photo has that name already. Is the photo a mirror or a collage that shows the person twice?",
};

// Undoes a decision, after a question if it is about several people; returns null at a no
export function undoAsking(number) {
  const questions = { several: (error) => error.message };
  return postAsking("/undo", { number, several: false }, questions);
}

// Sends a photo; returns its card
export async function send(photo) {
  let response;
  try {
    response = await ask(`/photos?name=${encodeURIComponent(photo.name)}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream", Accept: "application/json" },
      body: photo,
    });
  } catch (error) {
    if (!error.isRunning) throw error;
    throw new Error(
      `${photo.name} could not be sent. If it was changed, moved or deleted after you chose it, choose it again.`,
    );
  }
  await refuseTrouble(response);
  return element(await response.text());
}

export async function refuseTrouble(response) {
  if (response.ok) return;
  let sentence = `The server answered ${response.status}.`;
  let ask;
  try {
    const answer = await response.json();
    sentence = answer.error;
    ask = answer.ask;
  } catch {
    // the answer has no sentence
  }
  throw Object.assign(new Error(sentence), { ask });
}

// Returns HTML of our own templates, which escape every value, as an element
export function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

// Shows a sentence at the foot of the page, with a button if `undo` is given
export function say(sentence, { undo, trouble = false } = {}) {
  const place = document.getElementById("said");
  place.replaceChildren(document.createTextNode(sentence));
  place.classList.toggle("trouble", trouble);
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.id = "undo";
    button.textContent = "Undo";
    button.addEventListener("click", undo);
    place.append(button);
  }
  place.hidden = false;
}

export function complain(error) {
  say(error.message, { trouble: true });
}
