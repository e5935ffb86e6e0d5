"""Whether the soak was survived. The deposits and all they caused are judged by the crash test's own checker."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.crash.checker import check
from tests.crash.evidence import TABLES, Evidence, gather
from tests.crash.load import CANARY
from tests.soak.load import SOURCE, Crowd
from tests.soak.watch import PARTS, Growth, Sample, calm_again, growth

#: Back to what was normal before the outage, so long after everything is there again.
CALM_WITHIN = 60.0
STAYS = 5.0
#: A process grows by less than this share of itself in ten minutes, once it has run for a minute.
GROWTH, WARM_AFTER, JUDGED_FROM = 0.05, 60.0, 120.0
#: Even a quiet system has something on its way now and then.
ALWAYS = 25

#: The shipped journey that rounds begin, and at which of them.
BEGUN_BY_ROUNDS, ROUND, ROUNDS_TO_BEGIN = "game_preference", "igaming.game.round_completed.v1", 20

# The crowd's events are millions; they are counted where they lie.
OURS = {**TABLES, "events": f"{TABLES['events']} WHERE source = '/crash'"}
KEPT = "SELECT split_part(id, '-', 1)::int, count(*), count(DISTINCT id) FROM events WHERE source = %s GROUP BY 1"


@dataclass(frozen=True)
class Findings:
    """What the soak came to."""

    problems: list[str]
    calm_after: dict[str, float | None]
    grown: list[Growth]


async def judge(
    crowd: Crowd, folder: Path, database: str, temporal: str, samples: list[Sample], outage: tuple[float, float, float]
) -> Findings:
    """Everything that was promised and is not so, and the figures.

    `outage` is when the load began, when the servers went and when they were back.
    """
    evidence = await gather(folder, database, temporal, CANARY, OURS)
    evidence.outcomes = dict(crowd.answers + crowd.caller.outcomes)
    evidence.operations, evidence.at_once = crowd.requests, crowd.at_once
    problems = [
        *await crowd_once(crowd.acknowledged, database),
        *counted_once(crowd.counted, evidence.tables["players"]),
        *begun_once(crowd.counted, evidence),
        # What the crowd's rounds begin is judged above: the checker knows of what is in the journal, and they are not.
        *check(without(BEGUN_BY_ROUNDS, evidence)),
    ]
    calm: dict[str, float | None] = {}
    began, went, back = outage
    for what in ("deliveries", "runs"):
        waiting = [(sample.at, int(getattr(sample, what))) for sample in samples]
        before = [count for at, count in waiting if began <= at < went]
        calm[what] = calm_again(waiting, max(before, default=0) + ALWAYS, back, STAYS)
        if (after := calm[what]) is None or after > CALM_WITHIN:
            told = "never" if after is None else f"{after:.0f} s after the return"
            problems.append(
                f"The backlog of {what} was back to normal {told}; it should be within {CALM_WITHIN:.0f} s."
            )
    grown = [found for part in PARTS if (found := growth(samples, part, WARM_AFTER)) is not None]
    problems += [
        f"The {one.part} grows by {one.share:.1%} of its {one.mebibytes:.0f} MiB in ten minutes; find what it keeps."
        for one in grown
        if one.seconds >= JUDGED_FROM and one.share > GROWTH
    ]
    return Findings(problems, calm, grown)


def begun_once(sent: Counter[tuple[str, str]], evidence: Evidence) -> list[str]:
    """Whether whoever played twenty rounds is in the journey that begins there, once, and nobody else is."""
    played = {name for (name, kind), count in sent.items() if kind == ROUND and count >= ROUNDS_TO_BEGIN}
    runs = [row for row in evidence.tables["runs"] if row["journey"] == BEGUN_BY_ROUNDS]
    began = Counter(row["player_id"] for row in runs)
    waiting = {row["id"] for row in runs if row["state"] == "active"}
    return [
        *(
            f"Player {name} played {ROUNDS_TO_BEGIN} rounds and began no {BEGUN_BY_ROUNDS}."
            for name in played - began.keys()
        ),
        *(f"Player {name} began {BEGUN_BY_ROUNDS} without playing for it." for name in began.keys() - played),
        *(f"Player {name} began {BEGUN_BY_ROUNDS} {times} times." for name, times in began.items() if times > 1),
        *(f"Run {row['id']} is {row['state']} within its first day." for row in runs if row["state"] != "active"),
        *(f"Run {run} waits here and is closed in Temporal." for run in waiting - evidence.open_workflows),
    ]


def without(journey: str, evidence: Evidence) -> Evidence:
    """The evidence of all runs but those of one journey."""
    its = f"{journey}:"
    of_runs = {
        name: [row for row in evidence.tables[name] if not str(row[key]).startswith(its)]
        for name, key in (("runs", "id"), ("messages", "run_id"))
    }
    others = {run for run in evidence.open_workflows if not run.startswith(its)}
    return replace(evidence, tables=evidence.tables | of_runs, open_workflows=others)


async def crowd_once(acknowledged: Counter[int], database: str) -> list[str]:
    """Whether every acknowledged event of every batch is there, once, and no other."""
    async with await psycopg.AsyncConnection.connect(database.replace("+psycopg", ""), connect_timeout=5) as connection:
        rows = await (await connection.execute(KEPT, [SOURCE])).fetchall()
    kept = {batch: (count, different) for batch, count, different in rows}
    problems = []
    for batch in sorted(acknowledged.keys() | kept.keys()):
        promised, (count, different) = acknowledged[batch], kept.get(batch, (0, 0))
        if not promised == count == different:
            problems.append(f"Of batch {batch} {promised} events were acknowledged and {count} are there.")
    return problems


def counted_once(sent: Counter[tuple[str, str]], players: list[dict[str, Any]]) -> list[str]:
    """Whether every player's state has counted every event once."""
    known = {
        (row["id"], f"igaming.{kind}.v1"): count for row in players for kind, count in row["state"]["counts"].items()
    }
    return [
        f"Player {name} had {count} of {kind}, and {known.get((name, kind), 0)} were counted."
        for (name, kind), count in sent.items()
        if known.get((name, kind), 0) != count
    ]
