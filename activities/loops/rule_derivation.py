"""Derives a rule anew for every player from the stored events, while intake goes on.

Each batch locks its players as intake does, reads their events, rebuilds and moves the job's cursor, in one
transaction. An event that is not committed when it reads is counted by intake, which waits for the lock before it
counts; one that is committed was counted under the same lock before. So none is missed and none is counted twice.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import ValidationError
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities import bulk_jobs
from activities.bulk_jobs import Job
from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.intake.locked_players import LockedPlayers
from activities.intake.rule_failure_reports import log_line
from activities.player_rows import put_off_each
from activities.tables import jobs
from workflows.errors import UnknownEventType
from workflows.events import CATALOGUE, Event, parse_event
from workflows.json_object import JsonObject
from workflows.player_state.rule_rebuild import Derivable, Rebuild
from workflows.rules.failures import RuleFailure

KIND: Final = "derive"
#: Rows fetched at a time, so that a player of a million rounds costs no more memory than another.
FETCH: Final = 2_000
#: What is told of a job: events read and those no class can read, players changed, segments come into and left.
COUNTED: Final = ("events", "unreadable", "changed", "entered", "left")
#: Players for whom a designer's function raised; counted only when there are any.
RAISED: Final = "raised"


@dataclass(frozen=True)
class DerivationBatch:
    """What one transaction did: where the job stands now, and how many players it took."""

    job: Job
    players: int


class StoredEvent(NamedTuple):
    """A stored event, as `_EVENTS` selects it."""

    player_id: str
    source: str
    id: str
    type: str
    occurred_at: datetime
    data: JsonObject


class Deriver:
    """Derives one rule anew. Any number may work on one job: each batch takes the next players."""

    def __init__(self, database: Database, intake: Intake, what: Derivable, clock: Clock) -> None:
        self.database = database
        self.intake = intake
        self.what = what
        self.definition = what.definition
        self.clock = clock
        #: The first that a designer's function raised here, as a sentence.
        self.failure: str | None = None
        self._wire_types = {kind.type: kind.wire_type for kind in CATALOGUE.values()}

    async def open(self, brand: str | None = None, *, again: bool = False) -> list[Job]:
        """The jobs to be done, one a brand: those that were stopped half-way, or else new ones.

        With `again`, or when the rule is written differently since, what was stopped is given up for new ones.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            # Two who begin at once must find the same jobs.
            await connection.execute(_LOCK_RULE, {"subject": self.what.name})
            brands = [brand] if brand is not None else [row.brand for row in await connection.execute(_BRANDS)]
            query = select(jobs).where(jobs.c.kind == KIND, jobs.c.subject == self.what.name, jobs.c.state == "running")
            running = [Job.model_validate(row) for row in await connection.execute(query.order_by(jobs.c.brand))]
            stopped = [job for job in running if job.brand in brands]
            as_written = all(job.detail.get("definition") == self.definition for job in stopped)
            if stopped and as_written and not again:
                return stopped
            if stopped:
                await bulk_jobs.cancel(connection, [job.id for job in stopped], now)
            begun = []
            for name in brands:
                total = (await connection.execute(_PLAYERS, {"brand": name})).scalar_one()
                job = Job(
                    id=f"{KIND}-{secrets.token_hex(8)}",
                    brand=name,
                    kind=KIND,
                    subject=self.what.name,
                    detail={"definition": self.definition},
                    total=total,
                    created_at=now,
                    updated_at=now,
                )
                if total:
                    await bulk_jobs.insert_job(connection, job)
                    begun.append(job)
        return begun

    async def batch(self, job: Job, limit: int) -> DerivationBatch | None:
        """Derive for up to `limit` players more; None when nothing is left, or somebody ended the job.

        Raises what the database raises; then nothing of the batch was done.
        """
        async with self.database.transaction() as connection:
            locked_job = await bulk_jobs.lock_running_job(connection, job.id)
            if locked_job is None:
                return None
            parameters = {"brand": job.brand, "after": locked_job.cursor, "limit": limit}
            ids = [row.id for row in await connection.execute(_NEXT_PLAYERS, parameters)]
            if not ids:
                await bulk_jobs.end_job(connection, locked_job, "done", self.clock())
                return None
            async with self.intake.locked(connection, job.brand, ids, self.clock()) as players:
                # Whatever happened to them before the lock was ours, this moment is later.
                counts, put_off = await self._rebuild(connection, job.brand, players, self.clock())
            await put_off_each(connection, job.brand, put_off)
            await bulk_jobs.advance_job(connection, locked_job, ids[-1], len(ids), counts, self.clock())
        so_far = {name: locked_job.counts.get(name, 0) + counts[name] for name in {*locked_job.counts, *counts}}
        return DerivationBatch(
            locked_job.model_copy(update={"done": locked_job.done + len(ids), "counts": so_far}), len(ids)
        )

    async def _rebuild(
        self, connection: AsyncConnection, brand: str, players: LockedPlayers, now: datetime
    ) -> tuple[Counter[str], dict[str, datetime]]:
        """Rebuild locked players and leave out those whom it did not change; what was counted, and whom to put off."""
        counts = Counter(dict.fromkeys(COUNTED, 0))
        before = {player_id: (state.to_json(), state.next_moment) for player_id, state in players.states.items()}
        building = {player_id: Rebuild(state, self.what, now) for player_id, state in players.states.items()}
        raised: set[str] = set()
        async for page in self._events(connection, brand, [*building], now):
            for player_id, event in page:
                counts["events"] += 1
                if event is None:
                    counts["unreadable"] += 1
                    continue
                if (erased := players.states[player_id].erased_at) and event.occurred_at <= erased:
                    continue
                building[player_id].replay(event)
                if failures := building[player_id].failures:
                    raised.add(player_id)
                    self._remember(failures)
        parameters = {"brand": brand, "ids": [*building]}
        noticed = {row.id: row.next_moment for row in await connection.execute(_MOMENTS, parameters)}
        put_off: dict[str, datetime] = {}
        for player_id, one in building.items():
            moved = one.finish()
            if one.failures:
                raised.add(player_id)
                self._remember(one.failures)
            counts["entered"] += sum(move.entered for move in moved)
            counts["left"] += sum(not move.entered for move in moved)
            players.record(player_id, moved)
            was, moment = before[player_id]
            if not moved and was == one.state.to_json():
                del players.states[player_id]
                continue
            counts["changed"] += 1
            # Who is not looked at for a while, after an import for example, is not looked at sooner because of us.
            if moment is not None and noticed[player_id] is not None and noticed[player_id] > moment:
                put_off[player_id] = noticed[player_id]
        if raised:
            counts[RAISED] = len(raised)
        return counts, put_off

    def _remember(self, failures: list[RuleFailure]) -> None:
        self.failure = self.failure or log_line(failures[0])
        failures.clear()

    async def _events(
        self, connection: AsyncConnection, brand: str, ids: Sequence[str], now: datetime
    ) -> AsyncIterator[Iterator[tuple[str, Event | None]]]:
        """The kept events of players in the order of their own time, in pages.

        None stands for one that no class can read any more.
        """
        if not self.what.kinds:
            return
        parameters = {"brand": brand, "ids": ids, "types": sorted(self.what.kinds), "since": self.what.since(now)}
        async with connection.stream(_EVENTS, parameters, execution_options={"yield_per": FETCH}) as stream:
            async for rows in stream.partitions():
                yield ((row.player_id, self._read(StoredEvent(*row))) for row in rows)

    def _read(self, row: StoredEvent) -> Event | None:
        wire = self._wire_types.get(row.type, row.type)
        try:
            return parse_event(
                wire,
                row.data,
                event_id=row.id,
                event_source=row.source,
                occurred_at=row.occurred_at,
                stored=True,
            )
        except (UnknownEventType, ValidationError):
            return None


