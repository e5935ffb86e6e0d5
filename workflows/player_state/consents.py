"""What a player allowed and forbade: by channel, and by channel and product; the newest word counts.

A key is a channel (`email`), for whatever we offer, or a channel and a product (`email/casino`). No to a channel is No
to each of its products. Yes to a channel says nothing about a product that was refused apart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from workflows.channels import channel_name
from workflows.events import ConsentChanged, Event, MessageReceived, MessageStatus
from workflows.field_types import Product
from workflows.player_state.ordering import Word, counts
from workflows.player_state.stop_words import is_stop_word
from workflows.rules.streak_state import micros

#: What the player told a provider of messages instead of us.
WITHDRAWING: Final = frozenset({"complained", "unsubscribed"})
#: What begins the names under which `told` has the last refusal of a whole channel.
_NO: Final = "no to "
#: What begins those of the newest consent to a product that such a refusal ended.
_ENDED: Final = "ended yes to "
#: By key: what was said, and when.
Consents = dict[str, tuple[bool, datetime]]
#: Where a word came from, which text the player saw, and the player's jurisdiction at that time.
ConsentNote = tuple[str, str, str | None]


def consent_key(channel: str, product: Product | None = None) -> str:
    """The key of a channel, or of a product on it."""
    return channel if product is None else f"{channel}/{product}"


def withdraws(event: Event) -> bool:
    """Whether an event takes a consent back."""
    match event:
        case ConsentChanged():
            return not event.opted_in
        case MessageStatus():
            return event.status in WITHDRAWING
        case MessageReceived():
            return is_stop_word(event.text)
        case _:
            return False


@dataclass(slots=True)
class ConsentWord:
    """One word on a channel, or on a product there, and what is noted of it."""

    channel: str
    product: Product | None
    opted_in: bool
    word: Word
    note: ConsentNote


def keep_word(known: Consents, notes: dict[str, ConsentNote], told: dict[str, int], new: ConsentWord) -> None:
    """Keep the newest word on a channel or a product; of two at one instant the refusal counts.

    A refusal of the whole channel ends the consents to its products that were given before it, in whatever order they
    come; `told` remembers when the last one was said, for a consent to the channel may have come after it, and when the
    consents were given that it ended: a refusal of the product from before such a consent is no answer any more.
    """
    key = consent_key(new.channel, new.product)
    at, refusal, ended = new.word.at, f"{_NO}{new.channel}", f"{_ENDED}{key}"
    if new.product is None and not new.opted_in:
        for given_for in [name for name in known if name.startswith(f"{new.channel}/") and known[name][0]]:
            since = known[given_for][1]
            if since <= at or new.word.live:
                at = max(at, since)
                _end(known, notes, told, given_for, since)
        told[refusal] = max(told.get(refusal, 0), micros(at))
    elif new.product is not None and new.opted_in:
        given, since = known.get(new.channel, (True, at))
        if micros(at) <= max(told.get(refusal, -1), -1 if given else micros(since)):
            if key not in known or known[key][1] < at:
                _end(known, notes, told, key, at)
            return
    elif (
        new.product is not None
        and key not in known
        and ended in told
        and not counts(micros(at), told[ended], step=1, live=new.word.live)
    ):
        return
    before, last = known.get(key, (None, None))
    if counts(new.word.at, last, step=int(before is not False) - int(new.opted_in), live=new.word.live):
        known[key] = (new.opted_in, max(new.word.at, last or new.word.at))
        notes.pop(key, None)
        if any(new.note):
            notes[key] = new.note


def _end(known: Consents, notes: dict[str, ConsentNote], told: dict[str, int], key: str, given: datetime) -> None:
    """Forget what was said of a product: the consent to it, or its refusal from before that consent."""
    known.pop(key, None)
    notes.pop(key, None)
    told[f"{_ENDED}{key}"] = max(told.get(f"{_ENDED}{key}", 0), micros(given))


def is_closed(known: Consents, channel: str) -> bool:
    """Whether the player said No to a channel, and Yes to none of its products since."""
    return known.get(channel, (True,))[0] is False and not any(
        given for key, (given, _) in known.items() if key.startswith(f"{channel}/")
    )


def said(consents: Mapping[str, bool], channel: str, product: Product | None = None) -> bool | None:
    """What was said of a channel, or of a product on it, however the channel is spelt; None: nothing."""
    answers = [given for key, given in consents.items() if _key(key) == consent_key(channel, product)]
    return all(answers) if answers else None


def withdrawn(several: Iterable[Consents]) -> list[tuple[str, Product | None, datetime]]:
    """The refusals of several accounts: channel, product and when."""
    found: list[tuple[str, Product | None, datetime]] = []
    for known in several:
        for key, (given, at) in known.items():
            channel, _, product = key.partition("/")
            if not given:
                found.append((channel, product or None, at))  # type: ignore[arg-type]  # what was kept as one
    return found


def _key(name: str) -> str:
    channel, slash, product = name.partition("/")
    return f"{channel_name(channel)}{slash}{product}"
