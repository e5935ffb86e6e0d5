"""How far a player is with a mission: occurrences that open and close, counters of their own, a prize to claim.

Pure functions over what the row holds. An occurrence stores its window as instants when it begins, so a change of zone
gains nobody a second week.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from workflows.events import Event
from workflows.loyalty.missions import PlayerMission, Step
from workflows.player_state.sparse_storage import parts_of, sparse
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Present
from workflows.rules.where import passes

#: How long after its end an occurrence takes what happened in it.
GRACE: Final = timedelta(hours=1)
#: Occurrences of one mission that a row holds: the present one, and those before whose prize may still be claimed.
MOST_OCCURRENCES: Final = 3
#: A counter goes no further: beyond it not every reader of JSON is exact.
MOST_COUNTED: Final = 2**53 - 1
#: When a mission opened that nobody has to begin.
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: Why a command about a mission is refused.
MissionRefusal = Literal[
    "unknown", "not_visible", "locked", "already_opted_in", "no_opt_in", "not_completed", "claimed", "too_late"
]


@dataclass(slots=True)
class Occurrence:
    """One go at a mission: what happens in [opens, closes) counts."""

    opens: datetime
    closes: datetime | None = None
    #: By step; of one that asks for different values the values stand in `marks`.
    counts: dict[str, int] = field(default_factory=dict)
    marks: dict[str, list[str]] = field(default_factory=dict)
    completed_at: datetime | None = None
    claim_until: datetime | None = None
    claimed_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether what happened then counts."""
        return self.opens <= at and (self.closes is None or at < self.closes)

    def takes(self, at: datetime, now: datetime) -> bool:
        """Whether what happened then counts although it comes only now."""
        if at < self.opens:
            return False
        return self.closes is None or (at < self.closes and now < self.closes + GRACE)

    def is_over(self, now: datetime) -> bool:
        """Whether nothing can happen to it any more."""
        if self.completed_at is not None:
            gone = self.claimed_at is not None or (self.claim_until is not None and self.claim_until <= now)
            return gone and (self.closes is None or self.closes <= now)
        return self.closes is not None and self.closes + GRACE <= now

    def progress(self, mission: PlayerMission) -> int:
        """In percent, rounded down; 100 only when it is completed."""
        if self.completed_at is not None:
            return 100
        done = sum(min(1.0, self.done(one) / one.target) for one in mission.steps)
        return min(99, int(100 * done / len(mission.steps)))

    def done(self, step: Step) -> int:
        """How much of a step is done, never more than it asks."""
        reached = (
            len(self.marks.get(step.name, ())) if step.measure.how == "distinct" else self.counts.get(step.name, 0)
        )
        return max(0, min(step.target, reached))


@dataclass(slots=True)
class MissionState:
    """What a player's row holds of a mission."""

    occurrences: list[Occurrence] = field(default_factory=list)
    completed: int = 0

    @property
    def current(self) -> Occurrence | None:
        """The newest one."""
        return self.occurrences[-1] if self.occurrences else None

    def stored(self) -> dict[str, Any]:
        """What differs from nothing, in live values."""
        values = sparse(self, _STATE)
        if "occurrences" in values:
            values["occurrences"] = [sparse(one, _OCCURRENCE) for one in self.occurrences]
        return values


_STATE, _OCCURRENCE = parts_of(MissionState), parts_of(Occurrence)


def window_of(mission: PlayerMission, at: datetime, present: Present) -> tuple[datetime, datetime | None]:
    """When an occurrence that begins at a moment opens and closes."""
    if mission.again is None and not mission.opt_in:
        return EVER, None
    if mission.again is None:
        return at, None if mission.lasts is None else at + mission.lasts
    first = mission.again.start(present.day_of(at))
    opens, closes = present.begin(first), present.begin(mission.again.after(first))
    return (at if mission.opt_in else opens), closes


def opt_in(mission: PlayerMission, state: MissionState, present: Present) -> MissionRefusal | None:
    """Begin an occurrence by the player's word; why not, where it does not begin. Who may see it was asked before."""
    now = present.now
    if not mission.opt_in:
        return "no_opt_in"
    if _is_taken(mission, state, now):
        return "already_opted_in"
    _keep(state, Occurrence(*window_of(mission, now, present)), now)
    return None


