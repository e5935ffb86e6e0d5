"""The gate: may this message be sent, may this reward be granted, to this player, now?

Pure functions of *(facts, policy, now)*. The caller reads the facts from the primary inside the transaction
that marks the effect handed over, asks, and stores the answer: every decision says which rule spoke, what it
saw and under which policy. Unknown means no.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from workflows.channels import CHANNELS, Channel, channel_name
from workflows.gate.facts import GateFacts, GrantFacts, MessageFacts
from workflows.gate.policy import NECESSARY, PROTECTIVE, Policy, Reason
from workflows.local_time import DAY, WEEK, readings
from workflows.player_state.projection import Exclusion

_STRENGTHS: Final = ("none", "weak", "medium", "strong")
#: They need no address.
_INSIDE: Final = frozenset[str](name for name, spec in CHANNELS.items() if not spec.external)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Go ahead, in this transaction."""

    seen: Mapping[str, JsonValue]
    policy: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not to be sent or granted; `rule` is a key of `RULES`, `detail` a sentence for people."""

    reason: Reason
    rule: str
    detail: str
    seen: Mapping[str, JsonValue] = field(default_factory=dict)
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again at `until` with facts read anew, for they may have changed by then."""

    until: datetime
    rule: str
    detail: str
    seen: Mapping[str, JsonValue] = field(default_factory=dict)
    policy: str = ""

    @property
    def reason(self) -> Reason:
        """Only the night makes anyone wait."""
        return Reason.QUIET_HOURS


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


def may_send(facts: GateFacts | None, message: MessageFacts, policy: Policy, now: datetime) -> Allowed | Refusal | Wait:
    """Whether `message` may go on its channel. No facts at all means an unknown player, and no.

    Service, responsible-gambling and security messages need no consent, know no caps and no night; a closed
    account still ends them, and self-exclusion ends service messages. Surveys are held to the rules of
    marketing. Everything that can change by itself is looked at last: a message that must wait for the morning
    is judged against the caps of the morning.
    """
    _aware(now)
    channel = channel_name(message.channel)
    seen = _seen(facts, now) | {"channel": channel, "message_class": message.message_class}
    refusal: Refusal | Wait | None = _protected(facts, message.message_class, policy, now)
    if refusal is None and facts is not None:
        refusal = _unreachable(facts, message, channel) or _too_late(message, policy, now)
        if refusal is None and message.message_class not in NECESSARY:
            counted = _count(facts, message, channel, now)
            seen |= counted
            refusal = (
                _at_night(facts, message, channel, policy, now)
                or _was_here(facts, message, now)
                or _too_much(facts, channel, counted, policy)
            )
    return Allowed(seen, policy.version) if refusal is None else replace(refusal, seen=seen, policy=policy.version)


def held(now: datetime) -> Wait:
    """What the gate says while somebody holds the journey: until when, nobody knows yet."""
    return Wait(now, "hold", "Somebody holds the journey; its runs go on when it is resumed.")


def may_grant(facts: GateFacts | None, grant: GrantFacts, policy: Policy, now: datetime) -> Allowed | Refusal:
    """Whether the reward may be given.

    A reward needs no consent and knows no night, but the player must be free to take it: account active, no
    exclusion, no time-out, no strong signs of harm. That holds for points and tickets as for money.
    """
    _aware(now)
    seen = _seen(facts, now) | {"kind": grant.kind, "wager_x": grant.wager_x}
    refusal = _protected(facts, "marketing", policy, now)
    if refusal is None and policy.max_wager_x is not None and grant.wager_x > policy.max_wager_x:
        refusal = Refusal(
            Reason.WAGER_TOO_HIGH,
            "wager-cap",
            f"The bonus must be wagered {grant.wager_x} times and {policy.max_wager_x} is the ceiling.",
        )
    return Allowed(seen, policy.version) if refusal is None else replace(refusal, seen=seen, policy=policy.version)


def _protected(facts: GateFacts | None, message_class: str, policy: Policy, now: datetime) -> Refusal | None:
    """What protects the player, strongest first."""
    if facts is None or facts.status is None:
        return Refusal(Reason.UNKNOWN_PLAYER, "known-player", "The player's account status is not known.")
    if facts.status == "closed":
        return Refusal(Reason.ACCOUNT_NOT_ACTIVE, "account-status", "The account is closed.")
    if message_class in PROTECTIVE:
        return None
    if message_class in NECESSARY:
        # A break from playing is no break from news about one's own money, so a time-out lets it through.
        return None if policy.service_to_excluded else _excluded(facts, now)
    return _excluded(facts, now) or _on_a_break(facts, now) or _inactive(facts) or _vulnerable(facts, policy)


