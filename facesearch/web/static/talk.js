// Talks to the server; a refusal becomes an Error with the server's sentence.

export async function get(address) {
  const response = await fetch(address, { headers: { Accept: "application/json, text/html" } });
  await refuseTrouble(response);
  return response;
}

export async function post(address, body) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  await refuseTrouble(response);
  return response.json();
}

// Sends a photo; returns its card
export async function send(photo) {
  const response = await fetch(`/photos?name=${encodeURIComponent(photo.name)}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", Accept: "application/json" },
    body: photo,
  });
  await refuseTrouble(response);
  return element(await response.text());
}

export async function refuseTrouble(response) {
  if (response.ok) return;
  let sentence = `The server answered ${response.status}.`;
  try {
    sentence = (await response.json()).error;
  } catch {
    // the answer has no sentence
  }
  throw new Error(sentence);
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
  const lost = error instanceof TypeError; // fetch got no answer
  say(lost ? "The server does not answer. Is facesearch web still running?" : error.message, {
    trouble: true,
  });
}
