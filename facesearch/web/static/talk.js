// Talks with the server; what it refuses becomes an Error with its sentence.

export async function get(address) {
  const response = await fetch(address, { headers: { Accept: "application/json, text/html" } });
  await refuseTrouble(response);
  return response;
}

export async function post(address, told) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(told),
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
  let sentence = `The page answered ${response.status}.`;
  try {
    sentence = (await response.json()).error;
  } catch {
    // no sentence came along
  }
  throw new Error(sentence);
}

// HTML of our own templates, which escape what they show, as an element
export function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

// Shows a sentence at the foot of the page, with a way back if `undo` is given
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
  const lost = error instanceof TypeError; // what fetch says when nobody answers
  say(lost ? "The server does not answer: was facesearch web ended?" : error.message, {
    trouble: true,
  });
}
