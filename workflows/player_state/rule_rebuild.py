"""Replays a player's stored events under one rule, so that a new rule knows what came before (`journeys derive`).

Nothing here counts by itself. A rebuild gives the events to the functions that `PlayerState.advance` gives them to,
each at its own time, and takes over the part of the result that the rule is about. It starts and wakes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

from workflows.events import DepositApproved, Event, PlayerRegistered, ProfileUpdated, RoundCompleted
from workflows.local_time import WEEK
from workflows.player_state.counting import LATENESS, count, judge_days, sort_into
from workflows.player_state.decisions import Moved
from workflows.player_state.ordering import Word, counts
from workflows.player_state.state import PlayerState
from workflows.rules.calendar_rules import AnniversaryRule, BirthdayRule, Occasion, ScheduleRule, upcoming
from workflows.rules.failures import RuleFailure
from workflows.rules.index import STREAK_EVENTS, VISIT_TYPES, Rule, RuleIndex
from workflows.rules.measures import Measure
from workflows.rules.patterns import KEPT
from workflows.rules.segments import Segment
from workflows.rules.series import Series
from workflows.rules.triggers import DayStreakRule, InactiveRule, MilestoneRule, Streak, ThresholdRule
from workflows.source.rule_fingerprint import fingerprint
from workflows.source.segment_dependencies import reads

#: The facts besides counts that an event adds to, for segments.
SUMMED: Final = frozenset({RoundCompleted.type, DepositApproved.type})
#: Events that may carry the day of birth.
BIRTHS: Final = frozenset({PlayerRegistered.type, ProfileUpdated.type})
BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
#: At least as long as each period; the rest is for players' zones.
PERIODS: Final[Mapping[str, timedelta]] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
}
ZONES: Final = timedelta(days=2)
T = TypeVar("T")


def _empty_rule_index() -> RuleIndex:
    """No rules at all: not even the streaks that the engine always counts."""
    nothing = RuleIndex({})
    nothing.streaks = {}
    return nothing


@dataclass(frozen=True)
class Derivable:
    """What `journeys derive` can rebuild under one name, with everything that depends on it."""

    name: str
    #: A few words that describe it.
    words: str
    #: The journeys that it lets players into.
    journeys: tuple[str, ...] = ()
    #: Types of events of which counts, first, last and sums are rebuilt.
    counted: frozenset[str] = frozenset()
    #: Everything else that is rebuilt, filed as intake has it.
    rules: RuleIndex = field(default_factory=_empty_rule_index, repr=False)
    #: Whether the player is in these is asked at the end.
    segments: tuple[Segment, ...] = ()

    @property
    def kinds(self) -> frozenset[str]:
        """The types of events it reads; none when it follows from what is known anyway."""
        by_birth = any(isinstance(rule, BirthdayRule) for rule in self.rules.occasions.values())
        return self.counted | (BIRTHS if by_birth else frozenset()) | {*self.rules.series, *self.rules.streaks}

    @property
    def definition(self) -> str:
        """How it is written: another when the rule, a measure or any code they use was changed."""
        part = self.rules
        return fingerprint(part.series, part.streaks, part.day_streaks, part.inactive, part.occasions, self.segments)

    def since(self, now: datetime) -> datetime:
        """No event before this moment can matter any more."""
        if self.counted or self.rules.streaks or self.rules.day_streaks or self.rules.occasions:
            return BEGINNING
        spans = [_span(series) for found in self.rules.series.values() for series in found]
        return BEGINNING if not spans or None in spans else now - max(span for span in spans if span is not None)


def derivables(rules: RuleIndex) -> dict[str, Derivable]:
    """Everything that can be derived anew in a deployment, by the name to call it by."""
    derived = [_of_rule(rule, rules) for rule in rules.rules.values()]
    derived += [
        _including_dependents(Derivable(measure.key, measure.words), rules, series={measure.series})
        for measure in rules.measures
    ]
    derived += [_of_segment(one, rules) for one in rules.segments.values()]
    return {one.name: one for one in sorted(derived, key=lambda one: one.name)}


class Rebuild:
    """One part of one player, being derived anew.

    Give it all kept events of `what.kinds` since `what.since(now)`, in the order of their own time and of those of
    one instant in the order of arrival; then `finish` changes the player's state. Days and hours are cut by the zone
    the player has now, wherever they were then.
    """

    def __init__(self, state: PlayerState, what: Derivable, now: datetime) -> None:
        self.state = state
        self.what = what
        self.now = now
        #: Rules that raised meanwhile.
        self.failures: list[RuleFailure] = []
        #: The same player, of whom only this is known.
        self.rebuilt = PlayerState(state.brand, state.player_id)
        if state.timezone is not None:
            self.rebuilt.facts["timezone"] = state.timezone
        self._days = {rule.key: rule for found in what.rules.day_streaks.values() for rule in found}
        self._judged_until = {key: self._judge_until(rule) for key, rule in self._days.items()}
        self._learns = (SUMMED & what.counted) | (BIRTHS if what.rules.occasions else frozenset())

    def replay(self, event: Event) -> None:
        """Apply one event to what is rebuilt."""
        event.on_clock_of(self.state.timezone)
        at = min(event.occurred_at, self.now)
        for rule in self.what.rules.day_streaks.get(event.type, ()):
            self._judge(rule, at)
        if event.type in self._learns:
            self.rebuilt.learn(event, Word(at, live=False))
        count(self.rebuilt, event, self.what.rules, at, self.failures)

    def finish(self) -> list[Moved]:
        """Copy what was rebuilt into the player's state; the segments the player came into or left."""
        for kind in self.what.counted:
            self._adopt_counts(kind)
        if self.what.counted >= VISIT_TYPES and sum(self.rebuilt.hours.values()) >= sum(self.state.hours.values()):
            self.state.hours = self.rebuilt.hours
        for found in self.what.rules.series.values():
            for series in found:
                _adopt(self.state.series, self.rebuilt.series, series.key)
        for streaks in self.what.rules.streaks.values():
            for streak in streaks:
                _adopt(self.state.streaks, self.rebuilt.streaks, streak.key)
        for rule in self._days.values():
            self._adopt_days(rule)
        for quiets in self.what.rules.inactive.values():
            for quiet in quiets:
                self._adopt_silence(quiet)
        for occasion in self.what.rules.occasions.values():
            self._adopt_occasion(occasion)
        asked = [one for one in self.what.segments if not self._is_due(f"segment:{one.name}")]
        moves = sort_into(self.state, asked, self.now, self.failures)
        return [Moved(name, entered, self.now) for name, entered in moves]

    def _is_due(self, key: str) -> bool:
        """Whether a moment has come that nobody noticed yet: the sweep will, and what happens then is not ours."""
        moment = self.state.moments.get(key)
        return moment is not None and moment <= self.now

    def _adopt_counts(self, kind: str) -> None:
        state, rebuilt = self.state, self.rebuilt
        # More was counted than is kept: whoever deletes old events does not want a milestone to come twice.
        if not rebuilt.counts.get(kind, 0) or rebuilt.counts[kind] < state.counts.get(kind, 0):
            return
        for name in ("counts", "first", "last"):
            getattr(state, name)[kind] = getattr(rebuilt, name)[kind]
        if kind == RoundCompleted.type:
            state.stakes = rebuilt.stakes
        if kind == DepositApproved.type:
            state.deposited_minor = rebuilt.deposited_minor

    # ---- streaks of days -------------------------------------------------------------------

    def _judge_until(self, rule: DayStreakRule) -> datetime:
        """Up to which moment days are judged here.

        Days that the player's state waits with are left to the sweep, which lets journeys hear of them; days that
        were judged stay judged whatever our clock says, or journeys would receive them twice.
        """
        present = self.state.present(self.now)
        until = self.now
        _, judged = self.state.day_streaks.get(rule.key, (0, date.min))
        if rule.key in self.state.moments:
            held = self.state.series.get(rule.measure.series, {})
            waiting = [day for key in held if (day := date.fromisoformat(key.partition("/")[0])) > judged]
            if waiting:
                until = min(until, present.begin(min(waiting)) + LATENESS)
        return until if judged == date.min else max(until, present.begin(judged + timedelta(days=1)) + LATENESS)

    def _judge(self, rule: DayStreakRule, at: datetime) -> None:
        until = min(at, self._judged_until[rule.key])
        while (moment := self.rebuilt.moments.get(rule.key)) is not None and moment <= until:
            del self.rebuilt.moments[rule.key]
            for _ in judge_days(self.rebuilt, rule, moment, self.failures):
                pass  # what it would have fired is past

    def _adopt_days(self, rule: DayStreakRule) -> None:
        nothing = (0, date.min)
        self._judge(rule, self._judged_until[rule.key])
        found = self.rebuilt.day_streaks.get(rule.key, nothing)
        if found != self.state.day_streaks.get(rule.key, nothing):
            self.state.day_streaks[rule.key] = found
        if rule.key not in self.state.moments and rule.key in self.rebuilt.moments:
            self.state.moments[rule.key] = self.rebuilt.moments[rule.key]

    # ---- moments ---------------------------------------------------------------------------

    def _adopt_silence(self, rule: InactiveRule) -> None:
        """Wait for what lies ahead. What has passed was noticed already, or was before the rule."""
        moment = self.rebuilt.moments.get(rule.key)
        if moment is not None and moment > self.now and moment >= self.state.moments.get(rule.key, moment):
            self.state.moments[rule.key] = moment

    def _adopt_occasion(self, rule: Occasion) -> None:
        at = self.rebuilt.told.get("born")
        if isinstance(rule, BirthdayRule) and at is not None:
            known = self.state.told.get("born", at)
            # An erasure that came late is dated like what it erased, and stays.
            if counts(abs(at), abs(known), step=int(at < 0) - int(known < 0), live=False):
                self.state.born, self.state.told["born"] = self.rebuilt.born, at
        if self._is_due(rule.key):
            return
        if (moment := upcoming(rule, self.state, self.now, self.state.occasions.get(rule.key))) is not None:
            self.state.moments[rule.key] = moment
        else:
            self.state.moments.pop(rule.key, None)


