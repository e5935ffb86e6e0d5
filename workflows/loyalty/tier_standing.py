"""Where a player stands on a ladder: up with the event that reached it, down only at an announced review."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.loyalty.tier_ladders import Ladder
from workflows.rules.measures import Measure, Present

#: How long after the end of a period it is reviewed: so late may its events come.
LATENESS = timedelta(hours=1)
#: The present value of a measure of the player.
Read = Callable[[Measure], int]


@dataclass(slots=True)
class TierState:
    """What a player's row holds of a ladder."""

    tier: str
    since: datetime
    #: No review takes the tier away before.
    safe_until: datetime | None = None
    #: When the period ends that is reviewed next, and when somebody who would fall is warned.
    review_at: datetime | None = None
    warn_at: datetime | None = None
    #: Whether the player knows that this review may take them down.
    warned: bool = False

    @property
    def next_moment(self) -> datetime | None:
        """When the player must be looked at."""
        return self.warn_at if self.warn_at is not None else self.review_at

    def put_off(self, until: datetime) -> None:
        """Look again then: the ladder is not known here, and perhaps to another release."""
        if self.warn_at is not None:
            self.warn_at = until
        self.review_at = max(self.review_at or until, until)


@dataclass(frozen=True, slots=True)
class TierMove:
    """A step up or down; `at_risk` is no step but the word that one may come, and when."""

    before: str | None
    to: str
    direction: str
    at_risk: datetime | None = None


def rise(
    ladder: Ladder, state: TierState | None, present: Present, read: Read
) -> tuple[TierState | None, list[TierMove]]:
    """Lift a player through every tier that the measure has reached; each step is one move."""
    place = ladder.place(None if state is None else state.tier)
    reached = read(ladder.by)
    moves: list[TierMove] = []
    if state is not None and place < 0:
        # A release has renamed the tier: the player is where they would be, and nothing has happened to them.
        place = max(0, sum(one.at <= reached for one in ladder.tiers) - 1)
        state.tier = ladder.tiers[place].name
        plan(ladder, state, present)
    while place + 1 < len(ladder.tiers) and ladder.tiers[place + 1].at <= reached:
        before = ladder.tiers[place].name if place >= 0 else None
        place += 1
        moves.append(TierMove(before, ladder.tiers[place].name, "up"))
    if moves:
        state = TierState(moves[-1].to, present.now, present.now + ladder.safe_after_up)
        plan(ladder, state, present)
    return state, moves


def plan(ladder: Ladder, state: TierState, present: Present) -> None:
    """Set when the present period is reviewed; who may lose nothing is not looked at."""
    state.warned = False
    state.warn_at = state.review_at = None
    if state.tier in ladder.keeps and ladder.place(state.tier) > 0:
        # A day of warning is not enough: who comes late in a period is reviewed at the end of the next.
        end = present.begin(ladder.review.after(ladder.review.start(present.today)))
        if end + LATENESS - ladder.warn <= present.now:
            end = present.begin(ladder.review.after(present.day_of(end)))
        state.review_at = end + LATENESS
        state.warn_at = state.review_at - ladder.warn


def review(ladder: Ladder, state: TierState, present: Present, read: Read, *, protected: bool) -> Iterator[TierMove]:
    """What a moment that has come does: a warning, or the review itself, which takes at most one step.

    Nobody falls who was not warned `warn` before, who rose within `safe_after_up`, or who is protected.
    """
    now = present.now
    if state.review_at is None:
        return
    asked = ladder.keeps.get(state.tier)
    misses = asked is not None and read(asked.measure) < asked.number
    below = ladder.place(state.tier) - 1
    safe = protected or (state.safe_until is not None and state.review_at < state.safe_until)
    if state.warn_at is not None and state.warn_at <= now:
        late = now - state.warn_at
        state.warn_at = None
        if misses and not safe and below >= 0:
            # After an outage the warning comes late, and so does the review: the notice is as long as it was promised.
            state.review_at += late
            state.warned = True
            yield TierMove(state.tier, ladder.tiers[below].name, "down", at_risk=state.review_at)
        return
    if state.review_at <= now:
        falls = misses and state.warned and not safe and below >= 0
        if falls:
            move = TierMove(state.tier, ladder.tiers[below].name, "down")
            state.tier, state.since, state.safe_until = move.to, now, None
            yield move
        plan(ladder, state, present)


@dataclass(frozen=True)
class TierStanding:
    """What a player sees of their tier: the gap to the next, and the gap to keep it."""

    tier: str | None
    next: str | None
    #: What the ladder's measure still needs.
    gap_to_next: int | None
    #: What `keeps` still needs by the review; 0: it is kept; None: nothing is asked.
    gap_to_keep: int | None
    review_at: datetime | None
    safe_until: datetime | None
    warned: bool


def standing(ladder: Ladder, state: TierState | None, read: Read) -> TierStanding:
    """Where a player stands."""
    place = ladder.place(None if state is None else state.tier)
    above = ladder.tiers[place + 1] if place + 1 < len(ladder.tiers) else None
    asked = None if state is None else ladder.keeps.get(state.tier)
    return TierStanding(
        tier=None if state is None else state.tier,
        next=None if above is None else above.name,
        gap_to_next=None if above is None else max(0, above.at - read(ladder.by)),
        gap_to_keep=None if asked is None else max(0, asked.number - read(asked.measure)),
        review_at=None if state is None else state.review_at,
        safe_until=None if state is None else state.safe_until,
        warned=state is not None and state.warned,
    )
