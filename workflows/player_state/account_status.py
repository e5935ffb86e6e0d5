"""What the statuses of an account mean for its player, and which word on it counts."""

from datetime import datetime
from typing import Final

from workflows.player_state.exclusion_blocks import SELF_EXCLUDED
from workflows.player_state.ordering import Word, counts

#: Account statuses that protect from nothing.
UNPROTECTED_STATUSES: Final = frozenset({"active", "pending"})
CLOSED: Final = "closed"
#: The player has died: nothing goes to them any more, and no other status takes its place but by a correction.
DECEASED: Final = "deceased"
#: The ends of an account: they count whenever they come, as every No of the player.
FINAL_STATUSES: Final = frozenset({CLOSED, SELF_EXCLUDED, DECEASED})
#: Why an account is closed that is no goodbye: the person goes on under another one.
MERGED_REASONS: Final = frozenset({"merge", "merged", "duplicate"})
#: The reason of a status that takes back that the player has died.
CORRECTION: Final = "correction"


def outranks(new: str | None, word: Word, known: str | None, since: datetime | None) -> bool:
    """Whether a word on the account counts: the newest does, of two at one instant the one that protects more.

    The end of an account counts whenever it comes.
    """
    step = _protection(new) - _protection(known)
    return counts(word.at, since, step=step, live=word.live and new in FINAL_STATUSES)


def is_for_good(known: str | None, new: str, reason: str) -> bool:
    """Whether the known status stays whatever the new one is: a feed that says "active" every night revives nobody."""
    return known == DECEASED and new != DECEASED and reason != CORRECTION


def is_replaced_by_end(known: str | None, end: str, *, merged_away: bool) -> bool:
    """Whether the end of another account of the person takes the place of this account's status."""
    if known == DECEASED:
        return False
    return end == DECEASED or known != CLOSED or merged_away


def _protection(status: str | None) -> int:
    if status in FINAL_STATUSES:
        return 2
    return int(status is not None and status not in UNPROTECTED_STATUSES)
