"""A rule derived anew from kept events: what it changes in one player, and what it leaves alone."""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import NO_FAILURES, NOON, Life, declared, only, stored
from tests.support.player_events import rules as ruled
from workflows import (
    DepositApproved,
    DepositFailed,
    Event,
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
    distinct,
    entered,
    hours,
    inactive,
    left,
    milestone,
    minutes,
    month,
    schedule,
    segment,
    streak,
    streak_of_days,
    threshold,
    total,
    week,
)
from workflows.player_state.decisions import Decision, Moved, Start
from workflows.player_state.rule_rebuild import BEGINNING, derivables, rebuild
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.rules.series import changes_at, value
from workflows.source.rule_fingerprint import fingerprint

STAKES_30 = total(RoundCompleted, "stake_minor", last=days(30))
STAKES_7 = total(RoundCompleted, "stake_minor", last=days(7))
STAKES_MONTH = total(RoundCompleted, "stake_minor", per=month)
GAMES_WEEK = distinct(RoundCompleted, "game_id", per=week)
GAMES_90 = distinct(RoundCompleted, "game_id", last=days(90))
NET = total(RoundCompleted, lambda r: r.win_minor - r.stake_minor, per=day, name="net")
LOGINS = count(SessionLogin, last=hours(24))
PAID = total(DepositApproved, "amount_minor")


@segment
def busy(player: Statistics) -> bool:
    """Plays a lot, in any of several ways."""
    return player[STAKES_30] > 500 or player[STAKES_7] > 200 or player[GAMES_WEEK] > 2 or player[GAMES_90] > 3


@segment
def back(player: Statistics) -> bool:
    """Here again."""
    return player[LOGINS] > 0 and player.usual_hours != () and player.favourite_category == "slot"


@segment
def payer(player: Statistics) -> bool:
    """Paid something and came within a week."""
    return player[PAID] > 1_000 and not player.quiet(SessionLogin, days(7))


SEGMENTS = (busy, back, payer)
JOURNEYS = (
    declared("a", threshold(STAKES_MONTH, 400), entry=always),
    declared("b", streak_of_days(NET, 3, where=lambda net: net < 0), entry=always),
    declared(
        "b_idle",
        streak_of_days(NET, 2, where=lambda net: net < 0, idle="breaks", name="without a pause"),
        entry=always,
    ),
    declared("c", milestone(DepositApproved, 3), birthday(at="10:00"), anniversary(months=6), entry=always),
    declared("d", inactive(SessionLogin, days(3)), streak(DepositFailed, 3, broken_by=DepositApproved), entry=always),
    declared("e", schedule("09:00", weekday="monday", segment=busy), entered(busy), left(payer), entry=always),
    declared(
        "f",
        streak(RoundCompleted, 2, where=lambda r: r.stake_minor > 50, within=hours(9), name="high"),
        entry=always,
    ),
)
RULES = ruled(*JOURNEYS, segments=SEGMENTS)
NAMES = sorted(derivables(RULES))

THINGS: st.SearchStrategy[tuple[type[Event], dict[str, Any]]] = st.one_of(
    st.tuples(
        st.just(RoundCompleted),
        st.fixed_dictionaries(
            {
                "stake_minor": st.integers(0, 90),
                "win_minor": st.sampled_from([0, 0, 100]),
                "game_id": st.sampled_from("abcd"),
            }
        ),
    ),
    st.tuples(st.just(DepositApproved), st.fixed_dictionaries({"amount_minor": st.integers(1, 900)})),
    st.tuples(st.sampled_from([DepositFailed, SessionLogin]), st.just({})),
)
PAUSES = st.sampled_from([minutes(3), minutes(55), hours(5), hours(11), hours(22), days(1), days(4), days(9), days(40)])
#: What happens, how long after the thing before, and how late we hear of it.
STEPS = st.lists(st.tuples(THINGS, PAUSES, st.integers(0, 55)), max_size=14)
Step = tuple[tuple[type[Event], dict[str, Any]], timedelta, int]


