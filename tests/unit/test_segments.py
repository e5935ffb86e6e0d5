"""Who is in a segment, decided with the event, or at the moment, that changed it."""

from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.unit.test_event_order
from tests.support.player_events import NOON, Life, declared, journeys_entered, only, started
from workflows import (
    DepositApproved,
    Player,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SegmentEntered,
    SegmentLeft,
    SessionLogin,
    Statistics,
    TierChanged,
    count,
    days,
    distinct,
    entered,
    hours,
    left,
    month,
    on,
    schedule,
    segment,
    streak_of_days,
    threshold,
    total,
    week,
)
from workflows.errors import DesignError
from workflows.player_state.decisions import Decision, Moved, Stop, Wake
from workflows.player_state.projection import PlayerProjection
from workflows.rules.measures import Measure
from workflows.rules.segments import Segment
from workflows.source.segment_dependencies import reads

SECOND = timedelta(seconds=1)
DEPOSITED = total(DepositApproved, "amount_minor", last=days(30))
GAMES = distinct(RoundCompleted, "game_id", per=week)
MONTHLY = total(DepositApproved, "amount_minor", per=month)
THRESHOLD = {"rich": 10_000}


def enough(player: Statistics) -> bool:
    return player[DEPOSITED] >= THRESHOLD["rich"]


@segment
def rich(player: Statistics) -> bool:
    """Deposited 100.00 in 30 days."""
    return enough(player)


@segment
def curious(player: Statistics) -> bool:
    """Three games this week."""
    return player[GAMES] >= 3


@segment
def absent(player: Statistics) -> bool:
    """Not seen for 14 days."""
    return player.quiet(SessionLogin, days(14))


@segment
def ukrainian_rich(player: Statistics) -> bool:
    """Rich and from Ukraine."""
    return player.country == "UA" and player.matches(rich)


def moves(decisions: list[Decision]) -> list[tuple[str, bool]]:
    return [(move.segment, move.entered) for move in only(Moved, decisions)]


def test_the_event_that_makes_it_true_brings_the_player_in() -> None:
    life = Life(segments=[rich])
    assert moves(life.happens(DepositApproved, amount_minor=9_999)) == []
    assert moves(life.happens(DepositApproved, amount_minor=1)) == [("rich", True)]
    assert moves(life.happens(DepositApproved, amount_minor=1)) == []
    assert life.state.segments == {"rich": NOON}


def test_the_edge_of_a_window_takes_the_player_out_without_any_event() -> None:
    life = Life(segments=[rich])
    life.happens(DepositApproved, amount_minor=10_000)
    moment = life.state.next_moment
    assert moment is not None
    assert NOON + days(30) < moment <= NOON + days(31)
    assert moves(life.passes(moment - NOON - SECOND)) == []
    assert moves(life.passes(SECOND)) == [("rich", False)]
    assert life.state.segments == {}
    assert life.state.next_moment is None


def test_a_calendar_period_ends_for_the_player_at_their_own_midnight() -> None:
    @segment
    def good_month(player: Statistics) -> bool:
        """Something deposited this month."""
        return player[MONTHLY] > 0

    life = Life(segments=[good_month])
    life.happens(PlayerRegistered, timezone="Europe/Kyiv")
    life.happens(DepositApproved)
    moment = life.state.next_moment
    assert moment is not None
    assert moment.isoformat() == "2026-03-31T21:00:00+00:00"
    assert moves(life.passes(moment - NOON)) == [("good_month", False)]


def test_absence_is_noticed_at_its_moment_and_ended_by_a_login() -> None:
    life = Life(segments=[absent])
    life.happens(SessionLogin)
    assert life.state.next_moment == NOON + days(14)
    assert moves(life.passes(days(14))) == [("absent", True)]
    assert moves(life.happens(SessionLogin)) == [("absent", False)]


def test_a_journey_begins_when_the_player_comes_in_and_another_when_they_leave() -> None:
    life = Life(declared("hello", entered(rich)), declared("goodbye", left(rich)), segments=[rich])
    assert journeys_entered(life.happens(DepositApproved, amount_minor=10_000)) == ["hello"]
    life.run_ends(life.run_of("hello"))
    assert journeys_entered(life.passes(days(31))) == ["goodbye"]


