"""Nights: hours on the player's own clock in which nobody is disturbed, and when they end."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from workflows.channels import CHANNELS, channel_name
from workflows.local_time import readings

#: Channels that wake somebody.
INTERRUPTING: frozenset[str] = frozenset(name for name, spec in CHANNELS.items() if spec.interrupts)


@dataclass(frozen=True, slots=True, order=True)
class Night:
    """From `start` inclusive until `end` exclusive, over midnight if `start` is later; the same moment twice is none.

    It holds on `channels`; by default on those that interrupt.
    """

    start: time
    end: time
    channels: frozenset[str] = INTERRUPTING

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", frozenset(map(channel_name, self.channels)))

    def covers(self, clock: time) -> bool:
        """Whether a clock that shows this is in it."""
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} on {', '.join(sorted(self.channels))}"


def nights_on(channel: str, nights: Collection[Night]) -> tuple[Night, ...]:
    """The nights that hold on a channel."""
    return tuple(night for night in nights if channel in night.channels and night.start != night.end)


def quiet_until(zone: ZoneInfo, nights: Collection[Night], now: datetime) -> datetime | None:
    """The end of the quiet hours `now` lies in, `now` itself outside of them, None if no end is found.

    Where the clock jumps over the end of the night, the wait is longer by the jump; where the clock is set back
    over it, its first pass counts, unless that has gone. One night may end in another: then the last end counts.
    """
    local = now.astimezone(zone)
    if not _is_quiet(local.time(), nights):
        return now
    # Three days ahead: tomorrow's morning may be jumped over, a zone that crosses the date line skips a day.
    mornings = (
        morning
        for ahead in range(4)
        for end in {night.end for night in nights}
        for morning in readings(local.date() + timedelta(days=ahead), end, zone)
        if morning > now and not _is_quiet(morning.astimezone(zone).time(), nights)
    )
    return min(mornings, default=None)


def _is_quiet(clock: time, nights: Collection[Night]) -> bool:
    return any(night.covers(clock) for night in nights)
