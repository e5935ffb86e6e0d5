"""The tables `journey_days`, `journey_places` and `run_places`: journeys in numbers. Only this module writes them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.step_log import HELD
from workflows.figures.journey_counts import (
    HOLDOUT,
    CountedRun,
    CountKey,
    JourneyCounts,
    RunChange,
    RunPlace,
    RunStep,
    count_batch,
)


class CountGrowth(NamedTuple):
    """What a count grows by: runs, and an amount in minor units."""

    key: CountKey
    runs: int
    amount: int = 0


class JourneyRows(NamedTuple):
    """Numbers of `run_changes` and of `steps`, up to each of which is counted."""

    changes: int
    steps: int


async def batch_end(connection: AsyncConnection, after: JourneyRows, until: JourneyRows, limit: int) -> JourneyRows:
    """Where a batch of at most so many of each ends; steps wait until the changes before them are all in it."""
    given = {"limit": limit, "changes": after.changes, "until_changes": until.changes}
    changes = await connection.scalar(_CHANGES_END, given) or after.changes
    if changes < until.changes:
        return JourneyRows(changes, after.steps)
    given = {"limit": limit, "steps": after.steps, "until_steps": until.steps}
    return JourneyRows(until.changes, await connection.scalar(_STEPS_END, given) or until.steps)


async def count_rows(connection: AsyncConnection, after: JourneyRows, until: JourneyRows) -> int:
    """Count what happened to runs with numbers above `after` up to `until`; how many rows there were.

    Must run in the transaction that moves the cursor.
    """
    changes = [
        RunChange(row.run_id, row.kind, row.version, row.at)
        for row in await connection.execute(_CHANGES, {"after": after.changes, "until": until.changes})
    ]
    steps = [
        RunStep(row.run_id, row.step, row.outcome, row.at, _reason(row.channels), row.is_first)
        for row in await connection.execute(_STEPS, {"after": after.steps, "until": until.steps, "held": HELD})
    ]
    ids = sorted({one.run_id for one in changes} | {one.run_id for one in steps})
    runs = await counted_runs(connection, ids, until_step=after.steps)
    places = {row.run_id: RunPlace(row.version, row.step) for row in await connection.execute(_PLACES, {"ids": ids})}
    await _write(connection, count_batch(runs, places, changes, steps))
    return len(changes) + len(steps)


async def take_turn(connection: AsyncConnection) -> None:
    """Let no other follower write these tables until the transaction is over; who waits has locked nothing yet."""
    await connection.execute(_TURN)


async def counted_runs(
    connection: AsyncConnection, run_ids: Collection[str], *, until_step: int
) -> dict[str, CountedRun]:
    """What is counted of these runs besides what happens to them, with the parts that steps until a number told."""
    found = await connection.execute(_RUNS, {"ids": [*run_ids], "until": until_step, "holdout": HOLDOUT})
    return {
        row.id: CountedRun(
            row.brand,
            row.journey,
            row.arm,
            row.version,
            tuple(row.segments or ()),
            _parts(row.splits),
            row.outcome,
            _parts(row.ahead),
        )
        for row in found
    }


async def add(connection: AsyncConnection, added: Iterable[CountGrowth]) -> None:
    """Make counts grow."""
    rows = [{**one.key._asdict(), "runs": one.runs, "amount": one.amount} for one in added]
    if rows:
        await connection.execute(_ADD, {"rows": orjson.dumps(rows).decode()})


async def _write(connection: AsyncConnection, counts: JourneyCounts) -> None:
    await add(connection, (CountGrowth(key, runs) for key, runs in sorted(counts.added.items())))
    moved = [{**key._asdict(), "runs": runs} for key, runs in sorted(counts.moved.items()) if runs]
    if moved:
        await connection.execute(_MOVE, {"rows": orjson.dumps(moved).decode()})
    over = [run_id for run_id, place in counts.places.items() if place is None]
    if over:
        await connection.execute(_LEAVE, {"ids": over})
    await _stand(connection, {run_id: place for run_id, place in counts.places.items() if place is not None})


async def _stand(connection: AsyncConnection, places: Mapping[str, RunPlace]) -> None:
    rows = [{"run_id": run_id, **place._asdict()} for run_id, place in sorted(places.items())]
    if rows:
        await connection.execute(_STAND, {"rows": orjson.dumps(rows).decode()})


def _parts(splits: list[list[str]] | None) -> tuple[tuple[str, str], ...]:
    return tuple((step.partition("#")[0], part) for step, part in splits or ())


def _reason(channels: Mapping[str, str] | None) -> str:
    """Why a message was held back on all its channels, one word a reason."""
    return " + ".join(sorted({*(channels or {}).values()}))


_TURN: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('journey_days', 0))")
_CHANGES_END: Final = text(
    "SELECT max(seq) FROM (SELECT seq FROM run_changes WHERE seq > :changes AND seq <= :until_changes"
    " ORDER BY seq LIMIT :limit) AS batch"
)
_STEPS_END: Final = text(
    "SELECT max(seq) FROM (SELECT seq FROM steps WHERE seq > :steps AND seq <= :until_steps"
    " ORDER BY seq LIMIT :limit) AS batch"
)
_CHANGES: Final = text(
    "SELECT run_id, kind, version, at FROM run_changes WHERE seq > :after AND seq <= :until ORDER BY seq"
)
_STEPS: Final = text(
    """
    SELECT s.run_id, s.step, s.outcome, s.at,
           CASE WHEN s.outcome = 'suppressed' THEN s.detail -> 'channels' END AS channels,
           NOT EXISTS (SELECT FROM steps b WHERE b.run_id = s.run_id AND b.step = s.step AND b.seq < s.seq
                       AND b.outcome <> :held) AS is_first
    FROM steps s WHERE s.seq > :after AND s.seq <= :until AND s.outcome <> :held ORDER BY s.seq
    """
)
_RUNS: Final = text(
    """
    SELECT r.id, r.brand, r.journey, CASE WHEN r.held_out THEN :holdout ELSE r.arm END AS arm, r.version, r.segments,
           r.outcome, s.splits, s.ahead
    FROM runs r LEFT JOIN LATERAL (
        SELECT array_agg(ARRAY[step, outcome] ORDER BY step) FILTER (WHERE seq <= :until) AS splits,
               array_agg(ARRAY[step, outcome] ORDER BY step) AS ahead
        FROM steps WHERE run_id = r.id AND step LIKE 'split:%'
    ) s ON true
    WHERE r.id = ANY(:ids)
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_PLACES: Final = text("SELECT run_id, version, step FROM run_places WHERE run_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_KEY: Final = "brand, journey, day, version, arm, split_by, part, step, what, reason, currency"
_ADD: Final = text(
    f"""
    INSERT INTO journey_days AS d ({_KEY}, runs, amount) SELECT {_KEY}, runs, amount
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (brand text, journey text, day date, version integer, arm text, split_by text, part text, step text,
            what text, reason text, currency text, runs bigint, amount bigint)
    ON CONFLICT ({_KEY}) DO UPDATE SET runs = d.runs + excluded.runs, amount = d.amount + excluded.amount
    """  # noqa: S608 - our own words
)
_MOVE: Final = text(
    """
    INSERT INTO journey_places AS p (brand, journey, version, arm, step, runs)
    SELECT brand, journey, version, arm, step, runs FROM json_to_recordset(CAST(:rows AS json))
      AS t (brand text, journey text, version integer, arm text, step text, runs bigint)
    ON CONFLICT (brand, journey, version, arm, step) DO UPDATE SET runs = p.runs + excluded.runs
    """
)
_STAND: Final = text(
    """
    INSERT INTO run_places (run_id, version, step)
    SELECT run_id, version, step FROM json_to_recordset(CAST(:rows AS json))
      AS t (run_id text, version integer, step text)
    ON CONFLICT (run_id) DO UPDATE SET version = excluded.version, step = excluded.step
    """
)
_LEAVE: Final = text("DELETE FROM run_places WHERE run_id = ANY(:ids)").bindparams(bindparam("ids", type_=ARRAY(Text)))

#: Forgets up to `:limit` counts of days before `:before`.
FORGET: Final = text(
    """
    DELETE FROM journey_days WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM journey_days WHERE day < CAST(:before AS date) LIMIT :limit))
    """
)
#: Forgets up to `:limit` changes of runs that were noted before `:before` and are counted.
FORGET_CHANGES: Final = text(
    """
    DELETE FROM run_changes WHERE seq = ANY(ARRAY(
        SELECT seq FROM run_changes
        WHERE noted_at < :before AND seq <= (SELECT seq FROM followers WHERE name = 'journeys')
        ORDER BY seq LIMIT :limit))
    """
)
