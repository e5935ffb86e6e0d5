"""What becomes of a reward after it was granted."""

from typing import Final

#: Types of the events that end a reward; each says what it cost.
REWARD_ENDS: Final = (
    "reward.completed",
    "reward.forfeited",
    "reward.expired",
    "reward.lost",
    "reward.cancelled",
    "reward.failed",
)
