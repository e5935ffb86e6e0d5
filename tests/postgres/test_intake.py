"""Events in, on a real Postgres: each once, in order, whatever runs beside it."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from activities.database import Database
from activities.intake.receipts import Kept, Receipt
from activities.tables import deliveries, events, players, runs
from tests.support.engine import BRAND, NOON, Casino, connected, declared, execute, only_tracked, rows
from tests.support.machine import within
from tests.support.player_events import NO_FAILURES
from workflows import (
    DepositApproved,
    Event,
    ExclusionSet,
    Player,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    always,
    days,
    journey,
    milestone,
    on,
    once,
)
from workflows.events import CATALOGUE
from workflows.player_state.identities import run_id_of
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

PERSONAL = [kind for kind in CATALOGUE.values() if kind.pii]
CANARY = "canary-4711"
BIRTHDAY = date(1907, 3, 2)


@journey(milestone(DepositApproved, 2), entry=once, ends_after=days(30))
async def second(player: Player, deposit: DepositApproved) -> None:
    """Begins with the second deposit and hears of every later one."""


@journey(on(DepositApproved), entry=once, ends_after=days(30), control=100)
async def watched(player: Player, deposit: DepositApproved) -> None:
    """Everybody is in its control arm."""


@journey(*(on(kind) for kind in PERSONAL), entry=always, ends_after=days(30))
async def confidant(player: Player, happened: Event) -> None:
    """Hears of everything that holds personal data."""


JOURNEYS = declared(second, watched, listens=[DepositApproved, SessionLogin])
CONFIDANT = declared(confidant, listens=PERSONAL)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


async def counted(database: Database) -> Counter[tuple[str, str]]:
    """How many events of each kind each player's state has seen."""
    found = await rows(database, players)
    return Counter({(row["id"], kind): n for row in found for kind, n in row["state"].get("counts", {}).items()})


async def gaps(database: Database) -> list[str]:
    """Runs whose deliveries do not count from zero without a gap."""
    seqs: dict[str, list[int]] = {}
    for row in await rows(database, deliveries):
        seqs.setdefault(row["run_id"], []).append(row["seq"])
    return [run for run, found in seqs.items() if found != list(range(len(found)))]


def a_month(casino: Casino, names: int, count: int, seed: int) -> list[tuple[str, Event]]:
    """What some players did, in order."""
    chance = random.Random(seed)
    happened: list[tuple[str, Event]] = []
    for number in range(count):
        player = casino.player(f"p{chance.randrange(names)}")
        kind = chance.choice((DepositApproved, DepositApproved, RoundCompleted, SessionLogin))
        moment = NOON - timedelta(hours=20) + timedelta(seconds=number)
        own: dict[str, Any] = {"amount_minor": chance.randrange(1, 10_000)} if kind is DepositApproved else {}
        happened.append((player, casino.event(kind, occurred_at=moment, **own)))
    return happened


async def in_any_order(casino: Casino, happened: list[tuple[str, Event]], seed: int) -> list[list[Receipt]]:
    """Take overlapping batches in, eight at a time, each in an order of its own and with repetitions inside."""
    chance = random.Random(seed)
    batches = [chance.sample(happened, 70) + chance.choices(happened, k=10) for _ in range(24)]
    # Whatever chance left out, so that each event is in some batch.
    batches += [happened[start : start + 80] for start in range(0, len(happened), 80)]
    for batch in batches:
        chance.shuffle(batch)
    eight = asyncio.Semaphore(8)

    async def take(batch: list[tuple[str, Event]]) -> list[Receipt]:
        async with eight:
            return await casino.intake.ingest(BRAND, batch, NOON)

    return await asyncio.gather(*map(take, batches))


