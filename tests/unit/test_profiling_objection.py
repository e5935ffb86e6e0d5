"""Who objected to being profiled: what is not read of them any more, and what is read to protect them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import Life, declared, journeys_entered
from workflows import (
    ConsentChanged,
    DepositApproved,
    RoundCompleted,
    ScoreChanged,
    SessionLogin,
    Statistics,
    choices,
    count,
    days,
    entered,
    hours,
    inactive,
    level,
    on,
    score_percent,
    segment,
    threshold,
    typical,
    week_days,
)
from workflows.effects import ReadValue
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.measured_values import read_value
from workflows.player_state.profiling import objects_to_profiling
from workflows.rules.measures import Measure

churn_percent = score_percent("churn")
stakes = level(RoundCompleted, "stake_minor")
games = choices(RoundCompleted, "category")
visits = week_days(SessionLogin)
usual_deposit = typical(DepositApproved, "amount_minor")
deposits = count(DepositApproved)


@segment
def at_risk(player: Statistics) -> bool:
    """By the churn score."""
    return player[churn_percent] >= 60


@segment
def new_games(player: Statistics) -> bool:
    """By a pattern."""
    return player.changed(games)


@segment
def new_stakes(player: Statistics) -> bool:
    """By a pattern, to protect."""
    return player.changed(stakes, to_protect=True)


@segment
def night_owl(player: Statistics) -> bool:
    """By the hours the player comes at, and what they like best."""
    return bool(player.usual_hours) or player.favourite_category is not None


@segment
def gone_over(player: Statistics) -> bool:
    """By the other patterns."""
    return player.changed(visits) or player[usual_deposit] > 0 or player[deposits] > 100


@segment
def left_unprofiled(player: Statistics) -> bool:
    """Who must not be profiled."""
    return player.objects_to_profiling


SEGMENTS = [at_risk, new_games, new_stakes, night_owl, gone_over, left_unprofiled]
JOURNEYS = [
    declared("helps", entered(at_risk)),
    declared("keeps", threshold(churn_percent, 60)),
    declared("misses", inactive(SessionLogin, times_usual=2, least=hours(12), most=days(7))),
    declared("counts", threshold(deposits, 3)),
]


def life() -> Life:
    return Life(*JOURNEYS, segments=SEGMENTS)


def objects(one: Life, *, to: bool = True) -> None:
    one.happens(ConsentChanged, after=timedelta(seconds=1), channel="profiling", product="all", opted_in=not to)


def scored(one: Life, percent: int) -> list[str]:
    return journeys_entered(one.happens(ScoreChanged, score="churn", from_percent=0, to_percent=percent))


def played(one: Life) -> None:
    """Eight weeks in one way and four in another, with a visit and a deposit on each day of play."""
    for week in range(12):
        change: dict[str, Any] = {"category": "slot", "stake_minor": 100}
        if week >= 8:
            change = {"category": "live", "stake_minor": 300}
        for _ in range(2):
            one.happens(SessionLogin, after=days(3))
            one.happens(DepositApproved, amount_minor=2_000)
            one.happens(RoundCompleted, **change)
        one.passes(days(1))
    one.passes(days(7))


def asked(one: Life, measure: Measure, **how: Any) -> Any:
    request = ReadValue(
        brand="acme", player_id="p-1", run_id="r", journey="misses", step="value#1", measure=measure.key, **how
    )
    return read_value(request, one.state, one.rules, one.now)


def test_an_objection_ends_a_segment_by_score_at_once_and_a_yes_brings_it_back() -> None:
    one = life()
    assert scored(one, 80) == ["helps", "keeps"]
    objects(one)
    assert set(one.state.segments) == {"left_unprofiled"}
    objects(one, to=False)
    assert "at_risk" in one.state.segments


def test_a_score_told_by_anybody_lets_who_objects_into_no_journey() -> None:
    one = life()
    objects(one)
    assert (scored(one, 80), "at_risk" in one.state.segments) == ([], False)


def test_a_journey_on_the_event_of_a_score_hears_of_everybody_and_is_told_who_objects() -> None:
    one = Life(declared("hears", on(ScoreChanged)), segments=SEGMENTS)
    objects(one)
    assert scored(one, 80) == ["hears"]
    assert journey_facts(one.state).objects_to_profiling


def test_what_is_usual_and_what_changed_is_unknown_of_who_objects_except_to_protect_them() -> None:
    one = life()
    played(one)
    assert {"new_games", "new_stakes", "night_owl", "gone_over"} <= set(one.state.segments)
    assert asked(one, games).to == "live"
    assert asked(one, usual_deposit).value == 2_000
    objects(one)
    assert set(one.state.segments) == {"new_stakes", "left_unprofiled"}
    for measure in (games, stakes, visits, usual_deposit):
        read = asked(one, measure)
        assert (read.value, read.known, read.to, read.why, read.values) == (0, False, None, None, 0)
    assert asked(one, stakes, to_protect=True).to == "higher"
    assert asked(one, deposits).value == 24, "what is merely counted is no profile"


def test_a_journey_knows_of_the_objection_and_of_nothing_made_of_behaviour() -> None:
    one = life()
    played(one)
    before = journey_facts(one.state)
    assert (before.objects_to_profiling, bool(before.usual_hours)) == (False, True)
    objects(one)
    facts = journey_facts(one.state)
    assert (facts.objects_to_profiling, facts.usual_hours, facts.favourite_category) == (True, [], None)


def daily(one: Life, visits: int) -> None:
    for _ in range(visits):
        one.happens(SessionLogin, after=days(1))


def missed(one: Life, days_on: int) -> Iterator[int]:
    """The days after which the player is missed."""
    for day in range(1, days_on + 1):
        if "misses" in journeys_entered(one.passes(days(1))):
            yield day


@pytest.mark.parametrize(("objected", "expected"), [("never", 2), ("before", 7), ("meanwhile", 7)])
def test_who_objects_is_missed_after_the_same_silence_as_everybody(objected: str, expected: int) -> None:
    one = life()
    if objected == "before":
        objects(one)
    daily(one, 20)
    if objected == "meanwhile":
        objects(one)
    assert [*missed(one, 9)] == [expected]


@settings(max_examples=examples(30))
@given(st.lists(st.sampled_from(["score", "play", "no", "yes", "login"]), max_size=12))
def test_whatever_comes_in_whatever_order_nobody_who_objects_is_in_a_segment_of_profiles(told: list[str]) -> None:
    one = life()
    for what in told:
        match what:
            case "score":
                scored(one, 80)
            case "login":
                one.happens(SessionLogin, after=timedelta(hours=5))
            case "play":
                one.happens(RoundCompleted, after=timedelta(hours=1), category="slot")
            case _:
                objects(one, to=what == "no")
        if objects_to_profiling(one.state):
            assert not {"at_risk", "new_games", "night_owl", "gone_over"} & set(one.state.segments)
