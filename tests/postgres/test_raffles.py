"""Raffles on Postgres: drawn once when their period is over, each place given once, and to nobody protected."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from activities.loops.raffle_drawing import SETTLING, RaffleDrawing
from activities.loyalty_tables import point_transfers, raffle_draws, raffle_tickets, raffle_winners
from activities.raffle_draws import alias, proof_of_draw
from tests.support.engine import BRAND, Effects, Row, done, effects, execute, rows
from workflows import ExclusionSet, raffle_ticket
from workflows.effects import Award, AwardResult
from workflows.loyalty.raffles import fault_of_raffle

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
    return RaffleDrawing(parts.database, parts.casino.intake, parts.commands.policies, parts.casino.clock)


def period_is_over(parts: Effects) -> str:
    """The period that is over now, and settled."""
    spring = parts.casino.intake.rules.loyalty.raffles["spring"]
    period = spring.period_of(parts.casino.clock.now)
    parts.casino.clock.now = spring.draws_at(period) + SETTLING
    return period


async def proof_now(parts: Effects, period: str) -> Row:
    async with parts.database.reading() as connection:
        proof = await proof_of_draw(connection, BRAND, "spring", period)
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
    seed = bytes.fromhex(proof["seed"])
    assert [holder[one["ticket"]] for one in found] == [alias(seed, one["player_id"]) for one in found]


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
