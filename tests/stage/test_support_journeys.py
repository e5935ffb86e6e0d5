"""The small shipped journeys for what support must see at once."""

from stage.testing.rehearsal import Rehearse, player
from workflows import (
    DepositAbandoned,
    DepositApproved,
    HarmSignal,
    PaymentReversed,
    RewardClaimed,
    RewardCodeFailed,
    SupportCaseClosed,
    SupportCaseOpened,
    days,
    hours,
    minutes,
)
from workflows.journeys.abandoned_cashier import abandoned_cashier
from workflows.journeys.code_failed import CodeHelp, code_failed
from workflows.journeys.complaint import ComplaintAnswer, complaint
from workflows.journeys.disputed_payment import DisputedPayment, disputed_payment


async def test_who_left_the_cashier_is_helped_in_the_same_second_and_offered_nothing(rehearse: Rehearse) -> None:
    run = await rehearse(abandoned_cashier, trigger=DepositAbandoned)
    assert (run.sent, run.granted, run.world.messages[-1].at) == (["cashier-help"], [], run.now)
    await run.happens(DepositAbandoned)
    assert run.entries == 1
    await run.happens(DepositApproved)
    assert run.goal_reached


async def test_who_shows_signs_of_harm_is_not_led_back_to_the_cashier(rehearse: Rehearse) -> None:
    run = await rehearse(abandoned_cashier, begins=False)
    await run.happens(HarmSignal, strength="medium")
    await run.happens(DepositAbandoned)
    assert (run.entries, run.sent) == (1, [])


async def test_a_failed_code_is_a_task_within_the_hour_with_its_reason(rehearse: Rehearse) -> None:
    run = await rehearse(code_failed, trigger=RewardCodeFailed, code="SPRING10", reason="expired")
    (task,) = run.tasks
    assert (task.team, task.due_at - task.opened_at) == ("support", hours(1))
    assert task.reason == "The code SPRING10 failed as expired."
    await run.answers(CodeHelp(outcome="mended"))
    await run.happens(RewardClaimed, grant_id="of/another/run")
    assert (run.ended, run.sent, run.goal_reached) == ("completed", [], False)


async def test_a_payment_that_was_taken_back_is_a_persons_in_half_an_hour(rehearse: Rehearse) -> None:
    run = await rehearse(disputed_payment, trigger=PaymentReversed, kind="chargeback", amount_minor=5000)
    (task,) = run.tasks
    assert (task.team, task.due_at - task.opened_at) == ("payments", minutes(30))
    await run.answers(DisputedPayment(outcome="settled"))
    assert (run.ended, run.sent) == ("completed", [])


async def test_a_complaint_is_asked_about_again_while_its_case_is_open(rehearse: Rehearse) -> None:
    run = await rehearse(complaint, player(tier="gold"), trigger=SupportCaseOpened, topic="complaint", case_id="c-1")
    assert run.tasks[0].team == "vip"
    await run.answers(ComplaintAnswer(outcome="answered"))
    await run.happens(SupportCaseClosed, case_id="c-2", topic="complaint")
    await run.advance(days(3) + hours(1))
    assert len(run.asked) == 2, "another case says nothing about this one"
    await run.happens(SupportCaseClosed, case_id="c-1", topic="complaint")
    assert (run.ended, run.goal_reached) == ("exit_on:support.case_closed", False)


async def test_a_case_that_is_no_complaint_begins_nothing(rehearse: Rehearse) -> None:
    run = await rehearse(complaint, begins=False)
    await run.happens(SupportCaseOpened, topic="payment")
    assert run.entries == 0