def test_a_run_hears_of_segments_it_listens_to_and_can_leave_on_one() -> None:
    journey = declared("hello", on(SessionLogin), listens=[SegmentEntered], exit_on=[left(rich)])
    life = Life(journey, segments=[rich])
    life.happens(SessionLogin)
    (wake,) = only(Wake, life.happens(DepositApproved, amount_minor=10_000))
    assert isinstance(wake.event, SegmentEntered)
    assert wake.event.segment == "rich"
    (stop,) = only(Stop, life.passes(days(13)) + life.passes(days(18)))
    assert stop.reason == "exit_on:derived.segment_left"


def test_history_sorts_players_and_starts_nothing() -> None:
    life = Life(declared("hello", entered(rich)), segments=[rich])
    decisions = life.happens(DepositApproved, amount_minor=10_000, mode="history")
    assert moves(decisions) == [("rich", True)]
    assert started(decisions) == []
    assert started(life.happens(DepositApproved)) == []


def test_facts_and_other_segments_count_too() -> None:
    life = Life(segments=[rich, ukrainian_rich])
    life.happens(PlayerRegistered, country="DE")
    assert moves(life.happens(DepositApproved, amount_minor=10_000)) == [("rich", True)]
    assert moves(life.happens(ProfileUpdated, changed={"country": "UA"})) == [("ukrainian_rich", True)]
    assert sorted(moves(life.passes(days(31)))) == [("rich", False), ("ukrainian_rich", False)]


def test_what_a_segment_reads_is_found_in_its_helpers_and_in_segments_it_asks() -> None:
    assert reads(ukrainian_rich) == {DEPOSITED}
    assert reads(curious) == {GAMES}
    assert reads(absent) == {SessionLogin}


def test_what_is_read_inside_a_comprehension_or_a_closure_is_found() -> None:
    inner = count(SessionLogin, last=days(7))

    @segment
    def lively(player: Statistics) -> bool:
        """Anything at all."""
        return any(player[measure] > 0 for measure in (inner, DEPOSITED)) or player.favourite_category == "slot"

    assert reads(lively) == {inner, DEPOSITED, RoundCompleted}


def test_what_is_named_through_packages_is_found() -> None:
    @segment
    def staking(player: Statistics) -> bool:
        """Stakes a lot, by a measure of another module."""
        return player[tests.unit.test_event_order.STAKES_30] > 10_000 or deep(player)

    def deep(player: Statistics) -> bool:
        return player[tests.unit.test_event_order.LOGINS] > 0

    assert reads(staking) == {tests.unit.test_event_order.STAKES_30, tests.unit.test_event_order.LOGINS}


def test_an_event_that_cannot_matter_asks_nobody() -> None:
    asked: list[str] = []

    @segment
    def noted(player: Statistics) -> bool:
        """Asks and remembers it."""
        asked.append("x")
        return player[DEPOSITED] > 0

    life = Life(segments=[noted])
    life.happens(SessionLogin)
    assert asked == []
    life.happens(DepositApproved)
    life.happens(TierChanged, to="gold")
    assert asked == ["x", "x"]


def test_a_segment_that_fails_leaves_its_members_where_they_are_and_says_so() -> None:
    @segment
    def broken(player: Statistics) -> bool:
        """Fails from the second deposit on."""
        if player.deposits > 1:
            raise ZeroDivisionError("no")
        return player.deposits == 1

    life = Life(segments=[broken])
    assert moves(life.happens(DepositApproved)) == [("broken", True)]
    life.failures = []
    assert moves(life.happens(DepositApproved)) == []
    assert [str(failure) for failure in life.failures] == [
        "Segment broken raised ZeroDivisionError (no); its members stay as they were."
    ]
    assert "broken" in life.state.segments


def test_statistics_tell_first_last_counts_and_usual_hours() -> None:
    told: dict[str, Any] = {}

    @segment
    def curious_one(player: Statistics) -> bool:
        """Looks at everything."""
        told.update(
            first=player.first(SessionLogin),
            last=player.last(SessionLogin),
            count=player.count(SessionLogin),
            hours=player.usual_hours,
            tenure=player.registered_for(days(1)),
            mean=player.mean_deposit_minor,
        )
        return False

    life = Life(segments=[curious_one])
    life.happens(PlayerRegistered, timezone="Europe/Kyiv")
    life.happens(SessionLogin, after=hours(1))
    life.happens(SessionLogin, after=hours(24))
    life.happens(SessionLogin, after=hours(3))
    assert told["first"] == NOON + hours(1)
    assert told["last"] == NOON + hours(28)
    assert told["count"] == 3
    assert told["hours"] == (15,)
    assert told["tenure"] is True
    assert told["mean"] == 0


