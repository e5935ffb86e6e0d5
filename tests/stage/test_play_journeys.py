"""The shipped journeys about play: a first deposit, what is liked, cashback, silence."""

from datetime import timedelta
from typing import Any

import pytest

from stage.testing.rehearsal import Rehearsal, Rehearse, player
from workflows import (
    DepositApproved,
    FeedbackAnswered,
    GameSessionStarted,
    HarmSignal,
    PlayerRegistered,
    RewardClaimed,
    RoundCompleted,
    ScoreChanged,
    SessionLogin,
    TierChanged,
    days,
    hours,
)
from workflows.journeys.churn_risk import InactivityCall, churn_risk
from workflows.journeys.dormant import dormant
from workflows.journeys.first_deposit import first_deposit
from workflows.journeys.game_preference import game_preference
from workflows.journeys.loss_back import loss_back


class TestFirstDeposit:
    async def test_who_hesitates_is_shown_the_way_offered_something_and_asked(self, rehearse: Rehearse) -> None:
        run = await newcomer(rehearse)
        await run.advance(hours(1) + timedelta(minutes=1))
        assert run.sent == ["how-to-deposit"]
        await run.advance(days(12))
        assert run.granted == ["deposit_match"]
        assert run.sent == ["how-to-deposit", "first-deposit-offer", "what-stopped-you", "first-deposit-last-day"]

    async def test_who_deposits_in_the_first_hour_hears_nothing(self, rehearse: Rehearse) -> None:
        run = await newcomer(rehearse)
        await run.happens(DepositApproved)
        await run.advance(days(1))
        assert (run.sent, run.ended) == ([], "completed")

    async def test_a_deposit_ends_it_as_a_success(self, rehearse: Rehearse) -> None:
        run = await newcomer(rehearse)
        await run.advance(hours(4))
        await run.happens(DepositApproved)
        assert (run.ended, run.goal_reached, run.sent) == (
            "exit_on:payment.deposit_approved",
            True,
            ["how-to-deposit"],
        )

    async def test_a_sign_of_harm_ends_every_offer(self, rehearse: Rehearse) -> None:
        run = await newcomer(rehearse)
        await run.advance(hours(2))
        await run.happens(HarmSignal, strength="medium")
        assert (run.ended, run.granted) == ("exit_on:compliance.harm_signal", [])


async def newcomer(rehearse: Rehearse) -> Rehearsal:
    """A player who registers now and agrees to everything."""
    run = await rehearse(first_deposit, begins=False)
    agreed: dict[str, Any] = {"opted_in": ["email", "in_app", "push", "sms"], "opted_in_for": ["casino"]}
    await run.happens(PlayerRegistered, timezone="Europe/London", **agreed)
    return run


class TestGamePreference:
    async def test_twenty_rounds_of_one_kind_bring_a_tip_for_it_and_one_thumb(self, rehearse: Rehearse) -> None:
        run = await rehearse(game_preference, begins=False)
        await rounds(run, 20, "table")
        assert run.sent == ["favourite-tip"]
        assert run.world.messages[-1].variables["about"] == "table"
        await run.advance(days(14) + hours(2))
        assert run.sent == ["favourite-tip", "new-in-your-kind", "quick-question"]
        await run.happens(FeedbackAnswered, kind="thumb", score=1)
        assert (run.ended, run.granted) == ("completed", [])

    async def test_an_explorer_is_told_of_everything(self, rehearse: Rehearse) -> None:
        run = await rehearse(game_preference, begins=False)
        for category in ("slot", "table", "live"):
            await run.happens(GameSessionStarted, category=category, game_session_id=category)
        await rounds(run, 20, "slot")
        assert run.world.messages[-1].variables["about"] is None


async def rounds(run: Rehearsal, number: int, category: str, **money: int) -> None:
    """A visit with so many rounds at once, as good as lost where nothing else is said."""
    await run.happens(SessionLogin)
    for one in range(number):
        data: dict[str, Any] = {"round_id": f"{run.now:%j%H}-{one}", "category": category, "stake_minor": 100}
        await run.happens(RoundCompleted, **data | money)


