"""The table `processes`: who lives, of which build, and what each one knows.

While a release rolls, processes of two builds work side by side, and one meets what only the other knows: a journey, a
segment, the moment of a rule, a type of event. What is known to any living process is put off until that one, or one
like it, comes by; what nobody knows is gone for good and dropped as ever.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import DatabaseClock, sleep_or_stop
from activities.database import Database
from workflows.events import CATALOGUE
from workflows.loyalty.mission_states import MISSION_NUMBERS
from workflows.player_state.active_run import hears
from workflows.rules.index import RuleIndex
from workflows.source.rule_fingerprint import fingerprint

logger = logging.getLogger(__name__)

Role = Literal["api", "worker", "dispatcher", "all"]

#: How often a process says that it lives, and after how long in silence it is taken for dead.
BEAT: Final = timedelta(seconds=5)
SILENCE: Final = timedelta(seconds=30)


class Knowledge(BaseModel):
    """What a process can deal with, by name; `journeys` holds those and their versions.

    `moments` are the keys under which a player's row awaits something: those of rules and segments, and the types of
    events that matter to a journey. `row_forms` are ways of writing a player's row that came after the first: one is
    written only while every living process reads it.
    """

    model_config = ConfigDict(frozen=True)

    journeys: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    moments: frozenset[str] = frozenset()
    event_types: frozenset[str] = frozenset()
    row_forms: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rules: RuleIndex) -> "Knowledge":
        """What these rules and the loaded events make known."""
        return cls(
            journeys=frozenset(rules.journeys).union(*(one.version_names for one in rules.journeys.values())),
            segments=frozenset(rules.segments),
            moments=frozenset(
                {
                    *rules.rules,
                    *(f"segment:{name}" for name in rules.segments),
                    *(hears(journey, kind) for journey, kinds in rules.matters.items() for kind in kinds),
                }
            ),
            event_types=frozenset({*CATALOGUE, *(kind.type for kind in CATALOGUE.values())}),
            row_forms=frozenset({MISSION_NUMBERS}),
        )

    @classmethod
    def together(cls, known: Iterable["Knowledge"]) -> "Knowledge":
        """What at least one of these knows."""
        all_known = [*known]
        return cls(**{name: frozenset[str]().union(*(getattr(one, name) for one in all_known)) for name in _NAMES})

    def as_text(self) -> str:
        """The same text for the same knowledge."""
        return orjson.dumps({name: sorted(getattr(self, name)) for name in _NAMES}).decode()


_NAMES: Final = tuple(Knowledge.model_fields)


class Processes:
    """This process among those that live, and what the others know beyond it."""

    def __init__(
        self,
        database: Database,
        rules: RuleIndex,
        *,
        role: Role = "all",
        build: str = "",
        clock: DatabaseClock | None = None,
    ) -> None:
        self.database = database
        #: Set by each beat.
        self.clock = clock or DatabaseClock()
        #: Whether there was one.
        self.began = asyncio.Event()
        self.role: Role = role
        self.rules = rules
        self.knows = Knowledge.of(rules)
        self.id = uuid.uuid4().hex
        self._named = build
        #: What other living processes know, as it was last seen, and whether one of them is of another build.
        self.others = Knowledge()
        self.mixed = False
        #: Forms of a player's row that every living process reads; none until it is known who lives.
        self.row_forms: frozenset[str] = frozenset()

    @cached_property
    def rules_mark(self) -> str:
        """The same for processes that decide by the same rules, however they were built."""
        return fingerprint(self.rules.rules, self.rules.segments, self.rules.matters)

    @cached_property
    def build(self) -> str:
        """What the release is called; without a name, a mark of its rules."""
        return self._named or self.rules_mark

    async def look(self, connection: AsyncConnection) -> Knowledge:
        """What other living processes know, as of now. Cheap enough for every pass of a loop."""
        rows = await connection.execute(_OTHERS, {"id": self.id, "silence": SILENCE})
        known = []
        self.mixed = False
        readable = self.knows.row_forms
        for row in rows:
            self.mixed = self.mixed or row.build != self.build
            try:
                known.append(Knowledge.model_validate(row.knows))
            except ValidationError:
                logger.warning("A process of build %s says what it knows in a way this one cannot read.", row.build)
                readable = frozenset()
            else:
                readable &= known[-1].row_forms
        self.row_forms = readable
        self.others = Knowledge.together(known)
        return self.others

    async def without(self, connection: AsyncConnection, journey: str) -> int:
        """How many other living processes do not know a journey, or a version of one by its `version_name`."""
        asked = {"id": self.id, "silence": SILENCE, "journey": journey}
        return int((await connection.execute(_WITHOUT, asked)).scalar_one())

    async def beat(self) -> None:
        """Say that this process lives, set its clock, look at the others. Raises what the database does when away."""
        mine = {"id": self.id, "build": self.build, "role": self.role, "knows": self.knows.as_text()}
        async with self.database.transaction() as connection:
            asked = self.clock.timer()
            told = (await connection.execute(_BEAT, mine)).scalar_one()
            self.clock.set(told, asked, self.clock.timer())
            await self.look(connection)
        self.began.set()

    async def leave(self) -> None:
        """Say that this process ends. Raises what the database raises when it is away."""
        async with self.database.transaction() as connection:
            await connection.execute(_LEAVE, {"id": self.id})

    async def begun(self, within: float) -> None:
        """Wait for the first beat, from which on the clock is the database's; no longer than so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.began.wait(), within)

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until told to stop, then leave."""
        while not stop.is_set():
            try:
                await self.beat()
            except (SQLAlchemyError, OSError) as away:
                logger.warning("Postgres is away, this process cannot say that it lives: %s", away)
            except Exception:
                logger.exception("This process cannot say that it lives, and tries again.")
            await sleep_or_stop(stop, BEAT.total_seconds())
        try:
            await self.leave()
        except (SQLAlchemyError, OSError):
            logger.warning("Postgres is away; this process is taken for dead in %d seconds.", SILENCE.total_seconds())


# By the database's clock on both sides: the clocks of two processes may differ by more than the silence.
_BEAT = text(
    """
    INSERT INTO processes (id, build, role, knows, seen_at)
    VALUES (:id, :build, :role, CAST(:knows AS jsonb), clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
    RETURNING clock_timestamp()
    """
)
_OTHERS = text(
    """
    SELECT DISTINCT build, knows FROM processes
    WHERE id <> :id AND seen_at > clock_timestamp() - CAST(:silence AS interval)
    """
)
_WITHOUT = text(
    """
    SELECT count(*) FROM processes
    WHERE id <> :id AND seen_at > clock_timestamp() - CAST(:silence AS interval)
      AND NOT coalesce(knows -> 'journeys' @> to_jsonb(CAST(:journey AS text)), false)
    """
)
_LEAVE = text("DELETE FROM processes WHERE id = :id")
#: Forgets up to `:limit` processes that were last seen before `:before`.
FORGET: Final = text(
    "DELETE FROM processes WHERE id = ANY(ARRAY(SELECT id FROM processes WHERE seen_at < :before LIMIT :limit))"
)