def move(
    mission: PlayerMission, state: MissionState, event: Event, present: Present, failures: list[RuleFailure]
) -> Iterator[Occurrence]:
    """Count an event in every occurrence that holds its moment; each that is completed by it."""
    now = present.now
    at = min(event.occurred_at, now)
    counting = [one for one in state.occurrences if one.completed_at is None and one.takes(at, now)]
    begins = not counting and not mission.opt_in and not _is_taken(mission, state, at)
    if not counting and not begins:
        return
    parts = [one for one in mission.steps if _counts(one, event, failures)]
    if not parts:
        return
    if begins:
        begun = Occurrence(*window_of(mission, at, present))
        if begun.is_over(now):
            return
        _keep(state, begun, now)
        counting = [begun]
    for one in counting:
        for part in parts:
            try:
                _add(one, part, event)
            except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
                failures.append(RuleFailure(mission.name, "measure", error, event.type))
        if one.done(parts[0]) >= parts[0].target and all(one.done(part) >= part.target for part in mission.steps):
            one.completed_at, one.claim_until = now, now + mission.claim
            state.completed += 1
            yield one


def claimable(state: MissionState, now: datetime) -> Occurrence | MissionRefusal:
    """The completed occurrence whose prize may be claimed now, the oldest first; why not, where there is none."""
    done = [one for one in state.occurrences if one.completed_at is not None]
    unclaimed = [one for one in done if one.claimed_at is None]
    if not unclaimed:
        return "claimed" if done else "not_completed"
    waiting = [one for one in unclaimed if one.claim_until is None or now < one.claim_until]
    return waiting[0] if waiting else "too_late"


def through_with(mission: PlayerMission, state: MissionState, now: datetime) -> bool:
    """Whether it is completed and leaves no room for another go: in this window, or for ever where it has none."""
    if mission.again is None:
        return bool(state.completed)
    return any(one.holds(now) and one.completed_at is not None for one in state.occurrences)


def united(mine: MissionState, theirs: MissionState) -> MissionState:
    """The mission of two accounts that become one: of one window the account that got further, paid once."""
    by_window: dict[datetime | None, Occurrence] = {}
    for one in sorted([*mine.occurrences, *theirs.occurrences], key=lambda one: (one.opens, one.closes or one.opens)):
        # Begun by a word at different moments of one week they still end together.
        window = one.closes or EVER
        other = by_window.get(window)
        if other is None:
            by_window[window] = one
            continue
        by_window[window] = max(other, one, key=_how_far)
    return MissionState([*by_window.values()][-MOST_OCCURRENCES:], max(mine.completed, theirs.completed))


def _how_far(one: Occurrence) -> tuple[bool, bool, int]:
    done = sum(one.counts.values()) + sum(map(len, one.marks.values()))
    return one.claimed_at is not None, one.completed_at is not None, done


def _is_taken(mission: PlayerMission, state: MissionState, at: datetime) -> bool:
    """Whether a mission has begun that leaves no room for another: one a window, or one for ever."""
    if any(one.holds(at) and one.completed_at is None for one in state.occurrences):
        return True
    if mission.again is None:
        return bool(state.completed) or any(not one.is_over(at) for one in state.occurrences)
    return any(one.holds(at) for one in state.occurrences)


def _keep(state: MissionState, begun: Occurrence, now: datetime) -> None:
    kept = [one for one in state.occurrences if not one.is_over(now)]
    state.occurrences = sorted([*kept, begun], key=lambda one: one.opens)[-MOST_OCCURRENCES:]


def _counts(step: Step, event: Event, failures: list[RuleFailure]) -> bool:
    measure = step.measure
    return isinstance(event, measure.kind) and (measure.where is None or passes(measure.where, event, failures))


def _add(one: Occurrence, step: Step, event: Event) -> None:
    if step.measure.how == "distinct":
        mark, known = step.measure.mark(event), one.marks.setdefault(step.name, [])
        if mark is not None and mark not in known and len(known) < step.target:
            known.append(mark)
        return
    amount = 1 if step.measure.how == "count" else step.measure.amount(event)
    one.counts[step.name] = min(MOST_COUNTED, one.counts.get(step.name, 0) + amount)
