"""Which channel and which hour a message takes, from what is known of how the player is reached.

A pure function for both theatres. Chance comes from the step's own key, so that every attempt draws alike, and its
odds are kept with what it drew: whoever learns from it later has to know them. What it may look at is a closed list:
messages that were followed or opened by a person, and hours of visits. Losses, stakes, deposits and harm are not on it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from workflows.channels import Channel
from workflows.field_types import MessageClass, Product
from workflows.gate.channel_rates import LEFT_COSTS, ChannelRates, chances
from workflows.gate.decide import may_send
from workflows.gate.decision import Refusal
from workflows.gate.facts import GateFacts, MessageFacts
from workflows.gate.harm_strength import harm_strength
from workflows.gate.policy import NECESSARY, Policy
from workflows.gate.register_check import as_if_unlisted
from workflows.local_time import next_local, zone
from workflows.player_state.consents import said
from workflows.send_choices import Choice, Choose, Chosen

#: What each channel keeps that is open and not the best.
CHANNEL_FLOOR: Final = 0.05
#: What the hours of the day share evenly, whatever is known.
HOUR_FLOOR: Final = 0.1
#: The hours that may be chosen: never the night.
BY_DAY: Final = range(9, 22)
#: Messages that went out on one channel, and visits by day; with fewer nothing is known.
FEWEST_MESSAGES: Final = 5
FEWEST_VISITS: Final = 10
#: How far back messages tell something, and how long they have to be followed before they do.
HEARD_WITHIN: Final = timedelta(days=180)
HEARD_AFTER: Final = timedelta(days=1)
#: Every channel is taken to have had ten messages more, of which one was followed: nothing known is no bad record.
_PRIOR_SENT, _PRIOR_FOLLOWED = 10, 1
_LEAST: Final = 2
#: What `Chosen.by` says where what all players taught has chosen.
BY_HOUSE: Final = "house_rates"
#: An exclusion that ended this recently leaves a player to the usual.
_AFTER_EXCLUSION: Final = timedelta(days=90)


@dataclass(frozen=True)
class Heard:
    """What became of the messages to a player on one channel. What a machine opened or followed nobody did."""

    sent: int
    opened: int = 0
    followed: int = 0
    #: Unsubscribed from or complained about.
    left: int = 0

    @property
    def worth(self) -> float:
        """What they were worth together, as what is learned of all players counts it."""
        return self.followed - LEFT_COSTS * self.left

    @property
    def rate(self) -> float:
        """How well it reaches the player: a message that was followed counts one, one only opened half."""
        opened_alone = max(0, self.opened - self.followed)
        return (self.followed + opened_alone / 2 + _PRIOR_FOLLOWED) / (self.sent + _PRIOR_SENT)

    @property
    def words(self) -> str:
        """The figures behind it."""
        if not self.sent:
            return "nothing sent yet"
        return f"of {self.sent} messages {self.opened} opened and {self.followed} followed"


@dataclass(frozen=True, kw_only=True)
class SeenByChoice:
    """What a choice is made from. `facts` are None for a player we know nothing about."""

    facts: GateFacts | None
    policy: Policy
    message_class: MessageClass
    suppress_if_active_today: bool
    #: What a journey is about that does not say so.
    product: Product
    #: Visits by hour of the player's day.
    hours: Mapping[str, int] = field(default_factory=dict)
    heard: Mapping[Channel, Heard] = field(default_factory=dict)
    #: What all players taught of channels; None while that is not shown to choose better than their own history.
    rates: ChannelRates | None = None


def choose(request: Choose, seen: SeenByChoice, now: datetime) -> Chosen:
    """Choose what a message was asked to have chosen."""
    why_usual = _leaves_to_the_usual(seen.facts, seen.policy, now)
    hour = None if request.otherwise is None else _hour(request, seen, why_usual)
    timezone = None if seen.facts is None else seen.facts.timezone
    at = None if hour is None else _next(hour.chosen, timezone, seen.message_class, now)
    channel = _channel(request, seen, why_usual, at or now) if request.channels else None
    if channel is None or seen.rates is None or len(channel.options) < _LEAST:
        return Chosen(channel=channel, hour=hour, at=at)
    declared = [one for one in request.channels if one in channel.options]
    return Chosen(channel=channel, hour=hour, at=at, by=BY_HOUSE, model=seen.rates.version, declared=declared)


def is_profiled(facts: GateFacts | None, policy: Policy, now: datetime) -> bool:
    """Whether anything may be chosen by what is known of a player: they agreed, and no harm or exclusion stands."""
    return _leaves_to_the_usual(facts, policy, now) is None


def _leaves_to_the_usual(facts: GateFacts | None, policy: Policy, now: datetime) -> str | None:
    """Why nothing is chosen for this player and what was declared is taken; None where something is."""
    if facts is None or said(facts.consents or {}, "profiling") is not True:
        return "as declared, for the player has not agreed to profiling"
    if harm_strength(facts, policy, now) != "none":
        return "as declared, for a sign of harm stands"
    if facts.limits_until is None or any(until > now for until in facts.limits_until):
        return "as declared, for a limit was reached"
    blocks, ended = facts.exclusions, facts.ended_exclusions
    recently = now - _AFTER_EXCLUSION
    if blocks is None or ended is None or any(one.until is None or one.until > recently for one in blocks):
        return "as declared, for the player was excluded not long ago"
    return "as declared, for the player was excluded not long ago" if any(one > recently for one in ended) else None


# ---- the channel ---------------------------------------------------------------------------------


def _channel(request: Choose, seen: SeenByChoice, why_usual: str | None, when: datetime) -> Choice:
    usual, *_ = request.channels
    is_open = [one for one in request.channels if _is_open(request, one, seen, when)]
    if not is_open:
        return Choice.fixed(usual, "no channel is open, and the gate will say why")
    if why_usual is not None or len(is_open) == 1:
        return Choice.fixed(is_open[0], why_usual or "the only channel that is open")
    heard = {one: seen.heard.get(one, Heard(0)) for one in is_open}
    if seen.rates is not None:
        return _by_house(request, is_open, heard, seen.rates)
    options = own_chances(is_open, heard)
    best = max(is_open, key=lambda one: options[one])
    figures = "; ".join(f"{one}: {heard[one].words}" for one in is_open)
    if all(one.sent < FEWEST_MESSAGES for one in heard.values()):
        known = f"too little is known yet ({figures}), so {is_open[0]} comes first as declared"
    else:
        known = f"{best} reaches the player best ({figures})"
    return _drawn(request, "channel", cast("Mapping[str, float]", options), best, known)


def own_chances(channels: Sequence[Channel], heard: Mapping[Channel, Heard]) -> dict[Channel, float]:
    """The chance of each channel by the player's own history alone: all for the best, but what every channel keeps."""
    known = {one: heard.get(one, Heard(0)) for one in channels}
    best = channels[0]
    if any(one.sent >= FEWEST_MESSAGES for one in known.values()):
        best = max(channels, key=lambda one: (known[one].rate, -channels.index(one)))
    options = dict.fromkeys(channels, CHANNEL_FLOOR)
    options[best] = 1 - CHANNEL_FLOOR * (len(channels) - 1)
    return options


