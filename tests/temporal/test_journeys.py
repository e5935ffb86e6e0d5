"""The shipped journeys on real Postgres, real effects and a Temporal that skips waits.

What the journeys decide is proven on the stage (`tests/stage/test_journeys.py`); this proves the effects behind it, and
records the histories that every later version must replay.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.tables import grants, runs
from tests.support.history_recording import record
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, Theatre, theatre
from workflows import (
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    RoundCompleted,
    SessionLogin,
    TierChanged,
    days,
    hours,
    minutes,
)
from workflows.player_state.control_arms import arm_of

DEPOSIT: dict[str, Any] = {"amount_minor": 5000, "currency": "EUR"}
LOST_ROUND: dict[str, Any] = {
    "round_id": "r",
    "game_session_id": "s",
    "game_id": "g",
    "category": "table",
    "stake_minor": 100,
    "win_minor": 0,
}
CONTROL = {
    "welcome": 10,
    "second_deposit": 10,
    "tier_up": 10,
    "win_back": 10,
    "vip_onboarding": 0,
    "failed_deposit": 0,
}

#: Deploys the house's own points, wheel, missions and tiers too.
CASINO = {"JOURNEYS": "workflows.programs.casino"}

Opens = Callable[..., Awaitable[Theatre]]


def treated(name: str) -> str:
    """A player id that is in the treated arm of every journey."""
    for n in range(1000):
        player_id = f"{name}-{n}"
        if all(arm_of(BRAND, player_id, journey, share) == "treated" for journey, share in CONTROL.items()):
            return player_id
    raise AssertionError("one in two thousand players is treated everywhere")


@pytest.fixture
async def play(
    request: pytest.FixtureRequest,
    time_skipping: WorkflowEnvironment,
    postgres_url: str,
    bonus_engine: LocalBonusEngine,
    catch_all: LocalCatchAll,
) -> AsyncIterator[Opens]:
    """Open the theatre for a treated player, at ten in the morning of the player's clock."""
    stages: list[Theatre] = []
    opened: list[Any] = []
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "SHIPPED_JOURNEYS": ",".join(CONTROL),
        **catch_all.environment,
    }

    async def open_theatre(name: str, **more: str) -> Theatre:
        here = await time_skipping.get_current_time()
        morning = datetime.combine(here.date() + timedelta(days=1), time(8), UTC)
        managed = theatre(time_skipping, treated(f"{name}-{postgres_url[-6:]}"), variables | more, morning)
        opened.append(managed)
        stages.append(await managed.__aenter__())
        return stages[-1]

    yield open_theatre
    for stage in stages:
        await record(request, stage)
    for managed in opened:
        await managed.__aexit__(None, None, None)


class TestWelcome:
    @pytest.mark.recorded
    async def test_a_silent_newcomer_is_greeted_reminded_and_guided_but_sold_nothing(self, play: Opens) -> None:
        stage = await play("silent")
        await stage.registers()
        assert await stage.ends("welcome") == "completed"
        assert await stage.sent() == ["welcome/email", "welcome/in_app", "verify-email/email", "guide/email"]
        assert await stage.granted() == []
        assert await stage.entered() == {"welcome": ("treated", "ended", "completed")}

    @pytest.mark.recorded
    async def test_three_lost_rounds_bring_small_spins_where_there_is_no_wheel(self, play: Opens) -> None:
        stage = await play("unlucky")
        await stage.registers()
        await stage.advance(days(1) + hours(2))
        await stage.happens(RoundCompleted, times=3, **LOST_ROUND)
        await stage.advance(minutes(1))
        assert await stage.granted() == ["free_spins"]

    @pytest.mark.recorded
    async def test_three_lost_rounds_bring_a_turn_of_the_wheel_and_a_silent_week_doubles_points(
        self, play: Opens
    ) -> None:
        stage = await play("turned", **CASINO)
        await stage.registers()
        await stage.happens(DepositApproved, **DEPOSIT)
        await stage.advance(days(2) + hours(2))
        await stage.happens(RoundCompleted, times=3, **LOST_ROUND)
        await stage.advance(minutes(1))
        assert "give_spin:daily_wheel#1: offered" in await stage.story("welcome")
        assert await stage.ends("welcome") == "completed"
        assert "multiply:house_points#1: awarded" in await stage.story("welcome")
        assert "free_spins" not in await stage.granted()