def rebuild(state: PlayerState, what: Derivable, events: Iterable[Event], now: datetime) -> list[Moved]:
    """Derive one part of a player anew, as `Rebuild` does."""
    building = Rebuild(state, what, now)
    for event in events:
        building.replay(event)
    return building.finish()


def _adopt(state: dict[str, T], rebuilt: dict[str, T], key: str) -> None:
    if key in rebuilt:
        state[key] = rebuilt[key]
    else:
        state.pop(key, None)


# ---- what hangs on what -----------------------------------------------------------------------


def _of_rule(rule: Rule, rules: RuleIndex) -> Derivable:
    journeys = tuple(journey.name for journey in rules.by_key.get(rule.key, ()))
    match rule:
        case MilestoneRule():
            one = Derivable(rule.key, f"{rule.kind.__name__} number {rule.count}", journeys)
            return _including_dependents(one, rules, counted={rule.kind.type})
        case Streak():
            return _including_dependents(Derivable(rule.key, _words(rule), journeys), rules, streak=rule)
        case InactiveRule():
            one = Derivable(rule.key, f"no {rule.kind.__name__} for {_span_in_words(rule.duration)}", journeys)
            return _including_dependents(one, rules, counted={rule.kind.type}, inactive=rule)
        case ThresholdRule() | DayStreakRule():
            return _including_dependents(Derivable(rule.key, rule.words, journeys), rules, series={rule.measure.series})
        case BirthdayRule() | AnniversaryRule() | ScheduleRule():
            return _including_dependents(Derivable(rule.key, rule.words, journeys), rules, occasion=rule)


