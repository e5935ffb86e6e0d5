"""How well each channel reaches the players of a house, and what follows from it for one of them. Pure.

What all players taught is a rate with its doubt; what one player did is held against it as if the house had seen so
many messages of theirs before. A channel's chance is that of its being the best one, given the doubt: Thompson's rule,
worked out instead of drawn, so that the chance that is kept is the true one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from workflows.channels import Channel

#: Under which name what was learned is kept.
CHANNELS_LEARNED: Final = "best_channel"
#: As how many messages of a player's own the house's rate counts, where nobody has learned how alike players are.
HOUSE_COUNTS: Final = 30
#: What unsubscribing or complaining takes away, in messages that were followed.
LEFT_COSTS: Final = 20
_LEAST_SPREAD: Final = 1e-6
# Where the normal curve is looked at for the chance of being the best, in standard deviations.
_POINTS: Final = tuple(number / 4 for number in range(-16, 17))
_HEIGHTS: Final = tuple(math.exp(-point * point / 2) for point in _POINTS)


class HouseRate(BaseModel):
    """What a message on a channel is worth among all players: followed counts 1, and what `LEFT_COSTS` says."""

    model_config = ConfigDict(frozen=True)

    mean: float
    #: The standard deviation of what is not known about it.
    spread: float


#: A channel nobody was drawn to yet: one message followed of twenty.
UNKNOWN: Final = HouseRate(mean=0.05, spread=math.sqrt(0.05 * 0.95 / 21))


class ChannelRates(BaseModel):
    """What was learned, by channel, and as which version."""

    model_config = ConfigDict(frozen=True)

    version: int = 0
    rates: dict[Channel, HouseRate]
    #: As how many messages of a player's own a rate counts: the more, the more alike players are.
    counts: float = HOUSE_COUNTS

    def of(self, channel: Channel) -> HouseRate:
        """The rate of a channel among all players."""
        return self.rates.get(channel, UNKNOWN)

    def worth(self, channel: Channel, sent: int, worth: float) -> float:
        """What the next message to a player is worth, after `sent` on this channel that were worth so much together."""
        return (self.counts * self.of(channel).mean + worth) / (self.counts + sent)


def chances(
    channels: Sequence[Channel], own: Mapping[Channel, tuple[int, float]], rates: ChannelRates, floor: float
) -> dict[Channel, float]:
    """The chance of each channel: that it is the best for the player, and `floor` for each at least.

    `own` has messages and what they were worth together, by channel. The player's own figures are taken as they are and
    the doubt about the house's is what explores: what one player could still show costs that player the exploring.
    """
    known = [(one, *own.get(one, (0, 0.0))) for one in channels]
    means = [rates.worth(one, sent, worth) for one, sent, worth in known]
    spreads = [
        max(_LEAST_SPREAD, rates.counts * rates.of(one).spread / (rates.counts + sent)) for one, sent, _ in known
    ]
    best = [_is_best(place, means, spreads) for place in range(len(means))]
    total, free = math.fsum(best), 1 - floor * len(best)
    return {one: floor + free * chance / total for one, chance in zip(channels, best, strict=True)}


def _is_best(place: int, means: Sequence[float], spreads: Sequence[float]) -> float:
    others = [number for number in range(len(means)) if number != place]
    return math.fsum(
        height * math.prod(_below(means[place] + point * spreads[place], means[one], spreads[one]) for one in others)
        for point, height in zip(_POINTS, _HEIGHTS, strict=True)
    )


def _below(place: float, mean: float, spread: float) -> float:
    return math.erfc((mean - place) / (spread * math.sqrt(2))) / 2
