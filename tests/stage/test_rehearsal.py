"""The designer's kit: a journey rehearsed in a few lines."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from content.settings import ContentSettings
from content.template_files import TemplateFacts
from content.templates import CatalogueInvalid, read_template_facts
from stage.errors import StageError
from stage.testing.rehearsal import Rehearse, player
from stage.world.faults import away
from workflows import (
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    LossStreak,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    TierChanged,
    days,
    hours,
    minutes,
)
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
    assert (run.ended, run.goal_reached) == (None, True)


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
    run = await rehearse(welcome, player(timezone="Europe/Kyiv"), at=datetime(2026, 1, 12, 20, tzinfo=UTC))
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
    run = await rehearse(tier_up, player(deposits=49))
    assert (run.granted, run.sent) == (["tier_upgrade", "free_spins"], ["tier-gold"])
    await run.advance(days(5) + minutes(1))
    assert [(task.team, task.state) for task in run.tasks] == [("vip-head", "open")]
    await run.advance(days(6))
    assert (run.ended, run.tasks[0].state) == ("completed", "expired")


async def test_a_person_answers(rehearse: Rehearse) -> None:
    run = await rehearse(tier_up)
    await run.answers(PersonalNote(outcome="written"))
    assert run.ended == "completed"


async def test_who_checked_a_vip_does_not_sign(rehearse: Rehearse) -> None:
    run = await rehearse(vip_onboarding)
    await run.answers(Affordability(outcome="approve"), by="olena")
    await run.answers(SourceOfFunds(outcome="proven"), by="ivan")
    for checker in ("olena", "ivan"):
        with pytest.raises(StageError, match=f"{checker} answered ask:.*; this asks for another pair of eyes"):
            await run.answers(SignOff(approved=True), by=checker)
    await run.answers(SignOff(approved=True), by="the executive")
    assert run.asked[-1] == "HostAssignment"


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
    run = await rehearse(welcome, faults=away("email", until=datetime(2026, 1, 12, 12, tzinfo=UTC)))
    assert run.sent_via == [("welcome", "in_app")]
    await run.advance(hours(2) + minutes(1))
    assert run.sent_via == [("welcome", "in_app"), ("welcome", "email")]


async def test_the_story_says_what_happened_and_what_is_waited_for(rehearse: Rehearse) -> None:
    run = await rehearse(second_deposit, player(timezone="Europe/Kyiv", opted_in=["email"]))
    await run.advance(hours(2))
    await run.happens(RoundCompleted, times=3, stake_minor=100, win_minor=0)
    await run.advance(days(2))
    assert run.story == [
        "Mon 12 Jan 10:00  payment.deposit_approved",
        "Mon 12 Jan 10:00    send:deposit-thanks#1  sent (template=deposit-thanks, email=sent, in_app=sent)",
        "Mon 12 Jan 12:00  game.round_completed (stake_minor=100, win_minor=0)",
        "Mon 12 Jan 12:00  game.round_completed (stake_minor=100, win_minor=0)",
        "Mon 12 Jan 12:00  game.round_completed (stake_minor=100, win_minor=0)",
        "Mon 12 Jan 12:00    event:LossStreak#1  LossStreak (event_id=player-5:derived.loss_streak)",
        "Wed 14 Jan 12:00    event:SessionLogin#1  timed_out",
        "Wed 14 Jan 12:00    send:comeback-sms#1  suppressed (template=comeback-sms, sms=no_consent)",
        "Wed 14 Jan 12:00    sleep#1  is waiting until Thu 15 Jan 12:00",
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
        from stage.testing.rehearsal import player
        from workflows.journeys.welcome import welcome

        async def test_it(rehearse):
            run = await rehearse(welcome)
            assert run.sent == ["nothing"]
        """
    )
    # Without what a project of journeys does not have and takes seconds to load.
    spared = ("-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:xdist")
    result = pytester.runpytest_subprocess("-o", "asyncio_mode=auto", *spared)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*story of <welcome for player: under way>*", "*send:welcome#1  sent*"])


def a_failure(why: str) -> DepositFailed:
    """A third failed deposit."""
    return DepositFailed(
        event_id="f3",
        event_source="/test",
        occurred_at=datetime(2026, 1, 12, 10, tzinfo=UTC),
        payment_id="p",
        amount_minor=5000,
        failure=why,  # type: ignore[arg-type]  # one of the catalogue's words
    )