def _of_segment(segment: Segment, rules: RuleIndex) -> Derivable:
    found = reads(segment)
    return _including_dependents(
        Derivable(segment.name, segment.description),
        rules,
        series={read.series for read in found if isinstance(read, Measure)},
        counted={read.type for read in found if not isinstance(read, Measure)},
        segment=segment,
    )


def _including_dependents(
    one: Derivable,
    rules: RuleIndex,
    *,
    series: Iterable[str] = (),
    counted: Iterable[str] = (),
    streak: Streak | None = None,
    inactive: InactiveRule | None = None,
    occasion: Occasion | None = None,
    segment: Segment | None = None,
) -> Derivable:
    """What is rebuilt for it, and what would be wrong if it were not rebuilt with it.

    A series that gains a past changes the answer of every segment that reads it, and would give a streak of days
    past days to judge and to tell.
    """
    keys, kinds = frozenset(series), frozenset(counted)
    part = _empty_rule_index()
    part.series = _filed(rules.series, lambda found: found.key in keys)
    part.day_streaks = _filed(rules.day_streaks, lambda found: found.measure.series in keys)
    part.streaks = _filed(rules.streaks, lambda found: found == streak)
    part.inactive = _filed(rules.inactive, lambda found: found == inactive)
    if occasion is not None:
        part.occasions = {occasion.key: occasion}
    asked = [other for other in rules.segments.values() if other == segment or _looks_at(other, keys, kinds)]
    return replace(one, counted=kinds, rules=part, segments=tuple(asked))


def _filed(filed: Mapping[str, list[T]], wanted: Callable[[T], bool]) -> dict[str, list[T]]:
    chosen = {kind: [one for one in rules if wanted(one)] for kind, rules in filed.items()}
    return {kind: rules for kind, rules in chosen.items() if rules}


def _looks_at(segment: Segment, series: frozenset[str], kinds: frozenset[str]) -> bool:
    return any(read.series in series if isinstance(read, Measure) else read.type in kinds for read in reads(segment))


def _span(series: Series) -> timedelta | None:
    """How old an event can be and still be in a series; None for any age."""
    if series.reach is not None:
        return series.reach + series.measure.slice
    if series.measure.is_pattern:
        return WEEK * KEPT + ZONES
    if series.measure.per is None:
        return None
    return series.periods * PERIODS[series.measure.per.name] + ZONES


def _words(rule: Streak) -> str:
    named = getattr(rule.where, "__name__", "<lambda>")
    words = f"{rule.length} {rule.kind.__name__} in a row"
    if not named.startswith("<"):
        words += f" that were {named}" if rule.key in STREAK_EVENTS else f" where {named}"
    if rule.broken_by is not None:
        words += f", broken by {rule.broken_by.__name__}"
    return words if rule.within is None else f"{words}, within {_span_in_words(rule.within)}"


def _span_in_words(duration: timedelta) -> str:
    if duration != timedelta(days=duration.days):
        return str(duration)
    return "1 day" if duration.days == 1 else f"{duration.days} days"
