// Lists that refresh themselves: the same part of the page, asked for again while somebody looks, less often when it
// fails. A part that has the focus keeps it. Nothing that somebody types in is ever replaced.

import { signedOut } from "./status.js";

const LONGEST = 300;

export function refreshLists() {
  for (const region of document.querySelectorAll("[data-live]")) new Live(region);
}

class Live {
  constructor(region) {
    this.region = region;
    this.usual = Number(region.dataset.every);
    this.pause = this.usual;
    this.failed = 0;
    this.etag = null;
    this.wait();
    document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(this.timer) : this.look());
  }

  wait() {
    clearTimeout(this.timer);
    // Two hundred people do not ask in one moment.
    this.timer = setTimeout(() => this.look(), this.pause * 1000 * (0.9 + Math.random() * 0.2));
  }

  async look() {
    if (document.hidden) return;
    try {
      const headers = { "X-Console-Poll": "1", ...(this.etag && { "If-None-Match": this.etag }) };
      const answer = await fetch(this.region.dataset.live, { headers, redirect: "manual" });
      if (answer.status === 401) return signedOut();
      if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
      this.etag = answer.headers.get("ETag") ?? this.etag;
      if (answer.ok) this.show(await answer.text());
      this.failed = 0;
      this.pause = this.usual;
    } catch {
      this.failed += 1;
      this.pause = Math.min(this.pause * 2, LONGEST);
    }
    this.region.classList.toggle("stale", this.failed >= 3);
    this.wait();
  }

  show(html) {
    const focused = document.activeElement?.dataset?.row;
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    for (const row of fresh.querySelectorAll("[data-row]")) {
      if (row.dataset.row !== this.region.dataset.selected) continue;
      row.setAttribute("aria-current", "true");
      row.parentElement.classList.add("selected");
    }
    if (fresh.innerHTML === this.region.innerHTML) return;
    this.region.replaceChildren(...fresh.childNodes);
    if (focused) this.region.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
  }
}
