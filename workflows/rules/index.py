"""Every rule and segment of a deployment, found by the type of event that can fire it."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime

from workflows.declaration import Journey
from workflows.events import (
    ConsentChanged,
    Event,
    LossStreak,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    TierChanged,
    WinStreak,
)
from workflows.gate.policies import HOUSE
from workflows.gate.policy import Policies, Policy
from workflows.loyalty.program import NO_PROGRAM, LoyaltyProgram
from workflows.rules.calendar_rules import Occasion
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import PERIODS_KEPT, Measure
from workflows.rules.segments import VISITS, Segment
from workflows.rules.series import Series
from workflows.rules.triggers import DayStreakRule, InactiveRule, MilestoneRule, On, Streak, ThresholdRule
from workflows.shadows import NO_SHADOWS, Shadows
from workflows.source.segment_dependencies import reads

#: A trigger that is more than a kind of event.
Rule = MilestoneRule | Streak | InactiveRule | ThresholdRule | DayStreakRule | Occasion
#: A streak of days may be judged this many days late before a day is forgotten.
DAYS_KEPT = 8
#: Events after which every segment is asked, because they change what any of them may look at.
ABOUT_ALL = frozenset({PlayerRegistered.type, ProfileUpdated.type, TierChanged.type, ConsentChanged.type})
VISIT_TYPES = frozenset(kind.type for kind in VISITS)


def lost(event: RoundCompleted) -> bool:
    """Whether the player got less out of a round than went in, real and bonus money together."""
    return event.win_minor + event.bonus_win_minor < event.stake_minor + event.bonus_stake_minor


def won(event: RoundCompleted) -> bool:
    """Whether the player got more out of a round than went in, real and bonus money together."""
    return event.win_minor + event.bonus_win_minor > event.stake_minor + event.bonus_stake_minor


LOSS_STREAK = Streak(RoundCompleted, 3, where=lost, name="engine.loss")
"""Three losing rounds in a row, which journeys receive as `LossStreak`."""

WIN_STREAK = Streak(RoundCompleted, 3, where=won, name="engine.win")
"""Three winning rounds in a row, which journeys receive as `WinStreak`."""

STREAK_EVENTS: Mapping[str, type[LossStreak | WinStreak]] = {LOSS_STREAK.key: LossStreak, WIN_STREAK.key: WinStreak}
"""The streaks that are events of their own. A round that gave back its stake breaks both."""


class HouseAlone:
    """The policies of whoever has none of their own and knows no law: the house's, for everybody."""

    def at(self, _brand: str, _jurisdiction: str | None, _now: datetime) -> Policy:
        """The house's."""
        return HOUSE

    def drawn_as(self, brand: str) -> str:
        """Each brand draws by itself."""
        return brand


