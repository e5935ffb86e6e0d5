"""The shipped journeys beside the house's own program: points, a mission, a turn of the wheel."""

from typing import Any

import pytest

from stage.testing.rehearsal import Cast, Rehearsal, Rehearse, player
from workflows import (
    Anniversary,
    Birthday,
    DepositApproved,
    FeedbackAnswered,
    HarmSignal,
    RoundCompleted,
    SessionLogin,
    days,
    hours,
    seconds,
)
from workflows.journeys import feedback as asking
from workflows.journeys import game_preference as liking
from workflows.journeys import personal_days as greeting
from workflows.journeys import welcome as arriving
from workflows.journeys import win_back as missing
from workflows.journeys.feedback import feedback
from workflows.journeys.game_preference import game_preference
from workflows.journeys.personal_days import GreetingCall, personal_days
from workflows.journeys.welcome import welcome
from workflows.journeys.win_back import win_back
from workflows.run import JourneyRun
from workflows.source.journey_loading import load

CASINO = "workflows.programs.casino"
LOST: dict[str, Any] = {"stake_minor": 100, "win_minor": 0, "category": "table"}


async def played(rehearse: Rehearse, journey: type[JourneyRun], cast: Cast | None = None, **how: Any) -> Rehearsal:
    return await rehearse(journey, cast, programs=(CASINO,), **how)


def points_of(run: Rehearsal) -> int:
    loyalty = run.world.player(run.cast.player_id).loyalty
    return 0 if loyalty is None else sum(one.available for one in loyalty.points.values())


def turns(run: Rehearsal) -> int:
    wheel = run.world.rules.loyalty.wheels["daily_wheel"]
    return len(run.world.player(run.cast.player_id).given_spins(wheel.name, run.now))


def outcomes(run: Rehearsal, verb: str) -> list[str]:
    return [f"{line.step}: {line.outcome}" for line in run.world.story if line.step.startswith(f"{verb}:")]


def test_what_the_journeys_name_is_declared_by_the_program() -> None:
    program = load((CASINO,)).loyalty
    assert {arriving.WHEEL, missing.WHEEL} <= program.wheels.keys()
    assert arriving.POINTS in program.currencies
    assert {*liking.MISSIONS.values(), liking.FOR_ALL} <= program.missions.keys()
    assert all(program.missions[name].opt_in for name in (*liking.MISSIONS.values(), liking.FOR_ALL))
    assert program.ladder is not None
    assert {*asking.VIP_TIERS, *greeting.VIP_TIERS, *missing.VIP_TIERS} < {one.name for one in program.ladder.tiers}


class TestWelcome:
    async def test_who_loses_a_few_hands_on_the_third_day_has_a_turn_of_the_wheel_at_once(
        self, rehearse: Rehearse
    ) -> None:
        run = await played(rehearse, welcome)
        await run.happens(DepositApproved)
        await run.advance(days(2) + hours(2))
        await run.happens(RoundCompleted, times=3, **LOST)
        assert (turns(run), run.sent[-1], run.granted) == (1, "wheel-turn", [])
        assert await run.press("spin", "daily_wheel") is None
        assert await run.press("spin", "daily_wheel") == "too_soon"
        await run.advance(seconds(5))
        assert await run.press("spin", "daily_wheel") is None, "another one is left"
        assert await run.press("spin", "daily_wheel") == "no_attempts"

    async def test_the_turn_is_gone_after_two_days(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome)
        await run.advance(days(2))
        await run.happens(RoundCompleted, times=3, **LOST)
        await run.advance(days(2))
        assert turns(run) == 0

    async def test_who_wins_has_no_more_turns_than_those_of_the_day(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome)
        await run.advance(days(2))
        await run.happens(RoundCompleted, times=3, **LOST | {"win_minor": 500})
        await run.advance(days(2))
        assert (turns(run), run.granted, "wheel-turn" in run.sent) == (0, [], False)

    async def test_who_deposited_and_stays_away_finds_points_doubled_on_an_evening(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome, player(deposits=1))
        await run.advance(days(9))
        assert run.sent[-1] == "double-points"
        assert outcomes(run, "multiply") == ["multiply:house_points#1: awarded"]
        doubled = next(line.at for line in run.world.story if line.step.startswith("multiply:"))
        assert (doubled.hour, doubled.weekday()) == (18, 0), "a week after they came, in London"

    async def test_what_is_played_in_those_two_hours_counts_double(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome, player(deposits=1))
        while not outcomes(run, "multiply"):
            await run.advance(hours(1))
        await run.happens(RoundCompleted, stake_minor=10_000, win_minor=0, category="slot")
        await run.advance(days(1))
        assert points_of(run) == 20

    async def test_who_never_deposited_is_not_called_to_play(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome)
        await run.advance(days(15))
        assert (outcomes(run, "multiply"), run.ended) == ([], "completed")

    async def test_who_was_here_in_those_days_needs_no_call(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome, player(deposits=1))
        await run.advance(days(5))
        await run.happens(SessionLogin)
        await run.advance(days(10))
        assert (outcomes(run, "multiply"), run.ended) == ([], "completed")

    async def test_a_vip_hears_nothing_of_a_machine_about_losses(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome, player(deposits=60))
        await run.advance(days(2))
        await run.happens(RoundCompleted, times=3, **LOST)
        assert (turns(run), "wheel-turn" in run.sent) == (0, False)

    async def test_harm_ends_it_before_a_wheel_or_a_window(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, welcome, player(deposits=1))
        await run.advance(days(2))
        await run.happens(HarmSignal, strength="medium")
        await run.happens(RoundCompleted, times=3, **LOST)
        await run.advance(days(12))
        assert (run.ended, turns(run)) == ("exit_on:compliance.harm_signal", 0)


