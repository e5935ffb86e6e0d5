"""Whether every promise was kept. Judges evidence by rules of its own: it imports nothing of what it judges.

What had to happen is worked out here a second time, from the journal of what was acknowledged alone.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.crash.evidence import Evidence, Row

BRAND = "demo"
REGISTERED, DEPOSITED, ROSE = "player.registered", "payment.deposit_approved", "loyalty.tier_changed"
CONTROL = {"welcome": 10, "second_deposit": 10, "tier_up": 10}
#: Runs of these wait for days, so a crash test sees them under way.
LONG = ("welcome", "second_deposit", "tier_up")
# A provider's call that was under way when the exclusion was acknowledged may still arrive so much later.
UNDER_WAY = timedelta(seconds=25)


@dataclass
class Expected:
    """What one player's acknowledged events had to bring about; keys are idempotency keys."""

    runs: set[str] = field(default_factory=set)
    mails: set[str] = field(default_factory=set)
    webhooks: dict[str, set[str]] = field(default_factory=lambda: {"sms": set(), "push": set()})
    rewards: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)


def check(evidence: Evidence) -> list[str]:
    """Every broken promise as a sentence; empty when all were kept."""
    return [
        *_every_event_once(evidence),
        *_every_run(evidence),
        *_every_reward_once(evidence),
        *_every_message_once(evidence),
        *_every_answer_heard(evidence),
        *_nothing_stuck(evidence),
        *_nobody_disturbed(evidence),
        *(f"{name} holds personal data, which belongs into Postgres alone." for name in evidence.leaks),
        *_not_trivial(evidence),
    ]


def expected(evidence: Evidence) -> dict[str, Expected]:
    """What had to happen to each player."""
    wanted: dict[str, Expected] = defaultdict(Expected)
    deposits: Counter[str] = Counter()
    live_deposits: Counter[str] = Counter()
    for line in _said(evidence, "events"):
        for event in line["events"]:
            player, kind, live = event["subject"], _kind(event), line["mode"] == "live"
            want = wanted[player]
            if kind == DEPOSITED:
                deposits[player] += 1
                live_deposits[player] += live
            if not live:
                continue
            if kind == REGISTERED:
                _expect_newcomer(want, player)
            elif kind == ROSE:
                _expect_question(want, player)
            elif kind == DEPOSITED:
                _expect_deposit(want, player, live_deposits[player], deposits[player])
    return wanted


def _expect_newcomer(want: Expected, player: str) -> None:
    run = f"crash_chapters:{BRAND}:{player}:1"
    want.runs |= {run, f"welcome:{BRAND}:{player}:1"}
    want.mails |= {f"{run}/send:crash-word#{chapter}/email" for chapter in (1, 2, 3)}
    if _treated(player, "welcome"):
        want.mails.add(f"welcome:{BRAND}:{player}:1/send:welcome#1/email")


def _expect_question(want: Expected, player: str) -> None:
    run = f"crash_ask:{BRAND}:{player}:1"
    want.runs.add(run)
    want.tasks.add(run)
    want.mails.add(f"{run}/send:crash-word#1/email")
    want.rewards.add(f"{run}/grant:points#1")


def _expect_deposit(want: Expected, player: str, live: int, count: int) -> None:
    run = f"crash_deposit:{BRAND}:{player}:{live}"
    want.runs.add(run)
    want.mails.add(f"{run}/send:crash-note#1/email")
    for channel, keys in want.webhooks.items():
        keys.add(f"{run}/send:crash-note#1/{channel}")
    want.rewards.add(f"{run}/grant:points#1")
    if count == 1:
        first, child = f"crash_first:{BRAND}:{player}:1", f"crash_child:{BRAND}:{player}:1"
        want.runs |= {first, child, f"second_deposit:{BRAND}:{player}:1"}
        want.rewards |= {f"{first}/grant:free_spins#1", f"{first}/grant:bonus_money#1"}
        want.mails.add(f"{child}/send:crash-word#1/email")
    if count == 50:
        tier = f"tier_up:{BRAND}:{player}:1"
        want.runs.add(tier)
        if _treated(player, "tier_up"):
            want.tasks.add(tier)
            want.rewards |= {f"{tier}/grant:tier_upgrade#1", f"{tier}/grant:free_spins#1"}
            want.mails.add(f"{tier}/send:tier-gold#1/email")
            want.webhooks["push"].add(f"{tier}/send:tier-gold#1/push")


