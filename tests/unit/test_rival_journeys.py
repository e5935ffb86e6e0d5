"""Journeys of which a player plays one at a time: who goes first, who gives way, and what is told of it."""

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
    Player,
    SessionLogin,
    WithdrawalRequested,
    always,
    days,
    journey,
    on,
    once,
)
from workflows.errors import DesignError
from workflows.events import Event
from workflows.player_state.decisions import Start, Stop
from workflows.player_state.rival_runs import OUTRANKED
from workflows.player_state.state import PlayerState


def offer(name: str, kind: type[Event], priority: int = 50, **more: Any) -> Any:
    given: dict[str, Any] = {"entry": always, "one_of": "offers", "priority": priority}
    return declared(name, on(kind), **given | more)


LOW = offer("low", SessionLogin, 10)
HIGH = offer("high", DepositApproved, 90)
EQUAL = offer("equal", WithdrawalRequested, 90)
APART = declared("apart", on(SessionLogin), entry=always)
ELSEWHERE = offer("elsewhere", SessionLogin, 10, one_of="surveys")


def test_a_higher_journey_ends_the_run_of_a_lower_one_and_takes_its_place() -> None:
    life = Life(LOW, HIGH)
    (low,) = started(life.happens(SessionLogin))
    stop, start = life.happens(DepositApproved)
    assert (stop, isinstance(start, Start) and start.journey) == (Stop(low, 1, OUTRANKED), "high")


@pytest.mark.parametrize(("first", "kind"), [(HIGH, SessionLogin), (HIGH, WithdrawalRequested)])
def test_a_lower_journey_and_an_equal_one_are_not_entered_and_the_reason_is_told(first: Any, kind: type[Event]) -> None:
    life = Life(LOW, first, EQUAL)
    (run,) = started(life.happens(DepositApproved))
    (told,) = only(Start, life.happens(kind))
    assert (told.refused, told.run_id in life.state.runs, run in life.state.runs) == (OUTRANKED, False, True)


def test_an_entry_that_gave_way_does_not_count() -> None:
    life = Life(offer("low", SessionLogin, 10, entry=once), HIGH)
    (high,) = started(life.happens(DepositApproved))
    (told,) = only(Start, life.happens(SessionLogin))
    assert told.refused == OUTRANKED
    life.run_ends(high)
    (entered,) = only(Start, life.happens(SessionLogin))
    assert (entered.refused, entered.run_id == told.run_id) == (None, False)


def test_groups_and_journeys_of_none_are_in_nobodys_way() -> None:
    life = Life(HIGH, APART, ELSEWHERE)
    life.happens(DepositApproved)
    assert journeys_entered(life.happens(SessionLogin)) == ["apart", "elsewhere"]


def test_of_two_that_one_event_begins_the_higher_is_played() -> None:
    life = Life(offer("a", SessionLogin, 10), offer("b", SessionLogin, 90), offer("c", SessionLogin, 90))
    told = only(Start, life.happens(SessionLogin))
    assert [(one.journey, one.refused) for one in told] == [("b", None), ("c", OUTRANKED), ("a", OUTRANKED)]


def test_a_protected_player_is_told_to_be_protected() -> None:
    life = Life(LOW, HIGH)
    life.happens(DepositApproved)
    life.happens(ExclusionSet, kind="self_exclusion", until=None)
    assert [one.refused for one in only(Start, life.happens(SessionLogin))] == ["self_excluded"]


def test_a_run_keeps_its_rank_whatever_a_release_declares() -> None:
    life = Life(LOW, HIGH)
    life.happens(DepositApproved)
    later = Life(LOW, offer("high", DepositApproved, 0))
    later.state = PlayerState.from_json(life.state.brand, life.state.player_id, life.state.to_json())
    assert [one.refused for one in only(Start, later.happens(SessionLogin))] == [OUTRANKED]


def test_what_declares_nothing_stores_nothing() -> None:
    life = Life(APART)
    (run,) = started(life.happens(SessionLogin))
    assert {"one_of", "priority", "played"}.isdisjoint(life.state.to_json()["runs"][run])


KINDS = (SessionLogin, DepositApproved, WithdrawalRequested, DepositFailed)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 100), st.sampled_from(["x", "y", None])), max_size=6),
    st.lists(st.tuples(st.sampled_from([*KINDS, None]), st.integers(0, 3)), max_size=25),
)
@settings(max_examples=examples(60, quick=25))
def test_never_are_two_of_a_group_played_and_nobody_gives_way_to_a_lower_one(
    drawn: list[tuple[type[Event], int, str | None]], script: list[tuple[type[Event] | None, int]]
) -> None:
    journeys = [offer(f"j{number}", kind, rank, one_of=group) for number, (kind, rank, group) in enumerate(drawn)]
    life = Life(*journeys)
    ranks = {one.name: one.priority for one in journeys}
    for kind, number in script:
        before = {run_id: run for run_id, run in life.state.runs.items() if not run.stopping}
        if kind is None:
            for run_id in [*life.state.runs][number : number + 1]:
                life.run_ends(run_id)
            continue
        decisions = life.happens(kind)
        going = [run for run in life.state.runs.values() if not (run.stopping or run.over) and run.one_of]
        assert len({run.one_of for run in going}) == len({(run.one_of, run.journey) for run in going})
        for stop in only(Stop, decisions):
            begun = [one for one in only(Start, decisions) if one.refused is None]
            assert any(ranks[one.journey] > ranks[stop.run_id.partition(":")[0]] for one in begun)
        for told in only(Start, decisions):
            if told.refused is not None:
                assert told.refused == OUTRANKED
                assert any(run.priority >= ranks[told.journey] for run in (*before.values(), *life.state.runs.values()))


@pytest.mark.parametrize("wrong", [{"one_of": "No Name"}, {"priority": 101}, {"priority": True}, {"priority": -1}])
def test_what_cannot_be_meant_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    async def hello(player: Player) -> None: ...

    with pytest.raises(DesignError):
        journey(ends_after=days(1), **wrong)(hello)
