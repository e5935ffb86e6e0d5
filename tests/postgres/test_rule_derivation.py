"""`journeys derive` on a real database: resumable anywhere, exact while events come in, silent."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa

from activities.database import Database
from activities.intake.event_store import store_events
from activities.intake.intake import Intake
from activities.loops.rule_derivation import DerivationBatch, Deriver
from activities.tables import jobs, memberships, players
from cli.derive import LOCK_SECONDS, SMALLEST_BATCH, Pace
from local.postgres import Postgres
from tests.support.engine import BRAND, NOON, Casino, HeldClock, execute, rows
from tests.support.exactness import Faults, faulty, survives, world
from tests.support.player_events import NO_FAILURES, declared
from tests.support.player_events import rules as ruled
from tests.support.servers import fresh_database
from workflows import (
    DepositApproved,
    DepositFailed,
    Event,
    PlayerRegistered,
    SessionLogin,
    Statistics,
    days,
    entered,
    hours,
    inactive,
    on,
    segment,
    streak,
    total,
)
from workflows.events import CATALOGUE, parse_event
from workflows.player_state.rule_rebuild import derivables, rebuild
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

PAID = total(DepositApproved, "amount_minor", last=days(30))


@segment
def payer(player: Statistics) -> bool:
    """Paid 20.00 in 30 days."""
    return player[PAID] >= 2_000


JOURNEYS = (
    declared("thanks", on(entered(payer))),
    declared("failing", streak(DepositFailed, 3, broken_by=DepositApproved)),
    declared("away", inactive(SessionLogin, days(3))),
)
RULES = ruled(*JOURNEYS, segments=[payer])


@pytest.fixture(scope="module")
async def faults(postgres: Postgres) -> AsyncIterator[Faults]:
    async with fresh_database(postgres) as url, faulty(url) as found:
        yield found


@pytest.fixture
def casino(faults: Faults) -> Casino:
    """A casino that was told of much before anybody wrote a rule."""
    faults.clear()
    return Casino(Intake(faults.database, ruled()), HeldClock())


async def past(casino: Casino, count: int = 12) -> list[str]:
    """Players with a past: some paid enough, some failed often."""
    found = [f"p-{number:02}" for number in range(count)]
    for number, player in enumerate(found):
        await casino.happens(player, PlayerRegistered, SessionLogin)
        for _ in range(number % 4):
            await casino.happens(player, DepositApproved, amount_minor=900)
        for _ in range(number % 3):
            await casino.happens(player, DepositFailed)
        casino.clock.later(hours(1))
    return found


def deriver(casino: Casino, name: str, rules: RuleIndex = RULES) -> Deriver:
    return Deriver(casino.intake.database, Intake(casino.intake.database, rules), derivables(rules)[name], casino.clock)


async def derive(deriver: Deriver, limit: int = 5, **how: Any) -> list[DerivationBatch]:
    """To the end, from wherever it was."""
    done = []
    for job in await deriver.open(**how):
        while (batch := await deriver.batch(job, limit)) is not None:
            done.append(batch)
    return done


async def states(database: Database) -> dict[str, PlayerState]:
    return {row["id"]: PlayerState.from_json(BRAND, row["id"], row["state"]) for row in await rows(database, players)}


async def expected(casino: Casino, name: str) -> dict[str, dict[str, Any]]:
    """What the pure function makes of every player and of all events kept now."""
    what = derivables(RULES)[name]
    wires = {kind.type: kind.wire_type for kind in CATALOGUE.values()}
    found = await states(casino.intake.database)
    async with casino.intake.database.reading() as connection:
        kept = list(await connection.execute(sa.text("SELECT * FROM events ORDER BY occurred_at, seq")))
    for player, state in found.items():
        mine = [
            parse_event(
                wires[row.type], row.data, event_id=row.id, event_source=row.source, occurred_at=row.occurred_at
            )
            for row in kept
            if row.player_id == player and row.type in what.kinds
        ]
        rebuild(state, what, mine, casino.clock.now)
    return {player: state.to_json() for player, state in found.items()}


async def test_every_player_gets_what_the_pure_function_makes_of_the_kept_events(casino: Casino) -> None:
    database = casino.intake.database
    await past(casino)
    for name in derivables(RULES):
        wanted = await expected(casino, name)
        await derive(deriver(casino, name))
        assert {player: state.to_json() for player, state in (await states(database)).items()} == wanted, name
    found = await states(database)
    assert sorted(found["p-11"].streaks) == sorted(key for key in RULES.rules if key.startswith("streak:payment"))
    assert [player for player, state in sorted(found.items()) if "payer" in state.segments] == ["p-03", "p-07", "p-11"]


async def test_it_sorts_players_into_segments_in_the_books_and_starts_nothing(casino: Casino) -> None:
    database = casino.intake.database
    await past(casino)
    (*_, last) = await derive(deriver(casino, "payer"))
    stays = await rows(database, memberships)
    assert [(stay["player_id"], stay["left_at"]) for stay in stays] == [("p-03", None), ("p-07", None), ("p-11", None)]
    assert last.job.counts == {"events": 18, "unreadable": 0, "changed": 9, "entered": 3, "left": 0}
    found = await world(database, "runs", "deliveries")
    assert found == {"runs": [], "deliveries": []}


async def test_a_player_it_does_not_change_is_not_written(casino: Casino) -> None:
    await past(casino)
    await derive(deriver(casino, "payer"))
    before = await rows(casino.intake.database, players)
    (*_, last) = await derive(deriver(casino, "payer"))
    assert last.job.counts["changed"] == 0
    assert await rows(casino.intake.database, players) == before


# ---- the past is past, the future is armed ------------------------------------------------------


async def test_a_streak_goes_on_from_what_was_derived_and_fires_on_its_next_event_only(casino: Casino) -> None:
    database, new = casino.intake.database, Casino(Intake(casino.intake.database, RULES), casino.clock)
    await casino.happens("p", DepositFailed, DepositFailed)
    await casino.happens("q", DepositFailed, DepositFailed, DepositFailed)
    await derive(deriver(casino, next(key for key in RULES.rules if key.startswith("streak:payment"))))
    assert (await world(database, "runs"))["runs"] == []
    new.events = casino.events
    for player in ("p", "q"):
        await new.happens(player, DepositFailed)
    found = (await world(database, "runs"))["runs"]
    assert [(row["journey"], row["player_id"]) for row in found] == [("failing", "p")]


async def test_only_silence_that_lies_ahead_is_waited_for(casino: Casino) -> None:
    database = casino.intake.database
    await casino.happens("long-gone", SessionLogin)
    casino.clock.later(days(5))
    await casino.happens("just-here", SessionLogin)
    casino.clock.later(hours(1))
    await derive(deriver(casino, "inactive:session.login:259200"))
    moments = {row["id"]: row["next_moment"] for row in await rows(database, players)}
    assert moments == {"long-gone": None, "just-here": casino.clock.now + days(3) - hours(1)}


async def test_who_was_put_off_until_an_import_has_settled_is_not_looked_at_sooner(casino: Casino) -> None:
    database, new = casino.intake.database, Casino(Intake(casino.intake.database, RULES), casino.clock)
    login = casino.event(SessionLogin, occurred_at=casino.clock.now - days(20))
    paid = [casino.event(DepositApproved, amount_minor=9_000) for _ in range(2)]
    await casino.intake.ingest(BRAND, [("p", event) for event in paid], casino.clock.now, mode="history")
    await new.intake.ingest(BRAND, [("p", login)], casino.clock.now, mode="history")
    [before] = await rows(database, players)
    assert before["next_moment"] == casino.clock.now + hours(1)
    (last,) = await derive(deriver(casino, "payer"))
    [after] = await rows(database, players)
    assert last.job.counts["changed"] == 1
    assert after["next_moment"] == before["next_moment"]


# ---- stopped anywhere -----------------------------------------------------------------------------


# Who dies between making a cursor and its statement closes no cursor; the collector says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "rule",
    # The statements are the same for both; what differs between them is pure.
    ["payer", pytest.param("streak:payment", marks=pytest.mark.slow)],
)
async def test_it_survives_a_crash_at_every_statement(faults: Faults, casino: Casino, rule: str) -> None:
    name = next((key for key in RULES.rules if key.startswith(rule)), rule)  # a segment is its own name

    async def prepare() -> None:
        faults.clear()
        casino.events, casino.clock.now = 0, NOON
        await past(casino, 4)

    places = await survives(
        faults,
        prepare,
        lambda: derive(deriver(casino, name), 3),
        lambda: world(faults.database, "players", "memberships", "events", "runs", "deliveries"),
    )
    reached = "\n".join(places)
    for meant in ("pg_advisory", "INTO jobs", "FOR UPDATE", "FROM events", "UPDATE players", "UPDATE jobs"):
        assert meant in reached, f"The batches were to reach {meant}."
    gc.collect()
    assert places.count("after COMMIT") == 4


async def test_what_was_stopped_goes_on_where_it_was(casino: Casino) -> None:
    await past(casino)
    (job,) = await deriver(casino, "payer").open()
    first = await deriver(casino, "payer").batch(job, 5)
    assert first is not None
    assert (first.players, first.job.done, first.job.total) == (5, 5, 12)
    (same,) = await deriver(casino, "payer").open()
    assert (same.id, same.done, same.cursor) == (job.id, 5, "p-04")
    assert [batch.players for batch in await derive(deriver(casino, "payer"))] == [5, 2]
    [row] = await rows(casino.intake.database, jobs)
    assert (row["state"], row["done"], row["ended_at"]) == ("done", 12, casino.clock.now)
    assert await deriver(casino, "payer").batch(job, 5) is None
    # What is done is not in the way of doing it again.
    assert sum(batch.players for batch in await derive(deriver(casino, "payer"))) == 12


async def test_again_and_a_rule_that_is_written_differently_begin_anew(casino: Casino) -> None:
    await past(casino)
    (first,) = await deriver(casino, "payer").open()
    await deriver(casino, "payer").batch(first, 5)
    (anew,) = await deriver(casino, "payer").open(again=True)
    assert (anew.done, anew.id == first.id) == (0, False)
    assert await deriver(casino, "payer").batch(first, 5) is None, "what was given up is over"

    @segment
    def payer(player: Statistics) -> bool:  # the same name
        """Paid 10.00 in 30 days."""
        return player[PAID] >= 1_000

    changed = ruled(*JOURNEYS, segments=[payer])
    await deriver(casino, "payer").batch(anew, 5)
    assert [batch.players for batch in await derive(deriver(casino, "payer", changed))] == [5, 5, 2]
    states_of = await rows(casino.intake.database, jobs)
    assert sorted(row["state"] for row in states_of) == ["cancelled", "cancelled", "done"]


async def test_each_brand_is_a_job_of_its_own(casino: Casino) -> None:
    await past(casino, 4)
    deposit = casino.event(DepositApproved, amount_minor=5_000)
    for brand in ("zeta", "beta"):
        await casino.intake.ingest(brand, [("p-1", deposit)], casino.clock.now)
    begun = await deriver(casino, "payer").open("zeta")
    assert [(job.brand, job.total) for job in begun] == [("zeta", 1)]
    assert await deriver(casino, "payer").open("nobody") == []
    await derive(deriver(casino, "payer"), brand="zeta")
    assert {batch.job.brand: batch.job.done for batch in await derive(deriver(casino, "payer"))} == {
        BRAND: 4,
        "beta": 1,
        "zeta": 1,
    }
    stays = await rows(casino.intake.database, memberships)
    assert sorted((row["brand"], row["player_id"]) for row in stays) == [
        (BRAND, "p-03"),
        ("beta", "p-1"),
        ("zeta", "p-1"),
    ]


async def test_two_at_once_share_the_players(casino: Casino) -> None:
    await past(casino)
    done = await asyncio.gather(*(derive(deriver(casino, "payer"), 2) for _ in range(2)))
    assert sum(batch.players for batches in done for batch in batches) == 12
    assert len({batch.job.id for batches in done for batch in batches}) == 1


# ---- while intake goes on -------------------------------------------------------------------------


async def test_an_event_that_is_not_committed_yet_is_counted_by_intake(casino: Casino) -> None:
    """Intake has inserted it and waits for the lock; we read without it; then intake counts it on what we wrote."""
    database, intake = casino.intake.database, Intake(casino.intake.database, RULES)
    await casino.happens("p", DepositApproved, amount_minor=1_500)
    late = casino.event(DepositApproved, amount_minor=700)
    async with database.transaction() as theirs:
        assert (await store_events(theirs, BRAND, [("p", late)], history=False)).new
        (batch,) = await derive(deriver(casino, "payer"))
        assert batch.job.counts["events"] == 1
        async with intake.locked(theirs, BRAND, ["p"], casino.clock.now) as locked:
            locked.record("p", locked.states["p"].advance(late, RULES, casino.clock.now, NO_FAILURES))
    found = (await states(database))["p"]
    assert sum(found.series[PAID.series].values()) == 2_200
    assert "payer" in found.segments


async def test_nothing_is_missed_or_counted_twice_while_events_pour_in(casino: Casino) -> None:
    database, intake = casino.intake.database, Intake(casino.intake.database, RULES)
    ids = await past(casino)
    chance = random.Random(7)
    instants = (casino.clock.now - hours(1) + timedelta(milliseconds=number) for number in count())
    over = asyncio.Event()

    async def pour() -> None:
        while not over.is_set():
            kinds: list[type[Event]] = [chance.choice((DepositApproved, DepositFailed)) for _ in range(4)]
            # Each at an instant of its own: of two at one the order of arrival would count.
            told = [
                casino.event(kind, amount_minor=chance.randint(1, 90), occurred_at=next(instants)) for kind in kinds
            ]
            batch = list(zip(chance.sample(ids, 4), told, strict=True))
            await intake.ingest(BRAND, batch, casino.clock.now)

    async def derive_all() -> None:
        for name in derivables(RULES):
            await derive(deriver(casino, name), 1)
        over.set()

    await asyncio.gather(derive_all(), pour(), pour(), pour())
    assert casino.events > 100
    now = {player: state.to_json() for player, state in (await states(database)).items()}
    for name in derivables(RULES):
        assert await expected(casino, name) == now, name


async def test_an_event_that_no_class_reads_any_more_is_told_and_left_out(casino: Casino) -> None:
    await casino.happens("p", DepositApproved, amount_minor=1_500)
    await casino.happens("p", DepositApproved, amount_minor=1_500)
    await execute(casino.intake.database, "UPDATE events SET data = '{}' WHERE id = 'e-1'")
    (batch,) = await derive(deriver(casino, "payer"))
    assert (batch.job.counts["events"], batch.job.counts["unreadable"]) == (2, 1)
    [found] = (await states(casino.intake.database)).values()
    assert sum(found.series[PAID.series].values()) == 1_500


# ---- how fast -------------------------------------------------------------------------------------


def test_a_batch_is_as_large_as_fits_into_the_time_that_events_may_wait() -> None:
    pace = Pace(None)
    for _ in range(20):
        assert pace.pause_after(pace.size, 0.001 * pace.size) == 0
    assert pace.size == LOCK_SECONDS / 0.001
    pace.pause_after(pace.size, 60.0)
    assert pace.size == SMALLEST_BATCH


def test_a_rate_is_kept_in_batches_of_a_second_or_less() -> None:
    pace = Pace(7)
    assert pace.size == 7
    assert pace.pause_after(7, 0.25) == 0.75
    assert Pace(0.5).size == 1
    assert Pace(0.5).pause_after(1, 0.5) == 1.5
    assert Pace(7).pause_after(7, 3.0) == 0, "what was slow is not made up for"


async def test_players_for_whom_the_segment_raised_are_counted(casino: Casino) -> None:
    @segment
    def broken(player: Statistics) -> bool:
        """Divides by what nobody may have."""
        return 1 // (player[PAID] - 900) >= 0

    for player, amount in {"p-1": 900, "p-2": 1_000, "p-3": 900}.items():
        await casino.happens(player, DepositApproved, amount_minor=amount)
    derived = deriver(casino, "broken", ruled(segments=[broken]))
    last = (await derive(derived, limit=1))[-1]
    assert (last.job.counts["raised"], last.job.counts["entered"]) == (2, 1)
    assert derived.failure is not None
    assert derived.failure.startswith("Segment broken raised ZeroDivisionError (")
