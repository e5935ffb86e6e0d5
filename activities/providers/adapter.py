"""What every channel's adapter takes and answers. In-app messages never leave, so they have none.

* JourneysError
  x ChannelUnavailable

A channel answers `Delivered` or `Rejected`, and both are final: asking again would give the same answer. All
else is `ChannelUnavailable`, which means try again. The trap is that it also covers "it may have arrived": the
answer to a hand-over can be lost. So every attempt carries the same identity (Message-ID, `webhook-id`), and
whoever receives it can tell a repetition from a second message.

No error and no refusal repeats an address, a name or a text; they end in stores where no personal data may be.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from workflows.channels import Channel
from workflows.errors import JourneysError
from workflows.field_types import MessageClass

_KEY = re.compile(r"[!-~]{1,500}\Z")

RejectionReason = Literal[
    "address_invalid", "address_refused", "content_refused", "devices_gone", "header_unsafe", "endpoint_gone", "refused"
]


class ChannelUnavailable(JourneysError):
    """The channel could not be reached or did not answer; try again, after `retry_after` if it names a time.

    `may_have_arrived` is False only where the channel certainly did not take the message. `answered` is True where it
    said so itself: it lives, and only this message is to come again.
    """

    def __init__(
        self,
        message: str,
        retry_after: timedelta | None = None,
        *,
        may_have_arrived: bool = True,
        answered: bool = False,
    ) -> None:
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived
        self.answered = answered
        super().__init__(message)


@dataclass(frozen=True)
class OutgoingMessage:
    """One message for one player on one channel.

    `key` is its identity on every attempt. The trap: an effect that sends on two channels has two messages, and
    a gateway that serves both drops the second if they share a key; let the key end in the channel.
    """

    key: str
    brand: str
    brand_name: str
    channel: Channel
    message_class: MessageClass
    to: str = field(repr=False)
    """A mail address, a telephone number, a player's id, or tokens of devices, one a line."""
    title: str = field(repr=False)
    body: str = field(repr=False)
    language: str
    html: str | None = field(default=None, repr=False)
    unsubscribe_url: str | None = field(default=None, repr=False)
    good_until: datetime | None = None
    """From when on it is too late to show it; a push service that keeps messages for later keeps it no longer."""

    def __post_init__(self) -> None:
        if not _KEY.match(self.key):
            raise ValueError("The key of a message travels in headers; make it 1 to 500 printable ASCII characters.")
        if self.channel == "email" and self.message_class == "marketing" and not self.unsubscribe_url:
            raise ValueError("Marketing by e-mail needs an unsubscribe_url; give the player a way out.")


@dataclass(frozen=True)
class DeadDevice:
    """A token that leads nowhere any more, and since when, where the channel says so."""

    token: str = field(repr=False)
    since: datetime | None = None


@dataclass(frozen=True)
class Delivered:
    """The channel has taken the message over; `reference` is what it calls it, or our own identity of it.

    `dead` are devices beside those that it reached.
    """

    reference: str
    dead: tuple[DeadDevice, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """The channel will never take this message; `detail` holds a status code and nothing of the message.

    Without a detail it was never asked: the message cannot be meant for anybody.
    """

    reason: RejectionReason
    detail: str = ""
    dead: tuple[DeadDevice, ...] = ()


class Adapter(Protocol):
    """A way out. `now` is the moment of the attempt."""

    #: Whether its receiver drops a repetition by its key, so that a message in doubt may be handed over again.
    keeps_keys: bool

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand the message over, or say why it will never go; raises ChannelUnavailable to be called again."""
        ...
