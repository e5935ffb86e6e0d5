"""Wheels on Postgres: what journeys give is spun once, stock and budgets hold for all, the bonus engine pays money."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from activities.grant_rows import LEASE
from activities.loyalty_tables import loyalty_limits, point_transfers, raffle_tickets, spins
from activities.player_commands import PlayerCommand
from activities.tables import deliveries, grants, players
from activities.wheel_spins import proof_of
from tests.support.engine import BRAND, Effects, Row, done, effects, execute, rows
from tests.support.servers import LocalBonusEngine
from workflows import ContactVerified, ExclusionSet, PlayerMerged, policy
from workflows.effects import CloseSpin, OfferSpin, SpinGiven
from workflows.gate.facts import holdout_place
from workflows.gate.policy_book import PolicyBook
from workflows.loyalty.spin_proofs import fault_of_spin
from workflows.player_state.brand_groups import BrandGroups

JOURNEYS = "tests.support.loyal_journeys"
STEP = "spin:daily#1"


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys=JOURNEYS, bonus_engine_url=bonus_engine_server.url) as built:
        yield built


@pytest.fixture
async def parts(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        for table in ("grants", "loyalty_limits", "deliveries"):
            await execute(shared.database, f"DELETE FROM {table}")
        yield shared
    bonus_engine.process.start()


@pytest.fixture
async def player(parts: Effects) -> str:
    name = parts.casino.player()
    await parts.casino.registers(name)
    return name


async def spin(parts: Effects, player: str, key: str, wheel: str = "daily", word: str = "") -> Row:
    return await parts.commands.do(PlayerCommand(BRAND, player, key, "spin", wheel, word))


async def spins_of(parts: Effects, player: str) -> list[Row]:
    return await rows(parts.database, spins, player_id=player)


class TestGivenByJourneys:
    def offer(self, parts: Effects, run: str, within: timedelta = timedelta(hours=12)) -> OfferSpin:
        return parts.given(OfferSpin, run, STEP, wheel="daily", until=parts.casino.clock.now + within)

    async def close(self, parts: Effects, run: str) -> SpinGiven:
        return await parts.spins.close(parts.given(CloseSpin, run, STEP))

    async def begun(self, parts: Effects, player: str) -> str:
        """A run of the books and of the player's row, that waits for an answer."""
        await parts.casino.happens(player, ContactVerified, channel="email")
        async with parts.database.reading() as connection:
            chosen = text("SELECT id FROM runs WHERE player_id = :id AND journey = 'lucky'")
            return str(await connection.scalar(chosen, {"id": player}))

    async def test_i9_a_spin_is_given_once_and_its_answer_is_told_to_the_step(
        self, parts: Effects, player: str
    ) -> None:
        run = await self.begun(parts, player)
        answers = [await parts.spins.offer(self.offer(parts, run)) for _ in range(3)]
        assert [done(one) for one in answers] == [SpinGiven()] * 3
        spun = await spin(parts, player, "k-1")
        assert (spun["status"], spun["attempts_left"]) == ("done", 2), "the given one ends first"
        (row,) = await spins_of(parts, player)
        assert row["given_by"] == f"{run}/{STEP}"
        told = [one["payload"] for one in await rows(parts.database, deliveries, run_id=run, kind="answer")]
        assert [(one["step"], one["answer"]) for one in told] == [
            (STEP, {"spin_id": spun["spin_id"], "prize": spun["prize"]})
        ]
        assert (await self.close(parts, run)).spun == told[0]["answer"], "the player was first"

    async def test_the_spins_of_the_day_go_before_a_given_one_that_outlives_it(
        self, parts: Effects, player: str
    ) -> None:
        run = await self.begun(parts, player)
        await parts.spins.offer(self.offer(parts, run, timedelta(days=2)))
        for key in ("k-1", "k-2", "k-3"):
            assert (await spin(parts, player, key))["status"] == "done"
        by_number = sorted(await spins_of(parts, player), key=lambda one: int(one["nonce"]))
        assert [one["given_by"] for one in by_number] == [None, None, f"{run}/{STEP}"]

    async def test_who_never_sees_a_wheel_is_given_no_spin_of_it(
        self, parts: Effects, player: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, program = await self.begun(parts, player), parts.spins.intake.rules.loyalty
        wheels = {**program.wheels, "daily": replace(program.wheels["daily"], control=100)}
        monkeypatch.setattr(parts.spins.intake.rules, "loyalty", replace(program, wheels=wheels))
        assert done(await parts.spins.offer(self.offer(parts, run))) == SpinGiven(reason="not_visible")
        (state,) = await rows(parts.database, players, id=player)
        assert "given_spins" not in state["state"].get("loyalty", {})

    async def test_a_spin_whose_time_is_over_is_taken_back(self, parts: Effects, player: str) -> None:
        run = await self.begun(parts, player)
        await parts.spins.offer(self.offer(parts, run, timedelta(hours=1)))
        for key in ("k-1", "k-2"):
            parts.casino.clock.later(timedelta(hours=1))
            assert (await spin(parts, player, key))["attempts_left"] == {"k-1": 1, "k-2": 0}[key]
        assert (await self.close(parts, run)).spun is None
        assert (await spin(parts, player, "k-3"))["reason"] == "no_attempts"

    async def test_case_18_i29_after_an_exclusion_none_is_given_and_none_is_made(
        self, parts: Effects, player: str
    ) -> None:
        run = await parts.enters(player)
        assert done(await parts.spins.offer(self.offer(parts, run))) == SpinGiven()
        await parts.casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        assert (await spin(parts, player, "k-1"))["reason"] == "self_excluded"
        again = parts.given(OfferSpin, run, "spin:daily#2", wheel="daily", until=parts.casino.clock.now)
        assert done(await parts.spins.offer(again)) == SpinGiven(reason="self_excluded")


async def test_a_spin_within_the_pause_is_refused_with_the_moment_it_may_be_made_again(
    parts: Effects, player: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, now = parts.spins.intake.rules.loyalty, parts.casino.clock.now
    wheels = {**program.wheels, "daily": replace(program.wheels["daily"], pause=timedelta(seconds=5))}
    monkeypatch.setattr(parts.spins.intake.rules, "loyalty", replace(program, wheels=wheels))
    assert (await spin(parts, player, "k-1"))["status"] == "done"
    again_at = (now + timedelta(seconds=5)).isoformat()
    refused = {"status": "refused", "reason": "too_soon", "again_at": again_at}
    assert await spin(parts, player, "k-2") == refused
    parts.casino.clock.later(timedelta(seconds=5))
    assert await spin(parts, player, "k-2") == refused, "the same press is answered the same"
    assert (await spin(parts, player, "k-3"))["status"] == "done"
    assert len(await spins_of(parts, player)) == 2


class TestStockAndBudgets:
    async def test_case_26_two_hundred_spin_at_once_and_stock_and_budget_hold(self, parts: Effects) -> None:
        names = [parts.casino.player(f"p{n}") for n in range(200)]
        for name in names:
            await parts.casino.registers(name)
        answers = await asyncio.gather(*(spin(parts, name, "k", "hot") for name in names))
        assert {one["status"] for one in answers} == {"done"}
        won = Counter(one["prize"]["points"] for one in answers)
        assert won == {500: 3, 10: 197}, "three in stock, everybody else gets what is always there"
        used = {one["name"]: one["used"] for one in await rows(parts.database, loyalty_limits, brand=BRAND)}
        assert sorted(used.values()) == [3, 3 * 500 + 197 * 10]
        credited = [
            one
            for name in names
            for one in await rows(parts.database, point_transfers, player_id=name, debit="issued:wheel")
        ]
        assert sum(one["amount"] for one in credited) == 3 * 500 + 197 * 10
        await self.recompute(parts, names)

    async def recompute(self, parts: Effects, names: list[str]) -> None:
        """Every stored spin follows from its record."""
        async with parts.database.reading() as connection:
            for name in names:
                for row in await spins_of(parts, name):
                    proof = await proof_of(connection, BRAND, name, row["id"], "9999-01-01")
                    assert proof is not None
                    assert fault_of_spin(proof) is None

    async def test_case_25_one_press_on_two_processes_is_one_spin(self, parts: Effects, player: str) -> None:
        answers = await asyncio.gather(*(spin(parts, player, "k") for _ in range(5)))
        assert [one == answers[0] for one in answers] == [True] * 5
        assert len(await spins_of(parts, player)) == 1

    async def test_case_27_the_day_of_a_wheel_is_the_wheels_own_and_not_the_players(
        self, parts: Effects, player: str
    ) -> None:
        # It is noon where the player lives; thirteen hours later it is a new day there, and not yet where the wheel is.
        for key in ("k-1", "k-2"):
            assert (await spin(parts, player, key))["status"] == "done"
        parts.casino.clock.later(timedelta(hours=13))
        assert (await spin(parts, player, "k-3"))["reason"] == "no_attempts"
        parts.casino.clock.later(timedelta(hours=2))
        assert (await spin(parts, player, "k-4"))["status"] == "done"

    async def test_i23_what_no_budget_bears_is_refused_and_the_spin_stays(self, parts: Effects, player: str) -> None:
        day = parts.casino.clock.now.date().isoformat()
        await execute(
            parts.database,
            "INSERT INTO loyalty_limits (brand, name, used) VALUES (:brand, :name, 595)",
            brand=BRAND,
            name=f"wheel:daily:{day}",
        )
        assert (await spin(parts, player, "k-1"))["reason"] == "budget_spent"
        assert await spins_of(parts, player) == []
        await execute(parts.database, "DELETE FROM loyalty_limits")
        assert (await spin(parts, player, "k-2"))["attempts_left"] == 1

    async def test_i23_a_refusal_never_hangs_on_what_would_be_drawn(self, parts: Effects, player: str) -> None:
        # Half of this wheel's sectors are blanks: whoever may ask again with another word until one comes, chooses.
        day = parts.casino.clock.now.date().isoformat()
        await execute(
            parts.database,
            "INSERT INTO loyalty_limits (brand, name, used) VALUES (:brand, :name, 99_995)",
            brand=BRAND,
            name=f"wheel:lucky_bag:{day}",
        )
        answers = [await spin(parts, player, f"k-{n}", "lucky_bag", f"word {n}") for n in range(20)]
        assert {one.get("reason") for one in answers} == {"budget_spent"}
        assert await spins_of(parts, player) == []

    async def test_who_was_merged_away_spins_no_more(self, parts: Effects, player: str) -> None:
        survivor = parts.casino.player("survivor")
        await parts.casino.registers(survivor)
        await parts.casino.happens(survivor, PlayerMerged, survivor_id=survivor, absorbed_id=player)
        assert (await spin(parts, player, "k-1"))["reason"] == "account_not_active"
        assert (await spin(parts, survivor, "k-1"))["status"] == "done"

    @pytest.mark.parametrize("held_out", [True, False])
    async def test_who_is_held_out_in_the_group_of_the_brand_turns_no_wheel_of_bonuses(
        self, parts: Effects, monkeypatch: pytest.MonkeyPatch, *, held_out: bool
    ) -> None:
        ours = policy("ours", since=date(2026, 1, 1), brand=BRAND, holdout=5)
        together = PolicyBook(own=(ours,), groups=BrandGroups({"all": ["first", BRAND]}))
        monkeypatch.setattr(parts.commands, "policies", together)
        names = (parts.casino.player(f"g{number}") for number in range(10_000))
        drawn = ((name, holdout_place("first", name) < 5, holdout_place(BRAND, name) < 5) for name in names)
        player = next(name for name, there, here in drawn if there == held_out and here != held_out)
        await parts.casino.registers(player)
        spun = await spin(parts, player, "k-1", "lucky_bag")
        assert (spun.get("reason") == "withheld:holdout") == held_out


class TestPrizes:
    async def win(self, parts: Effects, player: str, kind: str) -> Row:
        """Spin until something of this kind comes out."""
        for number in range(parts.casino.intake.rules.loyalty.wheels["lucky_bag"].plays):
            spun = await spin(parts, player, f"k-{number}", "lucky_bag")
            if spun["prize"] and spun["prize"]["kind"] == kind:
                return spun
        raise AssertionError(f"no {kind} in all plays of a day, which by chance is so once in 10**14")

    async def grant_of(self, parts: Effects, spun: Row) -> Row:
        (row,) = await rows(parts.database, grants, step=spun["spin_id"])
        return row

    async def test_money_is_reserved_with_the_spin_and_given_once_by_the_bonus_engine(
        self, parts: Effects, player: str, bonus_engine: LocalBonusEngine
    ) -> None:
        spun = await self.win(parts, player, "free_spins")
        reserved = await self.grant_of(parts, spun)
        assert (reserved["status"], reserved["journey"], reserved["reward"]) == ("reserved", "", spun["prize"])
        await asyncio.gather(*(parts.grants.pay_prizes_once(100) for _ in range(3)))
        paid = await self.grant_of(parts, spun)
        assert (paid["status"], paid["provider_ref"][:6]) == ("confirmed", "bonus-")
        assert [one["key"] for one in bonus_engine.granted()].count(paid["id"]) == 1

    async def test_a_prize_waits_for_a_bonus_engine_that_is_away_and_is_given_once(
        self, parts: Effects, player: str, bonus_engine: LocalBonusEngine
    ) -> None:
        spun = await self.win(parts, player, "free_spins")
        await bonus_engine.fail("error_after_commit")
        assert await parts.grants.pay_prizes_once(100) == 0
        assert (await self.grant_of(parts, spun))["status"] == "reserved"
        parts.casino.clock.later(LEASE + timedelta(seconds=1))
        await parts.grants.pay_prizes_once(100)
        paid = await self.grant_of(parts, spun)
        assert paid["status"] == "confirmed"
        assert [one["key"] for one in bonus_engine.granted()].count(paid["id"]) == 1

    async def test_case_18_who_is_excluded_between_draw_and_prize_is_given_none(
        self, parts: Effects, player: str, bonus_engine: LocalBonusEngine
    ) -> None:
        spun = await self.win(parts, player, "free_spins")
        await parts.casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await parts.grants.pay_prizes_once(100)
        row = await self.grant_of(parts, spun)
        assert (row["status"], row["reason"]) == ("refused", "protected_meanwhile")
        assert row["id"] not in [one["key"] for one in bonus_engine.granted()]

    async def test_tickets_are_rows_of_the_transaction_of_the_spin(self, parts: Effects, player: str) -> None:
        spun = await self.win(parts, player, "raffle_ticket")
        given = await rows(parts.database, raffle_tickets, player_id=player, ref=spun["spin_id"])
        assert [(one["raffle"], one["count"]) for one in given] == [("spring", 3)]
