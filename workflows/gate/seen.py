"""What a decision keeps of the facts it was made on: enough to make it again, as JSON."""

from datetime import datetime

from pydantic import JsonValue

from workflows.channels import channel_name
from workflows.gate.facts import GateFacts, GrantFacts, MessageFacts
from workflows.local_time import DAY, WEEK, known_zone

Seen = dict[str, JsonValue]


def seen_of_player(facts: GateFacts | None, now: datetime) -> Seen:
    """The player's facts, small enough to keep with every decision."""
    if facts is None:
        return {"at": now.isoformat(), "known": False}
    zone = known_zone(facts.timezone)
    blocks: list[JsonValue] | None = None
    if facts.exclusions is not None:
        blocks = [[b.kind, b.scope, _moment(b.until)] for b in facts.exclusions]
    ended: list[JsonValue] | None = (
        None if facts.ended_exclusions is None else [at.isoformat() for at in facts.ended_exclusions]
    )
    limits: list[JsonValue] | None = (
        None if facts.limits_until is None else [at.isoformat() for at in facts.limits_until]
    )
    signs: dict[str, JsonValue] | None = (
        None if facts.harm_signs is None else {name: at.isoformat() for name, at in facts.harm_signs.items()}
    )
    paused: list[JsonValue] | None = (
        None if facts.paused_until is None else [at.isoformat() for at in facts.paused_until]
    )
    addresses: list[JsonValue] | None = None if facts.addresses is None else [*sorted(facts.addresses)]
    return {
        "at": now.isoformat(),
        "status": facts.status,
        "exclusions": blocks,
        "ended_exclusions": ended,
        "harm": facts.harm,
        "harm_signs": signs,
        "paused_until": paused,
        "is_test": facts.is_test,
        "consents": None if facts.consents is None else dict(facts.consents),
        "consent_places": dict(facts.consent_places or {}),
        "addresses": addresses,
        "jurisdiction": facts.jurisdiction,
        "age": facts.age,
        "limits_until": limits,
        "registers": {name: [one.listed, one.at.isoformat()] for name, one in (facts.registers or {}).items()},
        "timezone": facts.timezone,
        "local_time": None if zone is None else now.astimezone(zone).isoformat(timespec="minutes"),
        "last_active": _moment(max(facts.activity)) if facts.activity else None,
        "activity": facts.activity is not None,
        "contacts": None if facts.contacts is None else len(facts.contacts),
        "ahead": facts.ahead,
        "arm": facts.arm,
        "holdout_place": facts.holdout_place,
        "sore": facts.sore,
        "opted_out": facts.opted_out,
    }


def seen_of_message(message: MessageFacts, channel: str) -> Seen:
    """What the message is, and until when it is of use."""
    return {
        "channel": channel,
        "message_class": message.message_class,
        "product": message.product,
        "asked_at": _moment(message.asked_at),
        "by": _moment(message.by),
        "suppress_if_active_today": message.suppress_if_active_today,
        "asks": message.asks,
    }


def seen_of_reward(facts: GateFacts | None, grant: GrantFacts) -> Seen:
    """What the reward is, and what of the player only rewards are asked about."""
    seen: Seen = {
        "kind": grant.kind,
        "wager_x": grant.wager_x,
        "wager_basis": grant.wager_basis,
        "wager_factor": grant.wager_factor,
        "vip": grant.vip,
        "earned": grant.earned,
        "value": grant.value,
        "approved": grant.approved,
    }
    if facts is None:
        return seen
    return seen | {
        "product": grant.product,
        "journey_product": grant.journey_product,
        "deposits": facts.deposits,
        "had_bonus": facts.had_bonus,
        "currency": facts.currency,
        "net_deposits": facts.net_deposits,
        "bonus_value": facts.bonus_value,
        "in_play": facts.in_play,
        "registered_at": _moment(facts.registered_at),
        "passed_checks": None if facts.passed_checks is None else [*facts.passed_checks],
        "open_checks": None if facts.open_checks is None else [*facts.open_checks],
    }


def count_contacts(facts: GateFacts, message: MessageFacts, channel: str, now: datetime) -> dict[str, int]:
    """The contacts that count against the caps of this message: in 24 hours, in 7 days, on its channel in 7 days."""
    # A contact dated after now is a clock that differs, not a contact that never was: it counts.
    others = [c for c in facts.contacts or () if c.step != message.step and c.at > now - WEEK]
    return {
        "contacts_24h": len({c.step for c in others if c.at > now - DAY}),
        "contacts_7d": len({c.step for c in others}),
        "channel_7d": len({c.step for c in others if channel_name(c.channel) == channel}),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