def _every_event_once(evidence: Evidence) -> Iterator[str]:
    acknowledged = {event["id"]: (line, event) for line in _said(evidence, "events") for event in line["events"]}
    kept = Counter(row["id"] for row in evidence.tables["events"] if row["source"] == "/crash")
    for lost in acknowledged.keys() - kept.keys():
        yield f"Event {lost} was acknowledged and is gone."
    for unknown in kept.keys() - acknowledged.keys():
        yield f"Event {unknown} was kept and never acknowledged."
    for doubled in (name for name, count in kept.items() if count > 1):
        yield f"Event {doubled} was kept {kept[doubled]} times."
    for row in evidence.tables["events"]:
        line, event = acknowledged.get(row["id"], ({}, {}))
        if event and (row["player_id"] != event["subject"] or row["data"] | event["data"] != row["data"]):
            yield f"Event {row['id']} was kept with another content."
        if event and row["history"] != (line["mode"] == "history"):
            yield f"Event {row['id']} was kept in another mode."
    sent = Counter((event["subject"], _kind(event)) for _, event in acknowledged.values())
    counted = {(row["id"], kind): n for row in evidence.tables["players"] for kind, n in row["state"]["counts"].items()}
    for key, count in sent.items():
        if counted.get(key, 0) != count and key[1] != "compliance.exclusion_set":
            yield f"Player {key[0]} had {count} of {key[1]}, and {counted.get(key, 0)} were counted."


def _every_run(evidence: Evidence) -> Iterator[str]:
    started = {row["id"]: row for row in evidence.tables["runs"]}
    for player, want in expected(evidence).items():
        # A player who left may have done so before another journey could start this one.
        missing = (
            want.runs - started.keys() - ({f"crash_child:{BRAND}:{player}:1"} if _left(evidence, player) else set())
        )
        for run in missing:
            yield f"Run {run} was never entered."
    wanted = {run for want in expected(evidence).values() for run in want.runs}
    for run in started.keys() - wanted:
        yield f"Run {run} was entered without a reason."
    for run, row in started.items():
        arm = "treated" if _treated(row["player_id"], row["journey"]) else "control"
        if row["arm"] != arm:
            yield f"Run {run} is in the arm {row['arm']} and belongs into {arm}."
        if run.startswith("crash_") and row["outcome"] != "completed" and not _left(evidence, row["player_id"]):
            yield f"Run {run} ended as {row['outcome']}."


def _every_reward_once(evidence: Evidence) -> Iterator[str]:
    voided = {record["key"] for record in evidence.ledger if record["kind"] == "void"}
    paid = Counter(record["key"] for record in evidence.ledger if record["kind"] == "grant")
    for key in (key for key, count in paid.items() if count > 1):
        yield f"Reward {key} was paid {paid[key]} times."
    given = paid.keys() - voided
    yield from _compare(evidence, "Reward", given, {p: want.rewards for p, want in expected(evidence).items()})
    for row in evidence.tables["grants"]:
        if (row["status"] == "confirmed") != (row["id"] in given):
            yield f"Grant {row['id']} is {row['status']} here and {'paid' if row['id'] in given else 'unpaid'} there."
        if row["status"] not in {"confirmed", "refused"}:
            yield f"Grant {row['id']} is still {row['status']}."
    for key in given - {row["id"] for row in evidence.tables["grants"]}:
        yield f"Reward {key} was paid and nobody here knows of it."


def _every_message_once(evidence: Evidence) -> Iterator[str]:
    mails = Counter(mail["key"] for mail in evidence.mails)
    for key in (key for key, count in mails.items() if count > 1):
        yield f"Mail {key} was handed over {mails[key]} times."
    wanted = expected(evidence)
    # Whether the second deposit comes before the thanks for the first is left to chance.
    yield from _compare(
        evidence,
        "Mail",
        {key for key in mails if not key.startswith("second_deposit:")},
        {player: want.mails for player, want in wanted.items()},
    )
    for channel, hooks in evidence.webhooks.items():
        yield from _compare(
            evidence,
            channel,
            {hook["webhook_id"] for hook in hooks},
            {player: want.webhooks[channel] for player, want in wanted.items()},
        )
    arrived = {*mails, *(hook["webhook_id"] for hooks in evidence.webhooks.values() for hook in hooks)}
    for row in evidence.tables["messages"]:
        if row["channel"] == "in_app":
            continue
        if row["status"] == "sent" and row["id"] not in arrived:
            yield f"Message {row['id']} is sent here and arrived nowhere."
        if row["status"] in {"suppressed", "failed"} and row["id"] in arrived:
            yield f"Message {row['id']} is {row['status']} here and arrived."
    for key in arrived - {row["id"] for row in evidence.tables["messages"]}:
        yield f"Message {key} arrived and nobody here knows of it."


