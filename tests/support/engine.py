"""The engine's parts one by one, on a real Postgres, with a clock that the test holds."""

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel

from activities.awards import Awards
from activities.database import Database
from activities.engine import worker_engine
from activities.experiments import ExperimentEffects
from activities.intake.intake import Intake
from activities.intake.receipts import Receipt
from activities.messages import Messages
from activities.outgoing.webhook_effect import WebhookEffects
from activities.player_commands import PlayerCommands
from activities.promotion_pauses import PromotionPauses
from activities.providers.register import RegisterSubject
from activities.rewards import Grants
from activities.run_effects import RunEffects
from activities.scores import ScoreEffects
from activities.send_choices import SendChoices
from activities.settings import Settings
from activities.shadow_effects import ShadowEffects
from activities.spin_offers import SpinOffers
from activities.tables import runs
from activities.task_effects import TaskEffects
from tests.support.servers import owners
from workflows import Event, PlayerRegistered
from workflows.declaration import Journey
from workflows.effects import EffectInput, Held
from workflows.player_state.decisions import Arm
from workflows.player_state.state import Mode
from workflows.rules.index import RuleIndex
from workflows.run import JourneyRun

BRAND = "acme"
#: Where players live unless a test says otherwise: two hours ahead of UTC all the year. So no clock is put forward or
#: back between the moments of a test, and an hour of UTC is the same hour there in whichever month a test runs.
ZONE = "Africa/Johannesburg"
#: Noon in that zone, a fortnight ago: nobody sleeps.
NOON = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=14)
SECRET = "whsec_" + "c2VjcmV0" * 4
Row = dict[str, Any]
I = TypeVar("I", bound=EffectInput)  # noqa: E741 - as in effects.py
O = TypeVar("O", bound=BaseModel)  # noqa: E741


def done(answer: O | Held) -> O:
    """What an effect came to that no hold kept from being done."""
    assert not isinstance(answer, Held)
    return answer


@dataclass
class HeldClock:
    """What the parts take for the time; it stands still until it is told."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def later(self, duration: timedelta) -> None:
        self.now += duration


@dataclass
class HeldTimer:
    """Seconds that pass when a test says so."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def connected(
    url: str, *, patience: timedelta = timedelta(minutes=1), **settings: Any
) -> AsyncIterator[Database]:
    """A pool of connections for as long as the block lasts; one is waited for as long as a slow machine may need."""
    database = Database(Settings(database_url=url, **settings), patience=patience)
    try:
        yield database
    finally:
        await database.close()


def declared(*made: type[JourneyRun], listens: Sequence[type[Event]] = ()) -> dict[str, Journey]:
    """Journeys written in a test, as the registry would give them, all listening to the same events."""
    kinds = frozenset(kind.type for kind in listens)
    return {run.definition.name: replace(run.definition, listens_to=kinds) for run in made}


async def rows(database: Database, table: sa.Table, **where: Any) -> list[Row]:
    """A table's rows with these values, in the order of its key."""
    chosen = sa.select(table).order_by(*table.primary_key.columns)
    for name, value in where.items():
        chosen = chosen.where(table.c[name] == value)
    async with database.reading() as connection:
        return [dict(row._mapping) for row in await connection.execute(chosen)]


async def run_of(database: Database, player: str, journey: str) -> str:
    """The id of a player's newest run of a journey, by the books."""
    return (await runs_of(database, player, journey))[-1]


async def runs_of(database: Database, player: str, journey: str) -> list[str]:
    """The ids of a player's runs of a journey, in the order in which they were entered."""
    entered = sa.select(runs.c.id).where(runs.c.player_id == player, runs.c.journey == journey)
    async with database.reading() as connection:
        return [*(await connection.execute(entered.order_by(runs.c.entered_at, runs.c.id))).scalars()]


async def begin_run(database: Database, run_id: str) -> None:
    """Write a run of these books that is under way: effects of others are refused."""
    journey, brand, player, _ = run_id.split(":")
    await execute(
        database,
        "INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at) "
        "VALUES (:id, :brand, :player, :journey, 'treated', 'active', now(), now() + interval '30 days')",
        id=run_id,
        brand=brand,
        player=player,
        journey=journey,
    )


async def only_tracked(database: Database, brand: str = BRAND) -> None:
    """Make a brand's runs of control arms what they were before those were played: rows that no workflow stands for."""
    mine = "runs WHERE brand = :brand AND arm = 'control'"
    await execute(database, f"DELETE FROM deliveries WHERE run_id IN (SELECT id FROM {mine})", brand=brand)
    await execute(
        database,
        "UPDATE players p SET state = p.state #- ARRAY['runs', r.id, 'played'] FROM runs r "
        "WHERE r.brand = :brand AND r.arm = 'control' AND p.brand = r.brand AND p.id = r.player_id",
        brand=brand,
    )
    await execute(
        database,
        "UPDATE runs SET played = false, input = NULL, check_at = NULL WHERE brand = :brand AND arm = 'control'",
        brand=brand,
    )


