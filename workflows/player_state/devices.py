"""The devices that push messages for a player go to: their tokens in the profile, the times of the words in the row."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from workflows.events import DeviceRegistered, DeviceRemoved, Event
from workflows.player_state.ordering import Word
from workflows.rules.streak_state import micros

DEVICE_EVENTS: Final = (DeviceRegistered, DeviceRemoved)
#: What begins the names of devices, in the profile and among the times of words.
DEVICE: Final = "push/"
#: Tokens that are remembered of a player, dead ones among them; the newest.
MOST_DEVICES: Final = 20
_APPLE: Final = re.compile(r"([0-9a-fA-F]{2}){32,}\Z")


def device_words(told: dict[str, int], event: Event, word: Word) -> dict[str, str | None]:
    """What an event changes about a player's devices, for the profile: a token, or None for one that is gone.

    Of two words on a token the later one counts; of two at one moment the one that takes it away. `told` has when the
    newest was said, in microseconds since 1970, negative where it is gone.
    """
    if not isinstance(event, DEVICE_EVENTS) or event.token is None:
        return {}
    name = DEVICE + hashlib.blake2b(event.token.encode(), digest_size=6).hexdigest()
    moment, known, gone = micros(word.at), told.get(name, 0), isinstance(event, DeviceRemoved)
    if moment < abs(known) or (moment == -known and not gone):
        return {}
    told[name] = -moment if gone else moment
    said = {name: None if gone else event.token}
    devices = sorted((one for one in told if one.startswith(DEVICE)), key=lambda one: (abs(told[one]), one))
    for oldest in devices[:-MOST_DEVICES]:
        del told[oldest]
        said[oldest] = None
    return said


def devices_of(profile: Mapping[str, object]) -> list[str]:
    """The tokens of a player's devices."""
    return [str(token) for name, token in sorted(profile.items()) if name.startswith(DEVICE) and token]


def is_apple_token(token: str) -> bool:
    """Whether a token is one of Apple's own push service: 32 bytes or more in hexadecimal digits, and nothing else.

    Those of others are longer alphabets; Firebase's have a colon.
    """
    return _APPLE.match(token) is not None
