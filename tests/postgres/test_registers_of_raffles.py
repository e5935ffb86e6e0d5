"""A national register is asked about who is drawn in a raffle; whom it lists is passed over, and the record says so."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from activities.loops.raffle_drawing import PLACE_PATIENCE, SETTLING, WAIT_FIRST, RaffleDrawing
from activities.loyalty_tables import raffle_draws, raffle_winners
from activities.raffle_draws import alias, proof_of_draw
from activities.registers import REGISTER_PATIENCE, SOURCE
from activities.tables import events, gate_decisions
from tests.support.engine import BRAND, NOON, Effects, Row, done, effects, execute, rows
from tests.support.spelpaus import ADDRESS, Spelpaus
from workflows import raffle_ticket
from workflows.effects import Award
from workflows.loyalty.raffle_winners import Bundle, draw_raffle, fault_of_raffle

JOURNEYS = "tests.support.loyal_journeys"


@dataclass
class Draw:
    """Five Swedes with tickets of a raffle whose period is over, and the order that they are drawn in."""

    parts: Effects
    register: Spelpaus
    drawing: RaffleDrawing
    period: str
    order: list[str]

    async def winners(self) -> list[Row]:
        return await rows(self.parts.database, raffle_winners, brand=BRAND)

    async def record(self) -> Row:
        (drawn,) = await rows(self.parts.database, raffle_draws, brand=BRAND)
        return drawn

    def later(self, time: timedelta) -> None:
        self.parts.casino.clock.later(time)


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys=JOURNEYS, **ADDRESS) as built:
        yield built


@pytest.fixture
async def draw(shared: Effects, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Draw]:
    with shared.for_one_test():
        for table in ("raffle_tickets", "raffle_draws", "raffle_winners"):
            await execute(shared.database, f"DELETE FROM {table}")
        registers, casino = shared.commands.registers, shared.casino
        register = Spelpaus(shared.database)
        monkeypatch.setattr(registers, "registers", {"spelpaus": register})
        bundles = [Bundle(number, await with_tickets(shared, f"p{number}"), 2) for number in range(5)]
        register.asked.clear()
        spring = casino.intake.rules.loyalty.raffles["spring"]
        period = spring.period_of(casino.clock.now)
        casino.clock.now = spring.draws_at(period) + SETTLING
        (opened,) = await rows(shared.database, raffle_draws, brand=BRAND)
        drawn = draw_raffle(bytes(opened["seed"]), "spring", period, bundles, 5)
        drawing = RaffleDrawing(shared.database, casino.intake, shared.commands.policies, registers, casino.clock)
        yield Draw(shared, register, drawing, period, [one.bundle.holder for one in drawn.won])


async def with_tickets(parts: Effects, name: str) -> str:
    player = parts.casino.player(name)
    await parts.casino.registers(player, country="SE", timezone="Europe/Stockholm")
    # Heard of before they registered, so that no earlier bonus is possible.
    await execute(parts.database, "UPDATE players SET created_at = :at WHERE id = :id", at=NOON, id=player)
    given = parts.given(Award, await parts.enters(player), "award:raffle_ticket#1", reward=raffle_ticket("spring", 2))
    assert done(await parts.awards.award(given)).status == "awarded"
    return player


async def test_nobody_is_asked_about_who_is_not_drawn(draw: Draw) -> None:
    assert await draw.drawing.draw_once() == 1
    assert [one["player_id"] for one in await draw.winners()] == draw.order[:3]
    assert sorted(draw.register.asked) == sorted(draw.order[:3])
    assert (await draw.record())["passed_over"] == []


async def test_who_is_listed_is_passed_over_and_the_next_is_drawn(draw: Draw) -> None:
    listed = draw.order[:2]
    draw.register.listed.update(listed)
    assert await draw.drawing.draw_once() == 1
    assert await draw.drawing.give_once() == 3
    won = await draw.winners()
    assert sorted(one["player_id"] for one in won) == sorted(draw.order[2:])
    assert [one["withheld"] for one in won] == [None] * 3
    record = await draw.record()
    passed = {holder for _, _, holder in record["passed_over"]}
    first, second = (alias(bytes(record["alias_key"]), player) for player in listed)
    # After the first is passed over others are drawn next, so the second may not come up at all.
    assert first in passed <= {first, second}
    for player in listed:
        assert len(await rows(draw.parts.database, events, player_id=player, source=SOURCE)) == 1
    async with draw.parts.database.reading() as connection:
        proof = await proof_of_draw(connection, BRAND, "spring", draw.period, listed[0])
    assert proof is not None
    assert fault_of_raffle(proof) is None
    assert proof["own_name"] in passed, "who was passed over finds themselves in the record"


async def test_answers_that_grow_old_while_others_are_asked_about_count_for_the_draw(draw: Draw) -> None:
    draw.register.listed.add(draw.order[0])
    # Of three that are drawn the first answer is older than a policy lets it grow when the last one comes.
    draw.register.meanwhile = lambda: draw.later(timedelta(seconds=40))
    assert await draw.drawing.draw_once() == 1
    assert len(draw.register.asked) == len({*draw.register.asked}) > 3
    assert len(await draw.winners()) == 3
    assert len((await draw.record())["passed_over"]) == 1


async def test_a_draw_waits_for_the_register_and_then_passes_over_whom_it_says_nothing_of(draw: Draw) -> None:
    draw.register.is_away = True
    assert await draw.drawing.draw_once() == 0
    assert (await draw.record())["drawn_at"] is None
    draw.later(REGISTER_PATIENCE)
    assert await draw.drawing.draw_once() == 1
    assert await draw.winners() == []
    assert len((await draw.record())["passed_over"]) == 5


async def test_a_place_waits_for_the_register_where_its_answer_is_old(draw: Draw) -> None:
    await draw.drawing.draw_once()
    draw.later(timedelta(minutes=1))
    draw.register.is_away = True
    assert await draw.drawing.give_once() == 0
    assert [(one["settled_at"], one["failures"]) for one in await draw.winners()] == [(None, 1)] * 3
    draw.register.is_away = False
    draw.register.listed.add(draw.order[0])
    draw.later(WAIT_FIRST)
    assert await draw.drawing.give_once() == 3
    assert [one["withheld"] for one in await draw.winners()] == ["self_excluded", None, None]


async def test_a_place_waits_a_day_for_the_register_and_then_its_prize_is_withheld(draw: Draw) -> None:
    await draw.drawing.draw_once()
    draw.register.is_away = True
    draw.later(PLACE_PATIENCE - timedelta(minutes=1))
    assert await draw.drawing.give_once() == 0
    assert {one["settled_at"] for one in await draw.winners()} == {None}
    draw.later(timedelta(hours=2))
    assert await draw.drawing.give_once() == 3
    assert [one["withheld"] for one in await draw.winners()] == ["register_unknown"] * 3
    decided = await rows(draw.parts.database, gate_decisions, brand=BRAND, reason="register_unknown")
    assert {one["player_id"] for one in decided} >= set(draw.order[:3])
    draw.register.is_away = False
    assert await draw.drawing.give_once() == 0, "what is withheld stays so"


async def test_what_fails_while_a_register_is_asked_holds_back_that_place_alone(draw: Draw) -> None:
    await draw.drawing.draw_once()
    draw.later(timedelta(minutes=1))

    def breaks() -> None:
        if draw.register.asked[-1] == draw.order[0]:
            raise OSError("a broken pipe")

    draw.register.meanwhile = breaks
    assert await draw.drawing.give_once() == 2
    won = {one["player_id"]: (one["settled_at"] is not None, one["failures"]) for one in await draw.winners()}
    assert won == {draw.order[0]: (False, 1), draw.order[1]: (True, 0), draw.order[2]: (True, 0)}
