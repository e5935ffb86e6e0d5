"""Who enters a journey, when, in which arm, and what makes it begin."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import Life, declared, journeys_entered, only, started
from workflows import (
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    Inactive,
    LossStreak,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    WinStreak,
    WithdrawalRequested,
    always,
    days,
    every,
    goal,
    hours,
    inactive,
    milestone,
    minutes,
    on,
    once,
    per,
    streak,
)
from workflows.errors import DesignError
from workflows.player_state.control_arms import arm_of, drawn_arm
from workflows.player_state.decisions import Ended, GoalReached, Start, Stop, Wake
from workflows.player_state.state import MOST_RUNS, PlayerState

SECOND = timedelta(seconds=1)
LOSS: dict[str, Any] = {"stake_minor": 100, "win_minor": 0, "bonus_stake_minor": 0, "bonus_win_minor": 0}
WIN = LOSS | {"win_minor": 300}
BACK = LOSS | {"win_minor": 100}


# ---- entry rules --------------------------------------------------------------------------------


def test_once_lets_a_player_in_once_in_a_life() -> None:
    life = Life(declared("hello", on(SessionLogin), entry=once))
    (run_id,) = started(life.happens(SessionLogin))
    assert run_id.startswith("hello:acme:p-1:")
    life.run_ends(run_id)
    assert life.happens(SessionLogin, after=days(400)) == []


def test_always_lets_a_player_in_again_as_soon_as_the_last_run_is_over() -> None:
    life = Life(declared("hello", on(SessionLogin), entry=always))
    (first,) = started(life.happens(SessionLogin))
    assert started(life.happens(SessionLogin)) == []
    life.run_ends(first)
    assert journeys_entered(life.happens(SessionLogin)) == ["hello"]


def test_every_counts_its_period_from_the_trigger_of_the_last_entry() -> None:
    life = Life(declared("hello", on(SessionLogin), entry=every(days(3))))
    (first,) = started(life.happens(SessionLogin, ago=hours(5)))
    life.run_ends(first)
    life.now += days(3) - hours(5)
    assert started(life.happens(SessionLogin, ago=SECOND)) == []
    assert journeys_entered(life.happens(SessionLogin)) == ["hello"]


def test_per_lets_a_player_in_once_for_each_value_and_side_by_side() -> None:
    life = Life(declared("payout", on(WithdrawalRequested), entry=per("payment_id")))
    assert journeys_entered(life.happens(WithdrawalRequested, payment_id="w-1")) == ["payout"]
    assert journeys_entered(life.happens(WithdrawalRequested, payment_id="w-2")) == ["payout"]
    life.run_ends(life.run_of("payout"))
    assert started(life.happens(WithdrawalRequested, payment_id="w-1")) == []


def test_per_forgets_the_oldest_of_more_than_sixty_four_values() -> None:
    life = Life(declared("payout", on(WithdrawalRequested), entry=per("payment_id")))
    for number in range(65):
        assert started(life.happens(WithdrawalRequested, payment_id=f"w-{number}"))
    assert not started(life.happens(WithdrawalRequested, payment_id="w-1"))
    assert started(life.happens(WithdrawalRequested, payment_id="w-0"))
    assert len(life.state.entries["payout"].keys) == 64


def test_a_row_holds_a_bounded_number_of_runs_that_only_wait_for_their_goal() -> None:
    aim = goal(DepositApproved, within=days(30))
    life = Life(declared("hello", on(SessionLogin), entry=always, goal=aim))
    entered = []
    for _ in range(MOST_RUNS + 3):
        (run_id,) = started(life.happens(SessionLogin, after=SECOND))
        entered.append(run_id)
        life.run_ends(run_id)
    assert [*life.state.runs] == entered[3:]
    reached = [decision.run_id for decision in only(GoalReached, life.happens(DepositApproved, after=SECOND))]
    assert sorted(reached) == sorted(entered[3:])


def test_what_began_a_run_that_is_still_known_begins_no_other() -> None:
    aim = goal(DepositApproved, within=days(30))
    life = Life(declared("hello", on(SessionLogin), entry=always, goal=aim))
    hello, by = life.rules.journeys["hello"], {"type": "person", "id": "1"}
    (run_id,) = started(life.state.enter(hello, None, life.now, by))
    life.run_ends(run_id)
    before = life.state.stored()
    assert life.state.enter(hello, None, life.now, by) == []
    assert life.state.stored() == before


def test_per_lets_nobody_in_without_a_value() -> None:
    life = Life(declared("any", on(WithdrawalRequested), on(SessionLogin), entry=per("payment_id")))
    assert life.happens(SessionLogin) == []
    assert life.enters("any") == []


@pytest.mark.parametrize("entry", [once, always, every(SECOND)])
def test_no_player_is_in_a_journey_twice_at_a_time(entry: object) -> None:
    life = Life(declared("hello", on(SessionLogin), entry=entry, control=0))
    assert started(life.happens(SessionLogin))
    assert life.happens(SessionLogin, after=hours(1)) == []
    assert life.enters("hello") == []


def test_a_journey_for_some_brands_lets_no_player_of_another_in() -> None:
    life = Life(
        declared("ours", on(SessionLogin), brands=["acme", "luna"]),
        declared("theirs", on(SessionLogin), brands=["luna"]),
    )
    assert journeys_entered(life.happens(SessionLogin)) == ["ours"]
    assert life.enters("theirs") == []


@pytest.mark.parametrize("brands", ["acme", ["Acme"], ["a" * 33], [""]])
def test_what_cannot_be_a_brand_is_refused(brands: Any) -> None:
    with pytest.raises(DesignError, match="brands= takes a list of brands"):
        declared("hello", on(SessionLogin), brands=brands)


def test_one_event_lets_a_player_into_several_journeys_in_the_order_of_their_names() -> None:
    life = Life(declared("b_second", on(SessionLogin)), declared("a_first", on(SessionLogin)))
    assert journeys_entered(life.happens(SessionLogin)) == ["a_first", "b_second"]


def test_several_triggers_that_fire_together_are_one_entry() -> None:
    life = Life(declared("hello", on(DepositApproved), milestone(DepositApproved, 1), entry=per("payment_id")))
    assert len(started(life.happens(DepositApproved))) == 1


def test_a_journey_that_waits_for_an_event_and_for_what_is_derived_from_it_begins_with_the_event_itself() -> None:
    big = on(RoundCompleted, where=lambda played: played.stake_minor > 100)
    life = Life(declared("help", on(LossStreak), big, entry=always))
    for stake in (100, 100):
        assert life.happens(RoundCompleted, **LOSS | {"stake_minor": stake}) == []
    (start,) = only(Start, life.happens(RoundCompleted, **LOSS | {"stake_minor": 101}))
    assert isinstance(start.trigger, RoundCompleted)


def test_where_decides_which_events_trigger() -> None:
    life = Life(declared("big", on(DepositApproved, where=lambda deposit: deposit.amount_minor >= 10_000)))
    assert life.happens(DepositApproved, amount_minor=9_999) == []
    assert started(life.happens(DepositApproved, amount_minor=10_000))


def test_a_person_lets_a_player_in_under_the_same_rule_and_is_named_as_the_cause() -> None:
    life = Life(declared("hello", entry=once))
    (start,) = only(Start, life.enters("hello"))
    assert start.trigger is None
    assert start.cause == {"type": "person", "id": "1"}
    assert life.enters("hello") == []


def test_a_start_says_what_a_run_must_know() -> None:
    life = Life(declared("hello", on(SessionLogin), ends_after=days(2), goal=goal(DepositApproved, within=days(5))))
    (start,) = only(Start, life.happens(SessionLogin, ago=hours(3)))
    assert start.entered_at == life.now
    assert start.ends_at == life.now + days(2)
    assert start.goal_until == life.now - hours(3) + days(5)
    assert start.trigger is not None
    assert start.cause == {"type": "session.login", "id": "e-1", "source": "/test"}


# ---- late, refused, history ---------------------------------------------------------------------


def test_a_trigger_we_hear_of_too_late_lets_nobody_in() -> None:
    hello = declared("hello", on(SessionLogin), late_after=hours(2), entry=always)
    assert started(Life(hello).happens(SessionLogin, ago=hours(2)))
    life = Life(hello)
    assert life.happens(SessionLogin, ago=hours(2) + SECOND) == []
    assert "hello" not in life.state.entries


def test_an_excluded_player_enters_in_the_books_only() -> None:
    life = Life(declared("hello", on(SessionLogin), entry=once))
    life.happens(ExclusionSet, kind="time_out", until=life.now + days(1))
    (start,) = only(Start, life.happens(SessionLogin))
    assert start.refused == "time_out"
    assert life.state.runs == {}
    # It counts: the exclusion is no way to a second entry once it has ended.
    assert life.happens(SessionLogin, after=days(2)) == []


def test_history_counts_and_starts_wakes_and_stops_nothing() -> None:
    journey = declared("hello", on(SessionLogin), entry=always, listens=[DepositApproved], exit_on=[DepositFailed])
    life = Life(journey)
    (run_id,) = started(life.happens(SessionLogin))
    for kind in (SessionLogin, DepositApproved, DepositFailed, ExclusionSet):
        assert life.happens(kind, mode="history") == []
    assert life.state.runs[run_id].seq == 0
    assert life.state.counts["session.login"] == 2
    assert life.state.entries["hello"].count == 1


# ---- the control arm ----------------------------------------------------------------------------


@given(st.integers(0, 100), st.text("abcdefgh", min_size=1, max_size=8))
@settings(max_examples=examples(15))
def test_the_control_arm_is_near_its_percent(percent: int, journey: str) -> None:
    among = 2_000
    control = sum(arm_of("acme", f"p-{n}", journey, percent) == "control" for n in range(among))
    # Five standard deviations; and nobody at 0, everybody at 100.
    assert abs(control - among * percent / 100) <= 5 * (among * percent * (100 - percent) / 10_000) ** 0.5


def test_a_player_stays_in_the_arm_and_a_bigger_control_only_adds_to_it() -> None:
    players = [f"p-{n}" for n in range(500)]
    control = {percent: {p for p in players if arm_of("acme", p, "hello", percent) == "control"} for percent in (5, 20)}
    assert control[5] < control[20]
    assert {p for p in players if arm_of("acme", p, "hello", 5) == "control"} == control[5]
    assert {p for p in players if arm_of("acme", p, "other", 20) == "control"} != control[20]
    # The arms of earlier releases: changing the hash would move players between arms under way.
    assert [arm_of("acme", p, "hello", 50)[0] for p in players[:12]] == list("ctttccctcttc")


def test_a_control_run_is_played_like_any_other() -> None:
    life = Life(declared("hello", on(SessionLogin), control=100, ends_after=days(2), listens=[DepositApproved]))
    (start,) = only(Start, life.happens(SessionLogin))
    assert start.arm == "control"
    assert [wake.run_id for wake in only(Wake, life.happens(DepositApproved))] == [start.run_id]
    assert life.state.next_moment is None
    assert life.passes(days(2)) == []
    assert life.state.stop_all("stopped_by_hand", life.now) == [Stop(start.run_id, 2, "stopped_by_hand")]


def test_a_control_run_from_before_those_were_played_is_never_woken_and_ends_by_itself() -> None:
    life = Life(declared("hello", on(SessionLogin), control=100, ends_after=days(2), listens=[DepositApproved]))
    (start,) = only(Start, life.happens(SessionLogin))
    before = life.state.to_json()
    del before["runs"][start.run_id]["played"]
    life.state = PlayerState.from_json(life.state.brand, life.state.player_id, before)
    assert only(Wake, life.happens(DepositApproved)) == []
    assert life.state.next_moment == start.ends_at
    assert life.passes(days(2)) == [Ended(start.run_id, start.ends_at, "ended")]
    assert life.state.runs == {}


# ---- milestones ---------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 14))
@settings(max_examples=examples(30, quick=12))
def test_a_milestone_fires_once_at_its_count_whatever_history_brought_of_it(count: int, history: int) -> None:
    life = Life(declared("gold", milestone(DepositApproved, count), entry=always))
    for _ in range(history):
        assert life.happens(DepositApproved, mode="history") == []
    fired = []
    for number in range(history + 1, 16):
        if runs := started(life.happens(DepositApproved)):
            fired.append(number)
            life.run_ends(runs[0])
    assert fired == ([count] if history < count else [])


def test_a_milestone_counts_events_of_its_own_type_only() -> None:
    life = Life(declared("gold", milestone(DepositApproved, 2)))
    life.happens(DepositApproved)
    assert life.happens(DepositFailed) == []
    assert started(life.happens(DepositApproved))


# ---- streaks ------------------------------------------------------------------------------------


def fires(life: Life, name: str = "help") -> bool:
    """Whether the last event let the player into `help`, which is ended at once."""
    run_id = next((run for run in life.state.runs if run.startswith(name)), None)
    if run_id is not None:
        life.run_ends(run_id)
    return run_id is not None


def failing(**how: object) -> Life:
    return Life(declared("help", streak(DepositFailed, 3, **how), entry=always))  # type: ignore[arg-type]


def test_a_streak_fires_at_its_length_and_at_every_multiple() -> None:
    life = failing()
    fired = []
    for number in range(1, 10):
        life.happens(DepositFailed)
        if fires(life):
            fired.append(number)
    assert fired == [3, 6, 9]


def test_what_breaks_a_streak_makes_it_begin_again() -> None:
    life = failing(broken_by=DepositApproved)
    for kind in (DepositFailed, DepositFailed, DepositApproved, DepositFailed, DepositFailed):
        life.happens(kind)
        assert not fires(life)
    life.happens(DepositFailed)
    assert fires(life)


def test_other_events_in_between_break_no_streak() -> None:
    life = failing(broken_by=DepositApproved)
    for kind in (DepositFailed, SessionLogin, DepositFailed, RoundCompleted, DepositFailed):
        life.happens(kind)
    assert fires(life)


def test_an_event_that_fails_where_breaks_the_streak() -> None:
    life = failing(where=lambda failed: failed.amount_minor > 100)
    for amount in (200, 200, 100, 200, 200):
        life.happens(DepositFailed, amount_minor=amount)
        assert not fires(life)
    life.happens(DepositFailed, amount_minor=200)
    assert fires(life)


def test_a_streak_that_takes_too_long_begins_again_with_the_latest() -> None:
    life = failing(within=hours(24))
    for after in (hours(0), hours(12), hours(12) + SECOND, hours(12)):
        life.happens(DepositFailed, after=after)
        assert not fires(life)
    life.happens(DepositFailed, after=hours(12))
    assert fires(life)


def test_history_brings_a_streak_to_the_brink() -> None:
    life = failing()
    for _ in range(2):
        life.happens(DepositFailed, mode="history")
    life.happens(DepositFailed)
    assert fires(life)


def test_streaks_of_two_names_over_one_type_are_counted_apart() -> None:
    life = Life(
        declared("help", streak(DepositFailed, 2, where=lambda e: e.failure == "limit", name="limit"), entry=always),
        declared("other", streak(DepositFailed, 2, where=lambda e: e.failure == "fraud", name="fraud"), entry=always),
    )
    for failure in ("limit", "fraud", "limit"):
        life.happens(DepositFailed, failure=failure)
        assert not fires(life)
    life.happens(DepositFailed, failure="limit")
    assert fires(life)
    assert not fires(life, "other")


# ---- derived streaks ----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "good", "bad"), [(LossStreak, LOSS, WIN), (WinStreak, WIN, LOSS)])
def test_three_rounds_of_one_kind_in_a_row_are_an_event_of_their_own(
    kind: type[LossStreak | WinStreak], good: dict[str, Any], bad: dict[str, Any]
) -> None:
    life = Life(declared("help", on(kind), entry=always), declared("watch", on(SessionLogin), listens=[kind]))
    life.happens(SessionLogin)
    for round_ in (good, good, bad, good, good, BACK, good, good):
        assert life.happens(RoundCompleted, **round_) == []
    wake, start = life.happens(RoundCompleted, **good)
    assert isinstance(wake, Wake)
    assert isinstance(start, Start)
    for told in (wake.event, start.trigger):
        assert isinstance(told, kind)
        assert told.rounds == 3
        assert told.occurred_at == life.now
    assert start.cause is not None
    assert start.cause["type"] == kind.type
    life.happens(RoundCompleted, **good)
    life.happens(RoundCompleted, **good)
    (again,) = only(Wake, life.happens(RoundCompleted, **good))
    assert isinstance(again.event, kind)
    assert again.event.rounds == 6


def test_bonus_money_counts_as_stake_and_as_win() -> None:
    life = Life(declared("help", on(LossStreak), entry=always))
    for _ in range(3):
        life.happens(RoundCompleted, stake_minor=100, bonus_stake_minor=0, win_minor=0, bonus_win_minor=100)
        assert not fires(life)
    for _ in range(3):
        life.happens(RoundCompleted, stake_minor=100, bonus_stake_minor=50, win_minor=100, bonus_win_minor=49)
    assert fires(life)
    life = Life(declared("help", on(WinStreak), entry=always))
    for _ in range(3):
        life.happens(RoundCompleted, stake_minor=100, bonus_stake_minor=50, win_minor=100, bonus_win_minor=51)
    assert fires(life)


# ---- inactivity ---------------------------------------------------------------------------------

GONE = declared("gone", inactive(SessionLogin, days(14)), entry=always, late_after=hours(24))


def test_inactivity_is_due_after_the_last_event_and_every_event_puts_it_off() -> None:
    life = Life(GONE)
    assert life.state.next_moment is None
    life.happens(SessionLogin)
    life.happens(SessionLogin, after=days(10))
    assert life.state.next_moment == life.now + days(14)
    assert life.passes(days(14) - SECOND) == []
    (start,) = only(Start, life.passes(SECOND))
    assert isinstance(start.trigger, Inactive)
    assert start.trigger.occurred_at == life.now
    assert (start.trigger.kind, start.trigger.seconds) == ("session.login", 14 * 86_400)


def test_inactivity_fires_once_until_the_player_was_here_again() -> None:
    life = Life(GONE)
    life.happens(SessionLogin)
    (run_id,) = started(life.passes(days(14)))
    life.run_ends(run_id)
    assert life.state.next_moment is None
    assert life.passes(days(100)) == []
    life.happens(SessionLogin)
    assert journeys_entered(life.passes(days(14))) == ["gone"]


@pytest.mark.parametrize("earlier", [timedelta(0), SECOND])
def test_an_event_that_comes_late_rouses_no_inactivity_that_was_over(earlier: timedelta) -> None:
    life = Life(GONE)
    life.happens(SessionLogin)
    assert started(life.passes(days(14)))
    life.happens(SessionLogin, ago=days(14) + earlier)
    assert life.state.next_moment is None


def test_an_event_that_comes_late_moves_no_moment_back() -> None:
    life = Life(GONE)
    life.happens(SessionLogin)
    due = life.state.next_moment
    life.happens(SessionLogin, ago=days(3))
    assert life.state.next_moment == due


def test_a_player_who_never_logged_in_is_not_inactive() -> None:
    life = Life(GONE)
    life.happens(PlayerRegistered)
    assert life.state.next_moment is None
    assert life.passes(days(100)) == []


def test_history_arms_inactivity_but_what_was_due_long_ago_lets_nobody_in() -> None:
    fresh, stale = Life(GONE), Life(GONE)
    fresh.happens(SessionLogin, ago=days(14), mode="history")
    assert started(fresh.passes(hours(24)))
    stale.happens(SessionLogin, ago=days(14), mode="history")
    assert stale.passes(hours(24) + SECOND) == []
    assert stale.state.next_moment is None
    assert "gone" not in stale.state.entries


def test_a_tick_twice_is_a_tick_once() -> None:
    life = Life(GONE, declared("silent", inactive(SessionLogin, days(14) - hours(1)), control=100, entry=always))
    life.happens(SessionLogin)
    assert len(only(Start, life.passes(days(14)))) == 2
    after = life.state.to_json()
    assert life.passes(timedelta(0)) == []
    assert life.state.to_json() == after


def test_two_durations_over_one_event_are_two_moments() -> None:
    life = Life(GONE, declared("soon", inactive(SessionLogin, minutes(90)), entry=always))
    life.happens(SessionLogin)
    assert journeys_entered(life.passes(minutes(90))) == ["soon"]
    assert journeys_entered(life.passes(days(14) - minutes(90))) == ["gone"]


@given(st.integers(0, 100), st.integers(0, 100), st.text("abcdefgh", min_size=1, max_size=8))
def test_a_run_begun_by_one_of_a_control_group_is_of_one_too(outer: int, inner: int, player: str) -> None:
    first, second = (
        declared(name, on(SessionLogin), control=one) for name, one in (("outer", outer), ("inner", inner))
    )
    parent, own = drawn_arm("acme", player, first), drawn_arm("acme", player, second)
    drawn = own.within(parent)
    assert (drawn.arm == "treated") == (parent.arm == own.arm == "treated")
    treated = (100 - outer) * (100 - inner) / 10_000
    assert drawn.share == pytest.approx(treated if drawn.arm == "treated" else 1 - treated)
    assert own.within(None) == own