# A new brand's first player may come while we look: the jobs are for whoever is there now.
_BRANDS = text(
    """
    WITH RECURSIVE found AS (
        (SELECT brand FROM players ORDER BY brand LIMIT 1)
        UNION ALL
        SELECT (SELECT p.brand FROM players p WHERE p.brand > found.brand ORDER BY p.brand LIMIT 1)
        FROM found WHERE found.brand IS NOT NULL
    )
    SELECT brand FROM found WHERE brand IS NOT NULL
    """
)
_PLAYERS = text("SELECT count(*) FROM players WHERE brand = :brand")
_LOCK_RULE = text("SELECT pg_advisory_xact_lock(hashtextextended('derive:' || :subject, 0))")
_NEXT_PLAYERS = text("SELECT id FROM players WHERE brand = :brand AND id > :after ORDER BY id LIMIT :limit")
_MOMENTS = text("SELECT id, next_moment FROM players WHERE brand = :brand AND id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_EVENTS = text(
    """
    SELECT player_id, source, id, type, occurred_at, data FROM events
    WHERE brand = :brand AND player_id = ANY(:ids) AND type = ANY(:types) AND occurred_at >= :since
    ORDER BY player_id, occurred_at, seq
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)), bindparam("types", type_=ARRAY(Text)))