class RuleIndex:
    """The rules of a deployment, by what can fire them. Built once a process.

    Give the same journeys and segments to every process that takes events in: two processes with different rules
    would let the same event start different things.
    """

    def __init__(
        self,
        journeys: Mapping[str, Journey],
        segments: Mapping[str, Segment] | None = None,
        loyalty: LoyaltyProgram = NO_PROGRAM,
        left_out: frozenset[str] = frozenset(),
    ) -> None:
        #: Journeys that nobody enters in this deployment, whoever opens them.
        self.left_out = left_out
        self.journeys = dict(sorted(journeys.items()))
        self.loyalty = loyalty
        #: By journey: the types of events that wake its runs, end them, or are their goal.
        self.matters = {name: journey.about for name, journey in self.journeys.items()}
        self.triggers: dict[str, list[tuple[Journey, On]]] = {}
        self.milestones: dict[str, list[MilestoneRule]] = {}
        self.streaks: dict[str, list[Streak]] = {}
        self.inactive: dict[str, list[InactiveRule]] = {}
        self.thresholds: dict[str, list[ThresholdRule]] = {}
        self.day_streaks: dict[str, list[DayStreakRule]] = {}
        self.occasions: dict[str, Occasion] = {}
        self.series: dict[str, list[Series]] = {}
        self.by_key: dict[str, list[Journey]] = {}
        #: Journeys that nobody enters for now.
        self.closed = left_out
        #: Whoever says which policies a player is under.
        self.policies: Policies = HouseAlone()
        #: Releases that are played beside runs that begin now, with nothing done.
        self.shadows: Shadows = NO_SHADOWS
        #: Every rule that is no plain `on(...)`, by its key.
        self.rules: dict[str, Rule] = {streak.key: streak for streak in (LOSS_STREAK, WIN_STREAK)}
        for journey in self.journeys.values():
            for trigger in journey.triggers:
                if isinstance(trigger, On):
                    self.triggers.setdefault(trigger.kind.type, []).append((journey, trigger))
                else:
                    self.rules[trigger.key] = trigger
                    self.by_key.setdefault(trigger.key, []).append(journey)
        self.segments = dict(segments or {})
        for rule in self.rules.values():
            self._index_rule(rule)
        self.segments = dict(sorted(self.segments.items()))
        self._about: dict[str, list[Segment]] = {}
        for one in self.segments.values():
            for kind in {read.kind.type if isinstance(read, Measure) else read.type for read in reads(one)}:
                self._about.setdefault(kind, []).append(one)
        self._index_series()

    def closing(self, journeys: frozenset[str]) -> "RuleIndex":
        """The same rules while nobody enters these journeys; runs under way go on."""
        closed = journeys | self.left_out
        if closed == self.closed:
            return self
        changed = copy(self)
        changed.closed = closed
        return changed

    def under(self, policies: Policies) -> "RuleIndex":
        """The same rules for players under these policies."""
        changed = copy(self)
        changed.policies = policies
        return changed

    def shadowing(self, shadows: Shadows) -> "RuleIndex":
        """The same rules while these releases are shadowed; one whose code is not here is left to others."""
        known = {name: one for name, one in shadows.items() if self._plays(name, one.version)}
        if known == self.shadows:
            return self
        changed = copy(self)
        changed.shadows = known
        return changed

    def _plays(self, name: str, version: int) -> bool:
        journey = self.journeys.get(name)
        return journey is not None and journey.knows(version)

    @property
    def measures(self) -> list[Measure]:
        """Every measure that something reads, each once: segments, triggers, and the code of journeys."""
        measures: dict[str, Measure] = {}
        for one in self.segments.values():
            for read in reads(one):
                if isinstance(read, Measure):
                    measures[read.key] = read
        for rule in self.rules.values():
            if isinstance(rule, ThresholdRule | DayStreakRule):
                measures[rule.measure.key] = rule.measure
            if isinstance(rule, InactiveRule) and rule.pace is not None:
                measures[rule.pace.gap.key] = rule.pace.gap
        for journey in self.journeys.values():
            # The present code counts where a release declares the same measure once more.
            for one_version in (*journey.versions.values(), journey):
                measures |= {one.key: one for one in one_version.measures}
        measures |= {measure.key: measure for measure in self.loyalty.measures}
        return [measures[key] for key in sorted(measures)]

    def measure(self, key: str) -> Measure | None:
        """The measure of that key; None where nothing that is deployed here reads one."""
        return self._by_key.get(key)

    def segments_about(self, kind: str) -> Iterable[Segment]:
        """The segments whose answer an event of this type can change."""
        return self.segments.values() if kind in ABOUT_ALL else self._about.get(kind, ())

    def triggered_by(self, event: Event, failures: list[RuleFailure]) -> Iterator[Journey]:
        """Journeys whose `on(...)` matches `event`, by name."""
        for journey, trigger in self.triggers.get(event.type, ()):
            if trigger.matches(event, failures):
                yield journey

    def _index_rule(self, rule: Rule) -> None:
        match rule:
            case MilestoneRule():
                self.milestones.setdefault(rule.kind.type, []).append(rule)
            case Streak():
                for kind in {rule.kind.type} | ({rule.broken_by.type} if rule.broken_by else set()):
                    self.streaks.setdefault(kind, []).append(rule)
            case InactiveRule():
                self.inactive.setdefault(rule.kind.type, []).append(rule)
            case ThresholdRule():
                self.thresholds.setdefault(rule.measure.series, []).append(rule)
            case DayStreakRule():
                self.day_streaks.setdefault(rule.measure.kind.type, []).append(rule)
            case _:
                self.occasions[rule.key] = rule
                if (condition := getattr(rule, "segment", None)) is not None:
                    self.segments.setdefault(condition.name, condition)

    def _index_series(self) -> None:
        judged = {rule.measure.series for rules in self.day_streaks.values() for rule in rules}
        by_key: dict[str, Series] = {}
        self._by_key = {one.key: one for one in self.measures}
        for measure in self._by_key.values():
            known = by_key.get(measure.series)
            periods = DAYS_KEPT if measure.series in judged else PERIODS_KEPT
            if known is None:
                by_key[measure.series] = Series(measure, measure.last, periods)
            elif measure.last is not None and known.reach is not None and measure.last > known.reach:
                by_key[measure.series] = replace(known, reach=measure.last)
        for series in by_key.values():
            self.series.setdefault(series.measure.kind.type, []).append(series)


def clashes(journeys: Iterable[Journey], segments: Iterable[Segment] = ()) -> Iterator[str]:
    """A sentence for each streak or measure that two places count differently under one key."""
    known: dict[str, tuple[Streak | DayStreakRule | Measure, str]] = {
        streak.key: (streak, "the engine") for streak in (LOSS_STREAK, WIN_STREAK)
    }
    for owner, counted in _counted(journeys, segments):
        # How far back a measure looks makes it no other one: they share what is kept.
        declared = replace(counted, last=None) if isinstance(counted, Measure) else counted
        key = counted.series if isinstance(counted, Measure) else counted.key
        first, counter = known.setdefault(key, (declared, owner))
        if first != declared:
            word = "measure" if isinstance(declared, Measure) else "streak"
            yield (
                f"{counter[0].upper()}{counter[1:]} and {owner} count {key} in different ways; give the {word} of one "
                "of them a name= of its own, or share one declaration."
            )


def _counted(
    journeys: Iterable[Journey], segments: Iterable[Segment]
) -> Iterator[tuple[str, Streak | DayStreakRule | Measure]]:
    for journey in journeys:
        for trigger in journey.triggers:
            if isinstance(trigger, Streak | DayStreakRule):
                yield f"journey {journey.name}", trigger
            if isinstance(trigger, ThresholdRule | DayStreakRule):
                yield f"journey {journey.name}", trigger.measure
        for measure in journey.measures:
            yield f"journey {journey.name}", measure
    for one in segments:
        for read in sorted((read for read in reads(one) if isinstance(read, Measure)), key=lambda measure: measure.key):
            yield f"segment {one.name}", read
