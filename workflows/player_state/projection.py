"""What is known of a player from their events: counts, measures, streaks, status, protection, consent.

`state.PlayerState` builds on it and decides what a fact starts, wakes and stops.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
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
from workflows.player_facts import PlayerFacts
from workflows.rules.measures import Present
from workflows.rules.streak_state import StreakState, micros

STRENGTHS: Final = ("weak", "medium", "strong")
#: Account statuses that protect from nothing.
UNPROTECTED_STATUSES: Final = frozenset({"active", "pending"})
#: What a profile update may teach, and what it must look like: its map of changes is not typed.
PROFILE_FACTS: Final[Mapping[str, TypeAdapter[str]]] = {
    "language": TypeAdapter(Language),
    "timezone": TypeAdapter(Timezone),
    "country": TypeAdapter(Country),
    "currency": TypeAdapter(Currency),
}
BIRTH_DATE: Final = TypeAdapter(date)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A block in force until a moment; `until=None` is for ever."""

    kind: str
    scope: str
    until: datetime | None


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
    #: By fact: when the newest word on it happened, in microseconds since 1970. Its name is a key of the stored state.
    told: dict[str, int] = field(default_factory=dict)
    #: Month and day of birth, "MM-DD".
    born: str | None = None
    #: The segments the player is in, and since when.
    segments: dict[str, datetime] = field(default_factory=dict)

    @property
    def registered_at(self) -> datetime | None:
        """When the player registered."""
        at = self.facts.get("registered_at")
        return None if at is None else datetime.fromisoformat(at)

    @property
    def timezone(self) -> str | None:
        """The player's IANA zone."""
        zone: str | None = self.facts.get("timezone")
        return zone

    def present(self, now: datetime) -> Present:
        """The moment as this player's clock and calendar have it."""
        return Present.at(now, self.timezone, self.player_id)

    def status_at(self, now: datetime) -> str | None:
        """The account's status, None while it is unknown. One with an end is over when that has passed."""
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
        return None if status is None or status in UNPROTECTED_STATUSES else "account_not_active"

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
        busiest: list[int] = []
        missing = sum(self.hours.values()) / 2
        for hour in sorted(self.hours, key=lambda hour: (-self.hours[hour], int(hour))):
            if missing <= 0:
                break
            missing -= self.hours[hour]
            busiest.append(int(hour))
        return tuple(busiest)

    def learn(self, event: Event) -> None:
        """Learn the facts that an event carries about the player."""
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
                self._set_fact("tier", event.to, event.occurred_at)
            case RoundCompleted():
                stake = event.stake_minor + event.bonus_stake_minor
                self.stakes[event.category] = self.stakes.get(event.category, 0) + stake
            case DepositApproved():
                self.deposited_minor += event.amount_minor
            case _:
                pass

    def _set_fact(self, name: str, value: Any, at: datetime) -> None:
        """Keep the newest word on a fact, by its own time; of two at one instant the one that came last."""
        if self._is_news(name, at):
            self.facts[name] = value

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
        for name in PROFILE_FACTS:
            if (known := getattr(event, name)) is not None:
                self._set_fact(name, known, event.occurred_at)
        if event.birth_date is not None:
            self._set_birthday(event.birth_date, event.occurred_at)
        self.facts["registered_at"] = event.occurred_at.isoformat()
        self.facts["is_test"] = event.is_test
        for channel in event.opted_in:
            self._consent(channel, event.occurred_at, opted_in=True)

    def _update(self, event: ProfileUpdated) -> None:
        for name, kind in PROFILE_FACTS.items():
            with suppress(KeyError, ValidationError):
                self._set_fact(name, kind.validate_python(event.changed[name]), event.occurred_at)
        with suppress(KeyError, ValidationError):
            self._set_birthday(BIRTH_DATE.validate_python(event.changed["birth_date"]), event.occurred_at)

    def _set_birthday(self, birth_date: date, at: datetime) -> None:
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
    lifts = new in UNPROTECTED_STATUSES and known not in UNPROTECTED_STATUSES
    return since is None or at > since or (at == since and not lifts)


def _covers(one: Block, other: Block) -> bool:
    longer = one.until is None or (other.until is not None and one.until >= other.until)
    return (one.kind, one.scope) == (other.kind, other.scope) and one.since >= other.since and longer
