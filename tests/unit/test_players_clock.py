# ruff: noqa: ARG001 - a journey takes the event that starts it
"""The weekday and the hour on the player's own clock, wherever a rule asks an event or the present for them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stage.flow.diagram import triggered
from tests.support.examples import examples
from tests.support.player_events import NOON, Life, declared, journeys_entered, only, stored
from workflows import (
    DepositApproved,
    Event,
    LocalTime,
    Player,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    Statistics,
    always,
    count,
    days,
    entered,
    goal,
    hours,
    journey,
    local,
    on,
    segment,
    weekend,
)
from workflows.errors import DesignError
from workflows.local_time import WEEKDAYS
from workflows.player_state.decisions import GoalReached, Start, Wake
from workflows.player_state.journey_facts import journey_facts
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
NOW = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
TIMES = st.builds(
    lambda named, span: LocalTime(tuple(sorted(named, key=WEEKDAYS.index)), span),
    st.sets(st.sampled_from(WEEKDAYS), max_size=6),
    st.none() | st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda span: span[0] != span[1]),
)
TUESDAY_NIGHT = local("tuesday", hours=(0, 6))
AT_NIGHT = count(RoundCompleted, where=local(hours=(0, 6)), last=days(7), name="at_night")


@segment
def here_at_the_weekend(player: Statistics) -> bool:
    """It is the weekend, and there was a login."""
    return player.locally(weekend) and player.count(SessionLogin) > 0


@segment
def night_owl(player: Statistics) -> bool:
    """Two rounds at night."""
    return player[AT_NIGHT] >= 2


# ---- times of the week ---------------------------------------------------------------------------


@given(st.sampled_from(ZONES), NOW, TIMES, st.integers(0, 3 * 86_400))
@settings(max_examples=examples(600, quick=200))
@example("Europe/Kyiv", datetime(2026, 3, 29, 0, 30, tzinfo=UTC), LocalTime((), (3, 4)), 1_800)
@example("Europe/Kyiv", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), LocalTime((), (3, 4)), 3_600)
@example("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), LocalTime((), (0, 1)), 3_600)
@example("America/St_Johns", datetime(2005, 10, 30, 2, 20, tzinfo=UTC), LocalTime(("sunday",)), 900)
@example("Pacific/Apia", datetime(2011, 12, 29, 23, 0, tzinfo=UTC), LocalTime(("friday",)), 86_400)
def test_nothing_changes_before_the_moment_that_is_told(name: str, now: datetime, when: LocalTime, later: int) -> None:
    zone, changes = ZoneInfo(name), when.changes_at(now, name)
    assert now < changes <= now + days(3)
    between = min(now + timedelta(seconds=later), changes - timedelta.resolution)
    assert when.holds(between.astimezone(zone)) == when.holds(now.astimezone(zone))


@given(st.sampled_from(ZONES), NOW, TIMES)
@settings(max_examples=examples(300, quick=100))
def test_a_time_of_the_week_is_what_the_clock_on_the_wall_shows(name: str, now: datetime, when: LocalTime) -> None:
    event = SessionLogin.example().model_copy(update={"occurred_at": now}).on_clock_of(name)
    shown = now.astimezone(ZoneInfo(name))
    begin, end = when.hours or (0, 24)
    hour_fits = shown.hour in {*range(begin, end)} if begin < end else shown.hour not in {*range(end, begin)}
    assert when(event) == (hour_fits and (not when.weekdays or f"{shown:%A}".lower() in when.weekdays))
    assert when(Event.from_wire(event.to_wire())) == when(event)


def test_an_hour_that_comes_twice_counts_twice_and_one_that_is_skipped_never_comes() -> None:
    kyiv, three = ZoneInfo("Europe/Kyiv"), local(hours=(3, 4))
    autumn = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC).astimezone(kyiv) for hour in (0, 1, 2)]
    spring = [datetime(2026, 3, 29, hour, 30, tzinfo=UTC).astimezone(kyiv) for hour in (0, 1, 2)]
    assert [three.holds(moment) for moment in (*autumn, *spring)] == [True, True, False, False, False, False]


def test_it_is_said_in_words() -> None:
    assert TUESDAY_NIGHT.words == "on Tuesday from 00:00 to 06:00 on the player's clock"
    assert local(hours=(22, 6)).words == "from 22:00 to 06:00 on the player's clock"
    trigger = on(DepositApproved, where=weekend)
    assert triggered(trigger) == "DepositApproved on Saturday or Sunday on the player's clock"


@pytest.mark.parametrize(
    ("weekdays", "span", "mend"),
    [(("tue",), None, "write one of"), ((), (6, 6), "two hours"), ((), (6, 25), "two hours"), ((), None, "always")],
)
def test_what_cannot_be_meant_is_refused(weekdays: tuple[str, ...], span: tuple[int, int] | None, mend: str) -> None:
    with pytest.raises(DesignError, match=mend):
        local(*weekdays, hours=span)


# ---- rules that ask ------------------------------------------------------------------------------


def test_a_trigger_asks_the_clock_of_the_player_and_not_ours() -> None:
    life = Life(declared("night", on(DepositApproved, where=TUESDAY_NIGHT), entry=always))
    life.happens(PlayerRegistered, timezone="Europe/Kyiv")
    # 23:30 UTC on Monday is 01:30 on Tuesday in Kyiv; 04:30 UTC is 06:30.
    life.now = datetime(2026, 3, 16, 23, 30, tzinfo=UTC)
    assert journeys_entered(life.happens(DepositApproved, payment_id="a")) == ["night"]
    assert journeys_entered(life.happens(DepositApproved, payment_id="b", after=hours(5))) == []


def test_a_lambda_reads_the_weekday_and_the_hour_off_the_event() -> None:
    rule = on(DepositApproved, where=lambda deposit: deposit.local.hour == 21 and deposit.amount_minor > 0)
    life = Life(declared("evening", rule, entry=always))
    life.happens(PlayerRegistered, timezone="Asia/Tokyo")
    assert journeys_entered(life.happens(DepositApproved)) == ["evening"]  # noon in UTC


def test_a_goal_asks_too() -> None:
    reached = goal(SessionLogin, within=days(14), where=weekend)
    life = Life(declared("plays", on(DepositApproved), goal=reached))
    life.happens(PlayerRegistered, timezone="Pacific/Auckland")
    life.happens(DepositApproved)
    assert only(GoalReached, life.happens(SessionLogin, after=days(1))) == []
    # Friday noon in UTC is the first hour of Saturday in Auckland.
    assert len(only(GoalReached, life.happens(SessionLogin, after=days(2)))) == 1


def test_a_segment_counts_by_the_clock_and_moves_when_the_clock_does() -> None:
    life = Life(declared("owl", entered(night_owl)), segments=[night_owl, here_at_the_weekend])
    life.happens(PlayerRegistered, timezone="Asia/Tokyo")
    for number in range(2):
        assert journeys_entered(life.happens(RoundCompleted, round_id=f"noon{number}")) == []
    life.happens(SessionLogin)
    life.now = datetime(2026, 3, 13, 15, 30, tzinfo=UTC)  # half past midnight on Saturday in Tokyo
    assert life.state.next_moment == datetime(2026, 3, 10, 15, tzinfo=UTC)
    life.state.tick(life.rules, life.now, life.failures)
    assert sorted(life.state.segments) == ["here_at_the_weekend"]
    life.happens(RoundCompleted, round_id="a")
    assert journeys_entered(life.happens(RoundCompleted, round_id="b")) == ["owl"]
    assert sorted(stored(life.state).segments) == ["here_at_the_weekend", "night_owl"]


def test_a_move_changes_only_what_comes_after_it() -> None:
    life = Life(declared("night", on(DepositApproved, where=TUESDAY_NIGHT), entry=always))
    life.now = datetime(2026, 3, 16, 23, 30, tzinfo=UTC)
    life.happens(PlayerRegistered, timezone="Europe/Kyiv")
    (start,) = only(Start, life.happens(DepositApproved, payment_id="a"))
    life.happens(ProfileUpdated, changed={"timezone": "America/New_York"})
    assert only(Start, life.happens(DepositApproved, payment_id="b")) == []
    # What a run hears of it says the zone of then, and without personal data.
    wire = start.run_input("acme", journey_facts(life.state)).trigger
    assert wire is not None
    assert wire["zone"] == "Europe/Kyiv"
    assert TUESDAY_NIGHT(Event.from_wire(wire))


def test_an_event_stays_equal_and_its_data_stay_what_they_were() -> None:
    bare, placed = DepositApproved.example(), DepositApproved.example().on_clock_of("Europe/Kyiv")
    assert (placed, hash(placed)) == (bare, hash(bare))
    assert placed.to_data() == bare.to_data()
    assert placed.redacted().local == placed.local
    assert (bare.local, "zone" in bare.to_wire()) == (bare.occurred_at, False)


# ---- waits ---------------------------------------------------------------------------------------


@journey(on(PlayerRegistered), ends_after=days(30))
async def waits_for_the_weekend(player: Player, registered: PlayerRegistered) -> None:
    """Waits for a login at the weekend, and for one at night."""
    await player.event(SessionLogin, where=weekend, within=days(7))
    await player.event(RoundCompleted, where=local(hours=(0, 6)), within=days(7))


def test_a_run_is_told_only_of_what_happens_then() -> None:
    definition = load((__name__,)).journeys["waits_for_the_weekend"]
    life = Life()
    life.rules = RuleIndex({definition.name: definition})
    life.happens(PlayerRegistered, timezone="Europe/Kyiv")
    told = ((SessionLogin, hours(1)), (RoundCompleted, hours(1)), (RoundCompleted, hours(9)))
    heard = [len(only(Wake, life.happens(kind, after=after))) for kind, after in told]
    assert (heard, life.now) == ([0, 0, 1], NOON + hours(11))
