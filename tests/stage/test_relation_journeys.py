"""The shipped journeys that keep in touch: personal days, questions, and what follows from the answers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from stage.testing.rehearsal import Rehearsal, Rehearse, player
from workflows import (
    Birthday,
    DepositApproved,
    HarmSignal,
    RewardCompleted,
    RoundCompleted,
    SessionLogin,
    SupportCaseOpened,
    days,
    hours,
)
from workflows.journeys.feedback import DetractorCall, feedback
from workflows.journeys.personal_days import GreetingCall, personal_days
from workflows.journeys.reward_feedback import reward_feedback

VIP = player("vera", tier="gold")


class TestPersonalDays:
    async def test_a_birthday_brings_a_greeting_with_a_gift_that_was_given_first(self, rehearse: Rehearse) -> None:
        run = await rehearse(personal_days, trigger=Birthday)
        assert (run.granted, run.sent) == (["free_spins"], ["occasion-gift"])

    async def test_a_vip_is_called_and_gets_no_coupon(self, rehearse: Rehearse) -> None:
        run = await rehearse(personal_days, VIP, trigger=Birthday)
        await run.answers(GreetingCall(outcome="reached"))
        assert (run.ended, run.sent, run.granted) == ("completed", [], [])

    async def test_a_vip_who_is_not_reached_twice_gets_a_line(self, rehearse: Rehearse) -> None:
        run = await rehearse(personal_days, VIP, trigger=Birthday)
        await run.answers(GreetingCall(outcome="no_answer"))
        await run.advance(days(1) + hours(2))
        await run.answers(GreetingCall(outcome="no_answer"))
        assert (run.asked.count("GreetingCall"), run.sent, run.granted) == (2, ["occasion-greeting"], [])

    async def test_who_plays_to_their_harm_is_greeted_and_offered_nothing(self, rehearse: Rehearse) -> None:
        run = await rehearse(personal_days, begins=False)
        await run.happens(HarmSignal, strength="medium")
        for number in range(10):
            await run.happens(DepositApproved, payment_id=f"p{number}")
        assert (run.granted, run.entries) == ([], 1)
        assert "occasion-gift" not in run.sent

    async def test_who_was_born_on_29_february_is_greeted_in_every_year(self, rehearse: Rehearse) -> None:
        born = player(birth_date="1996-02-29")
        run = await rehearse(personal_days, born, begins=False, at=datetime(2026, 2, 20, 10, tzinfo=UTC))
        await run.advance(days(12))
        assert (run.entries, run.sent) == (1, ["occasion-gift"])

    @pytest.mark.parametrize(("kind", "number"), [(DepositApproved, 10), (SessionLogin, 100)])
    async def test_round_numbers_are_noticed_once(
        self, rehearse: Rehearse, kind: type[DepositApproved | SessionLogin], number: int
    ) -> None:
        run = await rehearse(personal_days, begins=False)
        for one in range(number + 2):
            about: dict[str, Any] = {"payment_id": f"p{one}"} if kind is DepositApproved else {}
            await run.happens(kind, **about)
        assert run.entries == 1


class TestFeedback:
    async def test_who_would_not_recommend_us_is_called_and_thanked_like_everybody(self, rehearse: Rehearse) -> None:
        run = await rehearse(feedback)
        assert run.sent == ["recommend"]
        await run.player_answers("nps", score=3)
        assert run.asked == ["DetractorCall"]
        await run.answers(DetractorCall(outcome="reached", to_mend="slow payouts"))
        assert (run.granted, run.goal_reached, run.ended) == (["points"], True, "completed")

    @pytest.mark.parametrize(("score", "sent"), [(8, ["recommend"]), (10, ["recommend", "review-ask"])])
    async def test_who_would_recommend_us_gets_the_same_points(
        self, rehearse: Rehearse, score: int, sent: list[str]
    ) -> None:
        run = await rehearse(feedback)
        await run.player_answers("nps", score=score)
        await run.advance(days(1) + hours(1))
        assert (run.sent, run.granted, run.asked) == (sent, ["points"], [])

    async def test_who_says_nothing_is_asked_once(self, rehearse: Rehearse) -> None:
        run = await rehearse(feedback)
        await run.advance(days(10))
        assert (run.sent, run.ended, run.granted) == (["recommend"], "completed", [])

    async def test_nobody_is_asked_within_three_days_of_a_complaint(self, rehearse: Rehearse) -> None:
        run = await rehearse(feedback, begins=False)
        await visits_regularly(run)
        await run.happens(SupportCaseOpened, case_id="c-2", topic="complaint")
        await run.advance(days(2))
        assert (run.entries, run.sent) == (1, [])
        await run.advance(days(6))
        assert run.sent == ["recommend"]

    async def test_nobody_is_asked_after_a_losing_day(self, rehearse: Rehearse) -> None:
        run = await rehearse(feedback, begins=False)
        await visits_regularly(run)
        await run.happens(RoundCompleted, stake_minor=5000, win_minor=0)
        await run.advance(days(1))
        assert (run.entries, run.sent) == (1, [])


async def visits_regularly(run: Rehearsal) -> None:
    """Registered for a quarter of a year, and here on the four days before a Wednesday, which it is now."""
    await run.advance(days(40))
    for _ in range(4):
        await run.happens(SessionLogin)
        await run.advance(days(1))


class TestRewardFeedback:
    async def test_a_day_after_a_reward_was_used_one_thumb_is_asked_and_kept(self, rehearse: Rehearse) -> None:
        run = await rehearse(reward_feedback, trigger=RewardCompleted)
        assert run.sent == []
        await run.advance(days(1) + hours(1))
        assert run.sent == ["reward-thumb"]
        await run.player_answers("thumb", score=0)
        (kept,) = (line for line in run.world.story if line.step.startswith("mark:answered"))
        assert (kept.detail["liked"], run.goal_reached) == (False, True)

    async def test_who_has_opened_a_case_is_not_asked(self, rehearse: Rehearse) -> None:
        run = await rehearse(reward_feedback, trigger=RewardCompleted)
        await run.happens(SupportCaseOpened)
        await run.advance(days(5))
        assert (run.sent, run.ended) == ([], "exit_on:support.case_opened")
