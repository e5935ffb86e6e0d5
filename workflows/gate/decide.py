"""The gate: may this message be sent, may this reward be granted, to this player, now?

Pure functions of *(facts, policy, now)*. The caller reads the facts from the primary inside the transaction
that marks the effect handed over, asks, and stores the answer: every decision says which rule spoke, what it
saw and under which policy. Unknown means no.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from workflows.channels import CHANNELS, channel_name
from workflows.field_types import Product
from workflows.gate.comparison import withheld
from workflows.gate.consent_check import not_agreed
from workflows.gate.decision import Allowed, Refusal, Wait, unread
from workflows.gate.exclusion_lengths import is_short_of_minimum
from workflows.gate.facts import ADULT, GateFacts, GrantFacts, MessageFacts
from workflows.gate.harm_strength import harm_strength
from workflows.gate.policy import NECESSARY, PROTECTIVE, Policy, within
from workflows.gate.quiet_hours import nights_on, quiet_until
from workflows.gate.reasons import Reason
from workflows.gate.register_check import on_a_register
from workflows.gate.reward_rules import LOYALTY_KINDS, forbidden_reward
from workflows.gate.seen import count_contacts, seen_of_message, seen_of_player, seen_of_reward
from workflows.local_time import DAY, known_zone
from workflows.player_state.account_status import CLOSED, DECEASED
from workflows.player_state.exclusion_blocks import TIME_OUT, Exclusion
from workflows.player_state.harm_watch import stronger

#: When a message asks again that waits for others to go first.
ASKED_AGAIN_AFTER: Final = timedelta(minutes=15)
#: They need no address.
_INSIDE: Final = frozenset[str](name for name, spec in CHANNELS.items() if not spec.external)


def may_send(facts: GateFacts | None, message: MessageFacts, policy: Policy, now: datetime) -> Allowed | Refusal | Wait:
    """Whether `message` may go on its channel. No facts at all means an unknown player, and no.

    Service, responsible-gambling and security messages need no consent, know no caps and no night; a closed
    account still ends them, and self-exclusion ends service messages. Surveys are held to the rules of
    marketing. Everything that can change by itself is looked at last: a message that must wait for the morning
    is judged against the caps of the morning. Who is compared with others is told no behind all that, so that a
    comparison counts what would have gone out. Registers come last: whom nothing may be sent to, nobody asks for.
    """
    _aware(now)
    channel, asked = channel_name(message.channel), list[str]()
    seen = seen_of_player(facts, now)
    seen.update(seen_of_message(message, channel))
    refusal: Refusal | Wait | None = _protected(facts, message.message_class, policy, now, asked)
    if refusal is None and facts is not None:
        refusal = _unreachable(facts, message, channel, policy, asked) or _too_late(message, policy, now, asked)
        if refusal is None and message.message_class not in NECESSARY:
            counted = count_contacts(facts, message, channel, now)
            seen.update(counted)
            refusal = (
                _at_night(facts, message, channel, policy, now, asked)
                or _was_here(facts, message, now, asked)
                or _sore(facts, message, asked)
                or _too_much(facts, channel, counted, policy, asked)
                or _others_first(facts, message, counted, policy, now, asked)
                or withheld(facts, policy, asked)
                or on_a_register(facts, policy, now, asked)
            )
    if refusal is not None:
        return replace(refusal, seen=seen, policy=policy.version)
    return Allowed(seen, policy.version, tuple(asked))


def may_show(facts: GateFacts | None, message: MessageFacts, policy: Policy, now: datetime) -> bool:
    """Whether what was sent and stays inside, in the inbox of a site, may still be shown.

    What protects the player and their consent are asked anew, and the moment its designer set with `by`. How often and
    at which hours one writes is not: nobody is disturbed.
    """
    _aware(now)
    asked: list[str] = []
    if _protected(facts, message.message_class, policy, now, asked) is not None or facts is None:
        return False
    if message.by is not None and now > message.by:
        return False
    return _unreachable(facts, message, channel_name(message.channel), policy, asked) is None


def may_target(facts: GateFacts | None, product: Product | None, policy: Policy, now: datetime) -> bool:
    """Whether ads may be made by the likeness of a player: nothing protects them, and they agreed to `ads`.

    Where a register has to be asked before something is sold, its answer must be here, and new enough.
    """
    if facts is None or is_left_alone(facts, policy, now) or on_a_register(facts, policy, now, []) is not None:
        return False
    asked = MessageFacts(channel="ads", message_class="marketing", step="", product=product)
    return not_agreed(facts, asked, "ads", policy, []) is None


def is_left_alone(facts: GateFacts | None, policy: Policy, now: datetime) -> bool:
    """Whether nothing may be sold to a player, for whatever reason. Of whom nothing is known it is so."""
    _aware(now)
    return _protected(facts, "marketing", policy, now, []) is not None


def held(now: datetime) -> Wait:
    """What the gate says while somebody holds the journey: until when, nobody knows yet."""
    return Wait(now, "hold", "Somebody holds the journey; its runs go on when it is resumed.")


def may_grant(facts: GateFacts | None, grant: GrantFacts, policy: Policy, now: datetime) -> Allowed | Refusal:
    """Whether the reward may be given.

    A reward needs no consent and knows no night, but the player must be free to take it: account active, no
    exclusion, no time-out, no strong signs of harm. That holds for points and tickets as for money. What is earned is
    withheld from nobody for a comparison.
    """
    _aware(now)
    seen, asked = seen_of_player(facts, now), list[str]()
    seen.update(seen_of_reward(facts, grant))
    refusal = _protected(facts, "marketing", policy, now, asked)
    if refusal is None and facts is not None:
        refusal = (
            _by_own_word(facts, grant, asked)
            or forbidden_reward(facts, grant, policy, now, asked)
            or (None if grant.earned else withheld(facts, policy, asked))
            or on_a_register(facts, policy, now, asked)
        )
    if refusal is not None:
        return replace(refusal, seen=seen, policy=policy.version)
    return Allowed(seen, policy.version, tuple(asked))


def _by_own_word(facts: GateFacts, grant: GrantFacts, asked: list[str]) -> Refusal | None:
    """What is points, missions, wheels and the like goes to nobody who wants no part of it; money is something else."""
    asked.append("loyalty-opt-out")
    if not facts.opted_out or grant.kind not in LOYALTY_KINDS:
        return None
    return Refusal(Reason.OPTED_OUT, "loyalty-opt-out", f"The player opted out of loyalty and of a {grant.kind}.")


def _protected(
    facts: GateFacts | None, message_class: str, policy: Policy, now: datetime, asked: list[str]
) -> Refusal | None:
    """What protects the player, strongest first. Every rule that is looked at writes its id into `asked`."""
    asked.append("known-player")
    if facts is None or facts.status is None:
        return Refusal(Reason.UNKNOWN_PLAYER, "known-player", "The player's account status is not known.")
    asked.append("deceased")
    if facts.status == DECEASED:
        return Refusal(Reason.DECEASED, "deceased", "The player has died; nothing is sent to them any more.")
    asked.append("account-status")
    if facts.status == CLOSED:
        return Refusal(Reason.ACCOUNT_NOT_ACTIVE, "account-status", "The account is closed.")
    if message_class in PROTECTIVE:
        return None
    if message_class in NECESSARY:
        # A break from playing is no break from news about one's own money, so a time-out lets it through.
        return None if policy.service_to_excluded else _excluded(facts, policy, now, asked)
    return (
        _excluded(facts, policy, now, asked)
        or _on_a_break(facts, now, asked)
        or _back_only_just(facts, policy, now, asked)
        or _inactive(facts)
        or _vulnerable(facts, policy, now, asked)
        or _paused(facts, now, asked)
        or _at_a_limit(facts, policy, now, asked)
        or _elsewhere(facts, policy, asked)
        or _too_young(facts, policy, asked)
    )


def _excluded(facts: GateFacts, policy: Policy, now: datetime, asked: list[str]) -> Refusal | None:
    asked.append("self-exclusion")
    if facts.status == "self_excluded":
        return Refusal(Reason.SELF_EXCLUDED, "self-exclusion", "The account is self-excluded.")
    if facts.exclusions is None:
        return unread("exclusions", "self-exclusion")
    for block in facts.exclusions:
        # A time-out ends by itself everywhere; what is more than that only where the law lets it.
        holds = _in_force(block, now) or not policy.exclusions_lapse or is_short_of_minimum(block, policy, now)
        if block.kind != TIME_OUT and holds:
            return Refusal(
                Reason.SELF_EXCLUDED, "self-exclusion", f"An exclusion ({block.kind}, {block.scope}) is in force."
            )
    return None


def _on_a_break(facts: GateFacts, now: datetime, asked: list[str]) -> Refusal | None:
    asked.append("time-out")
    if any(block.kind == TIME_OUT and _in_force(block, now) for block in facts.exclusions or ()):
        return Refusal(Reason.TIME_OUT, "time-out", "The player is taking a time-out.")
    return None


def _back_only_just(facts: GateFacts, policy: Policy, now: datetime, asked: list[str]) -> Refusal | None:
    if not policy.cooling_off:
        return None
    asked.append("cooling-off")
    if facts.ended_exclusions is None:
        return unread("ended exclusions", "cooling-off")
    if (last := max(facts.ended_exclusions, default=None)) is None or last + policy.cooling_off <= now:
        return None
    until = (last + policy.cooling_off).isoformat()
    return Refusal(Reason.COOLING_OFF, "cooling-off", f"An exclusion has ended; nothing is offered until {until}.")


def _in_force(block: Exclusion, now: datetime) -> bool:
    return block.until is None or block.until > now


def _inactive(facts: GateFacts) -> Refusal | None:
    if facts.status != "active":
        return Refusal(Reason.ACCOUNT_NOT_ACTIVE, "account-status", f"The account is {facts.status}, not active.")
    return None


def _vulnerable(facts: GateFacts, policy: Policy, now: datetime, asked: list[str]) -> Refusal | None:
    asked.append("harm")
    harm = harm_strength(facts, policy, now)
    if harm is None:
        return unread("harm", "harm")
    if stronger(harm, policy.harm_refuses_from) == harm:
        return Refusal(Reason.HARM_SIGNAL, "harm", f"A {harm} signal of gambling harm is in force.")
    asked.append("test-account")
    if facts.is_test is None:
        return unread("is_test", "test-account")
    if facts.is_test:
        return Refusal(Reason.TEST_ACCOUNT, "test-account", "This is a test account.")
    return None


def _paused(facts: GateFacts, now: datetime, asked: list[str]) -> Refusal | None:
    asked.append("paused")
    if facts.paused_until is None:
        return unread("pauses", "paused")
    if (until := max(facts.paused_until, default=now)) > now:
        return Refusal(Reason.PROMOTIONS_PAUSED, "paused", f"Promotions are paused until {until.isoformat()}.")
    return None


def _at_a_limit(facts: GateFacts, policy: Policy, now: datetime, asked: list[str]) -> Refusal | None:
    if policy.offers_at_limit:
        return None
    asked.append("limit")
    if facts.limits_until is None:
        return unread("limits", "limit")
    if any(until > now for until in facts.limits_until):
        return Refusal(Reason.LIMIT_REACHED, "limit", "The player stands at a limit of their own.")
    return None


def _elsewhere(facts: GateFacts, policy: Policy, asked: list[str]) -> Refusal | None:
    where = facts.jurisdiction
    if policy.jurisdictions is None and policy.unknown_jurisdiction:
        return None
    asked.append("jurisdiction")
    if policy.jurisdictions is None:
        if where is not None:
            return None
        what = "The player's jurisdiction is not known, and no licence of the brand says whose law holds."
        return Refusal(Reason.UNKNOWN_JURISDICTION, "jurisdiction", what)
    if where is not None and any(within(where, served) for served in policy.jurisdictions):
        return None
    what = "not known" if where is None else f"{where}, which no policy serves"
    return Refusal(Reason.UNKNOWN_JURISDICTION, "jurisdiction", f"The player's jurisdiction is {what}.")


def _too_young(facts: GateFacts, policy: Policy, asked: list[str]) -> Refusal | None:
    asked.append("age")
    if facts.age is None:
        if policy.min_age is None:
            return None
        return Refusal(Reason.UNKNOWN_AGE, "age", f"The player's age is not known, and {policy.min_age} is the least.")
    least = max(ADULT, policy.min_age or ADULT)
    if facts.age < least:
        return Refusal(Reason.TOO_YOUNG, "age", f"The player is {facts.age}, and {least} is the least.")
    return None


def _unreachable(
    facts: GateFacts, message: MessageFacts, channel: str, policy: Policy, asked: list[str]
) -> Refusal | None:
    if message.message_class not in NECESSARY:
        refusal = not_agreed(facts, message, channel, policy, asked)
        if refusal is not None:
            return refusal
    if channel in _INSIDE:
        return None
    asked.append("address")
    if facts.addresses is None or channel not in map(channel_name, facts.addresses):
        return Refusal(Reason.NO_ADDRESS, "address", f"There is no address for {channel}.")
    return None


def too_late_at(message: MessageFacts, policy: Policy) -> datetime | None:
    """From when on the message is not sent any more; None for one that is never too late."""
    if message.by is not None or message.asked_at is None:
        return message.by
    age = policy.too_late_after.get(message.message_class)
    return None if age is None else message.asked_at + age


def _too_late(message: MessageFacts, policy: Policy, moment: datetime, asked: list[str]) -> Refusal | None:
    end = too_late_at(message, policy)
    if end is None:
        return None
    asked.append("too-late")
    if moment <= end:
        return None
    return Refusal(Reason.TOO_LATE, "too-late", f"It was to go by {end.isoformat()}.")


def _at_night(
    facts: GateFacts, message: MessageFacts, channel: str, policy: Policy, now: datetime, asked: list[str]
) -> Refusal | Wait | None:
    nights = nights_on(channel, policy.nights)
    if not nights:
        return None
    asked.append("quiet-hours")
    zone = known_zone(facts.timezone)
    until = None if zone is None else quiet_until(zone, nights, now)
    if zone is None:
        return Refusal(Reason.UNKNOWN_TIMEZONE, "quiet-hours", "The player's time zone is not known.")
    if until is None:
        return Refusal(Reason.QUIET_HOURS, "quiet-hours", "The policies leave no hour of the day.")
    if until <= now:
        return None
    # Many wake at one hour. The delay makes nothing too late that the morning would not.
    end = too_late_at(message, policy)
    goes_at = until + message.delay if end is None else max(until, min(until + message.delay, end))
    return _too_late(message, policy, until, []) or Wait(
        goes_at, "quiet-hours", f"It is night for the player; {until.isoformat()} is their morning."
    )


def _was_here(facts: GateFacts, message: MessageFacts, now: datetime, asked: list[str]) -> Refusal | None:
    if not message.suppress_if_active_today:
        return None
    asked.append("active-today")
    if facts.activity is None:
        return unread("activity", "active-today")
    if any(moment > now - DAY for moment in facts.activity):
        return Refusal(Reason.ACTIVE_TODAY, "active-today", "The player was here within 24 hours.")
    return None


def _sore(facts: GateFacts, message: MessageFacts, asked: list[str]) -> Refusal | None:
    if not message.asks:
        return None
    asked.append("sore")
    if facts.sore is None:
        return unread("losses", "sore")
    if facts.sore == "none":
        return None
    return Refusal(Reason.SORE, "sore", f"The player has had a {facts.sore} within 72 hours.")


def _too_much(
    facts: GateFacts, channel: str, counted: Mapping[str, int], policy: Policy, asked: list[str]
) -> Refusal | None:
    asked += ("daily-cap", "weekly-cap", "channel-weekly-cap")
    if facts.contacts is None:
        return unread("contacts", "daily-cap")
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


def _others_first(
    facts: GateFacts, message: MessageFacts, counted: Mapping[str, int], policy: Policy, now: datetime, asked: list[str]
) -> Refusal | Wait | None:
    """Have what is left of the day to journeys that go first and wait for the morning; they may be refused then."""
    if not facts.ahead:
        return None
    asked.append("outranked")
    if counted["contacts_24h"] + facts.ahead < policy.per_day:
        return None
    until = now + ASKED_AGAIN_AFTER
    what = f"Messages of journeys that go first wait for the player: {facts.ahead}; {policy.per_day} a day is the most."
    return _too_late(message, policy, until, []) or Wait(until, "outranked", what, reason=Reason.OUTRANKED)


def _aware(now: datetime) -> None:
    if now.tzinfo is None:
        raise ValueError("The gate needs an aware now: a naive one would be read in the machine's own zone.")
