"""Raffles on Postgres: drawn once when their period is over, each place given once, and to nobody protected."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from activities.loops.raffle_drawing import SETTLING, WAIT_FIRST, RaffleDrawing
from activities.loyalty_tables import point_transfers, raffle_draws, raffle_tickets, raffle_winners
from activities.raffle_draws import PROOF_PAGE, alias, proof_of_draw
from activities.raffle_totals import TicketTotals
from activities.recent_counts import LASTS_S
from tests.support.engine import BRAND, Effects, Row, done, effects, execute, rows
from workflows import ExclusionSet, PlayerMerged, raffle_ticket
from workflows.effects import Award, AwardResult
from workflows.loyalty.raffle_winners import fault_of_raffle

JOURNEYS = "tests.support.loyal_journeys"


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys=JOURNEYS) as built:
        yield built


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        for table in ("raffle_tickets", "raffle_draws", "raffle_winners"):
            await execute(shared.database, f"DELETE FROM {table}")
        yield shared


async def with_tickets(parts: Effects, name: str, count: int = 2) -> str:
    """A player whom a journey has given tickets."""
    player = parts.casino.player(name)
    await parts.casino.registers(player)
    run = await parts.enters(player)
    given = parts.given(Award, run, "award:raffle_ticket#1", reward=raffle_ticket("spring", count))
    assert {done(await parts.awards.award(given)).status for _ in range(2)} == {"awarded"}
    return player


def drawing(parts: Effects) -> RaffleDrawing:
    registers = parts.commands.registers
    return RaffleDrawing(parts.database, parts.casino.intake, parts.commands.policies, registers, parts.casino.clock)


def period_is_over(parts: Effects) -> str:
    """The period that is over now, and settled."""
    spring = parts.casino.intake.rules.loyalty.raffles["spring"]
    period = spring.period_of(parts.casino.clock.now)
    parts.casino.clock.now = spring.draws_at(period) + SETTLING
    return period


async def proof_now(parts: Effects, period: str, player: str = "") -> Row:
    async with parts.database.reading() as connection:
        proof = await proof_of_draw(connection, BRAND, "spring", period, player)
    assert proof is not None
    return proof


async def winners(parts: Effects) -> list[Row]:
    return await rows(parts.database, raffle_winners, brand=BRAND)


async def test_tickets_of_one_award_are_given_once_and_bring_the_seed_of_their_draw(parts: Effects) -> None:
    player = await with_tickets(parts, "a", 3)
    (tickets,) = await rows(parts.database, raffle_tickets, player_id=player)
    (draw,) = await rows(parts.database, raffle_draws, brand=BRAND)
    assert (tickets["count"], tickets["period"]) == (3, draw["period"])
    assert (len(draw["seed"]), draw["drawn_at"]) == (32, None)
    assert (await proof_now(parts, draw["period"]))["seed"] is None


async def test_a_raffle_nobody_declared_is_not_awarded(parts: Effects) -> None:
    player = parts.casino.player()
    await parts.casino.registers(player)
    given = parts.given(Award, await parts.enters(player), "award:raffle_ticket#1", reward=raffle_ticket("nothing"))
    assert done(await parts.awards.award(given)) == AwardResult(status="withheld", reason="not_declared")


async def test_i27_a_draw_is_made_once_and_each_place_given_once_by_however_many(parts: Effects) -> None:
    players = [await with_tickets(parts, f"p{n}", n + 1) for n in range(5)]
    assert await drawing(parts).draw_once() == 0, "its period is not over"
    period = period_is_over(parts)
    made = await asyncio.gather(*(drawing(parts).draw_once() for _ in range(3)))
    assert sum(made) == 1
    await asyncio.gather(*(drawing(parts).give_once() for _ in range(3)))
    found = await winners(parts)
    assert [(one["place"], one["prize"]["points"], one["withheld"]) for one in found] == [
        (1, 1_000, None),
        (2, 100, None),
        (3, 100, None),
    ]
    assert len({one["player_id"] for one in found}) == 3
    credited = [one for name in players for one in await rows(parts.database, point_transfers, player_id=name)]
    assert sorted((one["player_id"], one["amount"]) for one in credited) == sorted(
        (one["player_id"], one["prize"]["points"]) for one in found
    )
    proof = await proof_now(parts, period)
    assert fault_of_raffle(proof) is None
    holder = {ticket: who for ticket, who, _ in proof["tickets"]}
    for one in found:
        assert holder[one["ticket"]] == (await proof_now(parts, period, one["player_id"]))["own_name"]


async def test_nobody_is_found_in_a_draw_by_trying_ids(parts: Effects) -> None:
    player = await with_tickets(parts, "a")
    period = period_is_over(parts)
    await drawing(parts).draw_once()
    proof = await proof_now(parts, period, "somebody else")
    ((_, holder, _),) = proof["tickets"]
    assert holder != hashlib.sha256(bytes.fromhex(proof["seed"]) + player.encode()).hexdigest()[:16]
    assert holder != alias(bytes.fromhex(proof["seed"]), player), "made with what is never told"
    assert holder not in {proof["own_name"], player}


async def test_tickets_of_an_account_that_was_merged_away_are_the_survivors(parts: Effects) -> None:
    gone, stays = await with_tickets(parts, "gone", 3), await with_tickets(parts, "stays", 2)
    await parts.casino.happens(stays, PlayerMerged, survivor_id=stays, absorbed_id=gone)
    period = period_is_over(parts)
    await drawing(parts).draw_once()
    assert [one["player_id"] for one in await winners(parts)] == [stays], "one person wins once"
    proof = await proof_now(parts, period, stays)
    assert [(name, count) for _, name, count in proof["tickets"]] == [(proof["own_name"], 3), (proof["own_name"], 2)]


async def test_a_prize_of_who_was_merged_between_draw_and_prize_goes_to_the_survivor(parts: Effects) -> None:
    gone, stays = await with_tickets(parts, "gone", 3), parts.casino.player("stays")
    await parts.casino.registers(stays)
    period_is_over(parts)
    await drawing(parts).draw_once()
    await parts.casino.happens(stays, PlayerMerged, survivor_id=stays, absorbed_id=gone)
    assert await drawing(parts).give_once() == 1
    assert [one["withheld"] for one in await winners(parts)] == [None]
    credited = [one for one in await rows(parts.database, point_transfers, player_id=stays) if one["cause"] == "raffle"]
    assert [one["amount"] for one in credited] == [1_000]


async def test_a_draw_that_fails_holds_back_no_other_and_no_prize(parts: Effects) -> None:
    player = await with_tickets(parts, "a")
    broken = "INSERT INTO raffle_draws (brand, raffle, period, seed) VALUES (:brand, 'spring', 'no date', 'x')"
    await execute(parts.database, broken, brand="a brand before")
    period_is_over(parts)
    assert await drawing(parts).draw_once() == 1
    assert [one["player_id"] for one in await winners(parts)] == [player]


async def test_a_prize_that_fails_lets_the_others_go_first_and_is_given_later(parts: Effects) -> None:
    for name in ("a", "b", "c"):
        await with_tickets(parts, name)
    period_is_over(parts)
    await drawing(parts).draw_once()
    first = "UPDATE raffle_winners SET prize = CAST(:prize AS jsonb) WHERE place = 1"
    await execute(parts.database, first, prize='{"kind": "of another release"}')
    assert await drawing(parts).give_once() == 2
    now = parts.casino.clock.now
    assert [(one["failures"], one["settled_at"]) for one in await winners(parts)] == [(1, None), (0, now), (0, now)]
    await execute(parts.database, first, prize=json.dumps((await winners(parts))[1]["prize"]))
    assert await drawing(parts).give_once() == 0, "it waits"
    parts.casino.clock.later(WAIT_FIRST)
    assert await drawing(parts).give_once() == 1


async def test_what_is_promised_when_tickets_come_is_what_is_given(parts: Effects) -> None:
    await with_tickets(parts, "a")
    await drawing(parts).draw_once()
    raffles = parts.casino.intake.rules.loyalty.raffles
    period_is_over(parts)
    assert isinstance(raffles, dict)
    promised = raffles.pop("spring")
    try:
        assert await drawing(parts).draw_once() == 1, "of a release that knows the raffle no more"
        assert await drawing(parts).give_once() == 1
    finally:
        raffles["spring"] = promised
    (one,) = await winners(parts)
    assert (one["prize"]["points"], one["withheld"]) == (1_000, None)


async def test_the_record_of_a_large_draw_comes_in_pages(parts: Effects) -> None:
    await with_tickets(parts, "a")
    period = period_is_over(parts)
    await drawing(parts).draw_once()
    many = "(SELECT jsonb_agg(jsonb_build_array(n, 'h', 1)) FROM generate_series(1, :bundles) n)"
    await execute(parts.database, f"UPDATE raffle_draws SET tickets = {many}", bundles=PROOF_PAGE + 1)
    async with parts.database.reading() as connection:
        first = await proof_of_draw(connection, BRAND, "spring", period, "")
        last = await proof_of_draw(connection, BRAND, "spring", period, "", after=PROOF_PAGE)
    assert first is not None
    assert last is not None
    assert [(len(one["tickets"]), one["next"]) for one in (first, last)] == [(PROOF_PAGE, PROOF_PAGE), (1, None)]
    assert fault_of_raffle(first) == "it is 10,000 of 10,001 bundles; every page is needed"


async def test_all_tickets_are_counted_once_in_some_seconds(parts: Effects) -> None:
    await with_tickets(parts, "a", 2)
    period = (await rows(parts.database, raffle_draws, brand=BRAND))[0]["period"]
    clock = [0.0]
    totals = TicketTotals(lambda: clock[0])
    async with parts.database.reading() as connection:
        assert await totals.of(connection, BRAND, "spring", period) == 2
    await with_tickets(parts, "b", 3)
    async with parts.database.reading() as connection:
        assert await totals.of(connection, BRAND, "spring", period) == 2
        clock[0] += LASTS_S
        assert await totals.of(connection, BRAND, "spring", period) == 5


async def test_a_ticket_that_comes_after_the_draw_belongs_to_the_next(parts: Effects) -> None:
    await with_tickets(parts, "a")
    given = parts.casino.clock.now
    period = period_is_over(parts)
    await drawing(parts).draw_once()
    late, parts.casino.clock.now = parts.casino.clock.now, given
    player = await with_tickets(parts, "late")
    (ticket,) = await rows(parts.database, raffle_tickets, player_id=player)
    assert ticket["period"] > period
    parts.casino.clock.now = late + timedelta(days=7)
    await drawing(parts).draw_once()
    assert player in {one["player_id"] for one in await winners(parts) if one["period"] == ticket["period"]}


async def test_i29_who_is_excluded_before_the_draw_is_not_drawn(parts: Effects) -> None:
    gone, stays = await with_tickets(parts, "gone", 900), await with_tickets(parts, "stays", 1)
    await parts.casino.happens(gone, ExclusionSet, kind="self_exclusion", until=None)
    period = period_is_over(parts)
    await drawing(parts).draw_once()
    assert [one["player_id"] for one in await winners(parts)] == [stays]
    proof = await proof_now(parts, period)
    assert [count for *_, count in proof["tickets"]] == [1]
    assert fault_of_raffle(proof) is None


async def test_case_18_who_is_excluded_between_draw_and_prize_is_given_none(parts: Effects) -> None:
    player = await with_tickets(parts, "a")
    period_is_over(parts)
    await drawing(parts).draw_once()
    await parts.casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
    assert await drawing(parts).give_once() == 1
    (one,) = await winners(parts)
    assert (one["withheld"], one["settled_at"]) == ("self_excluded", parts.casino.clock.now)
    assert await rows(parts.database, point_transfers, player_id=player) == []


async def test_tickets_of_the_next_period_wait_for_their_own_draw(parts: Effects) -> None:
    await with_tickets(parts, "a")
    period_is_over(parts)
    await with_tickets(parts, "b")
    assert await drawing(parts).draw_once() == 1
    assert await drawing(parts).draw_once() == 0
    parts.casino.clock.later(timedelta(days=7))
    assert await drawing(parts).draw_once() == 1