def test_a_schedule_for_a_segment_lets_in_only_who_is_in_it_at_that_moment() -> None:
    weekly = declared("weekly", schedule("09:00", weekday="monday", segment=rich), entry=days_apart())
    life = Life(weekly)
    life.happens(DepositApproved, amount_minor=10_000)
    assert journeys_entered(life.passes(days(6))) == ["weekly"]
    life.run_ends(life.run_of("weekly"))
    later = [life.passes(days(7)) for _ in range(4)]
    assert started(later[-1]) == []
    assert "rich" not in life.state.segments


def days_apart() -> Any:
    from workflows import every

    return every(days(1))


@given(st.lists(st.tuples(st.integers(0, 20 * 24), st.integers(0, 6_000)), min_size=1, max_size=12))
def test_membership_at_any_moment_is_what_the_function_says_then(steps: list[tuple[int, int]]) -> None:
    life = Life(segments=[rich])
    for wait, amount in steps:
        end = life.now + hours(wait)
        while (moment := life.state.next_moment) is not None and moment <= end:
            life.passes(moment - life.now)
        life.passes(end - life.now)
        assert ("rich" in life.state.segments) == rich.evaluate(life.state, life.now)[0]
        life.happens(DepositApproved, amount_minor=amount)
        assert ("rich" in life.state.segments) == rich.evaluate(life.state, life.now)[0]


def test_a_new_release_sorts_players_again_and_starts_nothing() -> None:
    life = Life()
    life.happens(SessionLogin)
    life.rules = Life(declared("hello", entered(absent)), segments=[absent]).rules
    life.now += days(20)
    decisions = life.state.rearm(life.rules, life.now, life.failures)
    assert moves(decisions) == [("absent", True)]
    life.rules = Life().rules
    assert moves(life.state.rearm(life.rules, life.now, life.failures)) == [("absent", False)]
    assert life.state.moments == {}


def test_a_segment_is_a_function_with_a_name() -> None:
    with pytest.raises(DesignError, match="plain function"):
        segment(DEPOSITED)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="a lambda has none"):
        segment(lambda player: player.deposits > 1)


@pytest.mark.parametrize(
    ("declare", "word"),
    [
        (entered, "entered(...)"),
        (left, "left(...)"),
        (lambda given: schedule("09:00", segment=given), "schedule(..., segment=...)"),
        (lambda given: Statistics(PlayerProjection("", ""), NOON).matches(given), "player.matches(...)"),
    ],
)
@pytest.mark.parametrize(("given", "told"), [("rich", "'rich'"), (enough, "enough"), (DEPOSITED, "a measure")])
def test_what_is_no_segment_is_refused_where_one_is_wanted(declare: Any, word: str, given: Any, told: str) -> None:
    with pytest.raises(DesignError) as refusal:
        declare(given)
    assert str(refusal.value) == (
        f"{word} takes a segment, not {told}; put @segment above the function and name it here."
    )


async def test_a_run_that_asks_for_what_is_no_segment_says_so() -> None:
    with pytest.raises(DesignError, match=r"player\.matches\(\.\.\.\) takes a segment, not 'rich'"):
        await Player(cast(Any, None)).matches(cast(Any, "rich"))


@pytest.mark.parametrize("given", [DepositApproved, "rich", 3])
def test_what_is_no_measure_is_refused_where_one_is_wanted(given: Any) -> None:
    for declare in (lambda: threshold(given, 3), lambda: streak_of_days(given, 3, where=bool)):
        with pytest.raises(DesignError, match=r"takes a measure, such as count\(DepositApproved, per=day\), not "):
            declare()


def test_segments_of_one_name_are_one_segment() -> None:
    assert Segment("a", enough) == Segment("a", lambda _: True)
    assert Segment("a", enough) != Segment("b", enough)
    assert isinstance(DEPOSITED, Measure)


def test_the_event_says_which_segment_and_carries_the_identity_of_its_cause() -> None:
    life = Life(declared("hello", on(SessionLogin), listens=[SegmentEntered, SegmentLeft]), segments=[rich])
    life.happens(SessionLogin)
    (wake,) = only(Wake, life.happens(DepositApproved, amount_minor=10_000))
    assert (wake.event.event_id, wake.event.event_source) == ("e-2:derived.segment_entered:rich", "/test")
