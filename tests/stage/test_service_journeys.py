"""The shipped journeys that serve and protect: withdrawals, big wins, documents, talks about safer play."""

from typing import Any

import pytest

from stage.testing.rehearsal import Rehearse, player
from workflows import (
    BigWin,
    DepositApproved,
    FeedbackAnswered,
    GameFault,
    HarmSignal,
    KycChanged,
    LimitChanged,
    RoundCompleted,
    WithdrawalCancelledByPlayer,
    WithdrawalCompleted,
    WithdrawalRejected,
    WithdrawalRequested,
    days,
    hours,
    minutes,
)
from workflows.journeys.kyc_completion import KycHelp, kyc_completion
from workflows.journeys.loss_checkin import LossCheckin, SaferPlayReview, loss_checkin
from workflows.journeys.win_celebration import BigWinCall, FaultInWin, win_celebration
from workflows.journeys.withdrawal import WithdrawalComfort, withdrawal

VIP = player("vera", tier="gold", timezone="Europe/Kyiv", language="uk")
MONEY: dict[str, Any] = {"payment_id": "w-1", "amount_minor": 20_000}


class TestWithdrawal:
    async def test_who_is_paid_in_time_hears_at_once_and_when_the_money_has_come(self, rehearse: Rehearse) -> None:
        run = await rehearse(withdrawal, trigger=WithdrawalRequested, eta=86_400, **MONEY)
        assert run.sent_via == [("withdrawal-received", "in_app"), ("withdrawal-received", "email")]
        await run.advance(hours(3))
        await run.happens(WithdrawalCompleted, **MONEY)
        await run.advance(hours(2))
        assert run.sent == ["withdrawal-received", "withdrawal-paid", "quick-question"]
        assert (run.ended, run.goal_reached, run.asked) == ("completed", True, [])

    async def test_who_waits_hears_half_way_and_every_day_that_it_is_late(self, rehearse: Rehearse) -> None:
        run = await rehearse(withdrawal, trigger=WithdrawalRequested, eta=86_400, **MONEY)
        await run.advance(hours(13))
        assert run.sent == ["withdrawal-received", "withdrawal-on-its-way"]
        await run.advance(days(2))
        assert run.sent.count("withdrawal-delayed") == 2
        await run.advance(days(5))
        assert (run.sent.count("withdrawal-delayed"), run.asked) == (5, ["WithdrawalComfort"])

    async def test_the_end_of_another_payment_is_not_the_end_of_this_one(self, rehearse: Rehearse) -> None:
        run = await rehearse(withdrawal, trigger=WithdrawalRequested, eta=86_400, **MONEY)
        await run.happens(WithdrawalCompleted, payment_id="w-2", amount_minor=500)
        await run.advance(hours(1))
        assert (run.sent, run.goal_reached, run.ended) == (["withdrawal-received"], False, None)

    async def test_a_person_stays_with_the_withdrawal_of_a_vip(self, rehearse: Rehearse) -> None:
        run = await rehearse(withdrawal, VIP, trigger=WithdrawalRequested, eta=7200, **MONEY)
        assert run.asked == ["WithdrawalComfort"]
        await run.answers(WithdrawalComfort(outcome="reached"))
        await run.advance(hours(3))
        assert run.asked == ["WithdrawalComfort", "WithdrawalComfort"], "it is late by now"
        await run.happens(WithdrawalCompleted, **MONEY)
        await run.answers(WithdrawalComfort(outcome="reached"))
        assert run.sent[-1] == "withdrawal-paid"

    @pytest.mark.parametrize(("reason", "entered"), [("documents_missing", 1), ("name_mismatch", 0)])
    async def test_a_refusal_is_told_and_documents_are_asked_for(
        self, rehearse: Rehearse, reason: str, entered: int
    ) -> None:
        run = await rehearse(withdrawal, trigger=WithdrawalRequested, along=[kyc_completion], **MONEY)
        await run.happens(WithdrawalRejected, reason=reason, **MONEY)
        assert run.sent[-1] == "withdrawal-rejected"
        assert sum(one.journey == "kyc_completion" for one in run.world.runs.values()) == entered

    async def test_who_cancels_twice_in_a_week_is_talked_to_and_offered_nothing(self, rehearse: Rehearse) -> None:
        run = await rehearse(withdrawal, trigger=WithdrawalRequested, along=[loss_checkin], **MONEY)
        await run.happens(WithdrawalCancelledByPlayer, **MONEY)
        assert not any(one.journey == "loss_checkin" for one in run.world.runs.values())
        await run.happens(WithdrawalRequested, payment_id="w-2", amount_minor=20_000)
        await run.happens(WithdrawalCancelledByPlayer, payment_id="w-2", amount_minor=20_000)
        assert any(one.journey == "loss_checkin" for one in run.world.runs.values())
        assert run.granted == []


