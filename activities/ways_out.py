"""Over what a deployment reaches players: which channels it has no gateway for, and whether push goes to devices."""

from dataclasses import dataclass
from typing import Final

from activities.settings import Settings
from workflows.channels import MESSENGERS, Channel


@dataclass(frozen=True)
class WaysOut:
    """What of the settings decides where a player can be reached."""

    #: Channels that nobody is reached on here.
    closed: frozenset[Channel] = frozenset()
    #: Whether push goes to devices by their tokens, and not to a gateway that knows them by the player's id.
    by_device: bool = False
    #: Whether of devices only those with a token of Apple's are reached.
    apple_alone: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "WaysOut":
        """The ways of a deployment."""
        closed = frozenset[Channel](one for one in MESSENGERS if not settings.webhook_url(one))
        by_device = bool(settings.push_api_url) or settings.has_apns
        return cls(closed, by_device=by_device, apple_alone=by_device and not settings.push_api_url)


#: Where it does not matter: nothing is sent there.
EVERY_WAY: Final = WaysOut()