class Kept(Life):
    """A life whose events are kept, and whose moments are noticed at once."""

    def __init__(self, rules: RuleIndex) -> None:
        super().__init__()
        self.rules = rules
        self.kept: list[Event] = []
        #: What came of it.
        self.told: list[object] = []

    def hears(self, kind: type[Event], /, *, after: timedelta, late: timedelta = timedelta(0), **data: Any) -> None:
        until = self.now + after
        while (moment := self.state.next_moment) is not None and moment <= until:
            self.passes(max(moment - self.now, timedelta(0)))
        # Of two things at one instant the order of arrival counts, which is another test's matter.
        own = until - late + timedelta(microseconds=self.events)
        event = self.event(kind, **data | {"occurred_at": own})
        self.now = max(until, own)
        self.kept.append(event)
        self._note(self.state.advance(event, self.rules, self.now, NO_FAILURES))
        self.state = stored(self.state)

    def passes(self, duration: timedelta) -> list[Decision]:
        decisions = super().passes(duration)
        self._note(decisions)
        return decisions

    def _note(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Start):
                self.told.append((decision.journey, self.now, decision.trigger))
                # It is over at once, so that the next may begin.
                self.state.end(decision.run_id, self.now)
            elif isinstance(decision, Moved):
                self.told.append(decision)

    def lives(self, steps: Sequence[Step]) -> None:
        for (kind, data), pause, late in steps:
            self.hears(kind, after=pause, late=minutes(late), **data)

    def derived(self, name: str, rules: RuleIndex | None = None) -> list[Moved]:
        """What a deployment's `journeys derive` would do to the player."""
        what = derivables(rules or self.rules)[name]
        read = [event for event in in_order(self.kept) if event.type in what.kinds]
        moved = rebuild(
            self.state, what, [event for event in read if event.occurred_at >= what.since(self.now)], self.now
        )
        self.state = stored(self.state)
        return moved


def born(rules: RuleIndex) -> Kept:
    life = Kept(rules)
    life.hears(PlayerRegistered, after=hours(0), timezone="Europe/Kyiv", country="UA", birth_date="1990-05-17")
    return life


def in_order(events: Iterable[Event]) -> list[Event]:
    """As they are read: in the order of their own time."""
    return sorted(events, key=lambda event: event.occurred_at)


def known(state: PlayerState, now: datetime) -> dict[str, Any]:
    """What is known of a player by rules, without slices and periods that nobody can see any more."""
    present = state.present(now)
    measured = {
        measure.key: (
            value(held := state.series.get(measure.series, {}), measure, present),
            changes_at(held, measure, present),
        )
        for measure in RULES.measures
    }
    parts = (
        "counts",
        "first",
        "last",
        "streaks",
        "hours",
        "stakes",
        "deposited_minor",
        "born",
        "moments",
    )
    # That nothing was judged yet may be said or left out.
    judged = {key: days for key, days in state.day_streaks.items() if days != (0, date.min)}
    return {part: getattr(state, part) for part in parts} | {
        "measured": measured,
        "day_streaks": judged,
        "segments": sorted(state.segments),
    }


@given(STEPS, st.sampled_from([minutes(0), minutes(70), hours(20), days(4)]))
@settings(max_examples=examples(20, quick=7))
def test_what_was_learned_event_by_event_is_left_as_it_is(steps: list[Step], rest: timedelta) -> None:
    life = born(RULES)
    life.lives(steps)
    # The sweep has not been there since: whatever is due is still to be told.
    life.now += rest
    before = known(life.state, life.now)
    for name in NAMES:
        assert life.derived(name) == [], name
        assert known(life.state, life.now) == before, name


@given(STEPS, STEPS, STEPS)
@settings(max_examples=examples(20, quick=7))
def test_a_rule_that_came_later_is_as_if_it_had_always_been_there(
    early: list[Step], late: list[Step], after: list[Step]
) -> None:
    first, later = born(RULES), born(ruled())
    for life in (first, later):
        life.lives(early)
    later.rules = RULES
    for life in (first, later):
        life.lives(late)
    for name in NAMES:
        later.derived(name)
    assert known(later.state, later.now) == known(first.state, first.now)
    for life in (first, later):
        life.told.clear()
        life.lives(after)
    assert later.told == first.told
    assert known(later.state, later.now) == known(first.state, first.now)


# ---- one rule at a time ---------------------------------------------------------------------------


def test_everything_that_is_kept_for_a_rule_can_be_derived_and_says_what_it_reads() -> None:
    found = derivables(RULES)
    assert set(RULES.rules) | {one.key for one in RULES.measures} | set(RULES.segments) == set(found)
    assert all(one.words for one in found.values())
    assert found["payer"].kinds == {DepositApproved.type, SessionLogin.type}
    failing = next(one for key, one in found.items() if key.startswith("streak:payment"))
    assert failing.kinds == {DepositFailed.type, DepositApproved.type}
    assert (failing.words, failing.journeys) == ("3 DepositFailed in a row, broken by DepositApproved", ("d",))
    assert found["birthday:10:00"].kinds == {PlayerRegistered.type, ProfileUpdated.type}
    assert found["schedule:monday:09:00:busy"].kinds == frozenset()


