"""What a well-formed event may not say, because nothing would act on it: refused with a sentence, never ignored."""

from typing import Final

from workflows.events import Event, ExclusionEnded, HarmReviewed, PlayerMerged

#: A JSON Pointer into the event, and what to do about it.
SemanticError = tuple[str, str]

UNTIL: Final = "Leave until out: an exclusion ends when its end is told, and no end ends again."
NO_REASON: Final = "Say why, in a sentence: a judgement of signs of harm is kept with its reason."
NOT_ABOUT: Final = "Name the subject here or in the other id: a merge is told of one of the accounts it joins."
ITSELF: Final = "Name two accounts; one cannot be merged with itself."


def semantic_errors(player_id: str, event: Event) -> list[SemanticError]:
    """The words of a player's event that mean something and would change nothing."""
    match event:
        case ExclusionEnded() if event.until is not None:
            return [("/data/until", UNTIL)]
        case HarmReviewed() if not (event.reason or "").strip():
            return [("/data/reason", NO_REASON)]
        case PlayerMerged() if event.survivor_id == event.absorbed_id:
            return [("/data/absorbed_id", ITSELF)]
        case PlayerMerged() if player_id not in {event.survivor_id, event.absorbed_id}:
            return [("/data/survivor_id", NOT_ABOUT)]
        case _:
            return []
