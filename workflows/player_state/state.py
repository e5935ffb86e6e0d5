"""What an event does to a player: one pure function over one small value.

`PlayerState.advance(event, rules, now)` is the only place where the engine decides that a journey
starts, wakes or stops. Intake calls it under the player's row lock, the stage calls it in memory.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from json.encoder import encode_basestring_ascii as in_json
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from workflows.declaration import Journey
from workflows.events import (
    DayStreak,
    Event,
    Inactive,
    PlayerRegistered,
    ProfileUpdated,
    SegmentEntered,
    SegmentLeft,
    TierChanged,
)
from workflows.player_state.active_run import ActiveRun, Behind, Entries, hears, leaves_by
from workflows.player_state.control_arms import RunArm, drawn_arm
from workflows.player_state.counting import count, derived_id, judge_days, sort_into
from workflows.player_state.decisions import Decision, Ended, GoalReached, Moved, Start, Stop, Wake
from workflows.player_state.entered_journeys import EntryRefusal, entered_journeys, entry_key, segment_change
from workflows.player_state.harm_response import respond
from workflows.player_state.identities import run_id_of
from workflows.player_state.merged_player import MergedPlayer
from workflows.player_state.provider_words import told_by_providers
from workflows.player_state.rival_runs import OUTRANKED, must_give_way, rivals
from workflows.player_state.shadow_runs import ShadowRun
from workflows.player_state.silences import put_off, silence_of
from workflows.player_state.sparse_storage import parts_of, sparse
from workflows.rules.calendar_rules import (
    LONGEST_MOVE,
    AnniversaryRule,
    BirthdayRule,
    ScheduleRule,
    due,
    last_before,
    upcoming,
)
from workflows.rules.failures import RuleFailure
from workflows.rules.index import Rule, RuleIndex
from workflows.rules.segments import Segment
from workflows.rules.streak_state import StreakState
from workflows.rules.triggers import DayStreakRule, InactiveRule

Mode = Literal["live", "history"]
#: Runs a player's row holds. Under `per(field)` nobody enters beyond it; under other rules a run that is over goes.
MOST_RUNS: Final = 200
LATEST: Final = datetime.max.replace(tzinfo=UTC)
#: The moment of what is due at once.
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
ABOUT_CALENDAR: Final = (PlayerRegistered, ProfileUpdated)
PROTECTION: Final = frozenset({"self_excluded", "time_out", "account_not_active", "erased"})


@dataclass(slots=True)
class PlayerState(MergedPlayer):
    """What is known of one player and where they stand in journeys, as one JSON value in their row."""

    entries: dict[str, Entries] = field(default_factory=dict)
    #: How many runs there were before this row was made, by journey: somebody had removed the one before it.
    taken: dict[str, int] = field(default_factory=dict)
    runs: dict[str, ActiveRun] = field(default_factory=dict)

    # ---- decisions -------------------------------------------------------------------------

    def advance(
        self, event: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure], *, mode: Mode = "live"
    ) -> list[Decision]:
        """Apply one new event: change this state and say what starts, wakes, ends.

        Events are taken in the order they are given. The caller has already dropped duplicates;
        giving the same event twice would count it twice. Rules that raise are added to `failures`.
        """
        about_calendar = isinstance(event, ABOUT_CALENDAR)
        came = self._unnoted_occasions(rules, now) if about_calendar else {}
        self.learn(event, word := self.word_of(event, now, live=mode == "live"))
        event.on_clock_of(self.timezone)
        self.occasions |= came
        fired, derived = count(self, event, rules, now, failures)
        risen = self.climb(event, rules.loyalty, now)
        derived += [*risen, *self.move_missions(event, rules.loyalty, now, failures, live=mode == "live")]
        about = rules.segments_about(TierChanged.type if risen else event.type)
        moved = self._segment_moves(about, now, failures)
        self._schedule_occasions(rules, now, anew=about_calendar)
        told = [*told_by_providers(event), *respond(self, event, word, rules.policies, now)]
        if mode == "history":
            return [*told, *moved, *self.stop_protected(now, mode=mode)]
        for move in moved:
            kind = SegmentEntered if move.entered else SegmentLeft
            event_id = derived_id(event, f"{kind.type}:{move.segment}")
            derived.append(
                kind(event_id=event_id, event_source=event.event_source, occurred_at=now, segment=move.segment)
            )
        # An event may claim to come from the near future; no run ends sooner for it.
        decisions: list[Decision] = [*told, *moved, *self._end_tracked_runs(min(event.occurred_at, now))]
        decisions += self.gain(event, rules.loyalty, now, failures)
        decisions += self.stop_protected(now, mode=mode)
        for happened in (event, *derived):
            decisions += self._notify_runs(happened.on_clock_of(self.timezone), rules, now, failures)
        for journey, trigger in entered_journeys(event, fired, derived, rules, failures):
            decisions += self.enter(journey, trigger, now)
        return decisions

    def tick(
        self,
        rules: RuleIndex,
        now: datetime,
        failures: list[RuleFailure],
        *,
        elsewhere: Container[str] = frozenset(),
    ) -> list[Decision]:
        """Apply that time has passed: whatever moment is due, and runs only tracked that are over.

        A moment of `elsewhere`, which a process of another release knows and this one does not, is left as it is; then
        `next_moment` is still due, and the caller puts the player off until that process comes by.
        """
        decisions = [*self._end_tracked_runs(now), *self.tick_points(now)]
        for run in self.runs.values():
            run.missed = [one for one in run.missed if hears(run.journey, one[0]) in elsewhere]
        for happened in self.tick_tiers(rules.loyalty, now):
            decisions += self.tell_tier(happened, rules, now, failures)
        for at, key in sorted((at, key) for key, at in self.moments.items() if at <= now):
            if self.moments.get(key) != at:
                continue  # A schedule that was due before has asked this segment already, and put its moment off.
            rule = rules.rules.get(key)
            by_time = rules.segments.get(key.removeprefix("segment:"))
            if rule is None and by_time is None and key in elsewhere:
                continue
            del self.moments[key]
            segment = rule.segment if isinstance(rule, ScheduleRule) else by_time
            moves = self._segment_moves([segment] if segment is not None else [], now, failures)
            decisions += moves
            due_events = [(segment_change(move, at), [""]) for move in moves]
            if rule is not None:
                due_events += [(happened, [key]) for happened in self._events_due(rule, at, now, failures)]
            for happened, fired in due_events:
                decisions += self.tell(happened, fired, rules, now, failures)
        return decisions

    def rearm(
        self,
        rules: RuleIndex,
        now: datetime,
        failures: list[RuleFailure],
        *,
        elsewhere: Container[str] = frozenset(),
    ) -> list[Decision]:
        """Look at the player under the present rules, as after a release that changed them.

        It starts and wakes nothing. Moments of rules that are gone are dropped, those of new rules are awaited, and
        the player is sorted into segments anew. What is due is left to the sweep, or no journey would hear of it.
        What is not known here and is known `elsewhere`, by the keys of moments, is not gone: it is left as it is.
        """
        by_time = {f"segment:{name}" for name in rules.segments}
        for key in [key for key in self.moments if key not in rules.rules and key not in by_time]:
            if key not in elsewhere:
                del self.moments[key]
        for key in [key for key in self.occasions if key not in rules.occasions and key not in elsewhere]:
            del self.occasions[key]
        unknown = [name for name in sorted(self.segments) if name not in rules.segments]
        gone = [name for name in unknown if f"segment:{name}" not in elsewhere]
        for name in gone:
            del self.segments[name]
        for quiet in (rule for rules_ in rules.inactive.values() for rule in rules_):
            last = self.last.get(quiet.kind.type)
            # What is past has been reported, or was before the rule: it must not come again.
            length = silence_of(quiet, self, now)
            if last is not None and last + length > now:
                self.moments[quiet.key] = last + length
        self._schedule_occasions(rules, now, anew=True)
        asked = [one for one in rules.segments.values() if self.moments.get(f"segment:{one.name}", LATEST) > now]
        return [*(Moved(name, entered=False, at=now) for name in gone), *self._segment_moves(asked, now, failures)]

    def refusal(  # noqa: PLR0911 - one line a reason
        self, journey: Journey, trigger: Event | None, now: datetime
    ) -> EntryRefusal | None:
        """Why the entry rule of `journey` does not let the player in now, None if it does.

        It looks only at `entries` and `runs`. Protection is no refusal: a protected player enters in the books.
        """
        if not journey.is_for(self.brand):
            return "other_brand"
        at = trigger.occurred_at if trigger is not None else now
        if now - at > journey.late_after:
            return "too_late"
        rule, entries = journey.entry, self.entries.get(journey.name) or Entries()
        if rule.kind == "per":
            key = entry_key(journey, trigger)
            if key is None:
                return "needs_event"
            if key in entries.keys:
                return "entered_for_it"
            if len(self.runs) >= MOST_RUNS:
                return "in_too_many"
        elif any(run.journey == journey.name and not run.over for run in self.runs.values()):
            return "in_it"
        if rule.kind == "once" and entries.count:
            return "once"
        if rule.kind == "every" and rule.period and entries.last is not None and at - entries.last < rule.period:
            return "too_soon"
        return OUTRANKED if must_give_way(self.runs, journey) else None

    def enter(
        self,
        journey: Journey,
        trigger: Event | None,
        now: datetime,
        cause: dict[str, str] | None = None,
        parent: RunArm | None = None,
    ) -> list[Decision]:
        """Let the player into `journey` if its entry rule allows; an empty list means no.

        `cause` names who asked where no event did: a person, or another run, of the arm `parent`. A protected player
        enters only in the books: the entry counts, its `Start` says why nothing is played. Nor is one played that must
        give way to another journey, and that one does not count. What began a run that the row knows begins no other.
        """
        why = self.refusal(journey, trigger, now)
        if why not in {None, OUTRANKED}:
            return []
        at = trigger.occurred_at if trigger is not None else now
        entries = self.entries.get(journey.name) or Entries()
        if trigger is not None:
            cause = {"type": trigger.type, "id": trigger.event_id, "source": trigger.event_source}
        by = cause or {"type": "entry", "id": str(entries.count + 1)}
        taken = self.taken.get(journey.name, 0)
        run_id = run_id_of(journey.name, self.brand, self.player_id, by, max(now - at, timedelta(0)), taken)
        if run_id in self.runs:
            return []
        drawn = drawn_arm(self.brand, self.player_id, journey).within(parent)
        refused = self.protected(now) or why
        if refused != OUTRANKED:
            self.entries[journey.name] = entries
            entries.note(at, entry_key(journey, trigger))
        goal_until = at + journey.goal.within if journey.goal else None
        ends_at = now + journey.ends_after
        outranked: list[Decision] = []
        if refused is None:
            outranked = [one for rival in rivals(self.runs, journey) for one in self.stop(rival, OUTRANKED, now)]
            if len(self.runs) >= MOST_RUNS and (over := [one for one, run in self.runs.items() if run.over]):
                del self.runs[min(over, key=lambda one: (self.runs[one].goal_until or now, one))]
            self.runs[run_id] = ActiveRun.entered(journey, drawn.arm, at, ends_at, goal_until, trigger)
        begun = (run_id, journey.name, drawn.arm, now, ends_at, goal_until, trigger, refused, cause, journey.entered_on)
        start = Start(*begun, drawn.share, tuple(sorted(self.segments)))
        return [*outranked, start]

    def stop(self, run_id: str, reason: str, now: datetime) -> list[Decision]:
        """End one run: one that is played gets a stop, its shadow too; one that is only tracked is over at once."""
        run = self.runs.get(run_id)
        if run is None or run.stopping or run.over:
            return []
        if not run.has_workflow:
            self.end(run_id, now)
            return [Ended(run_id, now, reason)]
        run.stopping = True
        run.seq += 1
        return [Stop(run_id, run.seq, reason), *self.stop_shadows(reason, beside=run_id)]

    def stop_all(self, reason: str, now: datetime) -> list[Decision]:
        """End every run of the player, and every shadow run."""
        ended = [d for run_id in sorted(self.runs) for d in self.stop(run_id, reason, now)]
        return [*ended, *self.stop_shadows(reason)]

    def stop_protected(self, now: datetime, *, mode: Mode) -> list[Decision]:
        """End every run of a player who is protected and take their places on boards; history ends no run."""
        reason = self.protected(now)
        stops = [] if reason is None or mode == "history" else self.stop_all(reason, now)
        return stops if reason is None else [*self.leave_boards(now), *stops]

    def next_seq(self, run_id: str) -> int | None:
        """Number the next delivery to a run under way; None when it has ended."""
        run = self.runs.get(run_id)
        if run is None or run.over:
            return None
        run.seq += 1
        return run.seq

    def end(self, run_id: str, now: datetime) -> None:
        """Remove a run that is over, so that the player may enter again.

        Its goal is still counted until its time is up.
        """
        run = self.runs.get(run_id)
        if run is not None and not run.reached and run.goal_until is not None and run.goal_until >= now:
            run.over = True
        else:
            self.runs.pop(run_id, None)

    @property
    def next_moment(self) -> datetime | None:
        """When this player must be looked at again although nothing happens."""
        ends = [run.ends_at for run in self.runs.values() if not (run.has_workflow or run.over)]
        missed = [EARLIEST for run in self.runs.values() if run.missed]
        return min([*self.moments.values(), *ends, *missed, *self.loyalty_moments], default=None)

    # ---- catching up -----------------------------------------------------------------------

    def runs_behind(self, rules: RuleIndex) -> dict[str, Behind]:
        """By run: what this process knows that it is to hear of events that came before."""
        found = {one: run.behind(rules.matters.get(run.journey, frozenset())) for one, run in self.runs.items()}
        return {run_id: what for run_id, what in found.items() if what is not None}

    def catch_up(
        self, run_id: str, events: Iterable[Event], rules: RuleIndex, now: datetime, failures: list[RuleFailure]
    ) -> list[Decision]:
        """Let a run hear these events, in their order; it is behind no longer."""
        run = self.runs[run_id]
        run.caught_up(rules.matters[run.journey])
        decisions: list[Decision] = []
        for event in events:
            decisions += self._notify_run(run_id, event.on_clock_of(self.timezone), rules, now, failures)
        return decisions

    # ---- runs ------------------------------------------------------------------------------

    def tell_tier(
        self, happened: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
    ) -> list[Decision]:
        """What follows from a change of tier that no event has brought."""
        moves = self._segment_moves(rules.segments_about(TierChanged.type), now, failures)
        changes = [happened, *(segment_change(move, now) for move in moves)]
        return [*moves, *(one for told in changes for one in self.tell(told, [""], rules, now, failures))]

    def tell(
        self, happened: Event, fired: Sequence[str], rules: RuleIndex, now: datetime, failures: list[RuleFailure]
    ) -> list[Decision]:
        """What follows from something that a moment has brought: runs hear of it, journeys begin."""
        decisions = self._notify_runs(happened.on_clock_of(self.timezone), rules, now, failures)
        for journey, trigger in entered_journeys(happened, fired, [], rules, failures):
            decisions += self.enter(journey, trigger, now)
        return decisions

    def _notify_runs(
        self, event: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
    ) -> list[Decision]:
        """What an event is to each run of the player, shadows too: its goal, its exit, or something it waits for."""
        decisions: list[Decision] = []
        for run_id in sorted(self.runs):
            run = self.runs[run_id]
            if event.type in run.about and event.type not in rules.matters.get(run.journey, ()):
                run.miss(event)
            else:
                decisions += self._notify_run(run_id, event, rules, now, failures)
        return [*decisions, *self.wake_shadows(event, rules, now, failures)]

    def _notify_run(
        self, run_id: str, event: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
    ) -> list[Decision]:
        run = self.runs.get(run_id)
        journey = rules.journeys.get(run.journey) if run is not None else None
        if run is None or journey is None:
            return []
        decisions: list[Decision] = []
        if not run.reached and run.is_goal(run_id, journey, event, failures):
            run.reached = True
            decisions.append(GoalReached(run_id, event.occurred_at))
        if run.over:
            if run.reached:
                del self.runs[run_id]
        elif run.stopping:
            pass
        elif leaves_by(journey, event, run.ties, failures):
            decisions += self.stop(run_id, f"exit_on:{event.type}", min(event.occurred_at, now))
        elif run.has_workflow and run.can_use(journey, event, failures):
            if run.is_past(journey, event, failures):
                run.pass_by(event)
                return decisions
            run.seq += 1
            decisions.append(Wake(run_id, run.seq, event))
        return decisions

    def _segment_moves(self, segments: Iterable[Segment], now: datetime, failures: list[RuleFailure]) -> list[Moved]:
        return [Moved(name, entered, now) for name, entered in sort_into(self, segments, now, failures)]

    def _events_due(self, rule: Rule, at: datetime, now: datetime, failures: list[RuleFailure]) -> list[Event]:
        """The events of a moment that has come."""
        if isinstance(rule, BirthdayRule | AnniversaryRule | ScheduleRule):
            come = due(rule, self, at, now, self.occasions.get(rule.key))
            if come is None:
                return []
            self.occasions[rule.key], at = come
        envelope: dict[str, Any] = {
            "event_id": f"{rule.key}:{int(at.timestamp())}",
            "event_source": "engine",
            "occurred_at": at,
        }
        match rule:
            case InactiveRule() if (later := put_off(rule, self, now)) is not None:
                self.moments[rule.key] = later
                return []
            case InactiveRule():
                seconds = int(silence_of(rule, self, now).total_seconds())
                return [Inactive(**envelope, seconds=seconds, kind=rule.kind.type)]
            case DayStreakRule():
                return [
                    DayStreak(
                        event_id=f"{rule.key}:{int(since.timestamp())}",
                        event_source="engine",
                        occurred_at=since,
                        days=length,
                        name=rule.name,
                    )
                    for length, since in judge_days(self, rule, now, failures)
                ]
            case BirthdayRule() | AnniversaryRule() | ScheduleRule():
                if (later := upcoming(rule, self, now, self.occasions[rule.key])) is not None:
                    self.moments[rule.key] = later
                apart = isinstance(rule, ScheduleRule) and rule.segment and rule.segment.name not in self.segments
                return [] if apart else [rule.event(**envelope)]
            case _:
                return []

    def _unnoted_occasions(self, rules: RuleIndex, now: datetime) -> dict[str, date]:
        """The day that came last of each occasion which has no such day noted: a move may follow.

        The moment that is awaited tells it only as long as the zone and the dates it was reckoned from are known.
        """
        unnoted = {key: occasion for key, occasion in rules.occasions.items() if key not in self.occasions}
        after = now + timedelta.resolution  # What is not awaited any more may have come at this very moment.
        last = {key: last_before(occasion, self, self.moments.get(key, after)) for key, occasion in unnoted.items()}
        return {key: day for key, day in last.items() if key in self.moments or day > date.min}

    def _schedule_occasions(self, rules: RuleIndex, now: datetime, *, anew: bool) -> None:
        """Plan the next moment of every birthday, anniversary and schedule; anew when the player's dates changed."""
        for key, occasion in rules.occasions.items():
            awaited, came = self.moments.get(key), self.occasions.get(key)
            # What is due must still be noticed, whatever comes after it.
            if awaited is not None and (not anew or awaited <= now):
                continue
            # Where the player is now it may be past already: then it is due at once, or it would never come.
            after = now if awaited is None or came is None else now - LONGEST_MOVE
            moment = upcoming(occasion, self, after, came)
            if moment is not None:
                self.moments[key] = moment
            elif anew:
                self.moments.pop(key, None)

    def _end_tracked_runs(self, at: datetime) -> Iterator[Decision]:
        for run_id in sorted(self.runs):
            run = self.runs[run_id]
            if run.over:
                self.end(run_id, at)
            elif not run.has_workflow and run.ends_at <= at:
                self.end(run_id, at)
                yield Ended(run_id, run.ends_at, "ended")

    # ---- storage ---------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The state as a JSON object; what is empty is left out."""
        stored: dict[str, Any] = _STORED.dump_python(
            self, mode="json", exclude_defaults=True, exclude={"brand", "player_id"}
        )
        return stored

    def stored(self, *, mission_numbers: bool = True) -> dict[str, Any]:
        """What `to_json` says, in live values: for a writer of JSON that knows dataclasses and instants.

        It is intake's way, because it costs a third. The values are the state's own: write them before it changes.
        Without `mission_numbers` missions are written one by one, for readers who know no other way.
        """
        values = sparse(self, _PARTS)
        values |= {"watch": self.watch.stored()} if "watch" in values else {}
        for name, parts in _NESTED.items():
            if name in values:
                values[name] = {key: sparse(one, parts) for key, one in values[name].items()}
        if self.loyalty is not None:
            values["loyalty"] = self.loyalty.stored(mission_numbers=mission_numbers)
        return values

    @classmethod
    def from_json(cls, brand: str, player_id: str, data: Mapping[str, Any]) -> "PlayerState":
        """Read what `to_json` wrote; unknown parts are ignored, so that a release can be undone."""
        return _STORED.validate_python({**data, "brand": brand, "player_id": player_id})

    @classmethod
    def from_text(cls, brand: str, player_id: str, text: str) -> "PlayerState":
        """The same from the text of the JSON object, which is cheaper than from its parts."""
        who = f'{{"brand": {in_json(brand)}, "player_id": {in_json(player_id)}'
        rest = text.strip()
        return _STORED.validate_json(f"{who}}}" if rest == "{}" else f"{who},{rest[1:]}")


_STORED: Final = TypeAdapter(PlayerState)
_PARTS: Final = parts_of(PlayerState)
_NESTED: Final = {
    "streaks": parts_of(StreakState),
    "entries": parts_of(Entries),
    "runs": parts_of(ActiveRun),
    "shadows": parts_of(ShadowRun),
}
