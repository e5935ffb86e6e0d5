"""How long a time-out and a self-exclusion may be by the policies, and what is told of one that is not so.

Whatever its length an exclusion holds: it protects. What is outside of the lengths is told to its sender.
"""

from datetime import datetime, timedelta

from workflows.events import ExclusionSet
from workflows.gate.policy import Policy
from workflows.player_state.exclusion_blocks import SELF_EXCLUSION, TIME_OUT, Block, Exclusion


def outside_lengths(event: ExclusionSet, policy: Policy) -> str | None:
    """What is to be told of an exclusion whose length the policies do not know; None for any other."""
    length = None if event.until is None else event.until - event.occurred_at
    most, least = policy.time_out_most, policy.self_exclusion_least
    if event.kind == TIME_OUT and most is not None and (length is None or length > most):
        return (
            f"It holds as it was told. A time-out lasts {_days(most)} at most where the player is; "
            "tell a self_exclusion where one is meant."
        )
    if event.kind == SELF_EXCLUSION and length is not None and length < least:
        return f"It holds as it was told. Nothing ends a self-exclusion before {_days(least)} where the player is."
    return None


def is_short_of_minimum(block: Exclusion, policy: Policy, now: datetime) -> bool:
    """Whether a self-exclusion holds because it has not lasted its minimum, whatever its time says."""
    if not isinstance(block, Block) or block.kind != SELF_EXCLUSION:
        return False
    return now < block.since + policy.self_exclusion_least


def _days(length: timedelta) -> str:
    return f"{length / timedelta(days=1):g} days"
