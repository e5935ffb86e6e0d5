"""What an event does to a player: one pure function over one small value.

`PlayerState.advance(event, rules, now)` is the only place where the engine decides that a journey
starts, wakes or stops. Intake calls it under the player's row lock, the stage calls it in memory.
"""

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from workflows.effects import PlayerFacts
from workflows.events import (
    ConsentChanged,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    Inactive,
    LossStreak,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    StatusChanged,
    TierChanged,
)
from workflows.journey import Journey
from workflows.policy import Exclusion
from workflows.rules import InactiveRule, MilestoneRule, On, Streak, Trigger

Arm = Literal["treated", "control"]
Mode = Literal["live", "history"]

REMEMBERED_KEYS = 64
STRENGTHS = ("weak", "medium", "strong")
LATE_STOP_REASONS = frozenset({"self_excluded", "time_out", "account_not_active"})


def lost(event: RoundCompleted) -> bool:
    """Whether the player got less out of a round than went in, real and bonus money together."""
    return event.win_minor + event.bonus_win_minor < event.stake_minor + event.bonus_stake_minor


LOSS_STREAK = Streak(RoundCompleted, 3, where=lost, name="loss")
"""Three losing rounds in a row, told to journeys as `LossStreak`."""


@dataclass(frozen=True)
class Start:
    """A player enters a journey. `refused` says why nothing is played although it counts."""

    run_id: str
    journey: str
    arm: Arm
    entered_at: datetime
    ends_at: datetime
    goal_until: datetime | None
    trigger: Event | None
    refused: str | None = None
    cause: dict[str, str] | None = None


@dataclass(frozen=True)
class Wake:
    """A run hears of an event, as its `seq`-th delivery."""

    run_id: str
    seq: int
    event: Event


@dataclass(frozen=True)
class Stop:
    """A run is told to end. Protection stops are delivered before anything else."""

    run_id: str
    seq: int
    reason: str
    protection: bool


@dataclass(frozen=True)
class GoalReached:
    """The goal of a run, of either arm, happened within its time."""

    run_id: str
    at: datetime


@dataclass(frozen=True)
class Ended:
    """A run of the control arm is over; no workflow exists that could say so itself."""

    run_id: str
    at: datetime
    outcome: str


Decision = Start | Wake | Stop | GoalReached | Ended


@dataclass(slots=True)
class ActiveRun:
    """What the player's row knows of a run under way."""

    journey: str
    arm: Arm
    ends_at: datetime
    goal_until: datetime | None = None
    seq: int = 0
    stopping: bool = False
    reached: bool = False
    #: It has ended and stays only until its goal can no longer be reached.
    over: bool = False


@dataclass(slots=True)
class Entries:
    """How often and when a player last entered a journey."""

    count: int = 0
    last: datetime | None = None
    keys: list[str] = field(default_factory=list)


class Rules:
    """Every rule of every journey, indexed by what can fire it. Built once a process.

    Give the same journeys to every process that takes events in: two processes with different
    rules would let the same event start different things.
    """

    def __init__(self, journeys: Mapping[str, Journey]) -> None:
        self.journeys = dict(sorted(journeys.items()))
        self.triggers: dict[str, list[tuple[Journey, Trigger]]] = {}
        self.milestones: dict[str, list[MilestoneRule]] = {}
        self.streaks: dict[str, list[Streak]] = {}
        self.inactive: dict[str, list[InactiveRule]] = {}
        self.by_key: dict[str, list[Journey]] = {}
        streaks: dict[str, Streak] = {LOSS_STREAK.key: LOSS_STREAK}
        milestones: dict[str, MilestoneRule] = {}
        inactive: dict[str, InactiveRule] = {}
        for journey in self.journeys.values():
            for trigger in journey.triggers:
                match trigger:
                    case On():
                        self.triggers.setdefault(trigger.kind.type, []).append((journey, trigger))
                    case MilestoneRule():
                        milestones[trigger.key] = trigger
                    case Streak():
                        streaks[trigger.key] = trigger
                    case InactiveRule():
                        inactive[trigger.key] = trigger
                if not isinstance(trigger, On):
                    self.by_key.setdefault(trigger.key, []).append(journey)
        for rule in milestones.values():
            self.milestones.setdefault(rule.kind.type, []).append(rule)
        for streak in streaks.values():
            kinds = {streak.kind.type} | ({streak.broken_by.type} if streak.broken_by else set())
            for kind in sorted(kinds):
                self.streaks.setdefault(kind, []).append(streak)
        for quiet in inactive.values():
            self.inactive.setdefault(quiet.kind.type, []).append(quiet)

    def triggered_by(self, event: Event) -> Iterator[Journey]:
        """Journeys whose `on(...)` matches `event`, by name."""
        for journey, trigger in self.triggers.get(event.type, ()):
            if isinstance(trigger, On) and trigger.matches(event):
                yield journey


