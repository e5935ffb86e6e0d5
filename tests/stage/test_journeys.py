"""What the shipped journeys do, rehearsed: the same promises as in `test_journeys.py`, in milliseconds."""

from datetime import UTC, datetime, timedelta

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.players import make
from stage.testing.rehearsal import Rehearsal, Rehearse, player
from stage.world.state import BRAND
from stage.world.world import World
from workflows import (
    ContactVerified,
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    HarmSignal,
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
    Review,
    SignOff,
    SourceOfFunds,
    vip_onboarding,
)
from workflows.journeys.welcome import welcome
from workflows.journeys.win_back import win_back
from workflows.player_state.control_arms import arm_of
from workflows.rewards.deposits import Reload
from workflows.source.journey_loading import load

OLENA = player("olena", language="uk", timezone="Europe/Kyiv", country="UA", currency="EUR", first_name="Olena")


async def ends(run: Rehearsal) -> str | None:
    """Let time pass until the run is over; its outcome."""
    await run.advance(days(90))
    return run.ended


def steps(run: Rehearsal) -> list[str]:
    """`step: outcome` of every line of the run's story."""
    return [f"{line.step}: {line.outcome}" for line in run.world.story]


class TestWelcome:
    async def test_a_silent_player_is_greeted_reminded_and_guided_but_sold_nothing(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA)
        assert await ends(run) == "completed"
        assert run.sent_via == [
            ("welcome", "email"),
            ("welcome", "in_app"),
            ("verify-email", "email"),
            ("guide", "email"),
        ]
        assert run.granted == []

    async def test_a_verified_address_is_not_asked_to_verify(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA)
        await run.happens(ContactVerified, channel="email")
        await run.advance(hours(2))
        assert run.sent == ["welcome"]

    async def test_three_lost_rounds_on_the_second_day_bring_spins_at_once(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA)
        await run.advance(days(1) + hours(2))
        await run.happens(RoundCompleted, times=3, stake_minor=100, win_minor=0)
        assert run.granted == ["free_spins"]

    async def test_a_first_deposit_reaches_the_goal_and_the_guide_comes_all_the_same(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA)
        deposited = run.now
        await run.happens(DepositApproved)
        assert [record.goal_at for record in run.world.runs.values()] == [deposited]
        await run.advance(days(1) + hours(1))
        assert (run.ended, run.sent) == (None, ["welcome", "guide"])

    async def test_a_currency_that_nobody_declared_brings_no_spins(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, player(currency="JPY"))
        await run.advance(days(2))
        await run.happens(RoundCompleted, times=3, stake_minor=100, win_minor=0)
        assert run.granted == []

    async def test_who_is_in_the_control_arm_plays_it_and_is_offered_nothing(self) -> None:
        """A rehearsal plays the treated arm; the world itself knows the other."""
        named = (f"c{number}" for number in range(100))
        player_id = next(name for name in named if arm_of(BRAND, name, "welcome", 10) == "control")
        with World(
            load(), read_template_facts([SHIPPED_TEMPLATES]), datetime.fromisoformat("2026-01-12T10:00:00Z")
        ) as world:
            told = {"timezone": "Europe/Kyiv", "opted_in": ["email"]}
            world.happen(player_id, make(PlayerRegistered, told, event_id="r", occurred_at=world.now))
            world.advance_to(world.now + days(20))
            [run] = [one for one in world.runs.values() if one.journey == "welcome"]
            classes = {(one.message_class, one.suppressed) for one in world.messages if one.run_id == run.run_id}
        assert (run.arm, run.outcome) == ("control", "completed")
        assert classes == {("service", None), ("marketing", "withheld:control")}

    async def test_what_a_run_of_a_control_group_begins_is_of_one_too(self) -> None:
        compared = load(("tests.support.compared_journeys",))
        with World(compared, {}, datetime.fromisoformat("2026-01-12T10:00:00Z")) as world:
            for kind, number in ((PlayerRegistered, "r"), (DepositApproved, "d")):
                world.happen("p", make(kind, {}, event_id=number, occurred_at=world.now))
            world.advance_to(world.now + days(1))
            arms = {one.journey: one.arm for one in world.runs.values() if one.journey in {"leads_on", "is_led"}}
            given = [(one.journey, one.status, one.reason) for one in world.grants if one.journey == "is_led"]
        assert arms == {"leads_on": "control", "is_led": "control"}
        assert given == [("is_led", "refused", "withheld:control")]


