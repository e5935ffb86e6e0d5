"""Learns which channel reaches players, from choices with known chances, and judges that before it is used.

Two parts of one log: rates are learned from the older one, and what a choice by them would have been worth is found on
the newest four weeks. What is worth something is a message that a person followed within a day.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from learning.differences import NoNumber
from learning.off_policy import JudgedChoice, PolicyWorth, judge_policy
from workflows.channels import Channel
from workflows.gate.channel_rates import LEFT_COSTS, UNKNOWN, ChannelRates, HouseRate, chances
from workflows.gate.send_choice import CHANNEL_FLOOR, HEARD_AFTER, HEARD_WITHIN, Heard, own_chances

#: What is judged on, and choices that the older part needs and those judged on.
JUDGED: Final = timedelta(days=28)
LEAST_LEARNED: Final = 1_000
LEAST_JUDGED: Final = 500
#: How long a message may be followed to count.
COUNTS_WITHIN: Final = timedelta(days=1)
#: As how many messages of a player's own a rate may count, from players who are all unlike to all alike.
COUNTS: Final = (5, 10, 20, 30, 45, 70, 100, 150, 250, 500, 1_000)


@dataclass(frozen=True, slots=True)
class PastMessage:
    """A message that went out to a player, and when a person did what; None where nobody did."""

    channel: Channel
    at: datetime
    opened_at: datetime | None = None
    followed_at: datetime | None = None
    #: Unsubscribed or complained.
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PastChoice:
    """A channel that was chosen by chance: among what, in the order that was declared, and what came of it."""

    player_id: str
    at: datetime
    chosen: Channel
    chances: Mapping[Channel, float]
    #: What chose; empty for each player's own history.
    by_house: bool
    followed_at: datetime | None = None
    left_at: datetime | None = None

    @property
    def worth(self) -> float:
        """What it was worth within a day: only then have late and early ones had the same time."""
        until = self.at + COUNTS_WITHIN
        followed = self.followed_at is not None and self.followed_at < until
        left = self.left_at is not None and self.left_at < until
        return followed - LEFT_COSTS * left


class LearnedChannels(BaseModel):
    """What was learned of channels, from what, and what it was worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rates: dict[Channel, HouseRate]
    counts: float
    learned_until: datetime
    choices: int
    worth: PolicyWorth

    def as_version(self, version: int) -> ChannelRates:
        """What choices are made by."""
        return ChannelRates(version=version, rates=self.rates, counts=self.counts)


def learn_channels(
    choices: Sequence[PastChoice], messages: Mapping[str, Sequence[PastMessage]], now: datetime
) -> LearnedChannels | NoNumber:
    """Learn from choices, and judge on the newest; nothing where too few are. Those of the last day are left out.

    `messages` are those of each player who was chosen for, the oldest first.
    """
    over = [one for one in choices if one.at + COUNTS_WITHIN <= now]
    until = now - JUDGED
    older = [one for one in over if one.at + COUNTS_WITHIN <= until]
    newer = [one for one in over if one.at >= until]
    if len(older) < LEAST_LEARNED or len(newer) < LEAST_JUDGED:
        return NoNumber(
            f"{len(older)} choices to learn from and {len(newer)} to judge on; {LEAST_LEARNED} and {LEAST_JUDGED} "
            "are needed"
        )
    rates = learned_rates(older)
    worth = judged(rates, newer, messages)
    return LearnedChannels(rates=rates.rates, counts=rates.counts, learned_until=until, choices=len(older), worth=worth)


def judged(
    rates: ChannelRates, choices: Iterable[PastChoice], messages: Mapping[str, Sequence[PastMessage]]
) -> PolicyWorth:
    """What choices by these rates would have been worth beside choices by each player's own history alone."""
    times = {player: [message.at for message in theirs] for player, theirs in messages.items()}

    def heard(one: PastChoice) -> dict[Channel, Heard]:
        return heard_before(messages.get(one.player_id, ()), one.at, times.get(one.player_id, ()))

    return judge_policy([_judged(rates, one, heard(one)) for one in choices])


def learned_rates(choices: Sequence[PastChoice]) -> ChannelRates:
    """What choices teach of all players, and how alike players are."""
    rates = house_rates(choices)
    return ChannelRates(rates=rates, counts=alikeness(choices, rates))


