"""A synthetic casino of players who follow messages, each channel with a chance of their own."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from learning.channel_learning import LearnedChannels, PastChoice, PastMessage, learn_channels, learned_rates
from learning.differences import NoNumber
from workflows.channels import Channel
from workflows.gate.channel_rates import ChannelRates, chances
from workflows.gate.send_choice import CHANNEL_FLOOR, Heard, own_chances

WEEK = timedelta(days=7)
BEGAN = datetime(2026, 1, 5, 18, tzinfo=UTC)
#: How many of a hundred follow on each channel, on average.
RATES: Mapping[Channel, float] = {"email": 0.04, "push": 0.08, "sms": 0.05, "telegram": 0.06}


@dataclass
class ChannelCasino:
    """Players who are sent one message a week. `unlike` is how much players differ, in logits."""

    players: int
    rates: Mapping[Channel, float] = field(default_factory=lambda: RATES)
    unlike: float = 0.5
    seed: int = 17
    choices: list[PastChoice] = field(default_factory=list)
    messages: dict[str, list[PastMessage]] = field(default_factory=lambda: defaultdict(list))
    #: What the choices were worth that were made, and what the best channel for all and an even split would have been.
    made: float = 0.0
    best: float = 0.0
    even: float = 0.0
    least: float = 1.0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.now = BEGAN
        self.heard: dict[str, dict[Channel, Heard]] = {}
        self.own: dict[str, dict[Channel, float]] = {}
        for number in range(self.players):
            player = f"p-{number:05}"
            self.heard[player] = {}
            self.own[player] = {name: self._of_player(rate) for name, rate in self.rates.items()}
        means = {name: math.fsum(one[name] for one in self.own.values()) / self.players for name in self.rates}
        self.best_of_all = max(means, key=lambda name: means[name])

    def _of_player(self, rate: float) -> float:
        logit = math.log(rate / (1 - rate)) + self.random.gauss(0, self.unlike)
        return 1 / (1 + math.exp(-logit))

    def week(self, rates: ChannelRates | None = None) -> None:
        """A message to everybody, chosen by these rates, or by each player's own history."""
        names = list(self.rates)
        alike: dict[frozenset[tuple[Channel, Heard]], dict[Channel, float]] = {}
        for player, heard in self.heard.items():
            history = frozenset(heard.items())
            if history not in alike:
                own = {name: (known.sent, known.worth) for name, known in heard.items()}
                chosen_by = own_chances(names, heard) if rates is None else chances(names, own, rates, CHANNEL_FLOOR)
                alike[history] = chosen_by
            options = alike[history]
            (chosen,) = self.random.choices(names, [options[name] for name in names])
            true = self.own[player]
            followed = self.random.random() < true[chosen]
            when = self.now + timedelta(hours=2) if followed else None
            self.choices.append(PastChoice(player, self.now, chosen, options, rates is not None, when))
            self.messages[player].append(PastMessage(chosen, self.now, when, when))
            before = heard.get(chosen, Heard(0))
            heard[chosen] = Heard(before.sent + 1, before.opened + followed, before.followed + followed)
            self.made += true[chosen]
            self.best += true[self.best_of_all]
            self.even += math.fsum(true.values()) / len(true)
            self.least = min(self.least, *options.values())
        self.now += WEEK

    def rates_so_far(self) -> ChannelRates:
        """What every choice until now teaches."""
        return learned_rates(self.choices)

    def learn(self) -> LearnedChannels | NoNumber:
        """What would be learned, and what it would have been worth."""
        return learn_channels(self.choices, self.messages, self.now)
