"""What a player said they liked: facts by what the answer was about, of which the newest are kept."""

from collections.abc import Mapping
from typing import Any, Final

from workflows.events import FeedbackAnswered

#: What stands before the name of such a fact in the player's row.
LIKED: Final = "liked:"
MOST: Final = 32
LONGEST: Final = 64


def liking_of(answer: FeedbackAnswered) -> str | None:
    """The fact that an answer says something about; None where it says nothing of liking, or of nothing."""
    about = answer.subject_ref
    if answer.kind not in ("thumb", "yes_no") or answer.score is None or not about or len(about) > LONGEST:
        return None
    return f"{LIKED}{about}"


def forget_oldest(facts: dict[str, Any], told: dict[str, int]) -> None:
    """Keep those that were told last."""
    known = sorted((name for name in facts if name.startswith(LIKED)), key=lambda name: (abs(told.get(name, 0)), name))
    for name in known[: len(known) - MOST] if len(known) > MOST else ():
        del facts[name]
        told.pop(name, None)


def liked_by(facts: Mapping[str, Any]) -> dict[str, bool]:
    """By what it was about: whether the player liked it."""
    return {name.removeprefix(LIKED): bool(value) for name, value in facts.items() if name.startswith(LIKED)}
