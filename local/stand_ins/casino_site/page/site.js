// What a player sees of their loyalty, drawn from /v1/me/ and kept fresh by its stream. No framework: each topic of the
// stream is a whole object, so each is drawn anew when it comes.

const player = new URLSearchParams(location.search).get("player") ?? "demo-player";
const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const words = (code) => code.replaceAll("_", " ");
let token = null;

/** An element with its text, its attributes and its children. */
function made(tag, text = "", attributes = {}, ...children) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const show = (id, ...children) => at(id).replaceChildren(...children);
const say = (text) => { at("said").textContent = text; };

async function signIn() {
  const body = JSON.stringify({ player });
  const answer = await fetch("/session", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  if (!answer.ok) throw new Error(`nobody signs in (${answer.status})`);
  token = (await answer.json()).token;
}

/** Ask for something below /v1/me/; null where there is no such thing. A token that is over is minted anew, once. */
async function ask(path, options = {}, again = true) {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  const answer = await fetch(`/v1/me/${path}`, { ...options, headers });
  if (answer.status === 401 && again) {
    await signIn();
    return ask(path, options, false);
  }
  return answer;
}

async function read(path) {
  const answer = await ask(path);
  return answer.ok ? answer.json() : null;
}

/** Press a button: its key is made once, and sent again when the answer was lost. */
async function press(path, body) {
  const headers = { "Idempotency-Key": crypto.randomUUID(), "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) };
  say("");
  let answer = null;
  for (let attempt = 0; attempt < 3 && answer === null; attempt += 1) {
    try {
      answer = await ask(path, options);
    } catch {
      await new Promise((after) => setTimeout(after, 500 * (attempt + 1)));
    }
  }
  if (answer === null) say("The casino does not answer; nothing is lost, try again.");
  else if (!answer.ok) say((await answer.json()).detail);
  await Promise.all([drawWheels(), drawItems(), drawBoards()]);
  return answer?.ok ? answer.json() : null;
}

const draw = {
  balance(view) {
    const points = view.points.map((one) => made("div", "", { class: "card" },
      made("p", number.format(one.available), { class: "number" }),
      made("p", words(one.currency) + (one.debt ? `, ${number.format(one.debt)} owed` : "")),
      made("p", one.lots[0]?.expires_at ? `${number.format(one.lots[0].points)} until ${date(one.lots[0].expires_at)}` : "",
        { class: "quiet" }),
      ...one.multipliers.map((window) => made("p", `Points count ${window.factor_pct / 100}× until ${time(window.until)}`))));
    show("balance", ...(view.paused ? [made("p", "Everything is paused for you.")] : []),
      ...(points.length ? points : [made("p", "No points yet: play a round.", { class: "quiet" })]));
  },
  tier(view) {
    const next = view.next === null ? [] : [made("p", `${number.format(view.gap_to_next)} to ${view.next}`, { class: "quiet" })];
    show("tier", made("p", view.tier ?? "none yet", { class: "number" }), ...next,
      ...(view.at_risk ? [made("p", `At risk: ${view.gap_to_keep} more to keep it.`)] : []));
  },
  mission(views) {
    show("mission", ...(views.length ? views.map(mission) : [made("p", "None for now.", { class: "quiet" })]));
  },
  badge(view) {
    const worn = Object.keys(view.badges).map((name) => made("li", words(name)));
    const sets = view.collections.map((set) => made("li", `${words(set.id)}: ${set.have.length} of ${set.have.length + set.missing.length}`));
    show("badge", worn.length + sets.length ? made("ul", "", {}, ...worn, ...sets) : made("p", "None yet.", { class: "quiet" }));
  },
  shop(views) {
    show("shop", ...(views.length ? views.map((one) => made("p", `${words(one.item)}: ${one.state}`, { class: "quiet" }))
      : [made("p", "Nothing yet.", { class: "quiet" })]));
  },
};

function mission(one) {
  const steps = one.tasks.map((task) => made("p", `${words(task.id)}: ${task.actual} of ${task.expected}`, { class: "quiet" }));
  const buttons = [];
  if (one.is_requires_optin && !one.is_opted_in && !one.is_locked && !one.is_claimable) {
    buttons.push(made("button", "Begin", { type: "button", onclick: () => press(`missions/${one.id}/opt-in`) }));
  }
  if (one.is_claimable) {
    buttons.push(made("button", "Take the prize", { type: "button", onclick: () => press(`missions/${one.id}/claim`) }));
  }
  const prize = one.points ? `${number.format(one.points)} points` : words(one.prize);
  return made("div", "", { class: "card" }, made("p", one.description), made("p", one.is_locked ? "locked" : prize, { class: "quiet" }),
    made("progress", "", { max: "100", value: String(one.progress), "aria-label": one.description }), ...steps, ...buttons);
}

async function drawWheels() {
  const wheels = await read("wheels") ?? [];
  show("wheel", ...wheels.map((wheel) => {
    const odds = wheel.sectors.map((part) => made("tr", "", {},
      made("td", part.points === undefined ? words(part.kind ?? "prize") : `${number.format(part.points)} points`),
      made("td", `${part.odds_percent} %`)));
    const spin = async () => {
      const landed = await press(`wheels/${wheel.id}/spins`, { client_seed: crypto.randomUUID() });
      if (landed) say(landed.points ? `${number.format(landed.points)} points are yours.` : "It is yours.");
    };
    const waits = wheel.may_spin_at ? Math.max(0, Date.parse(wheel.may_spin_at) - Date.now()) : 0;
    if (waits) setTimeout(drawWheels, waits + 100);
    const left = waits ? `Spin again in ${Math.ceil(waits / 1000)} s` : `Spin (${wheel.attempts_left} left)`;
    return made("div", "", { class: "card" }, made("table", "", {}, ...odds),
      made("p", `Hash of today's seed: ${wheel.seed_hash.slice(0, 16)}…`, { class: "quiet" }),
      made("button", wheel.attempts_left ? left : "Spin (0 left)",
        { type: "button", disabled: !wheel.attempts_left || waits > 0, onclick: spin }));
  }), ...(wheels.length ? [] : [made("p", "None for now.", { class: "quiet" })]));
}

async function drawItems() {
  const items = await read("shop") ?? [];
  show("items", ...items.map((one) => made("div", "", { class: "card split" },
    made("div", "", {}, made("p", words(one.id)),
      made("p", `${number.format(one.price)} ${words(one.currency)}${one.stock_left === null ? "" : `, ${one.stock_left} left`}`, { class: "quiet" })),
    made("button", one.can_buy ? "Buy" : words(one.reason), { type: "button", disabled: !one.can_buy,
      onclick: () => press(`shop/${one.id}/purchases`, { price: one.price }) }))),
    ...(items.length ? [] : [made("p", "Nothing for now.", { class: "quiet" })]));
}

/** Boards are there where the deployment has any. */
async function drawBoards() {
  const boards = await read("leaderboards");
  const first = Array.isArray(boards) ? boards[0] : null;
  const board = first ? await read(`leaderboards/${first.id}`) : null;
  at("boards").hidden = !board;
  const rows = board?.top ?? board?.places ?? [];
  show("board", made("table", "", {}, ...rows.slice(0, 10).map((row) => made("tr", "", { class: row.is_me ? "me" : "" },
    made("td", `${row.position ?? row.place}. ${row.name ?? row.alias ?? ""}`), made("td", number.format(row.score ?? row.scores ?? 0))))));
}

const date = (moment) => new Date(moment).toLocaleDateString("en", { day: "numeric", month: "long" });
const time = (moment) => new Date(moment).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit" });

/** Read the stream until it ends, and again: what was read already is not sent twice. EventSource sends no token. */
async function follow() {
  let last = "";
  for (;;) {
    try {
      const answer = await ask("stream", { headers: last ? { "Last-Event-ID": last } : {} });
      if (!answer.ok) throw new Error(String(answer.status));
      at("live").textContent = "live";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        text += piece.value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          const lines = Object.fromEntries(event.split("\n").filter((line) => line.includes(": ") && !line.startsWith(":"))
            .map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
          if (lines.data === undefined) continue;
          last = lines.id;
          draw[lines.event]?.(JSON.parse(lines.data));
          if (lines.event === "balance" || lines.event === "shop") await drawItems();
        }
      }
    } catch {
      at("live").textContent = "connecting…";
    }
    await new Promise((after) => setTimeout(after, 1000));
  }
}

for (const button of document.querySelectorAll("[data-play]")) {
  button.addEventListener("click", async () => {
    const body = JSON.stringify({ player, what: button.dataset.play, game: button.dataset.game });
    const answer = await fetch("/play", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    say(answer.ok ? "" : "The casino does not answer; try again.");
  });
}

at("who").textContent = player;
await signIn();
follow();
await Promise.all([drawWheels(), drawItems(), drawBoards()]);