async def execute(database: Database, statement: str, **values: Any) -> None:
    """Change something behind the engine's back, as a crash or a person would."""
    if (owner := owners(database.url)) == database.url:
        async with database.transaction() as connection:
            await connection.execute(sa.text(statement), values)
    else:
        async with connected(owner) as behind:
            await execute(behind, statement, **values)


@dataclass
class Casino:
    """Players of one brand, and an intake that hears of them."""

    intake: Intake
    clock: HeldClock = field(default_factory=HeldClock)
    mark: str = field(default_factory=lambda: secrets.token_hex(3))
    events: int = 0

    @classmethod
    def of(cls, database: Database, journeys: dict[str, Journey], clock: HeldClock | None = None) -> "Casino":
        return cls(Intake(database, RuleIndex(journeys)), clock or HeldClock())

    def player(self, name: str = "p") -> str:
        """A player's id that no other test uses."""
        return f"{name}-{self.mark}"

    def event(self, kind: type[Event], /, **data: Any) -> Event:
        """A fact of this moment, with an identity of its own."""
        self.events += 1
        given: Row = {"event_id": f"e-{self.events}", "event_source": "/test", "occurred_at": self.clock.now}
        own = {kind.unique_field: f"{kind.unique_field}-{self.events}"} if kind.unique_field else {}
        return kind(**given | dict(kind.example_data) | own | data)

    async def happens(self, player: str, *kinds: type[Event], mode: Mode = "live", **data: Any) -> list[Receipt]:
        """These things happen to a player, in one batch."""
        batch = [(player, self.event(kind, **data)) for kind in kinds]
        return await self.intake.ingest(BRAND, batch, self.clock.now, mode=mode)

    async def registers(self, player: str, **about: Any) -> None:
        """A player registers, reachable and opted in everywhere; no journey hears of it."""
        reachable = {
            "email": f"{player}@synthetic.example",
            "phone": "+380441234567",
            "first_name": "Olena",
            "language": "en",
            "timezone": ZONE,
            "currency": "EUR",
            "opted_in": ("email", "sms", "push", "in_app"),
        }
        await self.happens(player, PlayerRegistered, mode="history", **reachable | about)


class NobodyListed:
    """A register of excluded players that lists nobody."""

    async def lists(self, subject: RegisterSubject) -> bool:
        assert subject.player_id
        return False


@dataclass
class Effects:
    """Every effect, called as a worker would call it."""

    casino: Casino
    database: Database
    messages: Messages
    grants: Grants
    awards: Awards
    spins: SpinOffers
    commands: PlayerCommands
    pauses: PromotionPauses
    tasks: TaskEffects
    runs: RunEffects
    experiments: ExperimentEffects
    scores: ScoreEffects
    choices: SendChoices
    shadows: ShadowEffects
    webhooks: WebhookEffects

    @contextmanager
    def for_one_test(self) -> Iterator[None]:
        """Time, names and providers as they were built; what a test changes of them is gone afterwards."""
        built = dict(vars(self.messages)), dict(vars(self.grants))
        self.casino.clock.now = NOON
        self.casino.mark = secrets.token_hex(3)
        yield
        vars(self.messages).update(built[0])
        vars(self.grants).update(built[1])

    async def enters(self, player: str, journey: str = "tested", entry: int = 1, arm: Arm = "treated") -> str:
        """Put a player into a run that nothing plays here; its id."""
        run_id = f"{journey}:{BRAND}:{player}:{entry}"
        async with self.database.transaction() as connection:
            await connection.execute(
                runs.insert().values(
                    id=run_id,
                    brand=BRAND,
                    player_id=player,
                    journey=journey,
                    arm=arm,
                    played=True,
                    state="active",
                    entered_at=self.casino.clock.now,
                    ends_at=self.casino.clock.now + timedelta(days=30),
                )
            )
        return run_id

    def given(self, kind: type[I], run_id: str, step: str, **more: Any) -> I:
        """The input of an effect, as a step of this run."""
        journey, brand, player, _ = run_id.split(":")
        return kind(brand=brand, player_id=player, journey=journey, run_id=run_id, step=step, **more)


@asynccontextmanager
async def effects(url: str, **settings: Any) -> AsyncIterator[Effects]:
    """The effects of the worker, built as the worker builds them, with a clock that stands still."""
    clock = HeldClock()
    chosen = Settings(database_url=url, **{"webhook_secret": SECRET, "link_secrets": SECRET} | settings)
    async with worker_engine(chosen, clock) as built:
        yield Effects(
            casino=Casino(built.intake, clock),
            database=built.database,
            messages=built.messages,
            grants=built.grants,
            awards=built.awards,
            spins=built.spins,
            commands=PlayerCommands(built.database, built.intake, built.policies, built.grants.registers, clock),
            pauses=built.pauses,
            tasks=built.tasks,
            runs=built.runs,
            experiments=built.learned.experiments,
            choices=built.learned.choices,
            scores=built.learned.scores,
            shadows=built.shadows,
            webhooks=built.webhook_effects,
        )
