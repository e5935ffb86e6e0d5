// A half-written answer survives: it is saved to the server two seconds after the last key, when the field is left and
// when the window is, and until then, or while the server is away, it stays in this tab.

import { signedOut, tell, words } from "./status.js";

const PAUSE = 2000;
const AGAIN = 5000;
// Without `opener` the window that signs in tells the others by this.
const channel = new BroadcastChannel("console");

export function keepDrafts() {
  channel.postMessage("signed in");
  for (const form of document.querySelectorAll("form[data-draft]")) new Draft(form);
}

class Draft {
  constructor(form) {
    this.form = form;
    this.key = `draft ${form.dataset.keep}`;
    this.said = form.querySelector("[data-said]");
    this.saved = this.typed();
    this.timer = 0;
    this.restore();
    form.addEventListener("input", () => this.changed());
    form.addEventListener("focusout", () => this.save());
    form.addEventListener("submit", () => {
      sessionStorage.removeItem(this.key);
      clearTimeout(this.timer);
      this.saved = this.typed();
    });
    document.addEventListener("visibilitychange", () => document.hidden && this.save(true));
    addEventListener("online", () => this.save());
    channel.addEventListener("message", () => this.save());
  }

  typed() {
    const fields = new URLSearchParams(new FormData(this.form));
    fields.delete("csrf");
    fields.delete("version");
    return fields.toString();
  }

  // What this tab kept is newer than what the server has: it is kept here only until it is saved there.
  restore() {
    const kept = sessionStorage.getItem(this.key);
    if (!kept || kept === this.saved) return;
    for (const [name, value] of new URLSearchParams(kept)) {
      const field = this.form.elements.namedItem(name);
      if (field) field.value = value;
    }
    this.changed();
  }

  changed() {
    sessionStorage.setItem(this.key, this.typed());
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE);
  }

  async save(leaving = false) {
    clearTimeout(this.timer);
    const typed = this.typed();
    if (typed === this.saved) return;
    try {
      const body = new URLSearchParams(new FormData(this.form));
      const headers = { "X-Console-Draft": "1" };
      const answer = await fetch(this.form.dataset.draft, { method: "POST", body, headers, keepalive: leaving, redirect: "manual" });
      if (answer.status === 401) return this.kept(signedOut);
      if (!answer.ok) throw new Error(String(answer.status));
    } catch {
      this.timer = setTimeout(() => this.save(), AGAIN);
      return this.kept(() => tell(words.offline));
    }
    this.saved = typed;
    if (this.typed() === typed) sessionStorage.removeItem(this.key);
    tell("");
    this.said.textContent = `${words.saved} ${new Date().toLocaleTimeString(document.documentElement.lang, { hourCycle: "h23" })}`;
  }

  kept(say) {
    this.said.textContent = words.kept;
    say();
  }
}