class TestGamePreference:
    @pytest.mark.parametrize(
        ("category", "mission"), [("slot", "five_slots"), ("live", "three_live_tables"), ("table", "three_games")]
    )
    async def test_what_is_liked_opens_a_mission_the_day_after_the_tip(
        self, rehearse: Rehearse, category: str, mission: str
    ) -> None:
        run = await played(rehearse, game_preference, begins=False)
        await run.happens(RoundCompleted, times=20, **LOST | {"category": category})
        await run.advance(days(1) + hours(1))
        assert run.sent == ["favourite-tip", "mission-for-you"]
        assert run.world.messages[-1].variables["mission"] == mission
        assert await run.press("claim", mission) == "not_completed", "it is begun"

    async def test_the_mission_that_was_opened_is_filled_and_claimed(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, game_preference, begins=False)
        await run.happens(RoundCompleted, times=20, **LOST)
        await run.advance(days(1) + hours(1))
        for game in ("a", "b", "c"):
            await run.happens(RoundCompleted, game_id=game, stake_minor=100, win_minor=900, category="table")
        assert await run.press("claim", "three_games") is None
        assert points_of(run) >= 200

    async def test_a_mission_that_is_filled_before_the_journey_opens_it_is_not_announced(
        self, rehearse: Rehearse
    ) -> None:
        run = await played(rehearse, game_preference, begins=False)
        assert await run.press("opt_in", "three_games") is None
        for game in ("a", "b", "c"):
            await run.happens(RoundCompleted, game_id=game, **LOST)
        await run.happens(RoundCompleted, times=17, **LOST)
        await run.advance(days(1) + hours(1))
        assert (outcomes(run, "award"), run.sent) == (["award:mission#1: withheld"], ["favourite-tip"])

    async def test_without_the_program_no_mission_is_spoken_of(self, rehearse: Rehearse) -> None:
        run = await rehearse(game_preference, begins=False)
        await run.happens(RoundCompleted, times=20, **LOST)
        await run.advance(days(15))
        assert outcomes(run, "award") == ["award:mission#1: withheld"]
        assert run.sent == ["favourite-tip", "new-in-your-kind", "quick-question"]


