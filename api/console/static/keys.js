// Keys, by where they are on the keyboard and not by what they write there, and only while no field has the focus.

const GO = { KeyI: "inbox", KeyP: "players", KeyJ: "journeys", KeyD: "decisions", KeyS: "stuck" };
const WRITING = "input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]";

let going = 0;

export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.code === "Enter") return send(event);
    if (event.code === "Escape") return leave(event);
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches?.(WRITING)) return;
    if (document.querySelector("dialog[open]")) return;
    if (act(event)) event.preventDefault();
  });
}

function act(event) {
  if (Date.now() - going < 1500) {
    going = 0;
    const place = GO[event.code] ? `.bar nav a[href$="/${GO[event.code]}"]` : `[data-go="${event.code}"]`;
    return follow(document.querySelector(place));
  }
  switch (event.code) {
    case "KeyG": going = Date.now(); return true;
    case "KeyJ": return move(1);
    case "KeyK": return move(-1);
    case "KeyN": return focus("[data-note]");
    case "KeyT": return follow(taskOfRow());
    case "Slash": return event.shiftKey ? show() : search();
    default: break;
  }
  if (event.key === "?") return show();
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
  if (digit) return choose(Number(digit[1]));
  const button = document.querySelector(`[data-key="${event.code}"]`);
  if (!button || event.shiftKey) return false;
  button.click();
  if (button.matches("summary")) button.parentElement.querySelector("input:not([type=hidden]), textarea")?.focus();
  return true;
}

function move(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return false;
  const at = rows.indexOf(document.activeElement);
  const selected = rows.findIndex((row) => row.getAttribute("aria-current"));
  const next = at >= 0 ? at + by : selected >= 0 ? selected + by : by > 0 ? 0 : rows.length - 1;
  rows[Math.max(0, Math.min(rows.length - 1, next))].focus();
  return true;
}

function taskOfRow() {
  const row = document.activeElement.closest("tr");
  return row?.querySelector("[data-task]") ?? (row ? null : document.querySelector("[data-task]"));
}

function choose(number) {
  const options = document.querySelectorAll("[data-outcome] input[type=radio]");
  // Where something is to be answered no digit leaves the page.
  if (!options.length) return follow(document.querySelectorAll(".tabs a")[number - 1]);
  const option = options[number - 1];
  if (!option) return false;
  option.checked = true;
  option.focus();
  option.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}

function send(event) {
  const form = document.querySelector("form[data-answer]");
  if (!form) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector("[data-send]"));
}

function leave(event) {
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (event.target.matches?.(WRITING)) event.target.blur();
  else if (!document.querySelector("dialog[open]")) follow(document.querySelector(".back a"));
}

function search() {
  return focus("[data-search]") || follow(document.querySelector('.bar nav a[href$="/players"]'));
}

function focus(which) {
  const field = document.querySelector(which);
  field?.focus();
  return Boolean(field);
}

function follow(link) {
  link?.click();
  return Boolean(link);
}

function show() {
  document.getElementById("keys")?.showModal();
  return true;
}
