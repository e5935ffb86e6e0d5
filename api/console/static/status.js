// The one line at the top of the page that says what is wrong with the connection or the session.

const line = document.getElementById("status");

export const words = line?.dataset ?? {};

export function tell(text, link) {
  if (!line) return;
  line.textContent = text;
  if (!link) return;
  const anchor = document.createElement("a");
  Object.assign(anchor, { href: link.href, textContent: link.text, target: "_blank", rel: "opener" });
  line.append(" ", anchor);
}

export function signedOut() {
  const to = encodeURIComponent("/console/");
  tell(words.signedOut, { href: `/sign-in?to=${to}`, text: words.signIn });
}
