// Shows how far the photos are looked at, and the page anew when that is done.

import { complain, get } from "./talk.js";

const ASK_MS = 700;

export async function follow(bar) {
  try {
    const { looked, found } = await (await get("/groups/progress")).json();
    bar.value = looked;
    if (found) location.reload();
    else setTimeout(follow, ASK_MS, bar);
  } catch (error) {
    complain(error);
  }
}
