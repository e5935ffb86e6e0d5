"""The pure core under any stream: duplicates, batches, storage in between, and what always holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import BRAND, NO_FAILURES, NOON, Life, declared, rules, started, stored
from workflows import (
    ConsentChanged,
    DepositApproved,
    DepositFailed,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    Inactive,
    LossStreak,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    StatusChanged,
    TierChanged,
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
from workflows.declaration import Journey
from workflows.player_state.counting import LONGEST_ID, derived_id
from workflows.player_state.decisions import Decision, Ended, GoalReached, ReviewDue, RevokeOffers, Start, Stop, Wake
from workflows.player_state.state import Mode, PlayerState

JOURNEYS = [
    declared("first_steps", on(PlayerRegistered), entry=once, goal=goal(DepositApproved, within=days(7)), control=50),
    declared("third_deposit", milestone(DepositApproved, 3), entry=once, listens=[SessionLogin, LossStreak]),
    declared(
        "rescue",
        streak(DepositFailed, 2, broken_by=DepositApproved, within=hours(6)),
        entry=every(days(1)),
        exit_on=[DepositApproved],
        ends_after=hours(12),
        listens=[DepositFailed],
    ),
    declared("come_back", inactive(SessionLogin, days(2)), entry=always, exit_on=[SessionLogin], control=30),
    declared("payout", on(WithdrawalRequested), entry=per("payment_id"), goal=goal(SessionLogin, within=hours(2))),
    declared("cheer_up", on(LossStreak), entry=always, ends_after=days(1), listens=[RoundCompleted, WinStreak]),
    declared("by_hand", entry=always, control=50, goal=goal(RoundCompleted, within=days(3)), listens=[TierChanged]),
]
RULES = rules(*JOURNEYS)

MOMENTS = st.integers(-3 * 24 * 60, 5).map(lambda ago: NOON + minutes(ago))
Thing = tuple[type[Event], dict[str, Any]]
PLAY: st.SearchStrategy[Thing] = st.one_of(
    st.just((PlayerRegistered, {})),
    st.just((SessionLogin, {})),
    st.just((DepositApproved, {})),
    st.just((DepositFailed, {})),
    st.sampled_from(["w-1", "w-2"]).map(lambda payment: (WithdrawalRequested, {"payment_id": payment})),
    st.sampled_from([0, 100, 300]).map(lambda win: (RoundCompleted, {"stake_minor": 100, "win_minor": win})),
    st.just((TierChanged, {})),
)
PROTECT: st.SearchStrategy[Thing] = st.one_of(
    st.booleans().map(lambda yes: (ConsentChanged, {"channel": "email", "opted_in": yes})),
    st.sampled_from(["weak", "medium", "strong"]).map(lambda strength: (HarmSignal, {"strength": strength})),
    st.sampled_from(["active", "suspended", "closed"]).map(lambda to: (StatusChanged, {"to": to, "until": None})),
    st.just((StatusChanged, {"to": "suspended", "until": NOON + hours(3)})),
    st.just((ExclusionSet, {"kind": "time_out", "until": NOON + hours(6)})),
    st.just((ExclusionSet, {"kind": "self_exclusion", "until": None})),
    st.sampled_from(["time_out", "self_exclusion"]).map(lambda kind: (ExclusionEnded, {"kind": kind})),
    st.just((ProfileUpdated, {"changed": {"timezone": "Europe/Kyiv", "language": None}})),
)
# Mostly play: in a life full of exclusions nothing begins.
THINGS = st.integers(0, 7).flatmap(lambda die: PROTECT if die == 0 else PLAY)


def event(number: int, thing: Thing, at: datetime) -> Event:
    kind, data = thing
    whole = kind.example().model_dump(by_alias=False) | data
    return kind.model_validate(
        whole | {"event_id": f"e-{number}", "event_source": f"/test/{number % 2}", "occurred_at": at}
    )


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events of one player, out of order here and there, some of them sent again."""
    things = draw(st.lists(st.tuples(THINGS, MOMENTS), min_size=5, max_size=40))
    stream = [event(number, thing, at) for number, (thing, at) in enumerate(things)]
    for again in draw(st.lists(st.integers(0, len(stream) - 1), max_size=15)):
        stream.insert(draw(st.integers(0, len(stream))), stream[again])
    return stream


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Event], list[list[Event]]]:
    stream = draw(streams())
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return stream, [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def take(state: PlayerState, batch: Iterable[Event], seen: set[tuple[str, str]], mode: Mode) -> list[Decision]:
    """What intake does with a batch of one player: drop what is known, advance by the rest."""
    decisions: list[Decision] = []
    for happened in batch:
        identity = (happened.event_source, happened.event_id)
        if identity not in seen:
            seen.add(identity)
            decisions += state.advance(happened, RULES, NOON, NO_FAILURES, mode=mode)
    return decisions


@pytest.mark.parametrize("mode", ["live", "history"])
@given(batches())
@settings(max_examples=examples(200, quick=70))
def test_no_duplication_and_no_split_into_batches_changes_what_comes_out(
    mode: Mode, given: tuple[list[Event], list[list[Event]]]
) -> None:
    stream, split = given
    unique = list({(e.event_source, e.event_id): e for e in stream}.values())
    at_once = PlayerState(BRAND, "p-1")
    expected = [decision for e in unique for decision in at_once.advance(e, RULES, NOON, NO_FAILURES, mode=mode)]

    state, seen, decided = PlayerState(BRAND, "p-1"), set[tuple[str, str]](), list[Decision]()
    for batch in split:
        decided += take(state, batch, seen, mode)
        assert stored(state) == state
        state = stored(state)

    assert decided == expected
    assert state == at_once
    assert state.to_json() == at_once.to_json()
    if mode == "history":
        assert [one for one in decided if not isinstance(one, ReviewDue | RevokeOffers)] == []
        assert not state.runs
        assert not state.entries
        assert sum(state.counts.values()) == len(unique)


@given(streams())
@settings(max_examples=examples(100))
def test_history_teaches_exactly_what_living_through_it_would_have_taught(stream: list[Event]) -> None:
    # A No counts when it is received, which for a history is when it happened.
    protects = (ConsentChanged, StatusChanged, ExclusionSet, ProfileUpdated)
    received = sorted(stream, key=lambda happened: min(happened.occurred_at, NOON))
    for lived_through in (received, [happened for happened in stream if not isinstance(happened, protects)]):
        lived, imported = PlayerState(BRAND, "p-1"), PlayerState(BRAND, "p-1")
        for happened in lived_through:
            lived.advance(happened, RULES, NOON, NO_FAILURES)
            imported.advance(happened, RULES, NOON, NO_FAILURES, mode="history")
        lived.runs, lived.entries = {}, {}
        assert imported == lived


# ---- what always holds --------------------------------------------------------------------------


@dataclass
class Books:
    """Every decision ever made about a player, and what must be true of each."""

    life: Life
    starts: dict[str, Start] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    def keep(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Start():
                    self.entered(decision, self.life.rules.journeys[decision.journey])
                case Wake(run_id, seq):
                    assert run_id in self.under_way - self.stopped
                    self.numbered(run_id, seq)
                case Stop(run_id, seq):
                    assert run_id in self.under_way - self.stopped
                    self.stopped.add(run_id)
                    self.numbered(run_id, seq)
                case GoalReached(run_id, at):
                    until = self.starts[run_id].goal_until
                    assert until is not None
                    assert at <= until
                    assert run_id not in self.reached
                    self.reached.add(run_id)
                case Ended(run_id):
                    raise AssertionError(f"{run_id} is played and says itself when it is over")

    def entered(self, start: Start, journey: Journey) -> None:
        earlier = [known for known in self.starts.values() if known.journey == start.journey]
        assert start.run_id.startswith(f"{start.journey}:{BRAND}:p-1:")
        assert start.run_id not in self.starts
        assert start.refused == self.life.state.protected(self.life.now)
        if start.trigger is not None:
            assert self.life.now - start.trigger.occurred_at <= journey.late_after
        if journey.entry.kind == "per":
            values = [getattr(known.trigger, "payment_id", None) for known in (*earlier, start)]
            assert len(set(values)) == len(values)
        else:
            assert not {run_id for run_id in self.under_way if self.starts[run_id].journey == start.journey}
        if journey.entry.kind == "once":
            assert not earlier
        if journey.entry.kind == "every" and earlier and start.trigger and earlier[-1].trigger:
            assert journey.entry.period is not None
            assert start.trigger.occurred_at - earlier[-1].trigger.occurred_at >= journey.entry.period
        self.starts[start.run_id] = start
        if start.refused is None:
            self.under_way.add(start.run_id)

    def numbered(self, run_id: str, seq: int) -> None:
        assert seq == self.numbers.get(run_id, 0) + 1
        self.numbers[run_id] = seq

    def after_event(self) -> None:
        if self.life.state.protected(self.life.now):
            assert self.under_way <= self.stopped


DO = st.one_of(
    st.tuples(st.just("event"), THINGS, st.integers(-120, 5)),
    st.tuples(st.just("event"), THINGS, st.integers(0, 0)),
    st.tuples(st.just("passes"), st.none(), st.integers(1, 3 * 24 * 60)),
    st.tuples(st.sampled_from(["ends", "answer", "stop", "stop_all", "enter"]), st.none(), st.integers(0, 10)),
)


@given(st.lists(DO, min_size=10, max_size=60))
@settings(max_examples=examples(250, quick=80))
def test_whatever_happens_entries_numbers_goals_and_protection_stay_right(script: list[tuple[str, Any, int]]) -> None:
    life = Life(*JOURNEYS)
    books = Books(life)
    for number, (what, thing, amount) in enumerate(script):
        under_way = sorted(books.under_way)
        chosen = under_way[amount % len(under_way)] if under_way else None
        match what:
            case "event":
                life.now += minutes(7)
                happened = event(number, thing, life.now + timedelta(minutes=amount))
                books.keep(life.state.advance(happened, life.rules, life.now, NO_FAILURES))
                books.after_event()
            case "passes":
                books.keep(life.passes(minutes(amount)))
                assert life.state.next_moment is None or life.state.next_moment > life.now
                assert life.state.tick(life.rules, life.now, life.failures) == []
            case "enter":
                books.keep(life.enters("by_hand"))
            case "ends" if chosen is not None:
                life.run_ends(chosen)
                books.under_way.remove(chosen)
            case "answer" if chosen is not None:
                seq = life.state.next_seq(chosen)
                assert seq is not None
                books.numbered(chosen, seq)
            case "stop" if chosen is not None:
                books.keep(life.state.stop(chosen, "stopped_by_hand", life.now))
                assert life.state.stop(chosen, "stopped_by_hand", life.now) == []
            case "stop_all":
                books.keep(life.state.stop_all("stopped_by_hand", life.now))
                assert books.under_way <= books.stopped
        assert stored(life.state) == life.state
        life.state = stored(life.state)
        active = {run_id for run_id, run in life.state.runs.items() if not run.over}
        assert active == books.under_way


def test_what_a_later_release_stored_is_read_as_far_as_it_is_known() -> None:
    life = Life(*JOURNEYS)
    life.happens(PlayerRegistered)
    newer = life.state.to_json() | {"mood": {"today": "good"}}
    assert PlayerState.from_json(BRAND, "p-1", newer) == life.state


def test_a_state_that_learned_nothing_is_an_empty_object() -> None:
    assert PlayerState(BRAND, "p-1").to_json() == {}


def test_an_id_as_long_as_an_id_may_be_still_has_room_for_what_is_derived_from_it() -> None:
    life = Life(*JOURNEYS)
    for number in range(2):
        life.happens(RoundCompleted, event_id=f"{number:0255d}", stake_minor=100, win_minor=0)
    decisions = life.happens(RoundCompleted, event_id="9" * 255, stake_minor=100, win_minor=0)
    (run_id,) = started(decisions)
    assert run_id.startswith("cheer_up:")


def test_two_ids_that_differ_at_their_end_alone_have_ids_derived_from_them_that_differ() -> None:
    first, second = (SessionLogin.example().model_copy(update={"event_id": 254 * "e" + last}) for last in "12")
    suffix = "segment.entered:gold"
    assert derived_id(first, suffix) == derived_id(first, suffix) != derived_id(second, suffix)
    assert len(derived_id(first, suffix)) == LONGEST_ID
    short = first.model_copy(update={"event_id": "e"})
    assert derived_id(short, suffix) == f"e:{suffix}"


def test_a_tick_wakes_a_run_that_waits_for_inactivity() -> None:
    quiet = declared("quiet", inactive(SessionLogin, days(2)))
    patient = declared("patient", on(PlayerRegistered), listens=[Inactive])
    life = Life(quiet, patient)
    life.happens(PlayerRegistered)
    life.happens(SessionLogin)
    (wake,) = [decision for decision in life.passes(days(2)) if isinstance(decision, Wake)]
    assert isinstance(wake.event, Inactive)
    assert (wake.event.kind, wake.event.seconds) == ("session.login", 2 * 86_400)
