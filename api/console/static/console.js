// What pages can do with a script and do without one too: keys, drafts that save themselves, lists that refresh.

import { keepDrafts } from "./drafts.js";
import { listenToKeys } from "./keys.js";
import { refreshLists } from "./live.js";

document.body.classList.add("scripted");
keepDrafts();
listenToKeys();
refreshLists();

// A menu that is wider than the window shows where one is.
document.querySelector(".bar nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// After something was refused, that is what is read first.
document.querySelector("[data-focus]")?.focus();

// One menu at a time, and none after a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const shown = event.target.closest?.("[data-show]");
  if (shown) document.getElementById(shown.dataset.show)?.showModal();
});

// An answer is sent once, however fast somebody clicks; coming back to the page it can be sent again.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
document.documentElement.dataset.settled = "";