def _compare(evidence: Evidence, what: str, seen: set[str], wanted: dict[str, set[str]]) -> Iterator[str]:
    for player, keys in wanted.items():
        if not _left(evidence, player):
            for key in keys - seen:
                yield f"{what} {key} never came."
    for key in seen - {key for keys in wanted.values() for key in keys}:
        yield f"{what} {key} came without a reason."


def _every_answer_heard(evidence: Evidence) -> Iterator[str]:
    tasks = {row["id"]: row for row in evidence.tables["tasks"]}
    texts = {mail["key"]: mail["text"] for mail in evidence.mails}
    for said in _said(evidence, "answered"):
        task = tasks.get(said["task"])
        if task is None or task["state"] != "completed":
            yield f"Task {said['task']} was answered and is {task['state'] if task else 'gone'}."
        elif any(task["answer"].get(name) != value for name, value in said["answer"].items()):
            yield f"Task {said['task']} keeps another answer than was given."
        key = f"{said['run']}/send:crash-word#1/email"
        if key in texts and f"word={said['answer']['word']}" not in texts[key]:
            yield f"Run {said['run']} heard another answer than was given."
    asked = Counter(row["run_id"] for row in evidence.tables["tasks"])
    for player, want in expected(evidence).items():
        for run in want.tasks:
            if asked[run] > 1 or (asked[run] == 0 and not _left(evidence, player)):
                yield f"Run {run} asked {asked[run]} times and should have asked once."


def _nothing_stuck(evidence: Evidence) -> Iterator[str]:
    tables = evidence.tables
    for row in tables["deliveries"]:
        yield f"Delivery {row['seq']} to {row['run_id']} waits, after {row['attempts']} attempts: {row['last_error']}"
    for row in tables["dead_letters"]:
        yield f"Delivery {row['seq']} to {row['run_id']} was buried: {row['reason']}"
    active = {row["id"] for row in tables["runs"] if row["state"] == "active" and row["arm"] == "treated"}
    for run in active:
        if not run.startswith(LONG):
            yield f"Run {run} is still under way."
    for run in active - evidence.open_workflows:
        yield f"Run {run} is active here and closed in Temporal."
    for run in evidence.open_workflows - active:
        yield f"Run {run} is open in Temporal and over here."
    for row in tables["messages"]:
        if row["status"] in {"handed_over", "waiting"}:
            yield f"Message {row['id']} is still {row['status']}."
    for row in tables["tasks"]:
        if row["state"] in {"open", "claimed"}:
            yield f"Task {row['id']} of {row['run_id']} is still {row['state']}."


def _nobody_disturbed(evidence: Evidence) -> Iterator[str]:
    left = {line["player"]: datetime.fromisoformat(line["at"]) for line in _said(evidence, "excluded")}
    for row in evidence.tables["messages"]:
        moment = left.get(row["player_id"])
        if moment is not None and row["status"] == "sent" and row["handed_over_at"] > moment:
            yield f"Message {row['id']} was let pass after {row['player_id']} had been promised to be left alone."
    arrived = [(mail["key"], mail["at"]) for mail in evidence.mails]
    arrived += [(hook["webhook_id"], hook["at"]) for hooks in evidence.webhooks.values() for hook in hooks]
    arrived += [(record["key"], record["at"]) for record in evidence.ledger if record["kind"] == "grant"]
    for key, at in arrived:
        moment = left.get(key.split(":")[2])
        if moment is not None and datetime.fromisoformat(at) > moment + UNDER_WAY:
            yield f"{key} reached a player who had been promised to be left alone."
    for row in evidence.tables["runs"]:
        if row["player_id"] in left and row["state"] == "active":
            yield f"Run {row['id']} goes on although its player left."


def _not_trivial(evidence: Evidence) -> Iterator[str]:
    """A test in which nothing ever worked would pass every check above."""
    if evidence.at_once * 2 < evidence.operations or not evidence.operations:
        yield f"Too little was tried: {evidence.at_once} of {evidence.operations} operations were answered at once."
    if evidence.outcomes.get("500"):
        yield f"The API answered 500 {evidence.outcomes['500']} times: some failure is not foreseen."
    if not evidence.ledger or not evidence.mails or not all(evidence.webhooks.values()):
        yield "Nothing was sent or granted at all."


def _said(evidence: Evidence, what: str) -> Iterator[Row]:
    return (line for line in evidence.journal if line["what"] == what)


def _left(evidence: Evidence, player: str) -> bool:
    return any(line["player"] == player for line in _said(evidence, "excluded"))


def _kind(event: Row) -> str:
    return str(event["type"]).removeprefix("igaming.").removesuffix(".v1")


def _treated(player: str, journey: str) -> bool:
    digest = hashlib.sha256(f"{BRAND}:{journey}:{player}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 >= CONTROL.get(journey, 0)