class TestProtection:
    @pytest.mark.recorded
    async def test_an_exclusion_stops_every_run_and_nothing_is_sent_afterwards(self, play: Opens) -> None:
        stage = await play("excluded")
        await stage.registers()
        await stage.advance(minutes(5))
        before = await stage.sent()
        await stage.happens(ExclusionSet, kind="self_exclusion", scope="brand")
        assert await stage.ends("welcome") == "self_excluded"
        await stage.advance(days(10))
        assert await stage.sent() == before

    @pytest.mark.recorded
    async def test_a_guide_waits_for_the_morning(self, play: Opens) -> None:
        stage = await play("asleep")
        await stage.advance(hours(12))  # ten in the evening of the player
        await stage.registers()
        await stage.advance(days(1) + hours(2))
        guide_waits = "send:guide#1: waiting"
        assert guide_waits in await stage.story("welcome")
        assert "guide/email" not in await stage.sent()
        await stage.advance(hours(10))
        assert "guide/email" in await stage.sent()


class TestSecondDeposit:
    @pytest.mark.recorded
    async def test_the_second_deposit_ends_it_at_once_as_a_success(self, play: Opens) -> None:
        stage = await play("second")
        await stage.registers()
        await stage.happens(DepositApproved, **DEPOSIT)
        await stage.advance(days(1))
        await stage.happens(DepositApproved, **DEPOSIT)
        assert await stage.ends("second_deposit") == "exit_on:payment.deposit_approved"
        run = next(r for r in await stage.rows(runs) if r["journey"] == "second_deposit")
        assert run["goal_at"] is not None

    @pytest.mark.recorded
    async def test_who_does_not_log_in_gets_a_text_message(self, play: Opens) -> None:
        stage = await play("absent")
        await stage.registers()
        await stage.happens(DepositApproved, **DEPOSIT)
        await stage.ends("second_deposit")
        assert "comeback-sms/sms" in await stage.sent()
        assert (await stage.granted()).count("reload") == 2


class TestTierUp:
    @pytest.mark.recorded
    async def test_the_fiftieth_deposit_opens_gold_tells_the_player_and_asks_for_a_note(self, play: Opens) -> None:
        stage = await play("gold")
        await stage.registers(mode="history")
        await stage.happens(DepositApproved, mode="history", times=49, **DEPOSIT)
        assert await stage.entered() == {}
        await stage.happens(DepositApproved, **DEPOSIT)
        await stage.advance(minutes(1))
        assert await stage.granted() == ["tier_upgrade", "free_spins"]
        assert await stage.sent() == ["tier-gold/email", "tier-gold/in_app", "tier-gold/push"]
        assert await stage.asked() == [("PersonalNote", "vip", "open")]
        await stage.answers("PersonalNote", {"outcome": "written", "note": "With a fountain pen."})
        assert await stage.ends("tier_up") == "completed"

    @pytest.mark.recorded
    async def test_a_note_nobody_writes_is_escalated_and_then_closed(self, play: Opens) -> None:
        stage = await play("forgotten")
        await stage.registers(mode="history")
        await stage.happens(DepositApproved, mode="history", times=49, **DEPOSIT)
        await stage.happens(DepositApproved, **DEPOSIT)
        await stage.advance(days(5) + hours(1))
        assert await stage.asked() == [("PersonalNote", "vip-head", "open")]
        assert await stage.ends("tier_up") == "completed"
        assert await stage.asked() == [("PersonalNote", "vip-head", "expired")]
        assert "ask:PersonalNote#1: nobody_answered" in await stage.story("tier_up")


