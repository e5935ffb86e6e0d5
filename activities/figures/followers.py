"""Followers: what counts behind intake and runs, from a cursor, in the transaction that moves it.

Only this module writes the table `followers`. Any number of processes may follow; one at a time counts, and whoever is
cut off has counted nothing since the last commit.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Protocol

from prometheus_client import Counter, Gauge
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.clock import sleep_or_stop
from activities.database import Database
from activities.figures.grant_counts import count_lives
from activities.figures.horizon import Horizon, HorizonWatch
from activities.figures.journey_days import JourneyRows, batch_end, count_rows, take_turn
from activities.figures.player_days import fold_events
from activities.grant_rows import NOTE_LIVES
from activities.player_rows import HOLD_PLAYERS

logger = logging.getLogger(__name__)

EVENTS, REWARDS, JOURNEYS = "events", "rewards", "journeys"
#: Events, and changes and steps of runs, that are counted in one transaction.
EVENTS_AT_ONCE: Final = 50_000
ROWS_AT_ONCE: Final = 5_000
#: Words about rewards in one transaction: few, for intake of their players waits as long as it lasts.
REWARDS_AT_ONCE: Final = 100
#: Seconds between two looks when there is nothing to count, and when somebody's transaction is waited for.
REST, WAIT = 1.0, 0.05

COUNTED = Counter("journeys_counted_rows_total", "Rows that followers have counted.", ["follower"])
COUNTED_UNTIL = Gauge("journeys_counted_until_seconds", "Everything before this instant is counted.", ["follower"])


@dataclass(frozen=True)
class Cursor:
    """How far a follower has counted."""

    seq: int
    beside: int
    as_of: datetime | None
    closed: date | None


class Follower(Protocol):
    """Counts what has come since it last did."""

    name: str
    #: Whether the last batch was all there was: many small ones in a row would cost more than they are worth.
    caught_up: bool

    async def count_once(self) -> bool | None:
        """Count a batch; whether there was one, None where somebody's transaction is waited for."""


class _FollowsEvents:
    """What both who read events go by."""

    def __init__(self, database: Database, at_once: int) -> None:
        self.database = database
        self.at_once = at_once
        self.caught_up = False
        self.watch = HorizonWatch("events")


class EventFollower(_FollowsEvents):
    """Folds events into days of players. It locks nobody."""

    name = EVENTS

    def __init__(self, database: Database, at_once: int = EVENTS_AT_ONCE) -> None:
        super().__init__(database, at_once)

    async def count_once(self) -> bool | None:
        """Count a batch of events. Raises what the database raises; then nothing was counted."""
        horizon = await _look(self.database, self.watch)
        if horizon is None:
            return None
        async with self.database.transaction() as connection:
            cursor = await _lock(connection, self.name)
            if cursor is None:
                return False
            # Rows of a month that was made late stand apart for a while, and would be passed by.
            until = await connection.scalar(_EVENTS_END, _between(cursor.seq, horizon.seq, self.at_once))
            if await connection.scalar(_STAND_APART):
                return None
            until = cursor.seq if until is None else until
            if until > cursor.seq:
                first_open = None if cursor.closed is None else date.fromordinal(cursor.closed.toordinal() + 1)
                await fold_events(connection, cursor.seq, until, first_open)
            self.caught_up = await connection.scalar(_EVENTS_END, _between(until, horizon.seq, 1)) is None
            await _move(connection, self.name, max(until, cursor.seq), 0, horizon.at if self.caught_up else None)
        COUNTED.labels(self.name).inc(until - cursor.seq)
        if self.caught_up:
            _note_instant(self.name, horizon)
        return until > cursor.seq


class RewardFollower(_FollowsEvents):
    """Writes what events told of rewards into their grants, and counts it, with a few players locked at a time."""

    name = REWARDS

    def __init__(self, database: Database, at_once: int = REWARDS_AT_ONCE) -> None:
        super().__init__(database, at_once)

    async def count_once(self) -> bool | None:
        """Note a few words about rewards. Raises what the database raises; then nothing was noted."""
        horizon = await _look(self.database, self.watch)
        if horizon is None:
            return None
        async with self.database.transaction() as connection:
            cursor = await _lock(connection, self.name)
            if cursor is None:
                return False
            until = max(cursor.seq, min(horizon.seq, cursor.seq + EVENTS_AT_ONCE))
            told = (await connection.execute(_TOLD, _between(cursor.seq, until, self.at_once))).all()
            if await connection.scalar(_STAND_APART):
                return None
            if len(told) == self.at_once:
                until = told[-1].seq
            if told:
                await _note_grants(connection, told)
            self.caught_up = until >= horizon.seq
            await _move(connection, self.name, until, 0, horizon.at if self.caught_up else None)
        COUNTED.labels(self.name).inc(len(told))
        if self.caught_up:
            _note_instant(self.name, horizon)
        return until > cursor.seq


class JourneyFollower:
    """Counts what happens to runs, and what they do."""

    name = JOURNEYS

    def __init__(self, database: Database, at_once: int = ROWS_AT_ONCE) -> None:
        self.database = database
        self.at_once = at_once
        self.caught_up = False
        self.changes, self.steps = HorizonWatch("run_changes"), HorizonWatch("steps")

    async def count_once(self) -> bool | None:
        """Count a batch of changes and steps. Raises what the database raises; then nothing was counted."""
        # A run enters before its first step, so what is known of entries must reach further.
        steps = await _look(self.database, self.steps)
        changes = await _look(self.database, self.changes)
        if steps is None or changes is None:
            return None
        until = JourneyRows(changes.seq, steps.seq)
        async with self.database.transaction() as connection:
            cursor = await _lock(connection, self.name)
            if cursor is None:
                return False
            before = JourneyRows(cursor.seq, cursor.beside)
            end = await batch_end(connection, before, until, self.at_once)
            rows = 0
            if end != before:
                await take_turn(connection)
                rows = await count_rows(connection, before, end)
            self.caught_up = end >= until
            await _move(connection, self.name, end.changes, end.steps, steps.at if self.caught_up else None)
        COUNTED.labels(self.name).inc(rows)
        if self.caught_up:
            _note_instant(self.name, steps)
        return end != before


