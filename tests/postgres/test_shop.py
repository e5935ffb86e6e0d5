"""The shop on Postgres: points, stock and purchase in one transaction, and what comes back where it came from."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from activities.grant_rows import end_revocation
from activities.ledger_proof import prove_ledger
from activities.loops.shop_settlement import FAILED, ShopSettlement
from activities.player_commands import CommandKeyReused, PlayerCommand, PlayerCommands
from activities.point_transfers import journal
from activities.run_effects import end_run
from activities.shop_purchases import AGAIN_AFTER, SLOWLY, Purchase, find_purchase
from tests.support.engine import BRAND, Effects, done, effects, execute
from tests.support.servers import LocalBonusEngine
from workflows import DepositApproved, ExclusionSet, PlayerMerged, RoundCompleted, free_spins
from workflows.effects import End, Give
from workflows.json_object import JsonObject
from workflows.loyalty.point_transfers import PointTransfer
from workflows.player_state.state import PlayerState

JOURNEYS = "tests.support.shop_journeys"
STEP = "grant:free_spins#1"
ROUND: dict[str, Any] = {"game_id": "g", "category": "slot", "win_minor": 0}
SPINS = free_spins(20, max_win=10_000)


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys=JOURNEYS, bonus_engine_url=bonus_engine_server.url) as built:
        yield built


class Shopper:
    """A player in front of the shop, and the engine behind it."""

    def __init__(self, parts: Effects, player: str) -> None:
        self.parts, self.player, self.pressed = parts, player, 0
        casino = parts.casino
        self.commands = PlayerCommands(
            parts.database, casino.intake, parts.grants.policies, parts.grants.registers, casino.clock
        )
        self.settlement = ShopSettlement(parts.database, casino.intake, casino.clock)

    async def earns(self, points: int) -> None:
        self.pressed += 1
        about: dict[str, Any] = {"round_id": f"{self.player}-{self.pressed}", "stake_minor": points * 100}
        await self.parts.casino.happens(self.player, RoundCompleted, **about, **ROUND)

    async def buys(self, item: str, price: int, key: str = "") -> JsonObject:
        self.pressed += 1
        asked = PlayerCommand(BRAND, self.player, key or f"k-{self.pressed}", "buy", item, price=price)
        return await self.commands.do(asked)

    async def cancels(self, purchase_id: str) -> JsonObject:
        return await self.commands.do(PlayerCommand(BRAND, self.player, f"c-{purchase_id}", "cancel", purchase_id))

    async def purchase(self, purchase_id: str) -> Purchase:
        async with self.parts.database.reading() as connection:
            found = await find_purchase(connection, BRAND, self.player, purchase_id)
        assert found is not None
        return found

    async def is_delivered(self, run_id: str) -> str:
        """The journey of the order plays: it grants, and ends."""
        request = Give(brand=BRAND, player_id=self.player, journey="shop_order", run_id=run_id, step=STEP, reward=SPINS)
        return done(await self.parts.grants.give(request)).status

    async def is_over(self, run_id: str, outcome: str = "completed") -> None:
        end = End(brand=BRAND, player_id=self.player, journey="shop_order", run_id=run_id, step="end", outcome=outcome)
        async with self.parts.database.transaction() as connection:
            await end_run(connection, self.parts.casino.intake, end, self.parts.casino.clock.now)

    async def settles(self) -> None:
        await self.settlement.settle_once()

    async def points(self, player: str = "") -> tuple[int, int]:
        """What may be spent, and what is held."""
        chosen = text("SELECT state::text FROM players WHERE brand = :brand AND id = :id")
        async with self.parts.database.reading() as connection:
            stored = await connection.scalar(chosen, {"brand": BRAND, "id": player or self.player})
        loyalty = PlayerState.from_text(BRAND, self.player, str(stored)).loyalty
        account = None if loyalty is None else loyalty.account("points")
        return (0, 0) if account is None else (account.available, account.held)

    async def lines(self) -> list[PointTransfer]:
        async with self.parts.database.reading() as connection:
            return await journal(connection, BRAND, self.player)

    async def left(self, item: str) -> int | None:
        chosen = text("SELECT used FROM loyalty_limits WHERE brand = :brand AND name = :name")
        async with self.parts.database.reading() as connection:
            used: int | None = await connection.scalar(chosen, {"brand": BRAND, "name": f"shop:{item}"})
        return used


@pytest.fixture
async def shopper(parts: Effects) -> AsyncIterator[Shopper]:
    with parts.for_one_test():
        player = parts.casino.player()
        await parts.casino.registers(player)
        await execute(parts.database, "DELETE FROM loyalty_limits")
        yield Shopper(parts, player)
        assert [fault async for proved in prove_ledger(parts.database) for fault in proved.faults] == []


async def ordered(shopper: Shopper) -> Purchase:
    """Twenty spins, paid for and not delivered."""
    await shopper.earns(700)
    answer = await shopper.buys("spins-20", 500)
    assert (answer["status"], answer["state"]) == ("done", "reserved")
    assert await shopper.points() == (200, 500)
    return await shopper.purchase(str(answer["purchase_id"]))


async def test_points_are_held_until_the_reward_is_the_players_and_then_the_houses(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    await shopper.settles()
    assert (await shopper.purchase(bought.id)).state == "reserved", "its run is under way"
    assert await shopper.is_delivered(bought.run_id) == "confirmed"
    await shopper.is_over(bought.run_id)
    await shopper.settles()
    assert (await shopper.purchase(bought.id)).state == "fulfilled"
    assert await shopper.points() == (200, 0)
    assert [(one.debit, one.credit, one.amount) for one in await shopper.lines()] == [
        ("issued:wager", "available", 700),
        ("available", "held", 500),
        ("held", "redeemed:shop", 500),
    ]
    await shopper.settles()
    assert len(await shopper.lines()) == 3


async def test_i14_a_purchase_nobody_delivers_goes_back_to_its_slices_and_into_the_stock(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    assert await shopper.left("spins-20") == 1
    await shopper.is_over(bought.run_id, "stopped")
    await shopper.settles()
    again = await shopper.purchase(bought.id)
    assert (again.state, again.reason) == ("refunded", "not_delivered")
    assert await shopper.points() == (700, 0)
    (back,) = [one for one in await shopper.lines() if one.debit == "held"]
    assert back.slices == bought.slices
    assert await shopper.left("spins-20") == 0
    # What came back does not count against the limit of one a week.
    assert (await shopper.buys("spins-20", 500))["status"] == "done"


async def test_case_18_an_exclusion_before_the_reward_gives_the_points_back_and_no_reward(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    await shopper.parts.casino.happens(shopper.player, ExclusionSet, kind="self_exclusion", until=None)
    assert await shopper.is_delivered(bought.run_id) == "refused"
    await shopper.is_over(bought.run_id, "self_excluded")
    await shopper.settles()
    assert (await shopper.purchase(bought.id)).state == "refunded"
    assert await shopper.points() == (700, 0)
    assert (await shopper.buys("badge", 10))["reason"] == "self_excluded"


async def test_a_grant_in_doubt_keeps_the_points_until_somebody_knows(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    await shopper.is_delivered(bought.run_id)
    await shopper.is_over(bought.run_id)
    doubt = text("UPDATE grants SET status = :status WHERE run_id = :run")
    for status, state in (("unknown", "reserved"), ("refused", "refunded")):
        async with shopper.parts.database.transaction() as connection:
            await connection.execute(doubt, {"status": status, "run": bought.run_id})
        await shopper.settles()
        assert (await shopper.purchase(bought.id)).state == state
        shopper.parts.casino.clock.later(timedelta(minutes=1))


async def test_a_reward_that_is_taken_back_unused_gives_its_points_back(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    await shopper.is_delivered(bought.run_id)
    await shopper.is_over(bought.run_id)
    await shopper.settles()
    assert await shopper.points() == (200, 0)
    async with shopper.parts.database.transaction() as connection:
        grant_id, now = f"{bought.run_id}/{STEP}", shopper.parts.casino.clock.now
        await end_revocation(connection, grant_id, taken_back=True, now=now)
    for _ in range(2):
        await shopper.settles()
        assert (await shopper.purchase(bought.id)).state == "refunded"
        assert await shopper.points() == (700, 0)


async def test_what_is_settled_here_is_paid_and_given_in_the_purchase_itself(shopper: Shopper) -> None:
    await shopper.earns(300)
    for item, price in (("double", 100), ("gems-5", 50), ("badge", 10)):
        answer = await shopper.buys(item, price)
        assert (answer["status"], answer["state"]) == ("done", "fulfilled")
    assert await shopper.points() == (140, 0)
    await shopper.earns(100)
    assert await shopper.points() == (340, 0), "points count double"
    assert (await shopper.buys("badge", 10))["reason"] == "limit_reached"
    assert [one.cause for one in await shopper.lines() if one.currency == "gems"] == ["journey"]


async def test_why_an_item_is_not_sold_is_a_word_that_a_program_can_read(shopper: Shopper) -> None:
    assert (await shopper.buys("badge", 10))["reason"] == "not_enough_points"
    await shopper.earns(100)
    assert (await shopper.buys("nothing", 10))["reason"] == "unknown"
    assert (await shopper.buys("badge", 9))["reason"] == "price_changed"
    assert (await shopper.buys("for-silver", 10))["reason"] == "tier_too_low"
    assert (await shopper.buys("for-depositors", 1))["reason"] == "not_visible"
    assert (await shopper.buys("for-betting", 1))["reason"] == "not_enough_points", "casino points buy no betting"
    for _ in range(2):
        await shopper.parts.casino.happens(shopper.player, DepositApproved)
    assert (await shopper.buys("for-silver", 10))["state"] == "reserved"
    assert (await shopper.buys("for-depositors", 1))["state"] == "fulfilled"


async def test_case_21_a_double_click_and_a_lost_answer_are_one_purchase(shopper: Shopper) -> None:
    await shopper.earns(1_000)
    answers = await asyncio.gather(*(shopper.buys("badge", 10, key="once") for _ in range(5)))
    assert len({str(sorted(one.items())) for one in answers}) == 1
    assert await shopper.points() == (990, 0)
    with pytest.raises(CommandKeyReused):
        await shopper.buys("double", 100, key="once")


async def test_a_purchase_is_cancelled_until_it_is_delivered(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    assert (await shopper.cancels(bought.id))["status"] == "done"
    await shopper.is_over(bought.run_id, "cancelled")
    await shopper.settles()
    assert await shopper.points() == (700, 0)
    assert (await shopper.cancels("nothing"))["reason"] == "unknown"
    await shopper.buys("badge", 10)
    (badge,) = [one for one in await shopper.lines() if one.credit == "redeemed:shop"]
    assert (await shopper.cancels(badge.ref.split()[1]))["reason"] == "already_settled"


async def test_who_cancels_has_back_what_has_not_ended_and_the_rest_expires(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    shopper.parts.casino.clock.later(timedelta(days=100))
    await shopper.cancels(bought.id)
    await shopper.is_over(bought.run_id, "cancelled")
    await shopper.settles()
    again = await shopper.purchase(bought.id)
    assert (again.state, again.reason) == ("refunded", "cancelled")
    (back,) = [one for one in await shopper.lines() if one.debit == "held"]
    assert back.slices == bought.slices, "no slice of a later end"
    assert (await shopper.buys("badge", 10))["reason"] == "not_enough_points"


async def test_a_purchase_that_cannot_be_settled_holds_up_no_other(shopper: Shopper) -> None:
    other = Shopper(shopper.parts, f"{shopper.player}-2")
    await shopper.parts.casino.registers(other.player)
    broken, whole = await ordered(shopper), await ordered(other)
    for buyer, bought in ((shopper, broken), (other, whole)):
        await buyer.is_over(str(bought.run_id), "stopped")
    held = "UPDATE players SET state = jsonb_set(state, '{loyalty,points,points,held}', :held) WHERE id = :id"
    await execute(shopper.parts.database, held, held="1", id=shopper.player)
    before = FAILED.labels(BRAND)._value.get()
    await shopper.settles()
    assert ((await shopper.purchase(broken.id)).state, (await other.purchase(whole.id)).state) == (
        "reserved",
        "refunded",
    )
    await shopper.settles()
    assert FAILED.labels(BRAND)._value.get() == before + 1, "it is put off"
    await execute(shopper.parts.database, held, held="500", id=shopper.player)
    shopper.parts.casino.clock.later(AGAIN_AFTER)
    await shopper.settles()
    assert (await shopper.purchase(broken.id)).state == "refunded"


async def test_an_order_under_way_is_asked_about_slowly_and_one_that_ended_without_a_word_is_found(
    shopper: Shopper,
) -> None:
    bought = await ordered(shopper)
    clock, due = shopper.parts.casino.clock, "SELECT due_at FROM shop_purchases WHERE id = :id"
    for _ in range(2):
        async with shopper.parts.database.reading() as connection:
            assert await connection.scalar(text(due), {"id": bought.id}) == clock.now + SLOWLY
        clock.later(SLOWLY)
        await shopper.settles()
    await execute(shopper.parts.database, "UPDATE runs SET state = 'ended' WHERE id = :id", id=bought.run_id)
    await shopper.settles()
    assert (await shopper.purchase(bought.id)).state == "reserved", "nobody has looked"
    clock.later(SLOWLY)
    await shopper.settles()
    assert (await shopper.purchase(bought.id)).state == "refunded"


async def test_of_what_there_is_not_no_answer_is_kept(shopper: Shopper) -> None:
    await shopper.earns(100)
    for name in ("nothing", "neither"):
        assert (await shopper.buys(name, 10))["reason"] == "unknown"
    await shopper.buys("badge", 9)
    kept = text("SELECT count(*) FROM player_commands WHERE brand = :brand AND player_id = :id")
    async with shopper.parts.database.reading() as connection:
        assert await connection.scalar(kept, {"brand": BRAND, "id": shopper.player}) == 1


async def test_i31_a_merge_in_the_middle_gives_the_points_to_the_account_that_stays(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    survivor = shopper.parts.casino.player("q")
    await shopper.parts.casino.registers(survivor)
    await shopper.parts.casino.happens(survivor, PlayerMerged, survivor_id=survivor, absorbed_id=shopper.player)
    assert (await shopper.points(), await shopper.points(survivor)) == ((0, 500), (200, 0))
    await shopper.is_over(bought.run_id, "stopped")
    await shopper.settles()
    assert (await shopper.points(), await shopper.points(survivor)) == ((0, 0), (700, 0))


async def test_case_24_points_whose_time_ends_in_checkout_come_back_for_a_week(shopper: Shopper) -> None:
    bought = await ordered(shopper)
    assert bought.run_id is not None
    shopper.parts.casino.clock.later(timedelta(days=100))
    await shopper.is_over(bought.run_id, "stopped")
    await shopper.settles()
    (back,) = [one for one in await shopper.lines() if one.debit == "held"]
    (lot,) = back.slices
    assert lot.startswith("casino@")
    end = int(lot.rpartition("@")[2]) - shopper.parts.casino.clock.now.timestamp()
    assert 7 * 86_400 <= end <= 8 * 86_400


async def test_case_21_of_two_hundred_buyers_one_gets_the_last_mug(shopper: Shopper) -> None:
    buyers = [Shopper(shopper.parts, f"{shopper.player}-{number}") for number in range(200)]
    for one in buyers:
        await shopper.parts.casino.registers(one.player)
        await one.earns(200)
    answers = await asyncio.gather(*(one.buys("last-mug", 200) for one in buyers))
    assert Counter(str(one.get("reason", one["status"])) for one in answers) == {"done": 1, "out_of_stock": 199}
    held = [await one.points() for one in buyers]
    assert Counter(held) == {(200, 0): 199, (0, 200): 1}
    assert await shopper.left("last-mug") == 1