def _excluded(facts: GateFacts, now: datetime) -> Refusal | None:
    if facts.status == "self_excluded":
        return Refusal(Reason.SELF_EXCLUDED, "self-exclusion", "The account is self-excluded.")
    if facts.exclusions is None:
        return _unread("exclusions", "self-exclusion")
    for block in facts.exclusions:
        if block.kind != "time_out" and _in_force(block, now):
            return Refusal(
                Reason.SELF_EXCLUDED, "self-exclusion", f"An exclusion ({block.kind}, {block.scope}) is in force."
            )
    return None


def _on_a_break(facts: GateFacts, now: datetime) -> Refusal | None:
    if any(_in_force(block, now) for block in facts.exclusions or ()):
        return Refusal(Reason.TIME_OUT, "time-out", "The player is taking a time-out.")
    return None


def _in_force(block: Exclusion, now: datetime) -> bool:
    return block.until is None or block.until > now


def _inactive(facts: GateFacts) -> Refusal | None:
    if facts.status != "active":
        return Refusal(Reason.ACCOUNT_NOT_ACTIVE, "account-status", f"The account is {facts.status}, not active.")
    return None


def _vulnerable(facts: GateFacts, policy: Policy) -> Refusal | None:
    if facts.harm is None:
        return _unread("harm", "harm")
    strength = _STRENGTHS.index(facts.harm) if facts.harm in _STRENGTHS else len(_STRENGTHS)
    if strength >= _STRENGTHS.index(policy.harm_refuses_from):
        return Refusal(Reason.HARM_SIGNAL, "harm", f"A {facts.harm} signal of gambling harm is in force.")
    if facts.is_test is None:
        return _unread("is_test", "test-account")
    if facts.is_test:
        return Refusal(Reason.TEST_ACCOUNT, "test-account", "This is a test account.")
    return None


def _unreachable(facts: GateFacts, message: MessageFacts, channel: str) -> Refusal | None:
    if message.message_class not in NECESSARY and not _opted_in(facts, channel):
        return Refusal(Reason.NO_CONSENT, "consent", f"The player has not opted in to {channel}.")
    if channel not in _INSIDE and (facts.addresses is None or channel not in map(channel_name, facts.addresses)):
        return Refusal(Reason.NO_ADDRESS, "address", f"There is no address for {channel}.")
    return None


def too_late_at(message: MessageFacts, policy: Policy) -> datetime | None:
    """From when on the message is not sent any more; None for one that is never too late."""
    if message.by is not None or message.asked_at is None:
        return message.by
    age = policy.too_late_after.get(message.message_class)
    return None if age is None else message.asked_at + age


def _too_late(message: MessageFacts, policy: Policy, moment: datetime) -> Refusal | None:
    end = too_late_at(message, policy)
    if end is None or moment <= end:
        return None
    return Refusal(Reason.TOO_LATE, "too-late", f"It was to go by {end.isoformat()}.")


def _at_night(
    facts: GateFacts, message: MessageFacts, channel: str, policy: Policy, now: datetime
) -> Refusal | Wait | None:
    if channel in policy.quiet_exempt or policy.quiet_from == policy.quiet_until:
        return None
    zone = _zone(facts.timezone)
    until = None if zone is None else quiet_until(zone, policy, now)
    if until is None:
        return Refusal(Reason.UNKNOWN_TIMEZONE, "quiet-hours", "The player's time zone is not known.")
    if until <= now:
        return None
    # Many wake at one hour. The delay makes nothing too late that the morning would not.
    end = too_late_at(message, policy)
    goes_at = until + message.delay if end is None else max(until, min(until + message.delay, end))
    return _too_late(message, policy, until) or Wait(
        goes_at, "quiet-hours", f"It is night for the player; {until.isoformat()} is their morning."
    )


def _was_here(facts: GateFacts, message: MessageFacts, now: datetime) -> Refusal | None:
    if not message.suppress_if_active_today:
        return None
    if facts.activity is None:
        return _unread("activity", "active-today")
    if any(moment > now - DAY for moment in facts.activity):
        return Refusal(Reason.ACTIVE_TODAY, "active-today", "The player was here within 24 hours.")
    return None


