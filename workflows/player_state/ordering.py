"""Which word about a player counts, when senders contradict each other or send late, again or out of order.

A word is ordered by the earlier of the time its sender claims and the time it was received: no clock that runs ahead
puts it in front of what is said afterwards. What protects the player (a consent withdrawn, an account closed, an
exclusion, a value erased) counts whenever it comes and gives way only to a word received after it that is newer.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self, TypeVar

from workflows.events import Event
from workflows.rules.streak_state import micros

#: Words ahead of our clock that are remembered of a player, the newest.
MOST_AHEAD: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T", int, datetime)


@dataclass(frozen=True, slots=True)
class Word:
    """When something was said about a player.

    History was received when it happened, by whoever kept it: there only its own time orders it, or importing the
    past would undo what the player has said since.
    """

    at: datetime
    #: Whether it is received now, after everything that is known.
    live: bool

    @classmethod
    def of(cls, event: Event, now: datetime, *, live: bool) -> Self:
        """The word that an event is, received `now`."""
        return cls(min(event.occurred_at, now), live)


def first_said(ahead: dict[str, int], event: Event, word: Word) -> Word:
    """The word, dated as it was when just this was said first: a clock that ran ahead makes no repetition a later word.

    What lies ahead of its receipt is noted in `ahead`: by claimed time and content, when it was received, in
    microseconds since 1970. Sent again under another id it would claim a moment that has come meanwhile. Everything
    else is ordered by its claim, which a repetition repeats.
    """
    is_ahead = event.occurred_at > word.at
    if not ahead and not is_ahead:
        return word
    said = json.dumps([event.type, micros(event.occurred_at), event.to_wire()["data"]], sort_keys=True)
    name = hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
    if name in ahead:
        return Word(min(word.at, instant(ahead[name])), word.live)
    if is_ahead:
        if len(ahead) >= MOST_AHEAD:
            del ahead[min(ahead, key=ahead.__getitem__)]
        ahead[name] = micros(word.at)
    return word


def counts(at: T, known: T | None, *, step: int, live: bool) -> bool:
    """Whether a word said `at` replaces one said at `known`; None: nothing was said.

    `step` says whether it protects more (1), as much (0) or less (-1) than what it would replace.
    """
    if known is None or at > known:
        return True
    return (at == known and step >= 0) or (live and step > 0)


def record_word(told: dict[str, int], name: str, word: Word, *, erases: bool, since: int | None = None) -> bool:
    """Note in `told` that a word was said on a fact; False when what is known stays.

    `told` holds by fact when the newest word on it was said, in microseconds since 1970, negative when that erased it.
    `since` is the time of a fact that is not in it.
    """
    moment, known = micros(word.at), told.get(name, since)
    if known is not None:
        step = int(erases) - int(known < 0)
        if not counts(moment, abs(known), step=step, live=word.live):
            return False
        # It never goes back: what was told before an erasure that came late must not return after it.
        moment = max(moment, abs(known))
    told[name] = -moment if erases else moment
    return True


def instant(told: int) -> datetime:
    """The moment of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=told)