class Followers:
    """Every follower of a process."""

    def __init__(self, database: Database) -> None:
        self.followers: tuple[Follower, ...] = (
            EventFollower(database),
            RewardFollower(database),
            JourneyFollower(database),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until told to stop."""
        async with asyncio.TaskGroup() as group:
            for one in self.followers:
                group.create_task(_follow(one, stop))


async def catch_up(*followers: Follower) -> None:
    """Count until there is nothing left, for whoever needs the numbers as they are now."""
    for one in followers:
        while (counted := await one.count_once()) is not False:
            if counted is None:
                await asyncio.sleep(WAIT)


async def cursor_of(connection: AsyncConnection, name: str) -> Cursor:
    """How far a follower has counted."""
    row = (await connection.execute(_CURSOR, {"name": name})).one_or_none()
    return Cursor(0, 0, None, None) if row is None else Cursor(*row)


async def close_day(connection: AsyncConnection, day: date) -> bool:
    """Have nothing count as known on a day any more; False where something may yet be counted that was received then.

    It may be of days of players or of rewards. Must run in the transaction that takes the figures of that day.
    """
    await connection.execute(_BEGIN, {"name": EVENTS})
    return bool((await connection.execute(_CLOSE, {"name": EVENTS, "day": day})).rowcount)


async def _follow(follower: Follower, stop: asyncio.Event) -> None:
    while not stop.is_set():
        rest = REST
        try:
            counted = await follower.count_once()
            rest = WAIT if counted is None else 0.0 if counted and not follower.caught_up else REST
        except (SQLAlchemyError, OSError) as away:
            logger.warning("%s cannot be counted now, trying again: %s", follower.name, away)
        except Exception:
            logger.exception("Counting %s failed and is tried again.", follower.name)
        if rest:
            await sleep_or_stop(stop, rest)


async def _look(database: Database, watch: HorizonWatch) -> Horizon | None:
    async with database.reading() as connection:
        return await watch.look(connection)


async def _lock(connection: AsyncConnection, name: str) -> Cursor | None:
    """Where the follower stands, locked until the transaction ends; None while another process counts."""
    await connection.execute(_BEGIN, {"name": name})
    row = (await connection.execute(_LOCK, {"name": name})).one_or_none()
    return None if row is None else Cursor(*row)


async def _move(connection: AsyncConnection, name: str, seq: int, beside: int, as_of: datetime | None) -> None:
    await connection.execute(_MOVE, {"name": name, "seq": seq, "beside": beside, "as_of": as_of})


async def _note_grants(connection: AsyncConnection, told: Sequence[Row[Any]]) -> None:
    """Write what events told of grants, and count it.

    Their players are locked first, in the order of all: intake writes many grants of its players too, in no order. And
    before them the turn is taken, or they would stay locked for as long as another follower counts.
    """
    await take_turn(connection)
    players: dict[str, set[str]] = {}
    for one in told:
        players.setdefault(one.brand, set()).add(one.player_id)
    for brand in sorted(players):
        await connection.execute(HOLD_PLAYERS, {"brand": brand, "ids": sorted(players[brand])})
    received = [one.received_at for one in told]
    which = {"seqs": [one.seq for one in told], "first": min(received), "last": max(received)}
    await count_lives(connection, (await connection.execute(NOTE_LIVES, which)).all())


def _between(after: int, until: int, limit: int) -> dict[str, int]:
    return {"after": after, "until": until, "limit": limit}


def _note_instant(name: str, horizon: Horizon) -> None:
    COUNTED_UNTIL.labels(name).set(horizon.at.timestamp())


_BEGIN: Final = text("INSERT INTO followers (name) VALUES (:name) ON CONFLICT DO NOTHING")
_CURSOR: Final = text("SELECT seq, beside, as_of, closed FROM followers WHERE name = :name")
_LOCK: Final = text("SELECT seq, beside, as_of, closed FROM followers WHERE name = :name FOR UPDATE SKIP LOCKED")
_MOVE: Final = text(
    "UPDATE followers SET seq = :seq, beside = :beside, as_of = coalesce(:as_of, as_of) WHERE name = :name"
)
#: What figures of days are read from.
_OF_DAYS: Final = (EVENTS, REWARDS)
_CLOSE: Final = text(
    """
    UPDATE followers SET closed = greatest(closed, :day)
    WHERE name = :name AND (closed >= :day OR (
        SELECT count(*) FROM followers
        WHERE name = ANY(:names) AND as_of AT TIME ZONE 'UTC' >= CAST(:day AS date) + 1) = cardinality(:names))
    """
).bindparams(bindparam("names", [*_OF_DAYS], type_=ARRAY(Text)))
_EVENTS_END: Final = text(
    "SELECT max(seq) FROM"
    " (SELECT seq FROM events WHERE seq > :after AND seq <= :until ORDER BY seq LIMIT :limit) AS batch"
)
_TOLD: Final = text(
    """
    SELECT seq, received_at, brand, player_id FROM events e
    WHERE seq > :after AND seq <= :until AND type LIKE 'reward.%'
      AND EXISTS (SELECT FROM grants g WHERE g.brand = e.brand AND g.player_id = e.player_id)
    ORDER BY seq LIMIT :limit
    """
)
_STAND_APART: Final = text("SELECT to_regclass('events_displaced') IS NOT NULL")
