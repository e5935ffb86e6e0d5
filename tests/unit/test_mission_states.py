"""Missions counted in what the row holds come to what missions come to that are read, counted and written."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.support.examples import examples
from tests.unit.test_missions import Busy, first_bud, tour
from tests.unit.test_points import NOON, POINTS, a_deposit, a_round
from workflows import (
    DepositApproved,
    MissionCompleted,
    RoundCompleted,
    Statistics,
    badge,
    count,
    day,
    days,
    player_mission,
    points,
    step,
    total,
    week,
)
from workflows.events import Event
from workflows.loyalty.mission_progress import MissionState, Occurrence
from workflows.loyalty.mission_states import UNDER_WAY, MissionStates
from workflows.loyalty.missions import PlayerMission
from workflows.player_state.decisions import Start


@player_mission(step("some", count(RoundCompleted), 4), gives=badge("daily"), product="casino", again=day)
def some_a_day(_player: Statistics) -> bool:
    """Four rounds a day."""
    return True


@player_mission(
    step("staked", total(RoundCompleted, "stake_minor", where=lambda e: e.category == "slot", name="slots"), 9_000),
    gives=points(10),
    into=POINTS,
    product="casino",
    budget=1_000,
    again=week,
)
def slots_a_week(_player: Statistics) -> bool:
    """Ninety of stakes on slots."""
    return True


@player_mission(step("many", count(RoundCompleted), 7), gives=badge("once"), product="casino")
def seven_ever(_player: Statistics) -> bool:
    """Seven rounds."""
    return True


@player_mission(
    step("few", count(RoundCompleted), 3), gives=badge("begun"), product="casino", opt_in=True, lasts=days(2)
)
def by_a_word(_player: Statistics) -> bool:
    """Three rounds in two days."""
    return True


@player_mission(step("few", count(RoundCompleted), 3), gives=badge("shared"), product="casino", control=50)
def for_a_half(_player: Statistics) -> bool:
    """Three rounds, for every second player."""
    return True


@player_mission(
    step("odd", total(RoundCompleted, lambda e: 1 // (e.stake_minor - 2_000), name="odd"), 50),
    gives=badge("odd"),
    product="casino",
)
def often_wrong(_player: Statistics) -> bool:
    """A measure that raises."""
    return True


@player_mission(
    step("both", count(RoundCompleted), 5),
    step("paid", count(DepositApproved), 2),
    gives=badge("b"),
    product="casino",
    again=week,
)
def both_a_week(_player: Statistics) -> bool:
    """Five rounds and two deposits."""
    return True


MISSIONS: Sequence[PlayerMission] = (
    some_a_day, slots_a_week, seven_ever, by_a_word, for_a_half, often_wrong, both_a_week, tour, first_bud,
)  # fmt: skip
#: Hours after noon at which something happens, and by how many it is told late.
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["slot", "live", "deposit", "claim", "begin"]),
        st.integers(0, 9 * 24) | st.integers(6, 40),
        st.sampled_from([0, 0, 0, 1, 30]),
        st.sampled_from([500, 2_000, 3_000]),
    ),
    max_size=30,
)


class Resident(Busy):
    """The same player, whose row is never written: every mission is read and counted by itself."""

    def keep(self, decisions: Sequence[Any]) -> None:
        triggers = [one.trigger for one in decisions if isinstance(one, Start)]
        self.done += [one.entity_id for one in triggers if isinstance(one, MissionCompleted)]


def happens(busy: Busy, what: tuple[str, int, int, int], number: int) -> None:
    kind, hour, late, stake = what
    at = NOON + timedelta(hours=hour)
    now = at + timedelta(hours=late)
    if kind == "claim":
        for one in MISSIONS:
            busy.claims(one, now)
    elif kind == "begin":
        for one in (by_a_word, tour):
            busy.opts_in(one, now)
    else:
        event: Event = (
            a_deposit(stake, at, number=number)
            if kind == "deposit"
            else a_round(stake, at, number=number, category=kind)
        )
        busy.happens(event, now=now)


@settings(max_examples=examples(60), deadline=None)
@given(happenings=HAPPENINGS)
def test_a_row_that_is_written_each_time_holds_what_one_holds_that_stays_in_memory(
    happenings: list[tuple[str, int, int, int]],
) -> None:
    kept, rewritten = Resident(*MISSIONS), Busy(*MISSIONS)
    for number, what in enumerate(sorted(happenings, key=lambda one: one[1])):
        happens(kept, what, number)
        happens(rewritten, what, number)
        # What is compared is written and not read, or nothing would be counted in the row.
        assert rewritten.state.to_json() == kept.state.to_json()
    assert rewritten.done == kept.done
    assert [(one.rule, repr(one.error)) for one in rewritten.failures] == [
        (one.rule, repr(one.error)) for one in kept.failures
    ]
    assert rewritten.state == kept.state


def test_missions_under_way_are_a_number_each_in_the_row() -> None:
    busy = Busy(*MISSIONS)
    for number in range(2):
        busy.happens(a_round(500, NOON, number=number, category="slot"), now=NOON)
    assert busy.state.loyalty is not None
    held = busy.state.loyalty.missions.stored()
    assert held[UNDER_WAY]["numbers"]["1970-01-01T00:00:00Z//many"] == {"seven_ever": 2}
    assert {"some_a_day", "seven_ever", "slots_a_week"}.isdisjoint(held)


OPENS, CLOSES = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)


def test_a_row_of_before_is_read_and_written_shorter() -> None:
    old: dict[str, Any] = {
        "slots_a_week": {
            "occurrences": [
                {"opens": "2026-03-02T00:00:00Z", "closes": "2026-03-09T00:00:00Z", "counts": {"staked": 7}}
            ],
            "completed": 2,
        },
        "seven_ever": {
            "occurrences": [{"opens": "1970-01-01T00:00:00Z", "completed_at": "2026-03-01T00:00:00Z"}],
            "completed": 1,
        },
    }
    states = MissionStates(old)
    assert states["slots_a_week"] == MissionState([Occurrence(OPENS, CLOSES, {"staked": 7})], 2)
    assert states.stored() == {
        "seven_ever": old["seven_ever"],
        UNDER_WAY: {
            "numbers": {"2026-03-02T00:00:00Z/2026-03-09T00:00:00Z/staked": {"slots_a_week": 7}},
            "completed": {"slots_a_week": 2},
        },
    }
    assert MissionStates(states.stored()) == states


def test_who_knows_missions_one_by_one_alone_reads_what_is_written_for_them() -> None:
    stored = {
        UNDER_WAY: {"numbers": {"1970-01-01T00:00:00Z//few": {"one": 1, "two": 2}}, "completed": {"one": 3}},
        "three": {"occurrences": [{"opens": "1970-01-01T00:00:00Z", "completed_at": "2026-03-01T00:00:00Z"}]},
    }
    states = MissionStates(orjson.loads(orjson.dumps(stored)))
    assert states["two"].occurrences[0].counts == {"few": 2}
    written = orjson.dumps(states.stored(as_numbers=False))
    as_before = TypeAdapter(dict[str, MissionState]).validate_json(written)
    assert as_before.keys() == {"one", "two", "three"}
    assert as_before == dict(states) == dict(MissionStates(orjson.loads(written)))
    assert states.stored()[UNDER_WAY] == stored[UNDER_WAY]


def test_what_is_taken_out_is_gone_whether_it_was_read_or_not() -> None:
    stored = {UNDER_WAY: {"numbers": {"1970-01-01T00:00:00Z//few": {"one": 1, "two": 2}}, "completed": {"one": 3}}}
    states = MissionStates(orjson.loads(orjson.dumps(stored)))
    assert states["one"].completed == 3
    del states["one"], states["two"]
    assert (len(states), states.stored(), states) == (0, {}, MissionStates())
    with pytest.raises(KeyError):
        del states["one"]
    with pytest.raises(KeyError):
        states["two"]
