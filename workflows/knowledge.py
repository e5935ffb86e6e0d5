"""What events teach about a player: counts, streaks, status, protection, consent. No decisions.

`state.PlayerState` builds on it and decides what a fact starts, wakes and stops.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from workflows.effects import PlayerFacts
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
from workflows.policy import Exclusion
from workflows.rulebook import TOLD, Rules
from workflows.rules import Streak, passes

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
LONGEST_ID: Final = 255


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
class Knowledge:
    """Everything the engine derives about one player from events, whatever journeys make of it.

    No personal data: names, addresses and birth dates live in the profile.
    """

    brand: str
    player_id: str
    counts: dict[str, int] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)
    #: By rule: how many in a row, and since when.
    streaks: dict[str, tuple[int, datetime]] = field(default_factory=dict)
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
    #: By rule: when the player counts as inactive, unless something happens before.
    moments: dict[str, datetime] = field(default_factory=dict)
    #: Plain JSON values, named as in `PlayerFacts`.
    facts: dict[str, Any] = field(default_factory=dict)

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

    def learn(self, event: Event) -> None:
        """Take in what an event says about the player."""
        match event:
            case PlayerRegistered():
                self.status = self.status or "active"
                for name in PROFILE:
                    if (known := getattr(event, name)) is not None:
                        self.facts[name] = known
                self.facts["registered_at"] = event.occurred_at.isoformat()
                self.facts["is_test"] = event.is_test
                for channel in event.opted_in:
                    self._consent(channel, event.occurred_at, opted_in=True)
            case ProfileUpdated():
                for name, kind in PROFILE.items():
                    with suppress(KeyError, ValidationError):
                        self.facts[name] = kind.validate_python(event.changed[name])
            case StatusChanged():
                self._change_status(event)
            case ExclusionSet():
                self.exclusions.append(Block(event.kind, event.scope, event.until, event.occurred_at))
            case ExclusionEnded():
                self.exclusions = [
                    block
                    for block in self.exclusions
                    if (block.kind, block.scope) != (event.kind, event.scope) or block.since > event.occurred_at
                ]
            case HarmSignal():
                # A weaker signal does not lift what a stronger one called for; a person does.
                self.harm = max(self.harm or "weak", event.strength, key=STRENGTHS.index)
            case ConsentChanged():
                self._consent(event.channel, event.occurred_at, opted_in=event.opted_in)
            case TierChanged():
                self.facts["tier"] = event.to
            case RoundCompleted():
                stake = event.stake_minor + event.bonus_stake_minor
                self.stakes[event.category] = self.stakes.get(event.category, 0) + stake
            case DepositApproved():
                self.deposited_minor += event.amount_minor
            case _:
                pass

    def count(self, event: Event, rules: Rules) -> tuple[list[str], list[Event]]:
        """Count the event; the keys of the rules it fires, and the events derived from it."""
        kind = event.type
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        seen = self.last.get(kind)
        if seen is None or event.occurred_at > seen:
            self.last[kind] = event.occurred_at
            for quiet in rules.inactive.get(kind, ()):
                self.moments[quiet.key] = event.occurred_at + quiet.duration
        fired = [mark.key for mark in rules.milestones.get(kind, ()) if mark.count == count]
        derived: list[Event] = []
        for streak in rules.streaks.get(kind, ()):
            if length := self._extend(streak, event):
                fired.append(streak.key)
                if (told := TOLD.get(streak.key)) is not None:
                    suffix = f":{told.type}"
                    derived.append(
                        told(
                            event_id=event.event_id[: LONGEST_ID - len(suffix)] + suffix,
                            event_source=event.event_source,
                            occurred_at=event.occurred_at,
                            rounds=length,
                        )
                    )
        return fired, derived

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

    def _extend(self, rule: Streak, event: Event) -> int:
        """Take the event into the streak; its length when that fires the rule, else 0."""
        counts = isinstance(event, rule.kind) and passes(rule.where, event)
        if not counts:
            self.streaks.pop(rule.key, None)
            return 0
        length, began = self.streaks.get(rule.key, (0, event.occurred_at))
        if rule.within is not None and event.occurred_at - began > rule.within:
            length, began = 0, event.occurred_at
        length += 1
        self.streaks[rule.key] = (length, began)
        return length if length % rule.length == 0 else 0


def _outranks(new: str, at: datetime, known: str | None, since: datetime | None) -> bool:
    """Whether a word on the account counts: the newest does, and of two at one instant the one that protects."""
    lifts = new in FREE and known not in FREE
    return since is None or at > since or (at == since and not lifts)
