"""Whether every promise was kept. Judges evidence by rules of its own: it imports nothing of what it judges.

What had to happen is worked out here a second time, from the journal of what was acknowledged alone.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.crash.check_releases import MOVED, SHADOW, is_of_later, releases
from tests.crash.evidence import Evidence, Row

BRAND = "demo"
REGISTERED, DEPOSITED, ROSE = "player.registered", "payment.deposit_approved", "loyalty.tier_changed"
CONTROL = {"welcome": 10, "second_deposit": 10, "tier_up": 10}
#: Runs of these wait for what they are to hear.
WAITING = ("crash_ask", "crash_first")
#: Runs of these wait for days, so a crash test sees them under way.
LONG = ("welcome", "second_deposit", "tier_up")
# The clocks of two of our processes may differ by so much.
SKEW = timedelta(seconds=0.5)
#: What a run may end as that a person or a fault of a server has ended, beside having come to its end before.
CUT_OFF = {"stopped_by_hand", "lost", "run_over", "completed"}
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
    erased = {line["player"] for line in _said(evidence, "erased")}
    return [*_judge(_about(evidence, erased, theirs=False)), *_erased(_about(evidence, erased, theirs=True))]


def _judge(evidence: Evidence) -> list[str]:
    return [
        *_every_event_once(evidence),
        *_every_run(evidence),
        *_every_reward_once(evidence),
        *_every_message_once(evidence),
        *_every_answer_heard(evidence),
        *_nothing_stuck(evidence),
        *_nobody_disturbed(evidence),
        *_what_is_over_is_over(evidence),
        *_what_is_held_waits(evidence),
        *releases(evidence, lambda run: _is_excused(evidence, run)),
        *(f"{name} holds personal data, which belongs into Postgres alone." for name in evidence.leaks),
        *_not_trivial(evidence),
    ]


def expected(evidence: Evidence) -> dict[str, Expected]:
    """What had to happen to each player."""
    wanted: dict[str, Expected] = defaultdict(Expected)
    deposits: Counter[str] = Counter()
    told: set[str] = set()
    risen: dict[str, set[str]] = defaultdict(set)
    for line in _said(evidence, "events"):
        for event in line["events"]:
            player, kind, live = event["subject"], _kind(event), line["mode"] == "live"
            if event["id"] in told:
                continue  # sent again, because Postgres had been set back
            told.add(event["id"])
            want = wanted[player]
            if kind == DEPOSITED:
                deposits[player] += 1
            if not live:
                continue
            if kind == REGISTERED:
                _expect_newcomer(want, player, event)
            elif kind == ROSE and event["data"]["to"] not in risen[player]:
                risen[player].add(event["data"]["to"])
                _expect_question(want, player, event)
            elif kind == DEPOSITED:
                _expect_deposit(want, player, event, deposits[player])
    return wanted


def run_of(journey: str, player: str, event: Row) -> str:
    """The id of the run that an event begins."""
    return _begun_by(journey, player, _kind(event), str(event["source"]), str(event["id"]))


def _begun_by(journey: str, player: str, kind: str, source: str, identity: str) -> str:
    """An id says what began the run, so that it is the same whenever that is told.

    Two zeros: it was told in time, and nobody had removed the player.
    """
    said = f"{kind}\0{source}\0{identity}\x000\x000"
    return f"{journey}:{BRAND}:{player}:{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _expect_newcomer(want: Expected, player: str, event: Row) -> None:
    run, welcome = run_of("crash_chapters", player, event), run_of("welcome", player, event)
    moved = run_of(MOVED, player, event)
    want.runs |= {run, welcome, moved}
    want.mails.add(f"{moved}/send:crash-word#1/email")
    want.mails |= {f"{run}/send:crash-word#{chapter}/email" for chapter in (1, 2, 3)}
    want.mails.add(f"{welcome}/send:welcome#1/email")


def _expect_question(want: Expected, player: str, event: Row) -> None:
    run = run_of("crash_ask", player, event)
    want.runs.add(run)
    want.tasks.add(run)
    want.mails.add(f"{run}/send:crash-word#1/email")
    want.rewards.add(f"{run}/grant:points#1")


def _expect_deposit(want: Expected, player: str, event: Row, count: int) -> None:
    run = run_of("crash_deposit", player, event)
    want.runs.add(run)
    want.mails.add(f"{run}/send:crash-note#1/email")
    for channel, keys in want.webhooks.items():
        keys.add(f"{run}/send:crash-note#1/{channel}")
    want.rewards.add(f"{run}/grant:points#1")
    if count == 1:
        first = run_of("crash_first", player, event)
        child = _begun_by("crash_child", player, "run", first, f"{first}/start:crash_child#1")
        want.runs |= {first, child, run_of("second_deposit", player, event)}
        want.rewards |= {f"{first}/grant:free_spins#1", f"{first}/grant:bonus_money#1"}
        want.mails.add(f"{child}/send:crash-word#1/email")
    if count == 50:
        tier = run_of("tier_up", player, event)
        want.runs.add(tier)
        want.tasks.add(tier)
        want.rewards.add(f"{tier}/grant:tier_upgrade#1")
        if _treated(player, "tier_up"):
            want.rewards.add(f"{tier}/grant:free_spins#1")
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
        for run in want.runs - started.keys():
            # A player who left may have done so before another journey could start this one.
            gone = _cut_off(evidence, player) | {one for one in _deaf(evidence) if one.split(":")[2] == player}
            if run.startswith("crash_child:") and (_left(evidence, player) or gone):
                continue
            yield f"Run {run} was never entered."
    wanted = {run for want in expected(evidence).values() for run in want.runs}
    for run in started.keys() - wanted:
        yield f"Run {run} was entered without a reason."
    for run, row in started.items():
        arm = "treated" if _treated(row["player_id"], row["journey"]) else "control"
        if row["arm"] != arm:
            yield f"Run {run} is in the arm {row['arm']} and belongs into {arm}."
        fit = CUT_OFF if run in _cut_off(evidence, row["player_id"]) else {"completed"}
        waits = row["outcome"] is None and run in _deaf(evidence)
        if (
            run.startswith("crash_")
            and row["outcome"] not in fit
            and not waits
            and not _left(evidence, row["player_id"])
        ):
            yield f"Run {run} ended as {row['outcome']}."


def _every_reward_once(evidence: Evidence) -> Iterator[str]:
    voided = {record["key"] for record in evidence.ledger if record["kind"] == "void"}
    paid = Counter(record["key"] for record in evidence.ledger if record["kind"] == "grant")
    for key in (key for key, count in paid.items() if count > 1):
        yield f"Reward {key} was paid {paid[key]} times."
    given = paid.keys() - voided
    yield from _compare(evidence, "Reward", given, {p: want.rewards for p, want in expected(evidence).items()})
    forgotten = {record["key"] for record in evidence.ledger if _in_lost_time(evidence, record["at"], UNDER_WAY)}
    for row in evidence.tables["grants"]:
        if (row["status"] == "confirmed") != (row["id"] in given) and row["id"] not in forgotten:
            yield f"Grant {row['id']} is {row['status']} here and {'paid' if row['id'] in given else 'unpaid'} there."
        if row["status"] == "revoked":
            # An offer that nobody has claimed is taken back from who left, and from nobody else.
            if not _left(evidence, row["id"].split(":")[2]):
                yield f"Grant {row['id']} was taken back from a player who stays."
            if row["id"] not in voided:
                yield f"Grant {row['id']} is revoked here and stands there."
        elif row["status"] not in {"confirmed", "refused"}:
            yield f"Grant {row['id']} is still {row['status']}."
    for key in given - forgotten - {row["id"] for row in evidence.tables["grants"]}:
        yield f"Reward {key} was paid and nobody here knows of it."


def _every_message_once(evidence: Evidence) -> Iterator[str]:
    # What was handed over in a time that Postgres lost may be handed over once more.
    forgotten = {mail["key"] for mail in evidence.mails if _in_lost_time(evidence, mail["at"], UNDER_WAY)}
    for hooks in evidence.webhooks.values():
        forgotten |= {hook["webhook_id"] for hook in hooks if _in_lost_time(evidence, hook["at"], UNDER_WAY)}
    mails = Counter(mail["key"] for mail in evidence.mails if not _in_lost_time(evidence, mail["at"], UNDER_WAY))
    for key in (key for key, count in mails.items() if count > 1):
        yield f"Mail {key} was handed over {mails[key]} times."
    wanted = expected(evidence)
    # Whether the second deposit comes before the thanks for the first is left to chance; a move is judged elsewhere.
    yield from _compare(
        evidence,
        "Mail",
        {
            mail["key"]
            for mail in evidence.mails
            if not mail["key"].startswith("second_deposit:") and not is_of_later(mail["key"])
        },
        {player: want.mails for player, want in wanted.items()},
    )
    for channel, hooks in evidence.webhooks.items():
        yield from _compare(
            evidence,
            channel,
            {hook["webhook_id"] for hook in hooks},
            {player: want.webhooks[channel] for player, want in wanted.items()},
        )
    arrived = {
        *(mail["key"] for mail in evidence.mails),
        *(hook["webhook_id"] for hooks in evidence.webhooks.values() for hook in hooks),
    }
    for row in evidence.tables["messages"]:
        if row["channel"] == "in_app":
            continue
        if row["status"] == "sent" and row["id"] not in arrived:
            yield f"Message {row['id']} is sent here and arrived nowhere."
        if row["status"] in {"suppressed", "failed"} and row["id"] in arrived - forgotten:
            yield f"Message {row['id']} is {row['status']} here and arrived."
    for key in arrived - forgotten - {row["id"] for row in evidence.tables["messages"]}:
        yield f"Message {key} arrived and nobody here knows of it."


def _compare(evidence: Evidence, what: str, seen: set[str], wanted: dict[str, set[str]]) -> Iterator[str]:
    for player, keys in wanted.items():
        if not _left(evidence, player):
            for key in keys - seen:
                if not _is_of(key, _cut_off(evidence, player) | _deaf(evidence)):
                    yield f"{what} {key} never came."
    for key in seen - {key for keys in wanted.values() for key in keys}:
        yield f"{what} {key} came without a reason."


def _every_answer_heard(evidence: Evidence) -> Iterator[str]:
    tasks = {row["id"]: row for row in evidence.tables["tasks"]}
    texts = {mail["key"]: mail["text"] for mail in evidence.mails}
    for said in _said(evidence, "answered"):
        task = tasks.get(said["task"])
        if _in_lost_time(evidence, said["at"]):
            continue  # answered once more, or the run had gone on by the answer
        cut_off = said["run"] in _cut_off(evidence, said["run"].split(":")[2])
        if (task is None or task["state"] != "completed") and not cut_off:
            yield f"Task {said['task']} was answered and is {task['state'] if task else 'gone'}."
        elif task and any((task["answer"] or {}).get(name) != value for name, value in said["answer"].items()):
            yield f"Task {said['task']} keeps another answer than was given."
        key = f"{said['run']}/send:crash-word#1/email"
        if key in texts and f"word={said['answer']['word']}" not in texts[key]:
            yield f"Run {said['run']} heard another answer than was given."
    asked = Counter(row["run_id"] for row in evidence.tables["tasks"])
    for player, want in expected(evidence).items():
        for run in want.tasks:
            excused = _left(evidence, player) or run in _cut_off(evidence, player) or _was_set_back(evidence)
            if asked[run] > 1 or (asked[run] == 0 and not excused):
                yield f"Run {run} asked {asked[run]} times and should have asked once."


def _nothing_stuck(evidence: Evidence) -> Iterator[str]:
    tables = evidence.tables
    for row in tables["deliveries"]:
        yield f"Delivery {row['seq']} to {row['run_id']} waits, after {row['attempts']} attempts: {row['last_error']}"
    for row in tables["dead_letters"]:
        if row["run_id"] not in _cut_off(evidence, _player_of(row)):
            yield f"Delivery {row['seq']} to {row['run_id']} was buried: {row['reason']}"
    active = {row["id"] for row in tables["runs"] if row["state"] == "active"}
    asked = {row["run_id"] for row in tables["tasks"]}
    for run in active:
        # A task that was opened in a time that Postgres lost is gone; its run goes on without an answer in time.
        waits_in_vain = _was_set_back(evidence) and run.startswith("crash_ask:") and run not in asked
        waits_in_vain |= run in _deaf(evidence)
        if not run.startswith(LONG) and not waits_in_vain:
            yield f"Run {run} is still under way."
    for run in active - evidence.open_workflows:
        yield f"Run {run} is active here and closed in Temporal."
    for run in (run for run in evidence.open_workflows - active if not run.startswith(SHADOW)):
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
    for row in evidence.tables["grants"]:
        moment = left.get(row["player_id"])
        if moment is not None and row["status"] == "confirmed" and (row["reserved_at"] or moment) > moment:
            yield f"Reward {row['id']} was let pass after {row['player_id']} had been promised to be left alone."
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


def _what_is_over_is_over(evidence: Evidence) -> Iterator[str]:
    """Nothing begins for a run that is over in the books, whatever goes on in Temporal."""
    over = {row["id"]: row["ended_at"] for row in evidence.tables["runs"] if row["ended_at"] is not None}
    for what, key, run, at in _begun(evidence):
        if run in over and at > over[run] + SKEW:
            yield f"{what} {key} was let pass for a run that was over."


def _what_is_held_waits(evidence: Evidence) -> Iterator[str]:
    """From the answer to a hold until the journey is resumed nothing of it begins."""
    since: dict[str, datetime] = {}
    spans: list[tuple[str, datetime, datetime]] = []
    for line in evidence.journal:
        at = datetime.fromisoformat(line["at"])
        if line["what"] == "held":
            since[line["journey"]] = at
        elif line["what"] == "resumed" and line["journey"] in since:
            spans.append((line["journey"], since.pop(line["journey"]), at))
    for what, key, run, at in _begun(evidence):
        for journey, held, resumed in spans:
            if run.startswith(f"{journey}:") and held < at < resumed - SKEW:
                yield f"{what} {key} was let pass while {journey} was held."


def _begun(evidence: Evidence) -> Iterator[tuple[str, str, str, datetime]]:
    """Every message and reward that was let pass: what it is, its key, its run, and when."""
    for row in evidence.tables["messages"]:
        if row["handed_over_at"] is not None and row["status"] == "sent":
            yield "Message", row["id"], row["run_id"], row["handed_over_at"]
    for row in evidence.tables["grants"]:
        if row["reserved_at"] is not None and row["status"] == "confirmed":
            yield "Reward", row["id"], row["run_id"], row["reserved_at"]


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


def _cut_off(evidence: Evidence, player: str) -> set[str]:
    """Runs of a player that somebody ended, or that went with Temporal: what they had yet to do may be missing."""
    named = {line["run"] for line in evidence.journal if line["what"] in {"stopped", "terminated"}}
    if any(_said(evidence, "temporal_lost")):
        named |= {row["id"] for row in evidence.tables["runs"] if row["outcome"] == "lost"}
    return {run for run in named if run.split(":")[2] == player}


def _deaf(evidence: Evidence) -> set[str]:
    """Runs that wait for something and began before Temporal was lost: what they had heard may have gone with it."""
    lost = [datetime.fromisoformat(line["at"]) for line in _said(evidence, "temporal_lost")]
    return {
        row["id"]
        for row in evidence.tables["runs"]
        if row["journey"] in WAITING and any(row["entered_at"] <= moment for moment in lost)
    }


def _is_excused(evidence: Evidence, run: str) -> bool:
    """Whether something of a run may be missing: its player left, somebody ended it, or the books lost some time."""
    player = run.split(":")[2]
    lost = any(_said(evidence, "temporal_lost"))
    return lost or _left(evidence, player) or run in _cut_off(evidence, player) or _was_set_back(evidence)


def _was_set_back(evidence: Evidence) -> bool:
    return any(_said(evidence, "set_back"))


def _in_lost_time(evidence: Evidence, at: str, late: timedelta = timedelta(0)) -> bool:
    """Whether something happened in a time of which Postgres knows nothing any more, or arrived so much `late`."""
    moment = datetime.fromisoformat(at)
    spans = (
        (datetime.fromisoformat(line["since"]), datetime.fromisoformat(line["at"]))
        for line in _said(evidence, "set_back")
    )
    return any(since <= moment <= until + late for since, until in spans)


def _about(evidence: Evidence, erased: set[str], *, theirs: bool) -> Evidence:
    """What is there of players whom somebody erased, or of all the others."""

    def kept(rows: list[Row]) -> list[Row]:
        return [row for row in rows if (_player_of(row) in erased) == theirs]

    lines = [line | {"events": kept(line["events"])} if line["what"] == "events" else line for line in evidence.journal]
    return replace(
        evidence,
        journal=[line for line in lines if line["what"] != "events" or line["events"]],
        tables={
            table: [row for row in rows if (row["id"] in erased) == theirs] if table == "players" else kept(rows)
            for table, rows in evidence.tables.items()
        },
        ledger=kept(evidence.ledger),
        mails=kept(evidence.mails),
        webhooks={channel: kept(hooks) for channel, hooks in evidence.webhooks.items()},
        open_workflows={run for run in evidence.open_workflows if (_player_of({"run_id": run}) in erased) == theirs},
    )


def _player_of(row: Row) -> str:
    """Whom a row, a record or an event is about; empty where it names nobody."""
    if named := row.get("player_id"):
        return str(named)
    # A mail has a subject too, and no player for one.
    parts = str(row.get("run_id") or row.get("key") or row.get("webhook_id") or "").split(":")
    if parts[0].startswith(SHADOW):
        parts = parts[1:]
    return parts[2] if len(parts) > 3 else str(row.get("subject") or "")


def _erased(evidence: Evidence) -> Iterator[str]:
    """Whoever was removed may come back: what happens to them then is kept, played once, and holds up nobody."""
    kept = Counter(row["id"] for row in evidence.tables["events"])
    begun: dict[str, set[str]] = defaultdict(set)
    for row in evidence.tables["runs"]:
        begun[(row["trigger"] or {}).get("id", "")].add(row["journey"])
    for event in {event["id"]: event for line in _said(evidence, "events") for event in line["events"]}.values():
        whose = f"Event {event['id']} of {event['subject']}, who was erased,"
        if kept[event["id"]] != 1:
            yield f"{whose} is kept {kept[event['id']]} times."
        if _kind(event) == DEPOSITED and "crash_deposit" not in begun[event["id"]]:
            yield f"{whose} began no crash_deposit."
    paid = Counter(record["key"] for record in evidence.ledger if record["kind"] == "grant")
    sent = Counter(mail["key"] for mail in evidence.mails if not _in_lost_time(evidence, mail["at"], UNDER_WAY))
    for key in (key for key, count in (paid + sent).items() if count > 1):
        yield f"{key}, of a player who was erased, came more than once."
    # Tasks about somebody who is not there any more are nobody's, and they lose no rounds that a run could hear of.
    fit = ("Task ", "Run crash_first:")
    yield from (problem for problem in _nothing_stuck(evidence) if not problem.startswith(fit))


def _is_of(key: str, runs: set[str]) -> bool:
    """Whether a key is one of these runs', or of a run that one of them was to start."""
    run = key.partition("/")[0]
    return run in runs or (run.startswith("crash_child:") and any(one.startswith("crash_first:") for one in runs))


def _kind(event: Row) -> str:
    return str(event["type"]).removeprefix("igaming.").removesuffix(".v1")


def _treated(player: str, journey: str) -> bool:
    digest = hashlib.sha256(f"{BRAND}:{journey}:{player}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 >= CONTROL.get(journey, 0)