def _by_house(
    request: Choose, channels: Sequence[Channel], heard: Mapping[Channel, Heard], rates: ChannelRates
) -> Choice:
    own = {one: (known.sent, known.worth) for one, known in heard.items()}
    options = chances(channels, own, rates, CHANNEL_FLOOR)
    best = max(channels, key=lambda one: options[one])
    figures = "; ".join(
        f"{one}: {heard[one].words}, of all players {100 * rates.of(one).mean:.1f} %" for one in channels
    )
    keeps = f"every channel keeps {100 * CHANNEL_FLOOR:.0f} %"
    known = f"{best} is the likeliest to be followed ({figures}; {keeps})"
    return _drawn(request, "channel", cast("Mapping[str, float]", options), best, known)


def _is_open(request: Choose, channel: Channel, seen: SeenByChoice, when: datetime) -> bool:
    """Whether the gate would let the message go on a channel, at once or after the night."""
    asked = MessageFacts(
        channel=channel,
        message_class=seen.message_class,
        step=request.key,
        suppress_if_active_today=seen.suppress_if_active_today,
        product=request.product or seen.product,
        asked_at=when,
    )
    return not isinstance(may_send(as_if_unlisted(seen.facts, seen.policy, when), asked, seen.policy, when), Refusal)


# ---- the hour ------------------------------------------------------------------------------------


def _hour(request: Choose, seen: SeenByChoice, why_usual: str | None) -> Choice:
    usual = request.otherwise
    assert usual is not None
    if seen.message_class in NECESSARY:
        return Choice.fixed(usual, "at once, for what serves the player is not put off")
    if why_usual is None and (seen.facts is None or seen.facts.timezone is None):
        why_usual = "as declared, for nobody knows the player's zone"
    if why_usual is not None:
        return Choice.fixed(usual, why_usual)
    visits = {hour: seen.hours.get(str(hour), 0) for hour in BY_DAY}
    total = sum(visits.values())
    if total < FEWEST_VISITS:
        best, known = usual, f"too little is known yet (visits by day: {total}), so {usual} comes first as declared"
    else:
        hour = max(visits, key=lambda one: (visits[one], -one))
        best = _clock(hour)
        known = f"{visits[hour]} of {total} visits by day came in the hour from {best} on"
    options = dict.fromkeys(map(_clock, BY_DAY), HOUR_FLOOR / len(BY_DAY))
    options[best] = options.get(best, 0) + 1 - HOUR_FLOOR
    return _drawn(request, "hour", options, best, known)


def _clock(hour: int) -> str:
    return f"{hour:02}:00"


def _next(clock: str, timezone: str | None, message_class: MessageClass, now: datetime) -> datetime | None:
    """When a clock shows the hour next; None where it is that hour now, or the message does not wait."""
    if message_class in NECESSARY or f"{now.astimezone(zone(timezone)):%H}" == clock[:2]:
        return None
    return next_local(now, timezone, clock)


# ---- chance --------------------------------------------------------------------------------------


def _drawn(request: Choose, what: str, options: Mapping[str, float], best: str, known: str) -> Choice:
    chosen = draw(f"{request.key}:{what}", options)
    why = known if chosen == best else f"drawn to go on learning, for {known}"
    chance = round(options[chosen], 6)
    rounded = {one: round(share, 6) for one, share in options.items()}
    return Choice(chosen=chosen, chance=chance, options=rounded, why=f"{chosen}, {100 * chance:.0f} %: {why}.")


def draw(seed: str, options: Mapping[str, float]) -> str:
    """One of the options by its chance, the same for one seed for ever."""
    share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64
    for one, chance in options.items():
        share -= chance
        if share < 0:
            return one
    return max(options, key=lambda one: options[one])