class TestWinBack:
    async def leaves(self, stage: Theatre, **facts: Any) -> None:
        """The player registers, deposits, logs in once and stays away for two weeks."""
        await stage.registers(mode="history", **facts)
        await stage.happens(DepositApproved, mode="history", times=3, **DEPOSIT)
        await stage.happens(SessionLogin)
        await stage.advance(days(14) + minutes(1))

    @pytest.mark.recorded
    async def test_two_weeks_of_silence_bring_news_then_spins_of_the_wallets_own_money(self, play: Opens) -> None:
        stage = await play("away")
        await self.leaves(stage)
        assert "win_back" in await stage.entered()
        await stage.advance(days(8))
        assert await stage.sent() == ["content-news/email", "spins-offer/email", "spins-offer/in_app"]
        grant = next(g for g in await stage.rows(grants))
        assert grant["reward"]["count"] == 50  # 10 % of a mean deposit of 50.00 in spins of 0.10

    @pytest.mark.recorded
    async def test_who_comes_back_after_a_month_finds_a_turn_of_the_wheel(self, play: Opens) -> None:
        stage = await play("returned", **CASINO)
        await self.leaves(stage)
        await stage.advance(days(20))
        await stage.happens(SessionLogin)
        assert await stage.ends("win_back") == "completed"
        assert "give_spin:daily_wheel#1: offered" in await stage.story("win_back")
        assert "wheel-turn/in_app" in await stage.sent()

    async def test_a_past_that_is_still_being_imported_calls_nobody_absent(self, play: Opens) -> None:
        stage = await play("halfway")
        await stage.registers(mode="history")
        await stage.happens(SessionLogin, mode="history", ago=days(14) + minutes(1))
        await stage.advance(minutes(30))
        assert await stage.entered() == {}
        await stage.happens(SessionLogin, mode="history", ago=days(1))
        await stage.advance(hours(3))
        assert await stage.entered() == {}

    async def test_a_past_that_ends_in_absence_does_start_it(self, play: Opens) -> None:
        stage = await play("whole")
        await stage.registers(mode="history")
        await stage.happens(SessionLogin, mode="history", ago=days(14) + minutes(1))
        await stage.advance(hours(2))
        assert "win_back" in await stage.entered()

    @pytest.mark.recorded
    async def test_a_gold_player_who_stays_away_is_called_after_45_days(self, play: Opens) -> None:
        stage = await play("golden")
        await stage.happens(TierChanged, mode="history", to="gold", direction="up", basis="deposits")
        await self.leaves(stage)
        await stage.advance(days(32))
        assert ("WinBackCall", "vip", "open") in await stage.asked()


class TestVipOnboarding:
    @pytest.mark.recorded
    async def test_checks_come_before_the_host_and_the_host_before_the_letter(self, play: Opens) -> None:
        stage = await play("vip")
        await stage.registers(mode="history")
        await stage.happens(TierChanged, to="platinum", direction="up", basis="wager")
        await stage.advance(minutes(1))
        for form, answer in (
            ("Affordability", {"outcome": "approve"}),
            ("SourceOfFunds", {"outcome": "proven", "evidence": "payslip"}),
            ("SignOff", {"approved": True}),
            ("HostAssignment", {"host_name": "Sarah", "host_contact": "sarah@casino.example"}),
            ("HostCall", {"outcome": "reached"}),
        ):
            assert (await stage.asked())[-1][0] == form
            assert await stage.sent() == []
            await stage.answers(form, answer)
            await stage.advance(minutes(1))
        assert await stage.sent() == ["vip-letter/email"]
        await stage.advance(days(7) + hours(1))
        await stage.answers("HostCall", {"outcome": "reached"})
        await stage.advance(days(23) + hours(1))
        await stage.answers("Review", {"outcome": "keep"})
        assert await stage.ends("vip_onboarding") == "completed"


class TestFailedDeposit:
    async def fails(self, stage: Theatre, failure: str, times: int = 3) -> None:
        await stage.happens(DepositFailed, times=times, failure=failure, payment_id="p", **DEPOSIT)

    @pytest.mark.recorded
    async def test_three_technical_failures_bring_help_at_once_and_mail_later(self, play: Opens) -> None:
        stage = await play("declined")
        await stage.registers(mode="history")
        await self.fails(stage, "technical", times=2)
        assert await stage.entered() == {}
        await self.fails(stage, "technical", times=1)
        await stage.advance(minutes(1))
        assert await stage.sent() == ["deposit-help/in_app", "deposit-help/push"]
        assert await stage.ends("failed_deposit") == "completed"
        assert (await stage.sent())[-1] == "deposit-help-email/email"

    @pytest.mark.recorded
    async def test_an_approved_deposit_ends_it_and_closes_the_task(self, play: Opens) -> None:
        stage = await play("rescued")
        await stage.happens(TierChanged, mode="history", to="gold", direction="up", basis="deposits")
        await stage.registers(mode="history")
        await self.fails(stage, "declined")
        await stage.advance(minutes(1))
        assert await stage.asked() == [("LiveHelp", "support", "open")]
        await stage.happens(DepositApproved, **DEPOSIT)
        assert await stage.ends("failed_deposit") == "exit_on:payment.deposit_approved"
        assert await stage.asked() == [("LiveHelp", "support", "cancelled")]