class TestOnce:
    async def test_overlapping_batches_at_the_same_time_keep_each_event_once(
        self, casino: Casino, database: Database
    ) -> None:
        happened = a_month(casino, names=9, count=320, seed=1)
        receipts = await in_any_order(casino, happened, seed=2)
        assert Counter(receipt for batch in receipts for receipt in batch)["accepted"] == len(happened)
        assert {row["id"] for row in await rows(database, events)} == {event.event_id for _, event in happened}
        assert await counted(database) == Counter((player, event.type) for player, event in happened)
        assert await gaps(database) == []

    async def test_the_end_state_is_that_of_one_batch_after_the_other(self, casino: Casino, database: Database) -> None:
        happened = a_month(casino, names=5, count=240, seed=3)
        await in_any_order(casino, happened, seed=4)
        alone = {player: PlayerState(BRAND, player) for player, _ in happened}
        for player, event in happened:
            alone[player].advance(event, RuleIndex(JOURNEYS), NOON, NO_FAILURES)
        for row in await rows(database, players):
            together = PlayerState.from_json(BRAND, row["id"], row["state"])
            expected = alone[row["id"]]
            for fact in ("counts", "last", "stakes", "deposited_minor", "favourite_category"):
                assert getattr(together, fact) == getattr(expected, fact), (row["id"], fact)
            assert {run.journey for run in together.runs.values()} == {run.journey for run in expected.runs.values()}
            assert {name: entry.count for name, entry in together.entries.items()} == {
                name: entry.count for name, entry in expected.entries.items()
            }

    async def test_batches_about_the_same_players_never_wait_for_each_other_in_a_circle(
        self, casino: Casino, database: Database
    ) -> None:
        chance = random.Random(5)
        names = [casino.player(f"p{number}") for number in range(30)]
        # No event is in two batches, so that only the players' locks can meet.
        batches = [
            [(player, casino.event(SessionLogin)) for player in chance.sample(names, len(names))] for _ in range(24)
        ]
        await asyncio.gather(*(casino.intake.ingest(BRAND, batch, NOON) for batch in batches[:8]))
        await asyncio.gather(*(casino.intake.ingest(BRAND, batch, NOON) for batch in batches[8:16]))
        await asyncio.gather(*(casino.intake.ingest(BRAND, batch, NOON) for batch in batches[16:]))
        assert set((await counted(database)).values()) == {len(batches)}

    async def test_a_repetition_inside_a_batch_is_a_duplicate(self, casino: Casino) -> None:
        login = casino.event(SessionLogin)
        player = casino.player()
        assert await casino.intake.ingest(BRAND, [(player, login), (player, login)], NOON) == ["accepted", "duplicate"]
        assert await casino.intake.ingest(BRAND, [(player, login)], NOON) == ["duplicate"]

    async def test_two_brands_never_share_an_event_or_a_player(self, casino: Casino, database: Database) -> None:
        login, player = casino.event(SessionLogin), casino.player()
        assert await casino.intake.ingest("acme", [(player, login)], NOON) == ["accepted"]
        assert await casino.intake.ingest("other", [(player, login)], NOON) == ["accepted"]
        assert [(row["brand"], row["state"]["counts"]) for row in await rows(database, players)] == [
            ("acme", {"session.login": 1}),
            ("other", {"session.login": 1}),
        ]

    async def test_a_batch_that_fails_keeps_nothing(self, casino: Casino, database: Database) -> None:
        player = casino.player()
        batch = [(player, casino.event(kind)) for kind in (SessionLogin, DepositApproved)]
        await execute(database, "ALTER TABLE runs RENAME TO runs_away")
        with pytest.raises(ProgrammingError):
            await casino.intake.ingest(BRAND, batch, NOON)
        await execute(database, "ALTER TABLE runs_away RENAME TO runs")
        assert await rows(database, events) == await rows(database, players) == []
        assert await casino.intake.ingest(BRAND, batch, NOON) == ["accepted", "accepted"]

    async def test_an_event_that_postgres_does_not_take_is_kept_alone_and_nothing_of_it_is_done(
        self, casino: Casino, database: Database
    ) -> None:
        player = casino.player()
        deposit = casino.event(DepositApproved)
        batch = [(player, casino.event(SessionLogin)), (player, deposit)]
        await casino.happens(player, SessionLogin)
        cause = {"type": deposit.type, "id": deposit.event_id, "source": deposit.event_source}
        await execute(
            database,
            "INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at) "
            "VALUES (:id, 'acme', 'p', 'watched', 'treated', 'active', now(), now())",
            id=run_id_of("watched", BRAND, player, cause, timedelta(0), 0),
        )
        assert await casino.intake.ingest(BRAND, batch, NOON) == ["accepted", Kept()]
        assert {row["type"] for row in await rows(database, events)} == {SessionLogin.type}
        await execute(database, "DELETE FROM runs")
        assert await casino.intake.ingest(BRAND, batch, NOON) == ["duplicate", "accepted"]