def _too_much(facts: GateFacts, channel: str, counted: Mapping[str, int], policy: Policy) -> Refusal | None:
    if facts.contacts is None:
        return _unread("contacts", "daily-cap")
    caps = (
        (Reason.DAILY_CAP, "daily-cap", "contacts_24h", policy.per_day, "in 24 hours"),
        (Reason.WEEKLY_CAP, "weekly-cap", "contacts_7d", policy.per_week, "in 7 days"),
        (
            Reason.CHANNEL_WEEKLY_CAP,
            "channel-weekly-cap",
            "channel_7d",
            policy.channel_per_week.get(channel, policy.per_week),
            f"by {channel} in 7 days",
        ),
    )
    for reason, rule, count, most, where in caps:
        if counted[count] >= most:
            return Refusal(reason, rule, f"The player got {counted[count]} {where}, and {most} is the most.")
    return None


def quiet_until(zone: ZoneInfo, policy: Policy, now: datetime) -> datetime | None:
    """The end of the quiet hours `now` lies in, `now` itself outside of them, None if no end is found.

    Where the clock jumps over the end of the night, the wait is longer by the jump; where the clock is set back
    over it, its first pass counts, unless that has gone.
    """
    local = now.astimezone(zone)
    if not _is_quiet(local.time(), policy):
        return now
    # Three days ahead: tomorrow's morning may be jumped over, a zone that crosses the date line skips a day.
    mornings = (
        morning
        for ahead in range(4)
        for morning in readings(local.date() + timedelta(days=ahead), policy.quiet_until, zone)
        if morning > now and not _is_quiet(morning.astimezone(zone).time(), policy)
    )
    return min(mornings, default=None)


def _is_quiet(clock: time, policy: Policy) -> bool:
    if policy.quiet_from <= policy.quiet_until:
        return policy.quiet_from <= clock < policy.quiet_until
    return clock >= policy.quiet_from or clock < policy.quiet_until


def _count(facts: GateFacts, message: MessageFacts, channel: str, now: datetime) -> dict[str, int]:
    # A contact dated after now is a clock that differs, not a contact that never was: it counts.
    others = [c for c in facts.contacts or () if c.step != message.step and c.at > now - WEEK]
    return {
        "contacts_24h": len({c.step for c in others if c.at > now - DAY}),
        "contacts_7d": len({c.step for c in others}),
        "channel_7d": len({c.step for c in others if channel_name(c.channel) == channel}),
    }


def _opted_in(facts: GateFacts, channel: str) -> bool:
    answers = [opted_in for name, opted_in in (facts.consents or {}).items() if channel_name(name) == channel]
    return bool(answers) and all(answers)


def _unread(fact: str, rule: str) -> Refusal:
    return Refusal(Reason.FACTS_UNREADABLE, rule, f"The player's {fact} could not be read, and unknown means no.")


def _seen(facts: GateFacts | None, now: datetime) -> dict[str, JsonValue]:
    """The facts as JSON, small enough to keep with every decision."""
    if facts is None:
        return {"at": now.isoformat(), "known": False}
    zone = _zone(facts.timezone)
    blocks: list[JsonValue] | None = None
    if facts.exclusions is not None:
        blocks = [[b.kind, b.scope, None if b.until is None else b.until.isoformat()] for b in facts.exclusions]
    addresses: list[JsonValue] | None = None if facts.addresses is None else [*sorted(facts.addresses)]
    return {
        "at": now.isoformat(),
        "status": facts.status,
        "exclusions": blocks,
        "harm": facts.harm,
        "is_test": facts.is_test,
        "consents": None if facts.consents is None else dict(facts.consents),
        "addresses": addresses,
        "timezone": facts.timezone,
        "local_time": None if zone is None else now.astimezone(zone).isoformat(timespec="minutes"),
        "last_active": max(facts.activity).isoformat() if facts.activity else None,
        "contacts": None if facts.contacts is None else len(facts.contacts),
    }


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (OSError, ValueError, LookupError):
        return None


def _aware(now: datetime) -> None:
    if now.tzinfo is None:
        raise ValueError("The gate needs an aware now: a naive one would be read in the machine's own zone.")