class TestLossBack:
    @pytest.mark.parametrize(("tier", "share"), [(None, 5), ("silver", 8), ("diamond", 15), ("black", 15)])
    async def test_a_losing_week_brings_a_share_by_tier_on_monday(
        self, rehearse: Rehearse, tier: str | None, share: int
    ) -> None:
        run = await rehearse(loss_back, begins=False)
        if tier is not None:
            await run.happens(TierChanged, to=tier, direction="up")
        await rounds(run, 1, "slot", stake_minor=90_000, win_minor=1_000)
        await run.advance(days(7))
        (reward,) = run.rewards
        assert (reward.model_dump()["pct"], run.sent) == (share, ["loss-back-ready"])
        await run.happens(RewardClaimed, grant_id=run.world.grants[-1].run_id + "/grant:cashback#1")
        await run.advance(days(3))
        assert (run.goal_reached, run.sent) == (True, ["loss-back-ready"])

    async def test_a_winning_week_and_a_small_loss_bring_nothing(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_back, begins=False)
        await rounds(run, 1, "slot", stake_minor=1_900, win_minor=0)
        await run.advance(days(7))
        await rounds(run, 1, "slot", stake_minor=9_000, win_minor=90_000)
        await run.advance(days(7))
        assert (run.entries, run.granted, run.sent) == (2, [], [])

    async def test_whoever_loses_day_after_day_gets_no_money_for_it(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_back, begins=False)
        for _ in range(6):
            await run.advance(days(1))
            await rounds(run, 1, "slot", stake_minor=9_000, win_minor=0)
        # It is Sunday at ten; just after midnight on Monday one more.
        await run.advance(hours(15))
        await rounds(run, 1, "slot", stake_minor=9_000, win_minor=0)
        await run.advance(hours(12))
        assert (run.entries, run.granted, run.sent) == (1, [], [])

    async def test_signs_of_harm_end_cashback(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_back, begins=False)
        await rounds(run, 1, "slot", stake_minor=90_000, win_minor=0)
        await run.happens(HarmSignal, strength="medium")
        await run.advance(days(7))
        assert (run.entries, run.granted) == (1, [])

    async def test_who_was_here_and_left_it_is_reminded_once(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_back, begins=False)
        await rounds(run, 1, "slot", stake_minor=90_000, win_minor=0)
        await run.advance(days(9) + hours(1))
        await run.happens(SessionLogin)
        assert run.sent == ["loss-back-ready", "loss-back-reminder"]


class TestChurnRisk:
    async def test_who_comes_every_day_is_missed_after_two_and_hears_news_first(self, rehearse: Rehearse) -> None:
        run = await rehearse(churn_risk, player(deposits=3), begins=False)
        for _ in range(8):
            await run.happens(SessionLogin)
            await run.advance(days(1))
        assert run.entries == 0
        await run.advance(days(1))
        assert (run.entries, run.sent) == (1, []), "news wait for the hour at which the player is usually here"
        await run.advance(days(1) + hours(1))
        assert run.sent == ["content-news"]
        await run.advance(days(4))
        assert (run.granted, run.sent) == (["free_spins"], ["content-news", "spins-offer"])

    async def test_who_comes_back_by_themselves_is_left_in_peace(self, rehearse: Rehearse) -> None:
        run = await rehearse(churn_risk, player(deposits=3))
        await run.happens(SessionLogin)
        assert run.ended == "exit_on:session.login"
        await run.advance(days(2))
        assert run.granted == []

    async def test_whom_the_score_says_to_stay_is_left_in_peace_and_of_others_it_says_why(
        self, rehearse: Rehearse
    ) -> None:
        reasons: list[str] = []
        for tier, percent, asked in ((None, 12, 0), ("gold", 72, 1)):
            run = await rehearse(churn_risk, player(deposits=60, tier=tier), begins=False)
            for _ in range(8):
                await run.happens(SessionLogin)
                await run.advance(days(1))
            why = ["a long time since the last deposit", "fewer days than before"]
            await run.happens(ScoreChanged, score="churn", from_percent=0, to_percent=percent, why=why)
            await run.advance(days(1) + hours(1))
            assert (run.entries, len(run.tasks), run.sent) == (1, asked, [])
            reasons += [one.reason for one in run.tasks]
        said = "a long time since the last deposit, fewer days than before."
        silent = "Silent for 2 days, twice what is usual for this player."
        assert reasons == [f"{silent} 72 % likely not to come back: {said}"]

    async def test_a_vip_is_called_and_written_to_by_nobody(self, rehearse: Rehearse) -> None:
        run = await rehearse(churn_risk, player(deposits=60, tier="gold"))
        await run.answers(InactivityCall(outcome="reached"))
        assert (run.ended, run.sent, run.granted) == ("completed", [], [])

    async def test_who_never_deposited_is_not_chased(self, rehearse: Rehearse) -> None:
        run = await rehearse(churn_risk)
        assert (run.ended, run.sent) == ("completed", [])


class TestDormant:
    async def test_three_touches_then_silence_and_after_a_year_rest(self, rehearse: Rehearse) -> None:
        run = await rehearse(dormant, player(deposits=1))
        await run.advance(days(60))
        assert run.sent == ["content-news", "still-interested", "content-news"]
        await run.advance(days(225))
        assert (run.sent[-1], run.ended, run.granted) == ("account-at-rest", "completed", [])
        assert any(line.step == "mark:minimise#1" for line in run.world.story)

    async def test_a_login_ends_it(self, rehearse: Rehearse) -> None:
        run = await rehearse(dormant, player(deposits=1))
        await run.advance(days(3))
        await run.happens(SessionLogin)
        assert (run.ended, run.sent) == ("exit_on:session.login", ["content-news"])
