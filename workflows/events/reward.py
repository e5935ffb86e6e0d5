"""What becomes of a grant as the bonus engine tells it, one event a change of state."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from workflows.events.base import Event
from workflows.field_types import BasisPoints, Currency, Id, Instant, Label, Money, Text
from workflows.rewards.kinds import KINDS

__all__ = [
    "RewardActivated",
    "RewardCancelled",
    "RewardClaimed",
    "RewardCodeFailed",
    "RewardCompleted",
    "RewardExpired",
    "RewardFailed",
    "RewardForfeited",
    "RewardLost",
    "RewardOffered",
    "RewardWageringProgress",
]

# KINDS is computed, so that a new kind is one line there; a type checker takes no computed Literal.
if TYPE_CHECKING:
    RewardKind = str
else:
    RewardKind = Literal[KINDS]


class RewardStep(Event):
    """What every reward event shares; a base, not an event."""

    #: Our grant id, as the bonus engine got it in `Idempotency-Key` or gave it back.
    grant_id: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    #: None: the currency of the player's account.
    currency: Currency | None = None


class RewardOpening(RewardStep):
    """What the three opening states of a reward share; a base, not an event. Money in minor units."""

    template_id: Id | None = None
    kind: RewardKind | None = None
    value_minor: Money = 0
    wager_required_minor: Money = 0
    expires_at: Instant | None = None
    journey_run_id: Annotated[str, Field(max_length=255)] | None = None
    step_id: Annotated[str, Field(max_length=255)] | None = None


_opening = {
    "grant_id": "g-1",
    "template_id": "spins-10",
    "kind": "free_spins",
    "value_minor": 100,
    "currency": "EUR",
    "expires_at": "2026-01-22T12:00:00Z",
}


class RewardOffered(RewardOpening, type="reward.offered", example=_opening):
    """The player can see the reward and take it; value in minor units. From the bonus engine."""


class RewardClaimed(RewardOpening, type="reward.claimed", example=_opening):
    """The player took the reward; value in minor units. From the bonus engine."""


class RewardActivated(RewardOpening, type="reward.activated", example=_opening):
    """The reward can be played now; value in minor units. From the bonus engine."""


class RewardWageringProgress(
    RewardStep,
    type="reward.wagering_progress",
    example={"grant_id": "g-1", "wagered_minor": 500, "required_minor": 1000, "done": 5000},
):
    """Part of the wagering is done: minor units, `done` in basis points. From the bonus engine."""

    wagered_minor: Money
    required_minor: Money
    done: BasisPoints


class RewardEnd(RewardStep):
    """What the six ends of a reward share; a base, not an event. Money in minor units."""

    #: What became the player's real money.
    converted_minor: Money = 0
    #: What the reward cost the operator in the end.
    cost_minor: Money = 0
    #: A code of the bonus engine: it is not redacted.
    reason: Label | None = None


class RewardCompleted(
    RewardEnd, type="reward.completed", example={"grant_id": "g-1", "converted_minor": 700, "cost_minor": 700}
):
    """Wagering is done, the rest became real money; minor units. From the bonus engine."""


class RewardForfeited(RewardEnd, type="reward.forfeited", example={"grant_id": "g-1", "reason": "withdrawal"}):
    """The player or a rule gave the reward up; minor units. From the bonus engine."""


class RewardExpired(RewardEnd, type="reward.expired", example={"grant_id": "g-1", "reason": "not_claimed"}):
    """Time ran out; minor units. From the bonus engine."""


class RewardLost(RewardEnd, type="reward.lost", example={"grant_id": "g-1", "reason": "balance_zero"}):
    """The reward was played down to nothing; minor units. From the bonus engine."""


class RewardCancelled(RewardEnd, type="reward.cancelled", example={"grant_id": "g-1", "reason": "operator"}):
    """The operator took the reward back; minor units. From the bonus engine."""


class RewardFailed(RewardEnd, type="reward.failed", example={"grant_id": "g-1", "reason": "provider_error"}):
    """The platform could not deliver the reward; minor units. From the bonus engine."""


class RewardCodeFailed(Event, type="reward.code_failed", example={"code": "SPRING10", "reason": "expired"}):
    """The player typed a code and it did not work. From the bonus engine; support should know at once."""

    code: Text
    reason: Literal["unknown", "expired", "not_eligible", "used", "technical"]