def test_only_what_can_still_matter_is_read() -> None:
    found = derivables(RULES)
    assert found[LOGINS.key].since(NOON) == NOON - hours(25)
    assert found[STAKES_7.key].since(NOON) == NOON - days(31), "measures that look back differently share a series"
    assert found[PAID.key].since(NOON) == BEGINNING


def test_what_hangs_on_a_measure_is_derived_with_it() -> None:
    """Or the next event would let everybody in who has been in the segment for long."""
    life = born(ruled())
    for _ in range(2):
        life.hears(DepositApproved, after=days(1), amount_minor=900)
    life.hears(SessionLogin, after=days(1))
    life.rules = RULES
    assert [(move.segment, move.entered) for move in life.derived(PAID.key)] == [("payer", True)]
    assert life.state.segments == {"payer": life.now}
    assert life.state.moments["segment:payer"] == life.now + days(7) - (life.now - life.state.last[SessionLogin.type])


def test_days_that_were_never_judged_are_judged_silently_and_today_is_left_to_the_sweep() -> None:
    life = born(ruled())
    for _ in range(3):
        life.hears(RoundCompleted, after=days(1), stake_minor=50, win_minor=0)
    life.rules = RULES
    key = next(key for key in RULES.rules if key.startswith("days:total"))
    assert life.derived(key) == []
    assert life.state.day_streaks[key][0] == 2
    decisions = life.passes(days(1))
    assert [start.journey for start in only(Start, decisions)] == ["b"]


def test_a_milestone_does_not_come_twice_although_old_events_were_deleted() -> None:
    life = born(RULES)
    for _ in range(3):
        life.hears(DepositApproved, after=days(1))
    life.kept = life.kept[-1:]
    life.derived("milestone:payment.deposit_approved:3")
    assert life.state.counts[DepositApproved.type] == 3


def test_a_birthday_is_found_in_what_was_told_long_ago() -> None:
    life = born(ruled())
    life.state.born, life.state.told = None, {}
    life.rules = RULES
    life.derived("birthday:10:00")
    assert life.state.born == "05-17"
    assert life.state.moments["birthday:10:00"] == datetime(2026, 5, 17, 7, tzinfo=UTC)


def test_days_are_cut_by_the_zone_the_player_has_now() -> None:
    life = born(RULES)
    life.hears(RoundCompleted, after=hours(9), stake_minor=7, win_minor=0)
    assert life.state.series[NET.series] == {"2026-03-10": -7}
    life.hears(ProfileUpdated, after=minutes(1), changed={"timezone": "Asia/Tokyo"})
    life.derived(NET.key)
    assert life.state.series[NET.series] == {"2026-03-11": -7}


# ---- the same rule ----------------------------------------------------------------------------------


def enough(player: Statistics, at_least: int) -> bool:
    return player[PAID] >= at_least


def segment_of(at_least: int) -> Any:
    @segment
    def some(player: Statistics) -> bool:
        """Some."""
        return enough(player, at_least)

    return some


def test_a_rule_has_another_definition_when_its_code_or_what_it_calls_changed(monkeypatch: Any) -> None:
    def definition(at_least: int) -> str:
        return derivables(ruled(segments=[segment_of(at_least)]))["some"].definition

    assert definition(5) == definition(5) != definition(6)
    before = definition(5)
    monkeypatch.setattr(enough, "__code__", (lambda player, at_least: player[PAID] > at_least).__code__)
    assert definition(5) != before


def test_a_default_that_is_given_by_name_alone_is_part_of_the_definition() -> None:
    def lost(*, at_least: int) -> Any:
        def enough(player: Statistics, *, least: int = at_least) -> bool:
            return player[PAID] >= least

        return enough

    assert fingerprint(lost(at_least=5)) == fingerprint(lost(at_least=5)) != fingerprint(lost(at_least=6))


def test_a_definition_is_the_same_in_every_process() -> None:
    """Sets in code are told apart by their hashes, which differ."""
    load = "from workflows.source.rule_fingerprint import fingerprint"
    code = f"{load}\nprint(fingerprint(lambda x: x in {{'a', 'b', 'c', 'd'}}), *{{'a', 'b', 'c', 'd'}})"
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.partition(" ")
        for seed in "12"
    ]
    assert len({order for _, _, order in told}) == 2, "the sets were to be told apart"
    assert len({definition for definition, _, _ in told}) == 1
