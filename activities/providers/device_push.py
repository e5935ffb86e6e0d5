"""Push to a player's devices: which service knows which token, and what a message came to on all of them together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from activities.providers.adapter import ChannelUnavailable, DeadDevice, Delivered, OutgoingMessage, Rejected
from workflows.player_state.devices import is_apple_token


@dataclass(frozen=True)
class DeviceAnswer:
    """What a service said about one device; `status` 0 where it said nothing."""

    what: Literal["taken", "dead", "refused", "away"]
    status: int = 0
    reference: str = ""
    since: datetime | None = None
    pause: timedelta | None = None
    may_have_arrived: bool = False
    #: The sentence of whoever is away, where it is not the status alone.
    says: str = ""


class DeviceService(Protocol):
    """A service that takes messages to devices by their tokens."""

    async def send_each(self, message: OutgoingMessage, tokens: Sequence[str], now: datetime) -> list[DeviceAnswer]:
        """What became of a message on each device, in the order of the tokens. It does not raise: away is an answer."""
        ...


class DevicePush:
    """Push over Apple's own service and, for every other device, another; without one nobody else is reached.

    The form of a token says whose it is, and not the platform that was told with it: an app on an iPhone that uses
    Firebase has a token of Firebase.
    """

    keeps_keys = False

    def __init__(self, apple: DeviceService, others: DeviceService | None) -> None:
        self._apple = apple
        self._others = others

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand a message to every device of the player; see `Adapter.deliver`."""
        tokens = message.to.split()
        asked: list[tuple[DeviceService, list[str]]] = [(self._apple, [one for one in tokens if is_apple_token(one)])]
        if self._others is not None:
            asked.append((self._others, [one for one in tokens if not is_apple_token(one)]))
        told = await asyncio.gather(*(service.send_each(message, some, now) for service, some in asked if some))
        reached = [token for _, some in asked for token in some]
        return judge(message, reached, [one for some in told for one in some])


def judge(message: OutgoingMessage, tokens: Sequence[str], told: Sequence[DeviceAnswer]) -> Delivered | Rejected:
    """What the message came to: one device that took it is enough, and one that may have leaves it in doubt.

    Raises ChannelUnavailable where it is to come again.
    """
    if not tokens:
        return Rejected("address_invalid")
    dead = tuple(DeadDevice(token, one.since) for token, one in zip(tokens, told, strict=True) if one.what == "dead")
    if (taken := next((one for one in told if one.what == "taken"), None)) is not None:
        return Delivered(taken.reference or message.key, dead)
    if away := [one for one in told if one.what == "away"]:
        raise ChannelUnavailable(
            away[0].says or f"The push service answered {away[0].status or 'nothing'}; try again.",
            max((one.pause for one in away if one.pause is not None), default=None),
            may_have_arrived=any(one.may_have_arrived for one in away),
            answered=all(0 < one.status < 500 for one in away),
        )
    status = str(next((one.status for one in told if one.what == "refused"), told[0].status))
    return Rejected("devices_gone" if len(dead) == len(tokens) else "refused", status, dead)