@dataclass(slots=True)
class PlayerState:
    """Everything the engine derives about one player, as one JSON value in the player's row.

    No personal data: names, addresses and birth dates live beside it, in the profile.
    """

    brand: str
    player_id: str
    counts: dict[str, int] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)
    streaks: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    stakes: dict[str, int] = field(default_factory=dict)
    deposited_minor: int = 0
    entries: dict[str, Entries] = field(default_factory=dict)
    runs: dict[str, ActiveRun] = field(default_factory=dict)
    status: str | None = None
    exclusions: list[Exclusion] = field(default_factory=list)
    harm: str | None = None
    consents: dict[str, tuple[bool, datetime]] = field(default_factory=dict)
    moments: dict[str, datetime] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    # ---- decisions -------------------------------------------------------------------------

    def advance(self, event: Event, rules: Rules, now: datetime, *, mode: Mode = "live") -> list[Decision]:
        """Take one new event in: change this state and say what starts, wakes, ends.

        Events are taken in the order they are given. The caller has already dropped duplicates;
        giving the same event twice would count it twice.
        """
        self._learn(event)
        fired = self._count(event, rules)
        if mode == "history":
            return []
        decisions: list[Decision] = []
        decisions += self._lapse(event.occurred_at)
        if reason := self.protected(now):
            decisions += self.stop_all(reason, now)
        told: list[Event] = [event, *(d for _, d in fired if d is not None)]
        for happened in told:
            decisions += self._tell(happened, rules)
        for journey in self._entering(event, fired, rules):
            decisions += self.enter(journey, event, now)
        return decisions

    def tick(self, rules: Rules, now: datetime) -> list[Decision]:
        """Take in that time has passed: inactivity that is due, control runs that are over."""
        decisions: list[Decision] = list(self._lapse(now))
        due = sorted((at, key) for key, at in self.moments.items() if at <= now)
        for at, key in due:
            del self.moments[key]
            _, kind, seconds = key.split(":")
            happened = Inactive(
                event_id=f"{key}:{int(at.timestamp())}",
                event_source="engine",
                occurred_at=at,
                seconds=int(seconds),
                kind=kind,
            )
            decisions += self._tell(happened, rules)
            for journey in rules.by_key.get(key, ()):
                decisions += self.enter(journey, happened, now)
        return decisions

    def enter(
        self, journey: Journey, trigger: Event | None, now: datetime, cause: dict[str, str] | None = None
    ) -> list[Decision]:
        """Let the player into `journey` if its entry rule allows; an empty list means no.

        `cause` names who asked where no event did: a person, or another run.
        """
        at = trigger.occurred_at if trigger is not None else now
        if now - at > journey.late_after:
            return []
        entries = self.entries.get(journey.name) or Entries()
        key = _entry_key(journey, trigger)
        if not self._may_enter(journey, entries, key, at):
            return []
        self.entries[journey.name] = entries
        entries.count += 1
        entries.last = at
        if key is not None:
            entries.keys = [*entries.keys, key][-REMEMBERED_KEYS:]
        run_id = f"{journey.name}:{self.brand}:{self.player_id}:{entries.count}"
        arm = arm_of(self.brand, self.player_id, journey.name, journey.control)
        refused = self.protected(now)
        goal_until = at + journey.goal.within if journey.goal else None
        ends_at = now + journey.ends_after
        if refused is None:
            self.runs[run_id] = ActiveRun(journey.name, arm, ends_at, goal_until)
        if trigger is not None:
            cause = {"type": trigger.type, "id": trigger.event_id, "source": trigger.event_source}
        return [Start(run_id, journey.name, arm, now, ends_at, goal_until, trigger, refused, cause)]

    def stop(self, run_id: str, reason: str, now: datetime) -> list[Decision]:
        """End one run: a treated one is told, a control one is over at once."""
        run = self.runs.get(run_id)
        if run is None or run.stopping or run.over:
            return []
        if run.arm == "control":
            self.end(run_id, now)
            return [Ended(run_id, now, reason)]
        run.stopping = True
        run.seq += 1
        return [Stop(run_id, run.seq, reason, reason in LATE_STOP_REASONS)]

    def stop_all(self, reason: str, now: datetime) -> list[Decision]:
        """End every run of the player."""
        return [d for run_id in sorted(self.runs) for d in self.stop(run_id, reason, now)]

    def next_seq(self, run_id: str) -> int | None:
        """Number the next delivery to a run under way; None when it has ended."""
        run = self.runs.get(run_id)
        if run is None or run.over:
            return None
        run.seq += 1
        return run.seq

    def end(self, run_id: str, now: datetime) -> None:
        """Let go of a run that has said its last word, so that the player may enter again.

        Its goal is still counted until its time is up.
        """
        run = self.runs.get(run_id)
        if run is not None and not run.reached and run.goal_until is not None and run.goal_until > now:
            run.over = True
        else:
            self.runs.pop(run_id, None)

    def protected(self, now: datetime) -> str | None:
        """Why this player must be left alone, or None. An unknown status is not protection
        here: the gate refuses it before every effect.
        """
        for block in self.exclusions:
            if block.until is None or block.until > now:
                return "time_out" if block.kind == "time_out" else "self_excluded"
        if self.status is not None and self.status not in {"active", "pending"}:
            return "self_excluded" if self.status == "self_excluded" else "account_not_active"
        return None

    @property
    def next_moment(self) -> datetime | None:
        """When this player must be looked at again although nothing happens."""
        ends = (r.ends_at for r in self.runs.values() if r.arm == "control" and not r.over)
        return min(heapq.merge(sorted(self.moments.values()), sorted(ends)), default=None)

    def snapshot(self) -> PlayerFacts:
        """What a journey may know of the player: facts, never personal data."""
        return PlayerFacts(
            player_id=self.player_id,
            favourite_category=self.favourite_category,
            deposits=self.counts.get("payment.deposit_approved", 0),
            deposited_minor=self.deposited_minor,
            last_login=self.last.get("session.login"),
            **self.facts,
        )

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes so far, None before the first round."""
        return min(self.stakes, key=lambda c: (-self.stakes[c], c), default=None)

    # ---- facts -----------------------------------------------------------------------------

    def _learn(self, event: Event) -> None:
        match event:
            case PlayerRegistered():
                self.status = self.status or "active"
                for name in ("language", "timezone", "country", "currency"):
                    if (known := getattr(event, name)) is not None:
                        self.facts[name] = known
                self.facts["registered_at"] = event.occurred_at
                self.facts["is_test"] = event.is_test
                for channel in event.opted_in:
                    self._consent(channel, True, event.occurred_at)
            case ProfileUpdated():
                for name in ("language", "timezone", "country", "currency"):
                    if isinstance(value := event.changed.get(name), str):
                        self.facts[name] = value
            case StatusChanged():
                self.status = event.to
            case ExclusionSet():
                self.exclusions.append(Exclusion(event.kind, event.scope, event.until))
            case ExclusionEnded():
                self.exclusions = [e for e in self.exclusions if (e.kind, e.scope) != (event.kind, event.scope)]
            case HarmSignal():
                # A weaker signal does not lift what a stronger one called for; a person does.
                self.harm = max(self.harm or "weak", event.strength, key=STRENGTHS.index)
            case ConsentChanged():
                self._consent(event.channel, event.opted_in, event.occurred_at)
            case TierChanged():
                self.facts["tier"] = event.to
            case RoundCompleted():
                stake = event.stake_minor + event.bonus_stake_minor
                self.stakes[event.category] = self.stakes.get(event.category, 0) + stake
            case _:
                pass

    def _consent(self, channel: str, opted_in: bool, at: datetime) -> None:
        """Keep the newest word on a channel; of two at one instant the refusal counts."""
        channel = "in_app" if channel == "inapp" else channel
        known = self.consents.get(channel)
        if known is None or at > known[1] or (at == known[1] and not opted_in):
            self.consents[channel] = (opted_in, at)

    def _count(self, event: Event, rules: Rules) -> list[tuple[str, Event | None]]:
        kind = event.type
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        seen = self.last.get(kind)
        if seen is None or event.occurred_at > seen:
            self.last[kind] = event.occurred_at
            for rule in rules.inactive.get(kind, ()):
                self.moments[rule.key] = event.occurred_at + rule.duration
        if kind == "payment.deposit_approved":
            self.deposited_minor += getattr(event, "amount_minor", 0)
        fired: list[tuple[str, Event | None]] = [
            (m.key, None) for m in rules.milestones.get(kind, ()) if m.count == count
        ]
        for rule_ in rules.streaks.get(kind, ()):
            if length := self._extend(rule_, event):
                derived = None
                if rule_ is LOSS_STREAK:
                    derived = LossStreak(
                        event_id=f"{event.event_id}:loss_streak",
                        event_source=event.event_source,
                        occurred_at=event.occurred_at,
                        rounds=length,
                    )
                fired.append((rule_.key, derived))
        return fired

    def _extend(self, rule: Streak, event: Event) -> int:
        """Take the event into the streak; its length when that fires the rule, else 0."""
        counts = isinstance(event, rule.kind) and (rule.where is None or rule.where(event))
        if not counts:
            self.streaks.pop(rule.key, None)
            return 0
        length, began = self.streaks.get(rule.key, (0, event.occurred_at))
        if rule.within is not None and event.occurred_at - began > rule.within:
            length, began = 0, event.occurred_at
        length += 1
        self.streaks[rule.key] = (length, began)
        return length if length % rule.length == 0 else 0

    # ---- runs ------------------------------------------------------------------------------

    def _entering(self, event: Event, fired: list[tuple[str, Event | None]], rules: Rules) -> list[Journey]:
        found = {j.name: j for j in rules.triggered_by(event)}
        for key, derived in fired:
            found |= {j.name: j for j in rules.by_key.get(key, ())}
            if derived is not None:
                found |= {j.name: j for j in rules.triggered_by(derived)}
        return [found[name] for name in sorted(found)]

    def _tell(self, event: Event, rules: Rules) -> list[Decision]:
        decisions: list[Decision] = []
        for run_id in sorted(self.runs):
            run = self.runs[run_id]
            journey = rules.journeys.get(run.journey)
            if journey is None:
                continue
            if (
                journey.goal is not None
                and run.goal_until is not None
                and not run.reached
                and event.occurred_at <= run.goal_until
                and journey.goal.matches(event)
            ):
                run.reached = True
                decisions.append(GoalReached(run_id, event.occurred_at))
            if run.stopping or run.over:
                continue
            if any(rule.matches(event) for rule in journey.exit_on):
                decisions += self.stop(run_id, f"exit_on:{event.type}", event.occurred_at)
            elif run.arm == "treated" and event.type in journey.listens_to:
                run.seq += 1
                decisions.append(Wake(run_id, run.seq, event))
        return decisions

    def _lapse(self, at: datetime) -> Iterator[Decision]:
        for run_id in sorted(self.runs):
            run = self.runs[run_id]
            if run.over:
                self.end(run_id, at)
            elif run.arm == "control" and run.ends_at <= at:
                self.end(run_id, at)
                yield Ended(run_id, run.ends_at, "ended")

    def _may_enter(self, journey: Journey, entries: Entries, key: str | None, at: datetime) -> bool:
        rule = journey.entry
        if rule.kind == "per":
            return key is not None and key not in entries.keys
        if any(run.journey == journey.name and not run.over for run in self.runs.values()):
            return False
        if rule.kind == "once":
            return entries.count == 0
        if rule.kind == "every" and rule.period is not None and entries.last is not None:
            return at - entries.last >= rule.period
        return True

    # ---- storage ---------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The state as a JSON object; empty parts are left out."""
        parts: dict[str, Any] = {
            "counts": self.counts,
            "last": {k: _write(v) for k, v in self.last.items()},
            "streaks": {k: [n, _write(at)] for k, (n, at) in self.streaks.items()},
            "stakes": self.stakes,
            "deposited_minor": self.deposited_minor,
            "entries": {k: {"count": e.count, "last": _write(e.last), "keys": e.keys} for k, e in self.entries.items()},
            "runs": {
                k: {
                    "journey": r.journey,
                    "arm": r.arm,
                    "ends_at": _write(r.ends_at),
                    "goal_until": _write(r.goal_until),
                    "seq": r.seq,
                    "stopping": r.stopping,
                    "reached": r.reached,
                    "over": r.over,
                }
                for k, r in self.runs.items()
            },
            "status": self.status,
            "exclusions": [[e.kind, e.scope, _write(e.until)] for e in self.exclusions],
            "harm": self.harm,
            "consents": {k: [given, _write(at)] for k, (given, at) in self.consents.items()},
            "moments": {k: _write(v) for k, v in self.moments.items()},
            "facts": {k: _write(v) if isinstance(v, datetime) else v for k, v in self.facts.items()},
        }
        return {name: part for name, part in parts.items() if part not in (None, {}, [], 0)}

    @classmethod
    def from_json(cls, brand: str, player_id: str, data: Mapping[str, Any]) -> "PlayerState":
        """Read what `to_json` wrote; unknown parts are ignored, so that a release can be undone."""
        facts = dict(data.get("facts", {}))
        if "registered_at" in facts:
            facts["registered_at"] = _read(facts["registered_at"])
        return cls(
            brand=brand,
            player_id=player_id,
            counts=dict(data.get("counts", {})),
            last={k: _read(v) for k, v in data.get("last", {}).items()},
            streaks={k: (n, _read(at)) for k, (n, at) in data.get("streaks", {}).items()},
            stakes=dict(data.get("stakes", {})),
            deposited_minor=data.get("deposited_minor", 0),
            entries={
                k: Entries(e["count"], _read(e["last"]) if e["last"] else None, list(e["keys"]))
                for k, e in data.get("entries", {}).items()
            },
            runs={
                k: ActiveRun(
                    journey=r["journey"],
                    arm=r["arm"],
                    ends_at=_read(r["ends_at"]),
                    goal_until=_read(r["goal_until"]) if r["goal_until"] else None,
                    seq=r["seq"],
                    stopping=r["stopping"],
                    reached=r["reached"],
                    over=r.get("over", False),
                )
                for k, r in data.get("runs", {}).items()
            },
            status=data.get("status"),
            exclusions=[
                Exclusion(kind, scope, _read(until) if until else None)
                for kind, scope, until in data.get("exclusions", [])
            ],
            harm=data.get("harm"),
            consents={k: (given, _read(at)) for k, (given, at) in data.get("consents", {}).items()},
            moments={k: _read(v) for k, v in data.get("moments", {}).items()},
            facts=facts,
        )


def arm_of(brand: str, player_id: str, journey: str, control: int) -> Arm:
    """The experiment arm: the same player is always in the same arm of the same journey."""
    digest = hashlib.sha256(f"{brand}:{journey}:{player_id}".encode()).digest()
    return "control" if int.from_bytes(digest[:8], "big") % 100 < control else "treated"


def _entry_key(journey: Journey, trigger: Event | None) -> str | None:
    if journey.entry.field is None or trigger is None:
        return None
    value = getattr(trigger, journey.entry.field, None)
    return None if value is None else str(value)


def _write(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text)