class TestProtection:
    async def test_self_exclusion_stops_every_run_and_nothing_is_sent_afterwards(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA)
        await run.advance(minutes(5))
        await run.happens(ExclusionSet, kind="self_exclusion", scope="brand")
        assert run.ended == "self_excluded"
        await run.advance(days(10))
        assert run.sent == ["welcome"]

    async def test_an_excluded_player_enters_on_paper_only(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA, begins=False)
        await run.happens(ExclusionSet, kind="self_exclusion", scope="brand")
        await run.happens(PlayerRegistered, timezone="Europe/Kyiv", opted_in=["email"])
        assert run.ended == "refused:self_excluded"
        assert run.sent == []

    async def test_marketing_waits_for_the_morning(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, OLENA, at=datetime(2026, 1, 12, 22))  # noqa: DTZ001 - on the player's clock
        await run.advance(days(1) + hours(2))
        assert "send:guide#1: waiting" in steps(run)
        assert "guide" not in run.sent
        # Everybody's morning comes at once, so each run takes up to a quarter of an hour more.
        await run.advance(hours(8) + minutes(15))
        assert "guide" in run.sent

    async def test_a_player_without_consent_gets_service_messages_only(self, rehearse: Rehearse) -> None:
        run = await rehearse(welcome, player(timezone="Europe/Kyiv", opted_in=[]))
        await ends(run)
        assert run.sent == ["welcome", "verify-email"]
        assert run.suppressed == {"guide": "no_consent"}


