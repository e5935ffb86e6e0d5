"""Whether moved runs and shadows kept their promises: a part of `checker`, which imports nothing of what it judges."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from tests.crash.evidence import Evidence, Row

#: The journey whose runs are moved, and the release that sends a mail more than the one before it.
MOVED, LATER = "crash_moves", 2
BOTH = {"send:crash-word#1", "send:crash-word#2"}
SHADOW = "shadow-"
#: Every process knows of a shadow so soon, though it was killed meanwhile.
NOTICED = timedelta(seconds=1.5)
#: So many runs cannot all have been past their wait when they were told.
SOME = 6


def mail_of_later(run: str) -> str:
    """The key of the mail that only the later release sends."""
    return f"{run}/send:crash-word#2/email"


def is_of_later(key: str) -> bool:
    """Whether a mail is that one."""
    return key.startswith(f"{MOVED}:") and key.partition("/")[2] == "send:crash-word#2/email"


def releases(evidence: Evidence, is_excused: Callable[[str], bool]) -> Iterator[str]:
    """Every promise about releases that was broken. `is_excused` says of whose run anything may be missing."""
    yield from _moves(evidence, is_excused)
    yield from _nothing_is_done_for_a_shadow(evidence)
    yield from _shadows(evidence, is_excused)


def _moves(evidence: Evidence, is_excused: Callable[[str], bool]) -> Iterator[str]:
    said = Counter(line["what"] for line in evidence.journal)
    if said["moving"] != said["moved"]:
        yield f"{said['moving'] - said['moved']} of {said['moving']} moves of all runs did not come to their end."
    told: dict[str, list[int]] = defaultdict(list)
    arrived: dict[str, list[int]] = defaultdict(list)
    for line in sorted(evidence.tables["moves"], key=lambda line: line["at"]):
        (told if line["outcome"] == "told" else arrived)[line["run_id"]].append(line["detail"]["version"])
    for run in arrived.keys() - told.keys():
        if not is_excused(run):
            yield f"Run {run} moved and was never told to."
    later = {mail["key"].partition("/")[0] for mail in evidence.mails if is_of_later(mail["key"])}
    for run in later:
        if LATER not in told[run] and not is_excused(run):
            yield f"Mail {mail_of_later(run)} came without a reason: its run was never told to move."
    for row in evidence.tables["runs"]:
        run = row["id"]
        if arrived[run][-1:] == [LATER] and row["outcome"] == "completed" and run not in later and not is_excused(run):
            yield f"Mail {mail_of_later(run)} never came, and its run had moved."
    meant = [run for run, versions in told.items() if LATER in versions and not is_excused(run)]
    if len(meant) >= SOME and not any(LATER in arrived[run] for run in meant):
        yield f"{len(meant)} runs were told to move, and none did."


def _nothing_is_done_for_a_shadow(evidence: Evidence) -> Iterator[str]:
    for table in ("runs", "messages", "grants", "tasks"):
        for row in evidence.tables[table]:
            if row["id"].startswith(SHADOW):
                yield f"A row of {table} was written for a shadow: {row['id']}."
    keys = [mail["key"] for mail in evidence.mails] + [record["key"] for record in evidence.ledger]
    keys += [hook["webhook_id"] for hooks in evidence.webhooks.values() for hook in hooks]
    yield from (f"A provider was called for a shadow: {key}." for key in keys if key.startswith(SHADOW))


def _is_shadowed(evidence: Evidence, run: Row) -> bool:
    """Whether a run began while every process knew that its release was shadowed."""
    told = {line["what"]: datetime.fromisoformat(line["at"]) for line in evidence.journal}
    if run["journey"] != MOVED or "shadowed" not in told:
        return False
    end = told.get("unshadowed", run["entered_at"] + NOTICED)
    return bool(told["shadowed"] + NOTICED <= run["entered_at"] < end)


def _shadows(evidence: Evidence, is_excused: Callable[[str], bool]) -> Iterator[str]:
    """Whoever was drawn got one shadow beside their run; it came to its end and would have done what its code says."""
    would: dict[str, list[str]] = defaultdict(list)
    for line in evidence.tables["shadow_steps"]:
        would[line["run_id"]].append(line["step"])
    live = {row["id"] for row in evidence.tables["runs"]}
    going_on = set()
    for row in evidence.tables["shadow_runs"]:
        run, beside = row["id"], row["beside"]
        if row["outcome"] is None:
            going_on.add(run)
        if beside not in live:
            yield f"Shadow {run} is beside a run that is not there."
        if row["outcome"] is None and not is_excused(beside):
            yield f"Shadow {run} is still under way."
        if row["outcome"] == "completed" and sorted(step for step in would[run] if step in BOTH) != sorted(BOTH):
            yield f"Shadow {run} would have done {', '.join(would[run]) or 'nothing'}."
    meant = [row["id"] for row in evidence.tables["runs"] if _is_shadowed(evidence, row)]
    if len(meant) >= SOME and not {row["beside"] for row in evidence.tables["shadow_runs"]} & {*meant}:
        yield f"{len(meant)} runs began while their release was shadowed, and none had a shadow."
    for run in evidence.open_workflows:
        if run.startswith(SHADOW) and run not in going_on:
            yield f"Shadow {run} is open in Temporal and over here."