class TestRuns:
    async def test_deliveries_count_from_the_start_without_a_gap(self, casino: Casino, database: Database) -> None:
        player = casino.player()
        for _ in range(2):
            await casino.happens(player, DepositApproved, DepositApproved, SessionLogin)
        found = [row for row in await rows(database, deliveries) if row["run_id"].startswith("second:")]
        assert [(row["seq"], row["kind"]) for row in found] == [
            (0, "start"),
            (1, "event"),
            (2, "event"),
            (3, "event"),
            (4, "event"),
        ]

    async def test_history_advances_the_player_and_starts_nothing(self, casino: Casino, database: Database) -> None:
        player = casino.player()
        await casino.registers(player)
        await casino.happens(player, DepositApproved, DepositApproved, DepositApproved, mode="history")
        assert await rows(database, runs) == await rows(database, deliveries) == []
        assert (await counted(database))[player, "payment.deposit_approved"] == 3
        assert all(row["history"] for row in await rows(database, events))
        await casino.happens(player, DepositApproved)
        assert [row["journey"] for row in await rows(database, runs)] == ["watched"]

    async def test_a_control_run_is_entered_and_begun_like_any_other(self, casino: Casino, database: Database) -> None:
        await casino.happens(casino.player(), DepositApproved)
        (run,) = await rows(database, runs)
        assert (run["journey"], run["arm"], run["state"], run["played"]) == ("watched", "control", "active", True)
        (begin,) = await rows(database, deliveries)
        assert (begin["run_id"], begin["kind"]) == (run["id"], "start")

    async def test_a_control_run_from_before_those_were_played_stays_tracked(
        self, casino: Casino, database: Database
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        await only_tracked(database)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        (run,) = await rows(database, runs)
        assert (run["state"], run["outcome"]) == ("ended", "self_excluded")
        assert await rows(database, deliveries) == []

    async def test_a_protected_player_enters_in_name_only(self, casino: Casino, database: Database) -> None:
        player = casino.player()
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await casino.happens(player, DepositApproved, DepositApproved)
        found = {row["journey"]: (row["state"], row["outcome"]) for row in await rows(database, runs)}
        refused = ("ended", "refused:self_excluded")
        assert found == {"second": refused, "watched": refused}
        assert await rows(database, deliveries) == []

    async def test_an_exclusion_stops_every_run_in_its_own_transaction(
        self, casino: Casino, database: Database
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, DepositApproved)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        stop = (await rows(database, deliveries))[-1]
        assert (stop["kind"], stop["priority"], stop["payload"]) == ("stop", 0, {"reason": "self_excluded"})
        stopped = {row["run_id"] for row in await rows(database, deliveries) if row["kind"] == "stop"}
        assert stopped == {row["id"] for row in await rows(database, runs)}

    async def test_an_exclusion_never_waits_for_a_dispatcher(self, casino: Casino, database: Database) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, DepositApproved)
        async with database.transaction() as dispatching:
            await dispatching.execute(sa.select(deliveries).with_for_update())
            async with within(20):
                await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        assert (await rows(database, deliveries))[-1]["kind"] == "stop"


class TestPersonalData:
    def with_canaries(self, casino: Casino, kind: type[Event]) -> Event:
        """An event with a canary in every field that holds personal data."""
        canaries: dict[str, Any] = {}
        for name in kind.pii:
            annotation = str(kind.model_fields[name].annotation)
            if "dict" in annotation:
                canaries[name] = {"email": f"{CANARY}@synthetic.example", "first_name": CANARY}
            else:
                canaries[name] = BIRTHDAY if "date" in annotation else CANARY
        return casino.event(kind, **canaries)

    async def test_no_delivery_and_no_run_holds_any(self, database: Database) -> None:
        casino = Casino.of(database, CONFIDANT)
        player = casino.player()
        for kind in PERSONAL:
            await casino.intake.ingest(BRAND, [(player, self.with_canaries(casino, kind))], NOON)
        found = await rows(database, deliveries)
        heard = {row["payload"]["event"]["type"] for row in found if row["kind"] == "event"}
        heard |= {row["payload"]["trigger"]["type"] for row in found if row["kind"] == "start"}
        assert heard == {kind.wire_type for kind in PERSONAL}
        states = [row["state"] for row in await rows(database, players)]
        stories = json.dumps([found, await rows(database, runs), states], default=str)
        assert CANARY not in stories
        assert str(BIRTHDAY) not in stories

    async def test_it_lives_in_the_profile_where_the_newest_word_counts(self, database: Database) -> None:
        casino = Casino.of(database, CONFIDANT)
        player = casino.player()
        await casino.registers(player, birth_date=BIRTHDAY)
        changed = {"phone": None, "email": "new@synthetic.example", "first_name": "Hanna", "language": "uk"}
        await casino.happens(player, ProfileUpdated, changed=changed)
        (row,) = await rows(database, players)
        assert row["profile"] == {
            "username": PlayerRegistered.example_data["username"],
            "email": "new@synthetic.example",
            "phone": None,
            "first_name": "Hanna",
            "birth_date": str(BIRTHDAY),
        }
        assert row["state"]["facts"]["language"] == "uk"
