"""How far a reward has come since it was given, as the bonus engine tells it, in whatever order that arrives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from workflows.events import Event
from workflows.events.reward import (
    RewardActivated,
    RewardCancelled,
    RewardClaimed,
    RewardCompleted,
    RewardEnd,
    RewardExpired,
    RewardFailed,
    RewardForfeited,
    RewardLost,
    RewardOffered,
    RewardOpening,
    RewardStep,
    RewardWageringProgress,
)
from workflows.player_state.decisions import GrantReached, GrantStage

#: By what the bonus engine tells: the stage it is. Each is further than those before it, so a late word takes nothing
#: back; of two ends the one that cost or moved money counts.
STAGES: Final[Mapping[type[Event], GrantStage]] = MappingProxyType(
    {
        RewardOffered: "offered",
        RewardClaimed: "claimed",
        RewardActivated: "active",
        RewardWageringProgress: "wagering",
        RewardFailed: "failed",
        RewardExpired: "expired",
        RewardCancelled: "revoked",
        RewardForfeited: "forfeited",
        RewardLost: "lost",
        RewardCompleted: "completed",
    }
)
PROGRESS: Final[tuple[GrantStage, ...]] = tuple(STAGES.values())
#: The player has taken the reward, so that it cannot be taken back.
TAKEN: Final[frozenset[GrantStage]] = frozenset({"claimed", "active", "wagering", "lost", "completed"})
#: Nothing has come of the reward for the player, and something still may: it can be taken back, as one of no stage can.
UNTAKEN: Final[frozenset[GrantStage]] = frozenset({"offered", "failed"})


def is_further(stage: GrantStage, known: GrantStage | None) -> bool:
    """Whether a stage is further than what is known."""
    return known is None or PROGRESS.index(stage) > PROGRESS.index(known)


def grant_progress_of(event: Event) -> list[GrantReached]:
    """What an event says of a reward, of history too; nothing, but for the bonus engine's word."""
    stage = STAGES.get(type(event))
    if stage is None or not isinstance(event, RewardStep):
        return []
    reached = GrantReached(event.grant_id, stage, event.occurred_at, told_currency=event.currency)
    match event:
        case RewardOpening():
            reached.worth_minor = event.value_minor or None
            reached.wager_required_minor = event.wager_required_minor or None
        case RewardWageringProgress():
            reached.wagered_minor, reached.wager_required_minor = event.wagered_minor, event.required_minor
        case RewardEnd():
            reached.converted_minor = event.converted_minor
            reached.reason = event.reason
    return [reached]
