"""The designer's kit: a journey rehearsed in a few lines."""

from datetime import UTC, datetime, timedelta

import pytest

from stage.errors import StageError
from stage.rehearsal import Rehearse, player
from stage.temporal import Call
from workflows import (
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    RoundCompleted,
    SessionLogin,
    days,
    hours,
    minutes,
)
from workflows.effects import EffectInput
from workflows.journeys.failed_deposit import failed_deposit
from workflows.journeys.second_deposit import second_deposit
from workflows.journeys.tier_up import PersonalNote, tier_up
from workflows.journeys.vip_onboarding import (
    Affordability,
    HostAssignment,
    HostCall,
    SignOff,
    SourceOfFunds,
    vip_onboarding,
)
from workflows.journeys.welcome import welcome
from workflows.journeys.win_back import win_back


async def test_a_silent_player_is_greeted_reminded_and_guided(rehearse: Rehearse) -> None:
    run = await rehearse(welcome, player(language="uk", timezone="Europe/Kyiv"))
    await run.advance(days(7))
    assert run.sent == ["welcome", "verify-email", "guide"]
    assert run.ended is None
    await run.advance(days(8))
    assert run.ended == "completed"


async def test_three_lost_rounds_bring_spins(rehearse: Rehearse) -> None:
    run = await rehearse(welcome)
    await run.advance(days(1) + hours(2))
    for _ in range(3):
        await run.happens(RoundCompleted, stake_minor=100, win_minor=0)
    assert run.granted == ["free_spins"]


async def test_a_deposit_reaches_the_goal(rehearse: Rehearse) -> None:
    run = await rehearse(welcome)
    await run.happens(DepositApproved, amount_minor=5000)
    assert (run.ended, run.goal_reached) == ("completed", True)


async def test_without_consent_only_service_messages_go_out(rehearse: Rehearse) -> None:
    run = await rehearse(welcome, player(opted_in=[]))
    await run.advance(days(15))
    assert run.sent == ["welcome", "verify-email"]
    assert run.suppressed == {"guide": "no_consent"}


async def test_exclusion_ends_it_and_silences_it(rehearse: Rehearse) -> None:
    run = await rehearse(welcome)
    await run.happens(ExclusionSet, kind="self_exclusion")
    assert run.ended == "self_excluded"
    await run.advance(days(30))
    assert run.sent == ["welcome"]


async def test_marketing_waits_for_the_players_morning(rehearse: Rehearse) -> None:
    run = await rehearse(welcome, player(timezone="Europe/Kyiv"), at=datetime(2026, 3, 2, 20, tzinfo=UTC))
    await run.advance(days(1) + hours(2))
    assert "guide" not in run.sent
    await run.advance(hours(9))
    assert "guide" in run.sent


async def test_who_stays_away_after_a_first_deposit_gets_a_text_message(rehearse: Rehearse) -> None:
    run = await rehearse(second_deposit)
    await run.advance(days(3))
    assert run.sent == ["deposit-thanks", "reload-offer", "comeback-sms"]
    assert run.granted == ["reload"]


async def test_who_logs_in_gets_none(rehearse: Rehearse) -> None:
    run = await rehearse(second_deposit)
    await run.advance(hours(4))
    await run.happens(SessionLogin)
    await run.advance(days(2))
    assert "comeback-sms" not in run.sent


async def test_a_note_nobody_writes_goes_to_the_head_and_then_nowhere(rehearse: Rehearse) -> None:
    run = await rehearse(tier_up, player(deposits=50))
    assert (run.granted, run.sent) == (["tier_upgrade", "free_spins"], ["tier-gold"])
    await run.advance(days(5) + minutes(1))
    assert [(task.team, task.state) for task in run.tasks] == [("vip-head", "open")]
    await run.advance(days(6))
    assert (run.ended, run.tasks[0].state) == ("completed", "expired")


async def test_a_person_answers(rehearse: Rehearse) -> None:
    run = await rehearse(tier_up)
    await run.answers(PersonalNote(outcome="written"))
    assert run.ended == "completed"


async def test_a_vip_is_checked_hosted_and_called(rehearse: Rehearse) -> None:
    run = await rehearse(vip_onboarding)
    await run.answers(Affordability(outcome="approve"))
    await run.answers(SourceOfFunds(outcome="proven"))
    await run.answers(SignOff(approved=True))
    await run.answers(HostAssignment(host_name="Sarah", host_contact="sarah@casino.example"))
    await run.answers(HostCall(outcome="reached"))
    assert run.sent == ["vip-letter"]


async def test_people_may_answer_by_themselves(rehearse: Rehearse) -> None:
    run = await rehearse(tier_up, answers=lambda _task, _asked: (hours(3), {"outcome": "written"}))
    await run.advance(hours(4))
    assert run.ended == "completed"


async def test_a_limit_is_respected(rehearse: Rehearse) -> None:
    run = await rehearse(failed_deposit, trigger=a_failure("limit"))
    assert (run.sent, run.ended) == (["limit-info"], "completed")


async def test_a_login_ends_the_winning_back(rehearse: Rehearse) -> None:
    run = await rehearse(win_back, player(deposits=3))
    await run.advance(days(3))
    await run.happens(SessionLogin)
    assert (run.sent, run.ended) == (["content-news"], "completed")


async def test_a_provider_that_is_down_delays_and_loses_nothing(rehearse: Rehearse) -> None:
    down_until = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def faults(call: Call, given: EffectInput) -> None:
        if call.name == "send" and call.now < down_until:
            raise ConnectionError(f"the mail server is away, {given.step} must wait")

    run = await rehearse(welcome, faults=faults)
    assert run.sent == []
    await run.advance(hours(2) + minutes(1))
    assert run.sent == ["welcome"]


async def test_the_story_says_what_happened_and_what_is_waited_for(rehearse: Rehearse) -> None:
    run = await rehearse(welcome, player(timezone="Europe/Kyiv"))
    await run.advance(hours(2))
    assert run.story == [
        "Mon 02 Mar 10:00  send:welcome#1  sent (template=welcome, channels=['email', 'in_app'])",
        "Mon 02 Mar 11:00  first:ContactVerified|DepositApproved#1  timed_out",
        "Mon 02 Mar 11:00  send:verify-email#1  sent (template=verify-email, channels=['email'])",
        "now waiting  event:DepositApproved#1  until Tue 03 Mar 11:00",
    ]


async def test_an_answer_nobody_asked_for_is_told(rehearse: Rehearse) -> None:
    run = await rehearse(welcome)
    with pytest.raises(StageError, match="No task is open for PersonalNote: nothing was asked"):
        await run.answers(PersonalNote(outcome="written"))


async def test_a_month_takes_no_time(rehearse: Rehearse) -> None:
    run = await rehearse(welcome)
    await run.advance(timedelta(days=30))
    assert run.ended == "completed"


def test_a_failed_assertion_shows_the_story(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from stage.rehearsal import player
        from workflows.journeys.welcome import welcome

        async def test_it(rehearse):
            run = await rehearse(welcome)
            assert run.sent == ["nothing"]
        """
    )
    result = pytester.runpytest_subprocess("-o", "asyncio_mode=auto")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*story of <welcome for player: under way>*", "*send:welcome#1  sent*"])


def a_failure(why: str) -> DepositFailed:
    """A third failed deposit."""
    return DepositFailed(
        event_id="f3",
        event_source="/test",
        occurred_at=datetime(2026, 3, 2, 10, tzinfo=UTC),
        payment_id="p",
        amount_minor=5000,
        failure=why,  # type: ignore[arg-type]  # one of the catalogue's words
    )
