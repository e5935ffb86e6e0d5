"""What the gate may say: go ahead, no, or not now. Each keeps what it saw, under which policy, and the rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from workflows.gate.reasons import Reason


@dataclass(frozen=True, slots=True)
class Allowed:
    """Go ahead, in this transaction. `rules` are the ids of all that were asked and had nothing against it."""

    seen: Mapping[str, JsonValue]
    policy: str
    rules: tuple[str, ...] = ()


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

    reason: Reason = Reason.QUIET_HOURS


def unread(fact: str, rule: str) -> Refusal:
    """The refusal for a fact that is not known."""
    return Refusal(Reason.FACTS_UNREADABLE, rule, f"The player's {fact} could not be read, and unknown means no.")
