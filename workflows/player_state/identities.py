"""Ids of runs and of events that runs hear: made of what caused them, and of nothing that counts.

Postgres may be set back while Temporal and the providers are ahead. A number would then be given out again, to another
entry, which would talk to the workflow of the lost one and be paid under its keys. What is sent again, on the other
hand, must find what it began the first time. Both follow when an id says what the thing is about.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from workflows.events import Event

#: Hexadecimal digits; they tell apart one player's runs of one journey.
DIGITS: Final = 12
#: The identity of an event is remembered longer than this. Sent again later it is taken for new, and so is its run.
WINDOW: Final = timedelta(days=30)


def run_id_of(journey: str, brand: str, player_id: str, cause: Mapping[str, str], late: timedelta, taken: int) -> str:
    """The id of the run that a cause begins: `journey:brand:player:` and what stands for the cause.

    `late` is how long after the cause the player enters. `taken` is how many runs of the journey a row of this player
    had that is gone: one who was removed and comes back gets runs of their own even for what is told again.
    """
    said = [cause.get("type", ""), cause.get("source", ""), cause.get("id", ""), str(late // WINDOW), str(taken)]
    return f"{journey}:{brand}:{player_id}:{hashlib.sha256(chr(0).join(said).encode()).hexdigest()[:DIGITS]}"


def delivery_id_of(run_id: str, event: Event) -> str:
    """What a run knows an event by that it has heard; of a form that Postgres takes for a UUID.

    Not by when it happened: what follows from an event happens when that is taken in, and so once more and later when
    Postgres was set back and the event is sent again.
    """
    said = [run_id, event.type, event.event_source, event.event_id]
    return hashlib.sha256(chr(0).join(said).encode()).hexdigest()[:32]