class TestSecondDeposit:
    async def test_it_thanks_at_once_and_offers_a_reload_after_three_hours(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        assert run.sent_via == [("deposit-thanks", "email"), ("deposit-thanks", "in_app")]
        assert run.granted == []
        await run.advance(hours(3))
        assert run.granted == ["reload"]
        assert run.sent_via[2:] == [("reload-offer", "email"), ("reload-offer", "in_app")]

    async def test_the_second_deposit_ends_it_at_once_as_a_success(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        await run.advance(days(1))
        await run.happens(DepositApproved)
        assert (run.ended, run.goal_reached) == ("exit_on:payment.deposit_approved", True)

    async def test_losses_after_the_deposit_withhold_the_offer(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        await run.happens(RoundCompleted, times=3, stake_minor=100, win_minor=0)
        await run.advance(hours(4))
        assert run.granted == []

    async def test_a_medium_signal_of_harm_ends_every_offer(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        await run.happens(HarmSignal, indicator="chasing", strength="weak")
        assert run.ended is None
        await run.happens(HarmSignal, indicator="chasing", strength="medium")
        assert run.ended == "exit_on:compliance.harm_signal"

    async def test_who_does_not_log_in_gets_a_text_message(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        await ends(run)
        assert ("comeback-sms", "sms") in run.sent_via
        assert run.granted == ["reload", "reload"]

    async def test_the_last_call_comes_while_the_offer_is_open_and_says_for_how_long(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        await ends(run)
        calls = [one for one in run.world.messages if one.template == "last-call"]
        offered = [grant.at for grant in run.world.grants][-1]
        assert [(call.at - offered, call.variables["valid_hours"], call.variables["cap"]) for call in calls] == [
            (days(5), 24, 5_000)
        ]

    @pytest.mark.parametrize("hour", range(0, 24, 3))
    @pytest.mark.parametrize("lost", [0, 3])
    async def test_whatever_hour_it_begins_at_no_text_says_an_offer_is_open_for_longer_than_it_is(
        self, rehearse: Rehearse, hour: int, lost: int
    ) -> None:
        run = await rehearse(second_deposit, OLENA, at=datetime(2026, 1, 12, hour, tzinfo=UTC))
        if lost:
            await run.happens(RoundCompleted, times=lost, stake_minor=100, win_minor=0)
        await ends(run)
        told = [one for one in run.world.messages if "valid_hours" in one.variables and not one.suppressed]
        assert {one.template for one in told} == {"reload-offer", "last-call"}
        for one in told:
            grant = [given for given in run.world.grants if given.at <= one.at][-1]
            assert isinstance(grant.reward, Reload)
            assert one.at + hours(int(str(one.variables["valid_hours"]))) <= grant.at + grant.reward.valid

    @pytest.mark.parametrize("hour", range(0, 24, 6))
    @pytest.mark.parametrize("back_after", [hours(4), hours(20), days(5)])
    async def test_the_second_offer_comes_when_the_first_is_over(
        self, rehearse: Rehearse, hour: int, back_after: timedelta
    ) -> None:
        run = await rehearse(second_deposit, OLENA, at=datetime(2026, 1, 12, hour, tzinfo=UTC))
        await run.advance(back_after)
        await run.happens(SessionLogin)
        await ends(run)
        first, second = run.world.grants
        assert isinstance(first.reward, Reload)
        assert first.at + first.reward.valid <= second.at

    async def test_who_was_offered_nothing_hears_no_last_call(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, player(currency="JPY"))
        await ends(run)
        assert ("last-call" in run.sent, run.granted) == (False, [])

    async def test_who_logs_in_gets_none(self, rehearse: Rehearse) -> None:
        run = await rehearse(second_deposit, OLENA)
        await run.advance(hours(5))
        await run.happens(SessionLogin)
        await ends(run)
        assert "comeback-sms" not in run.sent


class TestTierUp:
    async def test_the_fiftieth_deposit_opens_gold_tells_the_player_and_asks_for_a_note(
        self, rehearse: Rehearse
    ) -> None:
        run = await rehearse(tier_up, player(deposits=49), begins=False)
        assert run.entries == 0
        await run.happens(DepositApproved)
        assert run.granted == ["tier_upgrade", "free_spins"]
        assert run.sent_via == [("tier-gold", "in_app"), ("tier-gold", "push"), ("tier-gold", "email")]
        assert [(task.form, task.team, task.state) for task in run.tasks] == [("PersonalNote", "vip", "open")]
        await run.answers(PersonalNote(outcome="written", note="With a fountain pen."))
        assert run.ended == "completed"

    async def test_a_note_nobody_writes_is_escalated_and_then_closed(self, rehearse: Rehearse) -> None:
        run = await rehearse(tier_up)
        await run.advance(days(5) + hours(1))
        assert [(task.form, task.team, task.state) for task in run.tasks] == [("PersonalNote", "vip-head", "open")]
        assert await ends(run) == "completed"
        assert [(task.form, task.team, task.state) for task in run.tasks] == [("PersonalNote", "vip-head", "expired")]
        assert "ask:PersonalNote#1: nobody_answered" in steps(run)


class TestWinBack:
    async def test_two_weeks_of_silence_bring_news_then_spins_that_fit_the_wallet(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_back, player(deposits=3), begins=False)
        await run.happens(SessionLogin)
        await run.advance(days(14) - minutes(1))
        assert run.entries == 0
        await run.advance(minutes(1))
        assert run.sent_via == [("content-news", "email")]
        await run.advance(days(8))
        assert run.sent_via[1:] == [("spins-offer", "email"), ("spins-offer", "in_app")]
        [spins] = run.rewards
        assert spins.model_dump()["count"] == 50  # 10 % of a mean deposit of 50.00 in spins of 0.10

    async def test_nobody_who_is_back_is_missed(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_back, player(deposits=3))
        await run.advance(days(3))
        await run.happens(SessionLogin)
        assert (run.ended, run.sent, run.granted) == ("completed", ["content-news"], [])

    async def test_a_gold_player_is_called_after_45_days(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_back, player(deposits=3, tier="gold"))
        await run.advance(days(31) + hours(1))
        assert [(task.form, task.team, task.state) for task in run.tasks] == [("WinBackCall", "vip", "open")]


class TestVipOnboarding:
    async def test_checks_come_before_the_host_and_the_host_before_the_letter(self, rehearse: Rehearse) -> None:
        run = await rehearse(vip_onboarding, OLENA, trigger=TierChanged, to="platinum", direction="up", basis="wager")
        for form in (
            Affordability(outcome="approve"),
            SourceOfFunds(outcome="proven", evidence="payslip"),
            SignOff(approved=True),
            HostAssignment(host_name="Sarah", host_contact="sarah@casino.example"),
            HostCall(outcome="reached"),
        ):
            assert run.asked[-1] == type(form).__name__
            assert run.sent == []
            await run.answers(form)
        assert run.sent_via == [("vip-letter", "email")]
        await run.advance(days(7) + hours(1))
        await run.answers(HostCall(outcome="reached"))
        await run.advance(days(23) + hours(1))
        await run.answers(Review(outcome="keep"))
        assert run.ended == "completed"

    @pytest.mark.parametrize(("tier", "entries"), [("gold", 0), ("platinum", 1), ("diamond", 1), ("black", 1)])
    async def test_every_tier_from_platinum_on_makes_a_candidate(
        self, rehearse: Rehearse, tier: str, entries: int
    ) -> None:
        run = await rehearse(vip_onboarding, begins=False)
        await run.happens(TierChanged, to=tier, direction="up")
        assert (run.entries, run.asked) == (entries, ["Affordability"] * entries)

    async def test_unsustainable_spend_ends_it_without_a_word_to_the_player(self, rehearse: Rehearse) -> None:
        run = await rehearse(vip_onboarding, OLENA, trigger=TierChanged, to="diamond", direction="up", basis="wager")
        await run.answers(Affordability(outcome="reject", note="Third loan."))
        assert (run.ended, run.sent, run.granted) == ("completed", [], [])


class TestFailedDeposit:
    async def test_three_technical_failures_bring_help_at_once_and_mail_later(self, rehearse: Rehearse) -> None:
        run = await rehearse(failed_deposit, OLENA, begins=False)
        await run.happens(DepositFailed, times=2, failure="technical")
        assert run.entries == 0
        await run.happens(DepositFailed, failure="technical")
        assert run.sent_via == [("deposit-help", "in_app"), ("deposit-help", "push")]
        await run.advance(minutes(30))
        assert run.ended == "completed"
        assert run.sent[-1] == "deposit-help-email"

    async def test_a_limit_is_respected_not_argued_with(self, rehearse: Rehearse) -> None:
        run = await rehearse(failed_deposit, OLENA, failure="limit")
        assert run.ended == "completed"
        assert set(run.sent_via) == {("limit-info", "email"), ("limit-info", "in_app")}

    async def test_an_approved_deposit_ends_it_and_closes_the_task(self, rehearse: Rehearse) -> None:
        run = await rehearse(failed_deposit, player(tier="gold"), failure="declined")
        assert [(task.form, task.team, task.state) for task in run.tasks] == [("LiveHelp", "support", "open")]
        await run.happens(DepositApproved)
        assert run.ended == "exit_on:payment.deposit_approved"
        assert [(task.form, task.team, task.state) for task in run.tasks] == [("LiveHelp", "support", "cancelled")]

    @pytest.mark.parametrize(("amount", "asked"), [(3_000, []), (3_100, ["LiveHelp"])])
    async def test_a_person_helps_who_wants_to_deposit_more_than_they_mostly_do(
        self, rehearse: Rehearse, amount: int, asked: list[str]
    ) -> None:
        run = await rehearse(failed_deposit, OLENA, begins=False)
        for deposited in (2_000, 2_500, 2_000, 3_000, 2_500):
            await run.happens(DepositApproved, amount_minor=deposited)
            await run.advance(hours(1))
        await run.happens(DepositFailed, times=3, failure="technical", amount_minor=amount)
        assert run.asked == asked


@pytest.mark.parametrize(
    "journey", [welcome, second_deposit, tier_up, win_back, failed_deposit], ids=lambda j: j.__name__
)
async def test_it_is_over_when_its_time_is_up(rehearse: Rehearse, journey: type) -> None:
    run = await rehearse(journey)
    await run.advance(run.journey.ends_after + timedelta(minutes=1))
    assert run.ended == "completed"
