"""What is known of a player from their events: counts, measures, streaks, status, protection, consent.

`state.PlayerState` builds on it and decides what a fact starts, wakes and stops.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from workflows.events import (
    ConsentChanged,
    Country,
    Currency,
    DepositApproved,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    Language,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    StatusChanged,
    TierChanged,
    Timezone,
)
from workflows.gate.policy import Exclusion
from workflows.player_facts import PlayerFacts
from workflows.rules.index import TOLD, VISIT_TYPES, RuleIndex
from workflows.rules.measures import Present, value
from workflows.rules.predicates import RuleWarning, passes
from workflows.rules.segments import Segment
from workflows.rules.streaks import StreakState, micros
from workflows.rules.triggers import DayStreakRule, Streak

STRENGTHS: Final = ("weak", "medium", "strong")
#: Account statuses that protect from nothing.
FREE: Final = frozenset({"active", "pending"})
#: What a profile update may teach, and what it must look like: its map of changes is not typed.
PROFILE: Final[Mapping[str, TypeAdapter[str]]] = {
    "language": TypeAdapter(Language),
    "timezone": TypeAdapter(Timezone),
    "country": TypeAdapter(Country),
    "currency": TypeAdapter(Currency),
}
BIRTH_DATE: Final = TypeAdapter(date)
LONGEST_ID: Final = 255
#: How long after its end a day of the player's is judged: so late may its events come.
LATENESS: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Block(Exclusion):
    """An exclusion on record, and since when, so that an end which comes late lifts no newer one."""

    since: datetime


@dataclass(frozen=True, slots=True)
class TimedStatus:
    """An account status that ends by itself."""

    status: str
    until: datetime
    since: datetime


@dataclass(slots=True)
class PlayerProjection:
    """Everything the engine derives about one player from events, whatever journeys make of it.

    No names and no addresses: they live in the profile. The month and day of birth are here, because the next
    birthday is a moment, and no journey sees them.
    """

    brand: str
    player_id: str
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, datetime] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)
    #: By rule: how many in a row.
    streaks: dict[str, StreakState] = field(default_factory=dict)
    #: By streak of days: its length, and the last day that was judged.
    day_streaks: dict[str, tuple[int, date]] = field(default_factory=dict)
    #: By series (`measures.Measure.series`): small integers by slice, period or value.
    series: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Visits by hour of the player's day.
    hours: dict[str, int] = field(default_factory=dict)
    #: Staked minor units by game category.
    stakes: dict[str, int] = field(default_factory=dict)
    deposited_minor: int = 0
    #: The lasting status. Ask `status_at`: one with an end may lie over it.
    status: str | None = None
    status_since: datetime | None = None
    timed_status: TimedStatus | None = None
    exclusions: list[Block] = field(default_factory=list)
    harm: str | None = None
    consents: dict[str, tuple[bool, datetime]] = field(default_factory=dict)
    #: By rule: when the player must be looked at although nothing happens.
    moments: dict[str, datetime] = field(default_factory=dict)
    #: Plain JSON values, named as in `PlayerFacts`.
    facts: dict[str, Any] = field(default_factory=dict)
    #: When a fact was told last, in microseconds since 1970.
    told: dict[str, int] = field(default_factory=dict)
    #: Month and day of birth, "MM-DD".
    born: str | None = None
    #: The segments the player is in, and since when.
    segments: dict[str, datetime] = field(default_factory=dict)

    @property
    def registered_at(self) -> datetime | None:
        """When the player registered."""
        told = self.facts.get("registered_at")
        return None if told is None else datetime.fromisoformat(told)

    @property
    def timezone(self) -> str | None:
        """The player's IANA zone."""
        told: str | None = self.facts.get("timezone")
        return told

    def present(self, now: datetime) -> Present:
        """The moment as this player's clock and calendar have it."""
        return Present.at(now, self.timezone, self.player_id)

    def status_at(self, now: datetime) -> str | None:
        """The account's status, None if nobody told it. One with an end is over when that has passed."""
        timed = self.timed_status
        return self.status if timed is None or timed.until <= now else timed.status

    def protected(self, now: datetime) -> str | None:
        """Why this player must be left alone, the strongest reason, or None.

        An unknown status is not protection here: the gate refuses it before every effect.
        """
        in_force = {block.kind for block in self.exclusions if block.until is None or block.until > now}
        status = self.status_at(now)
        if in_force - {"time_out"} or status == "self_excluded":
            return "self_excluded"
        if in_force:
            return "time_out"
        return None if status is None or status in FREE else "account_not_active"

    def snapshot(self) -> PlayerFacts:
        """What a journey may know of the player: facts, never personal data."""
        return PlayerFacts(
            player_id=self.player_id,
            favourite_category=self.favourite_category,
            deposits=self.counts.get(DepositApproved.type, 0),
            deposited_minor=self.deposited_minor,
            last_login=self.last.get("session.login"),
            **self.facts,
        )

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes so far, None before the first round."""
        return min(self.stakes, key=lambda c: (-self.stakes[c], c), default=None)

    @property
    def usual_hours(self) -> tuple[int, ...]:
        """The fewest hours of the player's day that hold half of all visits, busiest first."""
        found: list[int] = []
        missing = sum(self.hours.values()) / 2
        for hour in sorted(self.hours, key=lambda hour: (-self.hours[hour], int(hour))):
            if missing <= 0:
                break
            missing -= self.hours[hour]
            found.append(int(hour))
        return tuple(found)

    def learn(self, event: Event) -> None:
        """Take in what an event says about the player."""
        match event:
            case PlayerRegistered():
                self._register(event)
            case ProfileUpdated():
                self._update(event)
            case StatusChanged():
                self._change_status(event)
            case ExclusionSet():
                self._exclude(Block(event.kind, event.scope, event.until, event.occurred_at))
            case ExclusionEnded():
                self.exclusions = [
                    block
                    for block in self.exclusions
                    if (block.kind, block.scope) != (event.kind, event.scope) or block.since > event.occurred_at
                ]
            case HarmSignal():
                # The strongest signal stands for ever: nothing here lowers it yet.
                self.harm = max(self.harm or "weak", event.strength, key=STRENGTHS.index)
            case ConsentChanged():
                self._consent(event.channel, event.occurred_at, opted_in=event.opted_in)
            case TierChanged():
                self._tell("tier", event.to, event.occurred_at)
            case RoundCompleted():
                stake = event.stake_minor + event.bonus_stake_minor
                self.stakes[event.category] = self.stakes.get(event.category, 0) + stake
            case DepositApproved():
                self.deposited_minor += event.amount_minor
            case _:
                pass

    def count(self, event: Event, rules: RuleIndex, now: datetime) -> tuple[list[str], list[Event]]:
        """Count the event; the keys of the rules it fires, and the events derived from it."""
        kind = event.type
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        first, last = self.first.get(kind), self.last.get(kind)
        if first is None or event.occurred_at < first:
            self.first[kind] = event.occurred_at
        if last is None or event.occurred_at > last:
            self.last[kind] = event.occurred_at
            for quiet in rules.inactive.get(kind, ()):
                self.moments[quiet.key] = event.occurred_at + quiet.duration
        if kind in VISIT_TYPES:
            hour = str(event.occurred_at.astimezone(self.present(now).zone).hour)
            self.hours[hour] = self.hours.get(hour, 0) + 1
        fired = [mark.key for mark in rules.milestones.get(kind, ()) if mark.count == count]
        fired += self._measure(event, rules, now)
        derived: list[Event] = []
        for streak in rules.streaks.get(kind, ()):
            if length := self.extend(streak, event):
                fired.append(streak.key)
                if (told := TOLD.get(streak.key)) is not None:
                    derived.append(
                        told(
                            event_id=derived_id(event, told.type),
                            event_source=event.event_source,
                            occurred_at=event.occurred_at,
                            rounds=length,
                        )
                    )
        return fired, derived

    def extend(self, rule: Streak, event: Event) -> int:
        """Take the event into the streak; its length when that fires the rule, else 0."""
        row = self.streaks.get(rule.key)
        if row is None:
            row = self.streaks[rule.key] = StreakState()
        if not (isinstance(event, rule.kind) and passes(rule.where, event)):
            row.miss(event.occurred_at)
            return 0
        length = row.hit(event.occurred_at, rule.within)
        return length if length % rule.length == 0 else 0

    def sort_into(self, segments: Iterable[Segment], now: datetime) -> Iterator[tuple[str, bool]]:
        """Ask each segment; `(name, whether the player came or left)` for those whose answer changed.

        One that raises leaves the player where they are and warns: a mistake must not empty a segment.
        """
        for one in segments:
            try:
                belongs, changes = one.evaluate(self, now)
            except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
                told = f"Segment {one.name} raised {type(error).__name__} ({error}); its members stay as they were."
                warnings.warn(told, RuleWarning, stacklevel=2)
                continue
            key = f"segment:{one.name}"
            if changes is None:
                self.moments.pop(key, None)
            else:
                self.moments[key] = changes
            if belongs != (one.name in self.segments):
                if belongs:
                    self.segments[one.name] = now
                else:
                    del self.segments[one.name]
                yield one.name, belongs

    def judge_days(self, rule: DayStreakRule, now: datetime) -> Iterator[tuple[int, datetime]]:
        """Judge the days that ended and were not judged yet; each time it fires, how long it is and since when."""
        held = self.series.get(rule.measure.series, {})
        present = self.present(now - LATENESS)
        length, judged = self.day_streaks.get(rule.key, (0, date.min))
        days = sorted({date.fromisoformat(key.partition("/")[0]) for key in held})
        for day in days:
            if not judged < day < present.today:
                continue
            if rule.idle == "breaks" and length and day - judged > timedelta(days=1):
                length = 0
            length = length + 1 if self._holds(rule, value(held, rule.measure, present, day.isoformat())) else 0
            judged = day
            if length and length % rule.length == 0:
                yield length, present.begin(day + timedelta(days=1)) + LATENESS
        self.day_streaks[rule.key] = (length, judged)
        if days and days[-1] >= present.today:
            self.await_day(rule, now)

    def await_day(self, rule: DayStreakRule, now: datetime) -> None:
        """Be looked at one hour after this day has ended."""
        present = self.present(now - LATENESS)
        self.moments[rule.key] = present.begin(present.today + timedelta(days=1)) + LATENESS

    def _holds(self, rule: DayStreakRule, day: int) -> bool:
        try:
            return bool(rule.where(day))
        except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
            told = f"where= of {rule.key} raised {type(error).__name__} ({error}); it was taken for no."
            warnings.warn(told, RuleWarning, stacklevel=2)
            return False

    def _measure(self, event: Event, rules: RuleIndex, now: datetime) -> Iterator[str]:
        """Add the event to its series; the keys of the thresholds it crosses."""
        series = rules.series.get(event.type)
        if series is None:
            return
        present = self.present(now)
        for one in series:
            held = self.series.setdefault(one.key, {})
            before = dict(held) if one.key in rules.thresholds else None
            try:
                bucket = one.take(held, event, present)
            except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
                told = f"The measure {one.key} raised {type(error).__name__} on a {event.type} event ({error})."
                warnings.warn(told, RuleWarning, stacklevel=2)
                continue
            if bucket is None or before is None:
                continue
            for rule in rules.thresholds[one.key]:
                was, is_ = (value(then, rule.measure, present, bucket) for then in (before, held))
                if was < rule.at_least <= is_:
                    yield rule.key
        for days in rules.day_streaks.get(event.type, ()):
            if days.key not in self.moments:
                self.await_day(days, now)

    def _tell(self, name: str, told: Any, at: datetime) -> None:
        """Keep the newest word on a fact, by its own time; of two at one instant the one that came last."""
        if self._is_news(name, at):
            self.facts[name] = told

    def _is_news(self, name: str, at: datetime) -> bool:
        moment = micros(at)
        if moment < self.told.get(name, moment):
            return False
        self.told[name] = moment
        return True

    def _exclude(self, new: Block) -> None:
        """Keep an exclusion, unless one that is as new and as long says the same; and none that this one covers."""
        if any(_covers(block, new) for block in self.exclusions):
            return
        self.exclusions = [block for block in self.exclusions if not _covers(new, block)] + [new]

    def _register(self, event: PlayerRegistered) -> None:
        self.status = self.status or "active"
        for name in PROFILE:
            if (known := getattr(event, name)) is not None:
                self._tell(name, known, event.occurred_at)
        if event.birth_date is not None:
            self._bear(event.birth_date, event.occurred_at)
        self.facts["registered_at"] = event.occurred_at.isoformat()
        self.facts["is_test"] = event.is_test
        for channel in event.opted_in:
            self._consent(channel, event.occurred_at, opted_in=True)

    def _update(self, event: ProfileUpdated) -> None:
        for name, kind in PROFILE.items():
            with suppress(KeyError, ValidationError):
                self._tell(name, kind.validate_python(event.changed[name]), event.occurred_at)
        with suppress(KeyError, ValidationError):
            self._bear(BIRTH_DATE.validate_python(event.changed["birth_date"]), event.occurred_at)

    def _bear(self, birth_date: date, at: datetime) -> None:
        if self._is_news("born", at):
            self.born = f"{birth_date:%m-%d}"

    def _change_status(self, event: StatusChanged) -> None:
        at, to, timed = event.occurred_at, event.to, self.timed_status
        replaces_lasting = _outranks(to, at, self.status, self.status_since)
        replaces_timed = timed is None or _outranks(to, at, timed.status, timed.since)
        if event.until is None:
            if replaces_lasting:
                self.status, self.status_since = to, at
            if replaces_timed:
                self.timed_status = None
        elif replaces_lasting and replaces_timed:
            # What was before is what will be after; where the event knows that better, it is believed.
            if event.from_status is not None and event.from_status != self.status_at(at):
                self.status, self.status_since = event.from_status, at
            self.timed_status = TimedStatus(to, event.until, at)

    def _consent(self, channel: str, at: datetime, *, opted_in: bool) -> None:
        """Keep the newest word on a channel; of two at one instant the refusal counts."""
        known = self.consents.get(channel)
        if known is None or at > known[1] or (at == known[1] and not opted_in):
            self.consents[channel] = (opted_in, at)


def _outranks(new: str, at: datetime, known: str | None, since: datetime | None) -> bool:
    """Whether a word on the account counts: the newest does, and of two at one instant the one that protects."""
    lifts = new in FREE and known not in FREE
    return since is None or at > since or (at == since and not lifts)


def _covers(one: Block, other: Block) -> bool:
    longer = one.until is None or (other.until is not None and one.until >= other.until)
    return (one.kind, one.scope) == (other.kind, other.scope) and one.since >= other.since and longer


def derived_id(event: Event, suffix: str) -> str:
    """The id of an event that follows from another: the same whenever that one is read again."""
    return f"{event.event_id[: LONGEST_ID - len(suffix) - 1]}:{suffix}"