class TestBeginnings:
    async def test_a_milestone_is_reached_by_the_event_that_starts_it(self, rehearse: Rehearse) -> None:
        run = await rehearse(tier_up)
        [task] = run.tasks
        assert task.reason == "Reached Gold with deposit number 50."

    async def test_a_milestone_that_lies_behind_is_told(self, rehearse: Rehearse) -> None:
        with pytest.raises(StageError, match=r"has 50 of payment\.deposit_approved and passed the milestone of 50"):
            await rehearse(tier_up, player(deposits=50))

    async def test_a_streak_is_completed_by_the_event_that_starts_it(self, rehearse: Rehearse) -> None:
        run = await rehearse(failed_deposit, failure="technical")
        assert run.sent == ["deposit-help"]

    async def test_the_test_may_let_it_happen_itself(self, rehearse: Rehearse) -> None:
        run = await rehearse(failed_deposit, begins=False)
        await run.happens(DepositFailed, times=2, failure="technical")
        assert run.entries == 0
        await run.happens(DepositFailed, failure="technical")
        assert (run.entries, run.sent) == (1, ["deposit-help"])

    async def test_silence_starts_a_journey_when_it_has_lasted(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_back, player(deposits=3))
        assert run.sent == ["content-news"]
        assert run.story[0] == "Mon 12 Jan 10:00  14 days, 0:00:00 without session.login"

    async def test_the_first_trigger_that_fits_starts_it(self, rehearse: Rehearse) -> None:
        run = await rehearse(vip_onboarding, trigger=TierChanged, to="platinum", direction="up")
        assert run.asked == ["Affordability"]

    async def test_what_starts_nothing_is_told(self, rehearse: Rehearse) -> None:
        with pytest.raises(StageError, match=r"Nothing starts vip_onboarding here: where= of on:loyalty\.tier_changed"):
            await rehearse(vip_onboarding, trigger=TierChanged, to="bronze", direction="down")

    async def test_an_excluded_player_enters_on_paper_only(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, begins=False)
        await run.happens(ExclusionSet, kind="self_exclusion", scope="brand")
        await run.happens(PlayerRegistered, opted_in=["email"])
        assert (run.ended, run.sent) == ("refused:self_excluded", [])

    async def test_another_journey_is_started_only_where_it_is_asked_along(self, rehearse: Rehearse) -> None:
        alone = await rehearse(welcome)
        await alone.happens(DepositApproved)
        assert [run_id.rpartition(":")[0] for run_id in alone.world.runs] == ["welcome:stage:player"]
        run = await rehearse(welcome, along=[second_deposit])
        await run.happens(DepositApproved)
        assert [m.template for m in run.world.messages if m.channel == "email"] == ["welcome", "deposit-thanks"]
        assert run.sent == ["welcome"]

    async def test_a_rehearsal_begins_on_the_players_own_clock(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, player(timezone="America/New_York"))
        assert run.now == datetime(2026, 1, 12, 15, tzinfo=UTC)
        run = await rehearse(welcome, player(timezone="Asia/Tokyo"), at=datetime(2026, 6, 1, 20))  # noqa: DTZ001
        assert run.now == datetime(2026, 6, 1, 11, tzinfo=UTC)


class TestMistakes:
    async def test_a_field_an_event_does_not_have_is_told(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome)
        with pytest.raises(StageError, match=r"DepositApproved has no amount; it has amount_minor, .*payment_id"):
            await run.happens(DepositApproved, amount=5000)

    async def test_a_value_an_event_cannot_have_is_told(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome)
        with pytest.raises(StageError, match="There can be no such DepositApproved: amount_minor: Input should be"):
            await run.happens(DepositApproved, amount_minor=-1)

    def test_a_fact_nobody_registers_is_told(self) -> None:
        with pytest.raises(StageError, match=r"PlayerRegistered has no timezoen; it has .*timezone"):
            player(timezoen="Europe/Kyiv")

    async def test_a_derived_event_must_be_derived(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome)
        with pytest.raises(StageError, match="LossStreak is computed here; let the events happen"):
            await run.happens(LossStreak)

    async def test_what_came_of_a_run_that_never_began_cannot_be_asked(self, rehearse: Rehearse) -> None:
        run = await rehearse(failed_deposit, begins=False)
        with pytest.raises(StageError, match="The player has not entered failed_deposit; let happen what starts it"):
            assert run.ended
        assert run.sent == []
        assert repr(run) == "<failed_deposit for player: not entered>"


class TestTemplates:
    def test_a_folder_of_ones_own_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "welcome").mkdir()
        (tmp_path / "welcome" / "template.toml").write_text('class = "marketing"\nsuppress_if_active_today = true\n')
        monkeypatch.setenv("TEMPLATES", f" {tmp_path} ,")
        found = read_template_facts(ContentSettings().template_folders)
        assert found["welcome"] == TemplateFacts("marketing", suppress_if_active_today=True)
        assert found["guide"] == TemplateFacts("marketing")

    @pytest.mark.parametrize(
        ("written", "told"),
        [("class = ", "is not TOML"), ('class = "spam"', "has no class the gate knows"), ("", "no class")],
    )
    def test_a_declaration_that_cannot_be_read_is_told(self, tmp_path: Path, written: str, told: str) -> None:
        (tmp_path / "odd").mkdir()
        (tmp_path / "odd" / "template.toml").write_text(written)
        with pytest.raises(CatalogueInvalid, match=told):
            read_template_facts([tmp_path])