class TestWinBack:
    async def test_who_comes_back_after_a_month_finds_a_turn_of_the_wheel(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, win_back, player(deposits=3))
        await run.advance(days(20))
        await run.happens(SessionLogin)
        assert (run.ended, turns(run), run.sent[-1]) == ("completed", 1, "wheel-turn")

    async def test_who_comes_back_in_the_first_weeks_is_not_paid_for_having_been_away(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, win_back, player(deposits=3))
        await run.advance(days(3))
        await run.happens(SessionLogin)
        assert (run.ended, turns(run), run.sent) == ("completed", 0, ["content-news"])

    async def test_without_the_program_a_return_is_its_own_reward(self, rehearse: Rehearse) -> None:
        run = await rehearse(win_back, player(deposits=3))
        await run.advance(days(20))
        await run.happens(SessionLogin)
        assert (run.ended, "wheel-turn" in run.sent) == ("completed", False)

    @pytest.mark.parametrize(
        ("about", "spins"),
        [
            ({"currency": "EUR", "deposit_minor": 5_000}, (50, 10, 10_000)),
            ({"currency": "UAH", "deposit_minor": 100_000}, (25, 400, 400_000)),
            ({"currency": "SEK", "deposit_minor": 20_000}, (20, 100, 100_000)),
            ({"currency": "EUR", "deposit_minor": 400}, None),
            ({"currency": "JPY", "deposit_minor": 5_000}, None),
        ],
    )
    async def test_spins_are_worth_a_share_of_a_usual_deposit_in_the_wallets_own_money(
        self, rehearse: Rehearse, about: dict[str, Any], spins: tuple[int, int, int] | None
    ) -> None:
        run = await played(rehearse, win_back, player(deposits=3, **about))
        await run.advance(days(8))
        given = [one.model_dump() for one in run.rewards]
        sizes = [(one["count"], one["bet_value_minor"], one["max_win_minor"]) for one in given]
        assert sizes == ([] if spins is None else [spins])
        assert ("spins-offer" in run.sent) == (spins is not None)


class TestPersonalDays:
    @pytest.mark.parametrize(("months", "points"), [(6, 250), (12, 500)])
    async def test_what_was_reached_is_points_and_the_greeting_tells_of_them(
        self, rehearse: Rehearse, months: int, points: int
    ) -> None:
        run = await played(rehearse, personal_days, trigger=Anniversary, months=months)
        assert (points_of(run), run.sent, run.granted) == (points, ["occasion-points"], [])

    async def test_the_tenth_deposit_is_points_once(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, personal_days, begins=False)
        for number in range(12):
            await run.happens(DepositApproved, payment_id=f"p{number}")
        assert (points_of(run), run.entries) == (100, 1)

    async def test_a_birthday_is_for_spins_in_the_wallets_own_money(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, personal_days, player(currency="UAH"), trigger=Birthday)
        (spins,) = [one.model_dump() for one in run.rewards]
        assert (spins["bet_value_minor"], spins["max_win_minor"], points_of(run)) == (400, 200_000, 0)

    async def test_a_currency_that_nobody_declared_brings_a_greeting(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, personal_days, player(currency="JPY"), trigger=Birthday)
        assert (run.granted, run.sent) == ([], ["occasion-greeting"])

    async def test_a_player_at_the_highest_tier_is_called(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, personal_days, player(deposits=600), trigger=Birthday)
        await run.answers(GreetingCall(outcome="reached"))
        assert (run.ended, run.sent, points_of(run)) == ("completed", [], 0)

    async def test_in_whom_harm_was_seen_is_greeted_and_given_nothing(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, personal_days, begins=False)
        await run.happens(HarmSignal, strength="medium")
        for number in range(10):
            await run.happens(DepositApproved, payment_id=f"p{number}")
        assert (points_of(run), "occasion-points" in run.sent) == (0, False)


class TestFeedback:
    @pytest.mark.parametrize("score", [0, 3, 8, 10])
    async def test_every_answer_is_worth_as_many_points(self, rehearse: Rehearse, score: int) -> None:
        run = await played(rehearse, feedback)
        await run.player_answers("nps", score=score)
        assert (points_of(run), run.granted) == (50, [])

    async def test_nobody_is_paid_twice_for_one_question(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, feedback)
        await run.player_answers("nps", score=9)
        await run.player_answers("nps", score=2)
        await run.happens(FeedbackAnswered, kind="nps", score=2)
        assert await run.press("claim", "your_voice") is None, "the mission for an answer is a badge"
        await run.advance(days(14))
        assert points_of(run) == 50

    async def test_who_says_nothing_gets_nothing(self, rehearse: Rehearse) -> None:
        run = await played(rehearse, feedback)
        await run.advance(days(14))
        assert (points_of(run), run.ended) == (0, "completed")
