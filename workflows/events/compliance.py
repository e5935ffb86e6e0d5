"""Identity, limits, exclusions, harm, affordability (catalogue rows 30-35).

These decide what may be done at all. Send them first and never batch them behind other traffic.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from workflows.events.base import Event, Pii
from workflows.field_types import (
    BasisPoints,
    Count,
    Currency,
    ExclusionKind,
    ExclusionScope,
    Facts,
    HarmStrength,
    Id,
    Instant,
    Label,
    Money,
    Seconds,
    SignedMoney,
    Text,
)

__all__ = [
    "AffordabilityChanged",
    "ExclusionEnded",
    "ExclusionSet",
    "HarmReviewed",
    "HarmSignal",
    "KycChanged",
    "LimitChanged",
    "LimitReached",
    "PromotionsPaused",
    "RealityCheck",
]

#: Indicators the field knows (after UKGC SR 3.4.3). Others are accepted: a signal is never refused for its name.
HARM_INDICATORS: Final = (
    "spend_vs_norm",
    "deposit_velocity",
    "stake_jump",
    "chasing",
    "night_play",
    "long_session",
    "cancelled_withdrawals",
    "failed_deposits",
    "limit_raised",
    "time_outs",
    "contact_wording",
    "third_party_worry",
    "losing_days",
)

#: A pause of promotions lasts a year at most, in hours; who means longer means an exclusion.
MOST_PAUSED: Final = 8_784


class KycChanged(
    Event,
    type="compliance.kyc_changed",
    example={"level_from": 0, "level_to": 1, "status": "approved", "document": "passport"},
):
    """Identity checks moved on. From the verification service."""

    level_from: Count | None = None
    level_to: Count | None = None
    status: Literal["none", "submitted", "approved", "rejected", "expired"]
    #: `passport`, `utility_bill`: the kind of document, never its number.
    document: Label | None = None
    reject_reason: Label | None = None
    can_resubmit: bool = True
    #: Until when the player has to have passed; None: the operator names no day.
    due_at: Instant | None = None


class Limit(Event):
    """What both limit events share; a base, not an event. A money limit is minor units, a session limit seconds."""

    kind: Literal["deposit", "loss", "wager", "session", "withdrawal"]
    period: Literal["day", "week", "month"]
    amount_minor: Money | None = None
    currency: Currency | None = None
    duration: Seconds | None = None


class LimitChanged(
    Limit,
    type="compliance.limit_changed",
    example={
        "kind": "deposit",
        "period": "week",
        "amount_minor": 10000,
        "currency": "EUR",
        "direction": "tighter",
        "effective_at": "2026-01-15T12:00:00Z",
    },
):
    """The player changed a limit; minor units or seconds. From the account service."""

    direction: Literal["tighter", "looser"]
    effective_at: Instant | None = None


class LimitReached(
    Limit,
    type="compliance.limit_reached",
    example={"kind": "deposit", "period": "week", "amount_minor": 10000, "currency": "EUR"},
):
    """The player stands at a limit; minor units or seconds. From the account service. Never nudge against it."""


class ExclusionSet(
    Event,
    type="compliance.exclusion_set",
    example={"kind": "self_exclusion", "scope": "brand", "until": "2026-07-15T12:00:00Z"},
):
    """The player is shut out from this moment. From the account service or a national register.

    No `until` means for ever, not unknown. Every run of the player stops in the transaction that
    acknowledges this event. Of the scope `group` or `national`, and of the kind `register`, it protects in every brand
    of the group (`BRAND_GROUPS`). Only an end of the same scope lifts it, in the brand that is told.
    """

    kind: ExclusionKind
    scope: ExclusionScope = "brand"
    until: Instant | None = None
    #: Why, in a person's words.
    reason: Annotated[Text | None, Pii()] = None


class ExclusionEnded(Event, type="compliance.exclusion_ended", example={"kind": "time_out", "scope": "brand"}):
    """A person or a register lifted an exclusion. From the account service.

    It lifts only the exclusion of the same kind and scope, and only one set before it. `until` is refused: an end
    does not end.
    """

    kind: ExclusionKind
    scope: ExclusionScope = "brand"
    until: Instant | None = None


class RealityCheck(
    Event,
    type="compliance.reality_check",
    example={"session": 3600, "net_minor": -2500, "currency": "EUR", "action": "continue"},
):
    """The player was told how long they play and what it cost. From the game platform.

    `session` in seconds; `net_minor` in minor units, negative is a loss.
    """

    session: Seconds
    net_minor: SignedMoney
    currency: Currency | None = None
    action: Literal["continue", "stop"]


class HarmSignal(
    Event,
    type="compliance.harm_signal",
    example={
        "indicator": "chasing",
        "strength": "medium",
        "score": 6200,
        "evidence": {"deposits_within_10_min_of_zero": 4},
    },
):
    """A marker of gambling harm. `score` in basis points; `evidence` holds figures, at most 50.

    From the player-protection service or our own rules. `indicator` is one of `HARM_INDICATORS` or
    another code. Evidence is not redacted: figures only, nothing that names a person.
    """

    indicator: Annotated[Label, Field(min_length=1)]
    strength: HarmStrength
    score: BasisPoints | None = None
    evidence: Facts = Field(default_factory=dict)


class HarmReviewed(
    Event,
    type="compliance.harm_reviewed",
    example={"to": "none", "reason": "Spoke to the player; the limit they set holds.", "task_id": "5f1c0e7a9b3d4c2e"},
):
    """A trained person has judged a player's signs of harm. From completing a review task, or your own case system.

    What was seen until then counts no more, and `to` stands in its place: it fades as a sign of its strength, and
    `strong` stays until the next review. To send it a key needs the scope `harm:review`. Whatever comes afterwards
    counts anew.
    """

    to: Literal["none", "weak", "medium", "strong"]
    #: Why, in the reviewer's words. An entrance refuses a review without; runs are not told it.
    reason: Annotated[Text | None, Pii()] = None
    #: The review task that was completed, if it was one of ours.
    task_id: Id | None = None


class PromotionsPaused(
    Event, type="compliance.promotions_paused", example={"hours": 72, "why": "A large loss last night."}
):
    """Nothing is sold or given for so many hours from now on. From a person, a journey or player protection.

    It only ever makes a pause longer; it ends by itself. Help, service messages and what was earned still arrive.
    """

    hours: Annotated[Count, Field(ge=1, le=MOST_PAUSED)]
    #: Why, in a person's words.
    why: Annotated[Text | None, Pii()] = None


class AffordabilityChanged(
    Event,
    type="compliance.affordability_changed",
    example={"stage": "enhanced", "result": "pass", "valid_until": "2027-01-15T12:00:00Z"},
):
    """A check whether the spend is affordable came back (`sof` = source of funds). From the risk team."""

    stage: Literal["light", "enhanced", "sof"]
    result: Literal["pass", "fail", "pending"]
    valid_until: Instant | None = None
