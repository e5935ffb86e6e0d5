"""Birthdays, anniversaries, schedules, thresholds and streaks of days: moments on the player's own calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.player_events import NO_FAILURES, NOON, Life, declared, journeys_entered, only, started
from workflows import (
    DepositApproved,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    Statistics,
    always,
    anniversary,
    birthday,
    count,
    day,
    days,
    every,
    hours,
    inactive,
    left,
    minutes,
    month,
    schedule,
    segment,
    streak_of_days,
    threshold,
    total,
)
from workflows.errors import DesignError
from workflows.player_state.decisions import Decision, Start
from workflows.player_state.journey_facts import journey_facts
from workflows.rules.calendar_rules import upcoming
from workflows.rules.triggers import DayStreakRule, Trigger

KYIV = "Europe/Kyiv"
SECOND = timedelta(seconds=1)
COMING = count(SessionLogin, last=hours(24))


def living(trigger: Trigger, *, entry: Any = always, **registration: Any) -> Life:
    life = Life(declared("j", trigger, entry=entry, ends_after=hours(1)))
    life.happens(PlayerRegistered, **{"timezone": KYIV, "birth_date": "1990-05-17"} | registration)
    return life


def until(life: Life, moment: datetime) -> list[Decision]:
    """Let time pass as the sweep does it, moment after moment."""
    decisions: list[Decision] = []
    while (due := life.state.next_moment) is not None and due <= moment:
        # A move may have made something due that lies behind us.
        found = life.passes(max(due - life.now, timedelta(0)))
        decisions += found
        for start in only(Start, found):
            life.run_ends(start.run_id)
    life.passes(moment - life.now)
    return decisions


def starts(life: Life, moment: datetime) -> list[datetime]:
    return [start.trigger.occurred_at for start in only(Start, until(life, moment)) if start.trigger]


def test_a_birthday_comes_at_its_hour_on_the_players_clock_every_year() -> None:
    life = living(birthday(at="10:00"))
    assert starts(life, NOON + days(700)) == [
        datetime(2026, 5, 17, 7, tzinfo=UTC),
        datetime(2027, 5, 17, 7, tzinfo=UTC),
    ]


def test_who_was_born_on_a_leap_day_is_greeted_on_the_28th_in_other_years() -> None:
    life = living(birthday(at="10:00"), birth_date="1992-02-29", timezone="UTC")
    assert [at.date() for at in starts(life, NOON + days(800))] == [date(2027, 2, 28), date(2028, 2, 29)]


def test_a_birth_date_that_comes_later_or_changes_moves_the_birthday() -> None:
    life = living(birthday(at="10:00"), birth_date=None)
    assert life.state.next_moment is None
    life.happens(ProfileUpdated, changed={"birth_date": "1990-12-24"})
    assert life.state.next_moment == datetime(2026, 12, 24, 8, tzinfo=UTC)
    life.happens(ProfileUpdated, changed={"timezone": "UTC"})
    assert life.state.next_moment == datetime(2026, 12, 24, 10, tzinfo=UTC)


def test_no_birth_date_and_no_year_ever_reaches_a_journey() -> None:
    life = living(birthday(at="10:00"))
    assert "1990" not in str(life.state.to_json())
    assert "05-17" not in journey_facts(life.state).model_dump_json()


def test_half_a_year_comes_once_and_a_year_every_year() -> None:
    half, yearly = living(anniversary(months=6)), living(anniversary(years=1))
    assert [at.date() for at in starts(half, NOON + days(1_500))] == [date(2026, 9, 10)]
    assert [at.date() for at in starts(yearly, NOON + days(1_200))] == [
        date(2027, 3, 10),
        date(2028, 3, 10),
        date(2029, 3, 10),
    ]


def test_an_anniversary_of_a_31st_is_on_the_last_day_of_a_shorter_month() -> None:
    life = Life(declared("j", anniversary(months=6)))
    life.now = datetime(2026, 8, 31, 12, tzinfo=UTC)
    life.happens(PlayerRegistered, timezone="UTC")
    assert [at.date() for at in starts(life, life.now + days(300))] == [date(2027, 2, 28)]


def test_monday_at_nine_is_nine_for_the_player_in_summer_and_winter() -> None:
    life = living(schedule("09:00", weekday="monday"))
    found = starts(life, NOON + days(60))
    local = [at.astimezone(ZoneInfo(KYIV)) for at in found]
    assert {(at.weekday(), at.hour) for at in local} == {(0, 9)}
    assert len({at.utcoffset() for at in local}) == 2
    assert len(found) == 8


def test_the_31st_is_the_last_day_of_a_shorter_month() -> None:
    life = living(schedule("08:00", day=31), timezone="UTC")
    assert [at.date().isoformat() for at in starts(life, NOON + days(90))] == ["2026-03-31", "2026-04-30", "2026-05-31"]


def test_a_sweep_that_was_down_for_weeks_tells_of_a_schedule_once_and_lets_in_nobody_late() -> None:
    life = living(schedule("09:00", weekday="monday"))
    life.now = datetime(2026, 6, 3, 12, tzinfo=UTC)
    decisions = life.state.tick(life.rules, life.now, life.failures)
    assert started(decisions) == []
    assert life.state.next_moment is not None
    assert life.state.next_moment > life.now
    life.now = life.state.next_moment + minutes(90)
    assert journeys_entered(life.state.tick(life.rules, life.now, life.failures)) == ["j"]


def test_after_an_outage_the_last_that_was_missed_is_told_because_it_may_be_in_time() -> None:
    life = living(schedule("09:00"))
    first = life.state.next_moment
    assert first is not None
    life.now = first + days(20) + minutes(90)
    (start,) = only(Start, life.state.tick(life.rules, life.now, life.failures))
    assert start.trigger is not None
    assert (start.trigger.occurred_at - first).days in {19, 20}
    assert life.now - start.trigger.occurred_at < hours(3)
    assert life.state.next_moment == start.trigger.occurred_at + days(1)


@given(
    st.sampled_from([schedule("09:00"), schedule("09:00", weekday="friday"), schedule("23:59", day=31)]),
    st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - given a zone
    st.sampled_from(["UTC", KYIV, "America/Sao_Paulo", "Pacific/Kiritimati", "Nowhere/None"]),
)
def test_the_next_time_always_lies_ahead_and_nothing_between_is_skipped(
    rule: Any, now: datetime, timezone: str
) -> None:
    life = Life()
    life.state.facts["timezone"] = timezone
    later = upcoming(rule, life.state, now)
    assert later is not None
    assert now < later <= now + days(32)
    assert upcoming(rule, life.state, later - SECOND) == later


MONTHLY = total(RoundCompleted, "stake_minor", per=month)


def stakes(life: Life, amount: int, **more: Any) -> list[str]:
    decisions = life.happens(RoundCompleted, stake_minor=amount, **more)
    for start in only(Start, decisions):
        life.run_ends(start.run_id)
    return journeys_entered(decisions)


def test_a_threshold_is_crossed_once_in_every_month() -> None:
    life = living(threshold(MONTHLY, 1_000))
    assert stakes(life, 999) == []
    assert stakes(life, 1) == ["j"]
    assert stakes(life, 5_000) == []
    assert stakes(life, 5_000, after=days(31)) == ["j"]


def test_what_comes_late_crosses_the_threshold_of_the_month_it_belongs_to() -> None:
    life = living(threshold(MONTHLY, 1_000))
    life.now = datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert stakes(life, 600, ago=hours(4)) == []
    assert stakes(life, 600) == []
    assert stakes(life, 600, ago=hours(3)) == ["j"]


def test_a_rolling_threshold_fires_again_after_it_fell_below() -> None:
    life = living(threshold(count(RoundCompleted, last=days(7)), 2))
    assert [stakes(life, 1), stakes(life, 1), stakes(life, 1)] == [[], ["j"], []]
    assert [stakes(life, 1, after=days(9)), stakes(life, 1)] == [[], ["j"]]


NET = total(RoundCompleted, lambda r: r.win_minor - r.stake_minor, per=day, name="net")


def losing(length: int = 3, **more: Any) -> DayStreakRule:
    return streak_of_days(NET, length, where=lambda net: net < 0, **more)


def plays(life: Life, on: int, net: int, **more: Any) -> None:
    """The player nets so much on the `on`-th day from the beginning."""
    moment = NOON + days(on)
    until(life, moment)
    life.happens(RoundCompleted, stake_minor=max(0, -net), win_minor=max(0, net), **more)


def test_three_losing_days_are_noticed_an_hour_after_the_third() -> None:
    life = living(losing())
    for on in range(3):
        plays(life, on, -100)
        plays(life, on, 50)
    (start,) = only(Start, until(life, NOON + days(5)))
    assert start.entered_at == datetime(2026, 3, 12, 23, tzinfo=UTC)
    assert getattr(start.trigger, "days", None) == 3


def test_a_winning_day_breaks_them_and_a_day_without_play_does_not_unless_asked() -> None:
    for results, idle, expected in (
        ([-1, -1, 5, -1], "skips", 0),
        ([-1, None, -1, -1], "skips", 1),
        ([-1, None, -1, -1], "breaks", 0),
        ([-1, -1, -1, -1, -1, -1], "skips", 2),
    ):
        life = living(losing(idle=idle))
        found = 0
        for on, net in enumerate(results):
            found += len(only(Start, until(life, NOON + days(on) - SECOND)))
            if net is not None:
                plays(life, on, net)
        found += len(only(Start, until(life, NOON + days(9))))
        assert found == expected, (results, idle)


def test_a_round_within_the_hour_after_midnight_still_belongs_to_its_day() -> None:
    life = living(losing(2), timezone="UTC")
    plays(life, 0, -100)
    plays(life, 1, 10)
    life.now = datetime(2026, 3, 12, 0, 30, tzinfo=UTC)
    life.happens(RoundCompleted, occurred_at=datetime(2026, 3, 11, 23, 59, tzinfo=UTC), stake_minor=100, win_minor=0)
    assert len(only(Start, until(life, NOON + days(4)))) == 1


def test_what_comes_later_than_that_does_not_change_the_verdict() -> None:
    life = living(losing(2), timezone="UTC")
    plays(life, 0, -100)
    plays(life, 1, 10)
    until(life, datetime(2026, 3, 12, 1, 30, tzinfo=UTC))
    life.now = datetime(2026, 3, 12, 1, 30, tzinfo=UTC)
    life.happens(RoundCompleted, occurred_at=datetime(2026, 3, 11, 23, 59, tzinfo=UTC), stake_minor=100, win_minor=0)
    assert only(Start, until(life, NOON + days(4))) == []


def test_a_sweep_that_was_down_judges_the_days_it_missed() -> None:
    life = living(losing())
    for on in range(3):
        life.now = NOON + days(on)
        life.happens(RoundCompleted, stake_minor=100, win_minor=0)
    life.now = NOON + days(3)
    (start,) = only(Start, life.state.tick(life.rules, life.now, life.failures))
    assert start.trigger is not None
    assert start.trigger.occurred_at == datetime(2026, 3, 12, 23, tzinfo=UTC)


def test_a_judgement_that_fails_is_taken_for_no() -> None:
    life = living(streak_of_days(NET, 2, where=lambda net: net < 1 // 0))
    plays(life, 0, -1)
    life.failures = []
    until(life, NOON + days(2))
    assert {(failure.kind, type(failure.error)) for failure in life.failures} == {("day", ZeroDivisionError)}


def test_a_new_release_awaits_what_still_lies_ahead_and_drops_what_is_gone() -> None:
    life = Life()
    life.happens(PlayerRegistered, timezone="UTC", birth_date="1990-05-17")
    life.happens(SessionLogin)
    new = Life(
        declared("a", inactive(SessionLogin, days(3))), declared("b", birthday(at="10:00"), entry=every(days(9)))
    )
    assert life.state.rearm(new.rules, NOON + days(1), NO_FAILURES) == []
    assert life.state.moments == {
        "inactive:session.login:259200": NOON + days(3),
        "birthday:10:00": datetime(2026, 5, 17, 10, tzinfo=UTC),
    }
    assert life.state.rearm(Life().rules, NOON + days(1), NO_FAILURES) == []
    assert life.state.moments == {}


def test_what_was_told_already_is_not_told_again_by_a_new_release() -> None:
    life = Life(declared("a", inactive(SessionLogin, days(3)), entry=always))
    life.happens(SessionLogin)
    assert len(only(Start, life.passes(days(3)))) == 1
    life.state.rearm(life.rules, life.now, life.failures)
    assert life.state.moments == {}


def test_a_moment_that_is_due_is_still_told_after_a_new_release_or_another_zone() -> None:
    life = living(birthday(at="10:00"), timezone="UTC", birth_date="1990-05-17")
    life.now = datetime(2026, 5, 17, 10, tzinfo=UTC)
    life.state.rearm(life.rules, life.now, life.failures)
    life.happens(ProfileUpdated, changed={"timezone": "Asia/Tokyo"})
    assert len(started(life.passes(SECOND))) == 1


def test_a_segment_that_time_ends_is_left_aloud_although_a_new_release_came_first() -> None:
    @segment
    def fresh(player: Statistics) -> bool:
        """Came within a day."""
        return player[COMING] > 0

    life = Life(declared("gone", left(fresh)), segments=[fresh])
    life.happens(SessionLogin)
    life.now = life.state.moments["segment:fresh"]
    assert life.state.rearm(life.rules, life.now, life.failures) == []
    assert len(started(life.passes(SECOND))) == 1


def test_a_goal_that_happened_before_the_player_came_in_is_not_the_journeys() -> None:
    from workflows import goal, on
    from workflows.player_state.decisions import GoalReached

    life = Life(declared("j", on(SessionLogin), goal=goal(DepositApproved, within=days(7))))
    life.happens(SessionLogin)
    assert only(GoalReached, life.happens(DepositApproved, ago=hours(1))) == []
    assert len(only(GoalReached, life.happens(DepositApproved))) == 1


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: birthday(at="ten"), "HH:MM"),
        (anniversary, "either months= or years="),
        (lambda: anniversary(months=1, years=1), "either months= or years="),
        (lambda: schedule("09:00", weekday="mon"), "no weekday"),
        (lambda: schedule("09:00", weekday="monday", day=3), "not both"),
        (lambda: schedule("09:00", day=32), "1 to 31"),
        (lambda: threshold(MONTHLY, 0), "at least 1"),
        (lambda: streak_of_days(MONTHLY, 3, where=bool), "per=day"),
        (lambda: streak_of_days(NET, 1, where=bool), "two days"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(declare: Any, told: str) -> None:
    with pytest.raises(DesignError, match=told):
        declare()


@segment
def paying(player: Statistics) -> bool:
    """Deposits and has not gone quiet."""
    return player.deposits > 0 and not player.quiet(DepositApproved, days(3))


def paid_once() -> Life:
    life = Life(declared("j", schedule("09:00", segment=paying), left(paying), entry=always, ends_after=hours(1)))
    life.happens(PlayerRegistered, timezone=KYIV)
    life.happens(DepositApproved)
    return life


@given(st.integers(1, 300))
def test_a_player_whom_nobody_looked_at_for_long_ends_where_one_looked_at_all_the_time_does(waited: int) -> None:
    """A schedule asks its segment, and the segment's own moment may be due in the same look."""
    watched, forgotten = paid_once(), paid_once()
    until(watched, NOON + hours(waited))
    forgotten.passes(hours(waited))
    assert set(forgotten.state.segments) == set(watched.state.segments)
    assert forgotten.state.moments == watched.state.moments