def alikeness(choices: Iterable[PastChoice], rates: Mapping[Channel, HouseRate]) -> float:
    """As how many messages of a player's own a rate counts, so that what each player did is the least surprising.

    By marginal likelihood, to which it does not matter that a channel was chosen because of what was followed before.
    """
    counted: defaultdict[tuple[str, Channel], list[int]] = defaultdict(lambda: [0, 0])
    for one in choices:
        mine = counted[one.player_id, one.chosen]
        mine[0] += 1
        mine[1] += one.worth > 0
    alike = Counter((channel, sent, followed) for (_, channel), (sent, followed) in counted.items())
    return max(COUNTS, key=lambda counts: _likelihood(alike, rates, counts))


def _likelihood(
    alike: Mapping[tuple[Channel, int, int], int], rates: Mapping[Channel, HouseRate], counts: int
) -> float:
    """The logarithm, without what is the same for every count."""
    total = 0.0
    for (channel, sent, followed), players in alike.items():
        yes = counts * min(0.99, max(0.001, rates[channel].mean))
        no = counts - yes
        ends = math.lgamma(yes + followed) + math.lgamma(no + sent - followed) - math.lgamma(counts + sent)
        total += players * (ends - math.lgamma(yes) - math.lgamma(no) + math.lgamma(counts))
    return total


def house_rates(choices: Iterable[PastChoice]) -> dict[Channel, HouseRate]:
    """What a message on each channel is worth among all players, each choice weighed by how unlikely it was.

    Without the weights a channel's rate would be that of the players it was chosen for, who are those it reaches.
    """
    found: defaultdict[Channel, list[tuple[float, float]]] = defaultdict(list)
    for one in choices:
        found[one.chosen].append((1 / one.chances[one.chosen], one.worth))
    return {channel: _rate(rows) for channel, rows in sorted(found.items())}


def _rate(rows: Sequence[tuple[float, float]]) -> HouseRate:
    total = math.fsum(weight for weight, _ in rows)
    effective = total * total / math.fsum(weight * weight for weight, _ in rows)
    # Twenty messages of which one was followed, before anything was seen.
    prior = 20
    mean = math.fsum(weight * worth for weight, worth in rows) / total
    mean = (prior * UNKNOWN.mean + effective * mean) / (prior + effective)
    around = math.fsum(weight * (worth - mean) ** 2 for weight, worth in rows) / total
    variance = (prior * UNKNOWN.mean * (1 - UNKNOWN.mean) + effective * around) / (prior + effective)
    return HouseRate(mean=mean, spread=math.sqrt(variance / (prior + effective + 1)))


def heard_before(messages: Sequence[PastMessage], moment: datetime, times: Sequence[datetime]) -> dict[Channel, Heard]:
    """What was known of a player's messages at a moment, as the choice itself saw it."""
    found: dict[Channel, Heard] = {}
    first, last = bisect_left(times, moment - HEARD_WITHIN), bisect_left(times, moment - HEARD_AFTER)
    for one in messages[first:last]:
        before = found.get(one.channel, Heard(0))
        followed = one.followed_at is not None and one.followed_at < moment
        opened = followed or (one.opened_at is not None and one.opened_at < moment)
        left = one.left_at is not None and one.left_at < moment
        found[one.channel] = Heard(
            before.sent + 1, before.opened + opened, before.followed + followed, before.left + left
        )
    return found


def _judged(rates: ChannelRates, one: PastChoice, heard: Mapping[Channel, Heard]) -> JudgedChoice:
    channels = list(one.chances)
    new = chances(channels, {name: (known.sent, known.worth) for name, known in heard.items()}, rates, CHANNEL_FLOOR)
    in_use = own_chances(channels, heard) if one.by_house else one.chances
    foretold = {
        name: rates.worth(name, known.sent, known.worth) for name in channels for known in (heard.get(name, Heard(0)),)
    }
    logged = one.chances[one.chosen]
    return JudgedChoice(
        player_id=one.player_id,
        worth=one.worth,
        weight=new[one.chosen] / logged,
        weight_in_use=in_use[one.chosen] / logged,
        foretold=foretold[one.chosen],
        foretold_of_new=math.fsum(new[name] * foretold[name] for name in channels),
        foretold_in_use=math.fsum(in_use[name] * foretold[name] for name in channels),
    )
