"""A player the gate lets through, and messages to try it with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

from workflows.events import MessageClass
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import Contact, GateFacts, GrantFacts, MessageFacts, RegisterAnswer
from workflows.gate.policies import HOUSE
from workflows.gate.reasons import Reason
from workflows.player_state.exclusion_blocks import Exclusion

__all__ = ["CHANNELS", "DAY", "FREE", "HOUSE", "KYIV", "NOON", "SPINS", "TICK", "ZONES"]
__all__ += ["block", "contacts", "message", "reason"]

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
KYIV = ZoneInfo("Europe/Kyiv")
CHANNELS = ["email", "sms", "push", "in_app"]

FREE = GateFacts(
    status="active",
    exclusions=(),
    harm="none",
    harm_signs={},
    paused_until=(),
    is_test=False,
    consents={**dict.fromkeys(CHANNELS, True), **{f"{channel}/casino": True for channel in CHANNELS}},
    addresses=frozenset({"email", "sms", "push"}),
    timezone="UTC",
    activity=(),
    contacts=(),
    age=30,
    ended_exclusions=(),
    registered_at=NOON - 400 * DAY,
    deposits=5,
    had_bonus=False,
    in_play=False,
    limits_until=(),
    open_checks=(),
    passed_checks=("affordability", "kyc", "sof"),
    registers={"spelpaus": RegisterAnswer(listed=False, at=NOON)},
)
ZONES = st.sampled_from(sorted(available_timezones()))
SPINS = GrantFacts(kind="free_spins", product="casino", journey_product="casino")


def message(channel: str = "email", kind: MessageClass = "marketing", **more: Any) -> MessageFacts:
    return MessageFacts(channel=channel, message_class=kind, step="run/send:this#1", **{"product": "casino"} | more)


def contacts(*ages: timedelta, channel: str = "email", now: datetime = NOON) -> list[Contact]:
    return [Contact(now - age, channel, f"run/send:before#{n}") for n, age in enumerate(ages)]


def reason(decision: Allowed | Refusal | Wait) -> Reason | None:
    return None if isinstance(decision, Allowed) else decision.reason


def block(kind: str, until: datetime | None = None) -> GateFacts:
    return replace(FREE, exclusions=[Exclusion(kind, "brand", until)])
