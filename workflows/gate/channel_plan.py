"""Which channels a message tries, and in which order."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from workflows.channels import CHANNELS, Channel


@dataclass(slots=True)
class ChannelPlan:
    """Which channels a message tries: every one of `via`, then those of `fallback` until one is used or waits.

    It changes while it is carried out: whoever tries a channel writes down what came of it in `waits` or `used` before
    taking the next from `channels()`.
    """

    via: Sequence[Channel]
    fallback: Sequence[Channel]
    #: The channel whose provider may be called now; None: every one.
    turn: Channel | None = None
    #: Until when the gate makes a channel wait.
    waits: dict[Channel, datetime] = field(default_factory=dict)
    #: Channels the message went out on, is going out on or may have gone out on.
    used: set[Channel] = field(default_factory=set)
    #: Of those the ones whose turn is still to come, in their order.
    left: list[Channel] = field(default_factory=list)

    def has_turn(self, channel: Channel) -> bool:
        """Whether a message on this channel may be handed over now; what stays inside always may."""
        return self.turn is None or channel == self.turn or not CHANNELS[channel].external

    def leave(self, channel: Channel) -> None:
        """Leave a channel to an attempt of its own: the message goes out on it, or has already."""
        self.left.append(channel)
        self.used.add(channel)

    def next_turn(self, tried: Collection[Channel], *, only_fresh: bool) -> Channel | None:
        """Whose turn comes next: first those who had none yet, then, unless `only_fresh`, those whose turn failed."""
        fresh = [channel for channel in self.left if channel not in tried]
        return next(iter(fresh if only_fresh else fresh or self.left), None)

    def channels(self) -> Iterator[Channel]:
        """The channels in their order, each decided by what came of those before it."""
        yield from self.via
        for channel in self.fallback:
            if self.waits or self.used:
                return
            yield channel

    @property
    def wait_until(self) -> datetime | None:
        """When the message is to be tried again: as soon as the first of its channels may."""
        return min(self.waits.values(), default=None)
