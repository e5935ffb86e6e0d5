"""A player the gate lets through, and messages to try it with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

from workflows.events import MessageClass
from workflows.gate.decide import Allowed, Refusal, Wait
from workflows.gate.facts import Contact, GateFacts, GrantFacts, MessageFacts
from workflows.gate.policy import Policy, Reason
from workflows.player_state.projection import Exclusion

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
HOUSE = Policy()
KYIV = ZoneInfo("Europe/Kyiv")
CHANNELS = ["email", "sms", "push", "in_app"]

FREE = GateFacts(
    status="active",
    exclusions=(),
    harm="none",
    is_test=False,
    consents=dict.fromkeys(CHANNELS, True),
    addresses=frozenset({"email", "sms", "push"}),
    timezone="UTC",
    activity=(),
    contacts=(),
)
ZONES = st.sampled_from(sorted(available_timezones()))
SPINS = GrantFacts(kind="free_spins")


def message(channel: str = "email", kind: MessageClass = "marketing", **more: Any) -> MessageFacts:
    return MessageFacts(channel=channel, message_class=kind, step="run/send:this#1", **more)


def contacts(*ages: timedelta, channel: str = "email", now: datetime = NOON) -> list[Contact]:
    return [Contact(now - age, channel, f"run/send:before#{n}") for n, age in enumerate(ages)]


def reason(decision: Allowed | Refusal | Wait) -> Reason | None:
    return None if isinstance(decision, Allowed) else decision.reason


def block(kind: str, until: datetime | None = None) -> GateFacts:
    return replace(FREE, exclusions=[Exclusion(kind, "brand", until)])