class TestWinCelebration:
    async def test_a_winner_is_congratulated_at_once_and_asked_a_day_later(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_celebration, trigger=BigWin, win_minor=500_000)
        assert run.sent == ["big-win"]
        await run.advance(days(1) + hours(1))
        assert run.sent == ["big-win", "quick-question"]
        await run.happens(FeedbackAnswered, kind="thumb", score=1)
        assert (run.goal_reached, run.granted, run.asked) == (True, [], [])

    async def test_a_vip_is_called_and_nobody_talks_of_playing_on(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_celebration, VIP, trigger=BigWin, win_minor=500_000)
        await run.advance(minutes(6))
        assert run.asked == ["BigWinCall"]
        await run.answers(BigWinCall(outcome="reached"))
        assert run.granted == []

    async def test_who_withdraws_is_asked_nothing(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_celebration, trigger=BigWin)
        await run.advance(minutes(10))
        await run.happens(WithdrawalRequested)
        await run.advance(days(2))
        assert (run.sent, run.ended) == (["big-win"], "completed")

    async def test_a_game_that_breaks_during_a_win_is_a_persons_in_a_quarter_of_an_hour(
        self, rehearse: Rehearse
    ) -> None:
        run = await rehearse(win_celebration, trigger=BigWin)
        await run.happens(GameFault, kind="unpaid_win")
        (task,) = run.tasks
        assert (task.form, task.team, task.due_at - task.opened_at) == ("FaultInWin", "support", minutes(15))
        await run.answers(FaultInWin(outcome="paid"))
        await run.advance(days(2))
        assert run.sent == ["big-win", "fault-note"], "no question after a fault"


class TestKycCompletion:
    async def test_who_sends_good_documents_is_thanked(self, rehearse: Rehearse) -> None:
        run = await rehearse(kyc_completion, trigger=WithdrawalRequested, kyc_required=True)
        await run.happens(KycChanged, status="submitted")
        await run.happens(KycChanged, status="approved")
        assert (run.sent, run.ended, run.goal_reached) == (["kyc-checklist", "kyc-thanks"], "completed", True)
        assert run.granted == []

    async def test_a_refused_document_is_asked_for_once_more(self, rehearse: Rehearse) -> None:
        run = await rehearse(kyc_completion, trigger=WithdrawalRequested, kyc_required=True)
        await run.happens(KycChanged, status="rejected", reject_reason="blurred")
        assert run.sent == ["kyc-checklist", "kyc-resubmit"]
        await run.happens(KycChanged, status="approved")
        assert run.ended == "completed"

    async def test_who_does_nothing_is_reminded_helped_by_a_person_and_told_the_day(self, rehearse: Rehearse) -> None:
        run = await rehearse(
            kyc_completion, trigger=KycChanged, status="none", due_at="2026-02-15T00:00:00Z", answers=helped
        )
        await run.advance(days(40))
        assert run.sent == ["kyc-checklist", "kyc-reminder", "kyc-last-days"]
        assert run.asked == ["KycHelp"]
        assert run.world.messages[-1].variables["deadline"] == "2026-02-15T00:00:00+00:00"

    async def test_who_is_known_already_is_left_alone(self, rehearse: Rehearse) -> None:
        run = await rehearse(kyc_completion, begins=False)
        await run.happens(KycChanged, status="approved")
        await run.happens(WithdrawalRequested, kyc_required=True)
        assert (run.sent, run.ended) == ([], "completed")

    async def test_many_deposits_ask_for_it_before_the_limit(self, rehearse: Rehearse) -> None:
        run = await rehearse(kyc_completion, begins=False)
        await run.happens(DepositApproved, payment_id="one", amount_minor=149_999)
        assert run.entries == 0
        await run.happens(DepositApproved, payment_id="two", amount_minor=1)
        assert run.entries == 1


def helped(task: Any, _asked: Any) -> Any:
    return (hours(2), KycHelp(outcome="no_answer").model_dump()) if task.form == "KycHelp" else None


class TestLossCheckin:
    async def test_three_losing_days_bring_a_trained_person_and_no_word_by_machine(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_checkin, begins=False)
        for number in range(3):
            await run.happens(RoundCompleted, round_id=f"r{number}", stake_minor=5000, win_minor=100)
            await run.advance(days(1))
        await run.advance(hours(1))
        (task,) = run.tasks
        assert (task.form, task.team, task.due_at - task.opened_at) == ("LossCheckin", "safer-play", hours(4))
        assert (run.sent, run.granted) == ([], [])

    async def test_three_days_of_winning_bring_nobody(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_checkin, begins=False)
        for number in range(4):
            await run.happens(RoundCompleted, round_id=f"r{number}", stake_minor=5000, win_minor=9000)
            await run.advance(days(1))
        await run.advance(hours(16))
        assert (run.entries, run.asked) == (0, [])

    async def test_a_talk_is_followed_up_after_a_week_and_a_month_and_a_limit_is_its_success(
        self, rehearse: Rehearse
    ) -> None:
        run = await rehearse(loss_checkin, trigger=HarmSignal, strength="medium")
        await run.answers(LossCheckin(outcome="reached", limit_set=True))
        await run.happens(LimitChanged, direction="tighter")
        assert run.goal_reached
        await run.advance(days(8))
        await run.answers(SaferPlayReview(outcome="calmer"))
        await run.advance(days(24))
        await run.answers(SaferPlayReview(outcome="calmer"))
        assert (run.ended, run.sent, run.granted) == ("completed", [], [])

    async def test_a_strong_sign_has_an_hour_and_still_ends_in_a_talk(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_checkin, trigger=HarmSignal, strength="strong")
        (task,) = run.tasks
        assert task.due_at - task.opened_at == hours(1)

    async def test_whom_nobody_reaches_is_told_of_the_tools_and_looked_at_again(self, rehearse: Rehearse) -> None:
        run = await rehearse(loss_checkin, trigger=HarmSignal, strength="medium")
        for _ in range(3):
            await run.answers(LossCheckin(outcome="no_answer"))
            await run.advance(days(1) + hours(2))
        assert run.sent == ["safer-play"]
        await run.advance(days(8))
        assert run.asked.count("SaferPlayReview") == 1
