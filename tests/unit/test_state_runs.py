"""What runs under way hear, how they end, and when their goal counts."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import Life, declared, only, started
from workflows import (
    DepositApproved,
    DepositFailed,
    ExclusionEnded,
    ExclusionSet,
    LossStreak,
    PlayerRegistered,
    RewardClaimed,
    RoundCompleted,
    SessionLogin,
    StatusChanged,
    WithdrawalCompleted,
    WithdrawalRequested,
    always,
    days,
    goal,
    hours,
    on,
    once,
    per,
)
from workflows.errors import DesignError
from workflows.player_state.decisions import Ended, GoalReached, RevokeOffers, Start, Stop, Wake

SECOND = timedelta(seconds=1)
#: `tracked`: a run of the control arm from before those were played.
ARMS = pytest.mark.parametrize("arm", ["treated", "control", "tracked"])


def hello(**declarations: Any) -> Any:
    return declared("hello", on(SessionLogin), entry=always, **declarations)


def entered(*journeys: Any) -> tuple[Life, str]:
    """A player who is in `hello` by a login just now."""
    life = Life(*journeys)
    (run_id,) = started(life.happens(SessionLogin))
    return life, run_id


def in_arm(arm: str, **declarations: Any) -> tuple[Life, str]:
    """A player who is in a journey by a login just now, in this arm."""
    life, run_id = entered(hello(**declarations, control=0 if arm == "treated" else 100))
    life.state.runs[run_id].played = arm == "control"
    return life, run_id


# ---- deliveries ---------------------------------------------------------------------------------


def test_a_run_hears_what_its_journey_listens_to_and_nothing_else() -> None:
    life, run_id = entered(hello(listens=[DepositApproved]))
    (wake,) = life.happens(DepositApproved, event_id="deposit")
    assert isinstance(wake, Wake)
    assert (wake.run_id, wake.seq, wake.event.event_id) == (run_id, 1, "deposit")
    assert life.happens(DepositFailed) == []
    assert life.happens(SessionLogin) == []


def test_a_run_does_not_hear_of_the_event_that_began_it() -> None:
    life = Life(declared("hello", on(SessionLogin), entry=always, listens=[SessionLogin]))
    assert only(Wake, life.happens(SessionLogin)) == []
    assert len(only(Wake, life.happens(SessionLogin))) == 1


@given(st.lists(st.sampled_from(["deposit", "answer", "round"]), max_size=30))
@settings(max_examples=examples(25))
def test_deliveries_of_a_run_are_numbered_without_gaps_to_its_stop(order: list[str]) -> None:
    life, run_id = entered(hello(listens=[DepositApproved, LossStreak]))
    numbers: list[int | None] = []
    for what in order:
        match what:
            case "deposit":
                numbers += [wake.seq for wake in only(Wake, life.happens(DepositApproved))]
            case "round":
                lost = life.happens(RoundCompleted, stake_minor=5, win_minor=0)
                numbers += [wake.seq for wake in only(Wake, lost)]
            case _:
                numbers.append(life.state.next_seq(run_id))
    (stop,) = life.state.stop(run_id, "stopped_by_hand", life.now)
    assert isinstance(stop, Stop)
    assert [*numbers, stop.seq] == list(range(1, len(numbers) + 2))


def test_runs_are_numbered_each_on_its_own() -> None:
    life = Life(declared("one", on(SessionLogin), entry=per("event_id"), listens=[DepositApproved]))
    for _ in range(3):
        life.happens(SessionLogin)
        life.happens(DepositApproved)
    assert [run.seq for run in life.state.runs.values()] == [3, 2, 1]


def test_an_answer_to_a_run_that_is_over_is_not_numbered() -> None:
    life, run_id = entered(hello(goal=goal(DepositApproved, within=days(7))))
    life.run_ends(run_id)
    assert life.state.runs[run_id].over
    assert life.state.next_seq(run_id) is None
    assert life.state.next_seq("hello:acme:p-1:another") is None


# ---- how runs end -------------------------------------------------------------------------------


@ARMS
def test_exit_on_ends_a_run_and_lets_the_player_in_again(arm: str) -> None:
    life, run_id = in_arm(arm, exit_on=[DepositApproved])
    (decision,) = life.happens(DepositApproved)
    if arm == "tracked":
        assert decision == Ended(run_id, life.now, "exit_on:payment.deposit_approved")
    else:
        assert decision == Stop(run_id, 1, "exit_on:payment.deposit_approved")
        life.run_ends(run_id)
    assert life.state.runs == {}
    assert started(life.happens(SessionLogin))


def test_a_tracked_run_ended_by_an_event_ends_when_it_happened_but_never_in_the_future() -> None:
    for ago in (hours(1), -timedelta(minutes=5)):
        life, run_id = in_arm("tracked", exit_on=[DepositApproved])
        ended = life.happens(DepositApproved, after=hours(2), ago=ago)
        at = life.now - max(ago, timedelta(0))
        assert ended == [Ended(run_id, at, "exit_on:payment.deposit_approved")]


def test_an_event_that_ends_a_run_is_not_delivered_besides() -> None:
    life, _ = entered(hello(exit_on=[DepositApproved], listens=[DepositApproved]))
    assert only(Wake, life.happens(DepositApproved)) == []
    assert life.happens(DepositApproved) == []


def test_exit_on_asks_where() -> None:
    life, _ = entered(hello(exit_on=[on(DepositApproved, where=lambda deposit: deposit.amount_minor > 100)]))
    assert life.happens(DepositApproved, amount_minor=100) == []
    assert only(Stop, life.happens(DepositApproved, amount_minor=101))


def test_a_losing_streak_may_end_a_run() -> None:
    life, run_id = entered(hello(exit_on=[LossStreak]))
    for _ in range(2):
        assert life.happens(RoundCompleted, stake_minor=5, win_minor=0) == []
    (stop,) = life.happens(RoundCompleted, stake_minor=5, win_minor=0)
    assert stop == Stop(run_id, 1, "exit_on:derived.loss_streak")


def test_the_end_of_a_run_is_decided_once() -> None:
    life, run_id = entered(hello(exit_on=[DepositApproved]))
    assert life.happens(DepositApproved)
    assert life.state.stop(run_id, "stopped_by_hand", life.now) == []
    assert life.state.stop_all("stopped_by_hand", life.now) == []
    assert life.happens(ExclusionSet, kind="time_out") == []


def test_stopping_everything_reaches_every_run_of_both_arms() -> None:
    life = Life(
        declared("a", on(SessionLogin), control=100),
        declared("b", on(SessionLogin), control=100),
        declared("c", on(SessionLogin)),
    )
    a, b, c = started(life.happens(SessionLogin))
    life.state.runs[a].played = False
    assert life.state.stop_all("stopped_by_hand", life.now) == [
        Ended(a, life.now, "stopped_by_hand"),
        Stop(b, 1, "stopped_by_hand"),
        Stop(c, 1, "stopped_by_hand"),
    ]


def test_a_future_dated_event_ends_no_tracked_run_early() -> None:
    life, run_id = in_arm("tracked", ends_after=timedelta(minutes=4))
    life.happens(DepositApproved, ago=timedelta(minutes=-5))
    assert not life.state.runs[run_id].over


# ---- protection ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (ExclusionSet, {"kind": "self_exclusion", "until": None}, "self_excluded"),
        (ExclusionSet, {"kind": "register", "until": None}, "self_excluded"),
        (ExclusionSet, {"kind": "time_out"}, "time_out"),
        (StatusChanged, {"to": "self_excluded", "until": None}, "self_excluded"),
        (StatusChanged, {"to": "blocked", "until": None}, "account_not_active"),
        (StatusChanged, {"to": "suspended"}, "account_not_active"),
    ],
)
def test_protection_stops_every_run_first_and_refuses_every_entry(kind: Any, data: Any, reason: str) -> None:
    journeys = [hello(listens=[kind]), declared("welcome", on(PlayerRegistered), entry=once, control=100)]
    life = Life(*journeys, declared("too_late", on(kind)))
    (welcome,) = started(life.happens(PlayerRegistered))
    (greeted,) = started(life.happens(SessionLogin))
    if data.get("until", life) is life:
        data = data | {"until": life.now + days(1)}
    stop, other, refused = (one for one in life.happens(kind, **data) if not isinstance(one, RevokeOffers))
    assert (stop, other) == (Stop(greeted, 1, reason), Stop(welcome, 1, reason))
    assert isinstance(refused, Start)
    assert (refused.journey, refused.refused) == ("too_late", reason)
    life.run_ends(greeted)
    life.run_ends(welcome)
    (later,) = only(Start, life.happens(SessionLogin))
    assert later.refused == reason
    assert life.state.runs == {}


def test_a_run_of_an_excluded_player_found_later_is_stopped_by_the_next_event() -> None:
    life, run_id = entered(hello())
    life.happens(ExclusionSet, kind="self_exclusion", until=None, mode="history")
    assert life.happens(DepositFailed) == [Stop(run_id, 1, "self_excluded")]


def test_runs_stopped_by_protection_do_not_come_back_with_its_end() -> None:
    life, run_id = entered(hello(listens=[DepositApproved]))
    life.happens(ExclusionSet, kind="time_out", until=life.now + days(1))
    life.happens(ExclusionEnded, kind="time_out", after=hours(1))
    assert life.happens(DepositApproved) == []
    assert life.state.runs[run_id].stopping


# ---- goals --------------------------------------------------------------------------------------

WITHIN = goal(DepositApproved, within=days(7))


@ARMS
def test_a_goal_is_reached_once_within_its_time_in_both_arms(arm: str) -> None:
    life, run_id = in_arm(arm, goal=WITHIN)
    (reached,) = only(GoalReached, life.happens(DepositApproved, after=days(7)))
    assert reached == GoalReached(run_id, life.now)
    assert only(GoalReached, life.happens(DepositApproved)) == []


@ARMS
def test_a_goal_is_never_reached_after_its_time(arm: str) -> None:
    life, _ = in_arm(arm, goal=WITHIN, ends_after=days(30))
    assert life.happens(DepositApproved, after=days(7) + SECOND) == []


@ARMS
def test_a_goal_counts_by_when_it_happened_not_by_when_we_heard(arm: str) -> None:
    life, run_id = in_arm(arm, goal=WITHIN, ends_after=days(30))
    reached = life.happens(DepositApproved, after=days(8), ago=days(1) + SECOND)
    assert reached == [GoalReached(run_id, life.now - days(1) - SECOND)]


@ARMS
def test_a_goal_is_reached_after_the_run_is_over_too(arm: str) -> None:
    life, run_id = in_arm(arm, goal=WITHIN, ends_after=days(1))
    if arm == "tracked":
        assert life.passes(days(1)) == [Ended(run_id, life.now, "ended")]
    else:
        life.run_ends(run_id)
    assert life.state.runs[run_id].over
    assert life.state.next_moment is None
    assert life.happens(DepositFailed, after=days(2)) == []
    assert life.happens(DepositApproved, after=days(1)) == [GoalReached(run_id, life.now)]
    assert life.state.runs == {}


def test_a_goal_counts_to_its_last_instant_after_the_run_is_over_too() -> None:
    life, run_id = entered(hello(goal=WITHIN))
    life.now += days(7)
    life.run_ends(run_id)
    assert life.happens(DepositApproved) == [GoalReached(run_id, life.now)]


@ARMS
def test_a_run_that_is_over_is_forgotten_with_the_time_of_its_goal(arm: str) -> None:
    life, run_id = in_arm(arm, goal=WITHIN)
    life.state.stop(run_id, "stopped_by_hand", life.now)
    life.run_ends(run_id)
    assert life.happens(DepositApproved, after=days(7) + SECOND) == []
    assert life.state.runs == {}


def test_a_run_that_is_over_lets_the_player_in_again_and_both_may_reach_their_goal() -> None:
    life, first = entered(hello(goal=WITHIN, listens=[DepositApproved]))
    life.run_ends(first)
    (second,) = started(life.happens(SessionLogin, after=days(1)))
    decisions = life.happens(DepositApproved, after=days(1))
    assert decisions == [
        GoalReached(first, life.now),
        GoalReached(second, life.now),
        *only(Wake, decisions),
    ]
    assert [wake.run_id for wake in only(Wake, decisions)] == [second]


def test_a_goal_and_an_exit_on_one_event_are_both_true() -> None:
    life, run_id = entered(hello(goal=WITHIN, exit_on=[DepositApproved]))
    reached, stop = life.happens(DepositApproved)
    assert reached == GoalReached(run_id, life.now)
    assert isinstance(stop, Stop)
    life.run_ends(run_id)
    assert life.state.runs == {}


def test_a_run_stopped_for_protection_may_still_reach_its_goal() -> None:
    life, run_id = entered(hello(goal=WITHIN))
    life.happens(ExclusionSet, kind="time_out", until=life.now + days(1))
    assert life.happens(DepositApproved, after=days(2)) == [GoalReached(run_id, life.now)]


def test_a_goal_asks_where() -> None:
    big = goal(DepositApproved, within=days(7), where=lambda deposit: deposit.amount_minor >= 500)
    life, run_id = entered(hello(goal=big))
    assert life.happens(DepositApproved, amount_minor=499) == []
    assert life.happens(DepositApproved, amount_minor=500) == [GoalReached(run_id, life.now)]


def test_a_run_of_a_journey_that_is_gone_can_still_be_stopped() -> None:
    life, run_id = entered(hello(listens=[DepositApproved]))
    life.rules = Life().rules
    assert life.happens(DepositApproved) == []
    assert only(Stop, life.happens(ExclusionSet, kind="self_exclusion", until=None))
    life.run_ends(run_id)
    assert life.state.runs == {}


# ---- tied to the run ----------------------------------------------------------------------------


def paid(**declarations: Any) -> Any:
    return declared("paid", on(WithdrawalRequested), entry=per("payment_id"), **declarations)


@ARMS
def test_an_exit_of_one_payment_leaves_the_runs_of_the_others_alone(arm: str) -> None:
    life = Life(paid(exit_on=[on(WithdrawalCompleted, same="payment_id")], control=0 if arm == "treated" else 100))
    (first,) = started(life.happens(WithdrawalRequested, payment_id="one"))
    (second,) = started(life.happens(WithdrawalRequested, payment_id="two"))
    for run in life.state.runs.values():
        run.played = arm == "control"
    decisions = life.happens(WithdrawalCompleted, payment_id="two")
    assert [decision.run_id for decision in decisions if isinstance(decision, Stop | Ended)] == [second]
    assert life.happens(WithdrawalCompleted, payment_id="three") == []
    assert [one.run_id for one in life.happens(WithdrawalCompleted, payment_id="one") if hasattr(one, "run_id")] == [
        first
    ]


def test_a_goal_is_tied_to_the_payment_too() -> None:
    life = Life(paid(goal=goal(WithdrawalCompleted, within=days(7), same="payment_id")))
    (run_id,) = started(life.happens(WithdrawalRequested, payment_id="one"))
    assert only(GoalReached, life.happens(WithdrawalCompleted, payment_id="two")) == []
    assert [one.run_id for one in only(GoalReached, life.happens(WithdrawalCompleted, payment_id="one"))] == [run_id]


def test_a_run_that_a_person_began_is_tied_to_nothing_and_such_an_exit_does_not_end_it() -> None:
    life = Life(declared("paid", entry=always, exit_on=[on(WithdrawalCompleted, same="payment_id")]))
    assert started(life.enters("paid"))
    assert life.happens(WithdrawalCompleted, payment_id="one") == []


def test_a_goal_about_a_reward_counts_the_rewards_of_this_run_alone() -> None:
    life, run_id = entered(hello(goal=goal(RewardClaimed, within=days(7))))
    assert only(GoalReached, life.happens(RewardClaimed, grant_id="hello/other/run/grant:bonus#1")) == []
    assert len(only(GoalReached, life.happens(RewardClaimed, grant_id=f"{run_id}/grant:bonus#1"))) == 1


def test_the_field_of_a_tie_must_be_one_that_may_be_kept() -> None:
    with pytest.raises(DesignError, match="WithdrawalCompleted has no such field that may be kept with a run"):
        on(WithdrawalCompleted, same="deposit_id")
    with pytest.raises(DesignError, match="PlayerRegistered has no such field"):
        goal(PlayerRegistered, within=days(1), same="email")
