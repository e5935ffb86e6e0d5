"""The numbers of the gate, the rules it applies, and the reasons it may give.

A policy is a value: the same facts under the same policy at the same moment get the same answer, and a decision keeps
the policy's version. `workflows/gate/decide.py` applies it.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import time, timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from workflows.channels import CHANNELS, channel_name

#: Classes a player must get even without marketing consent: they inform or protect and never carry an offer.
NECESSARY: Final = frozenset({"service", "rg", "security"})
#: Classes that reach even a self-excluded player: help with gambling, and the safety of the account.
PROTECTIVE: Final = frozenset({"rg", "security"})

_PER_WEEK: Final = {name: spec.per_week for name, spec in CHANNELS.items() if spec.per_week is not None}
_TOO_LATE_AFTER: Final = {"marketing": timedelta(hours=12), "survey": timedelta(hours=12), "service": timedelta(days=3)}
_SILENT: Final = frozenset[str](name for name, spec in CHANNELS.items() if not spec.interrupts)

#: Every rule the gate applies: what it protects and where it comes from.
RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "known-player": "Nobody we know nothing about is contacted or rewarded (OWASP ASVS 16.5.3: no fail-open).",
        "account-status": "No contact after closure; offers only to active accounts (GB LCCP SR 3.5.3, 5.1.1).",
        "self-exclusion": "No marketing and no bonus after self-exclusion, ours or a register's (GB LCCP SR 3.5.3; "
        "Malta PPD; Sweden, gambling act ch. 15 s. 2). Help and account security still arrive.",
        "time-out": "No marketing and no bonus during a time-out (GB LCCP SR 3.3.4).",
        "harm": "No direct marketing and no new bonus on strong indicators of harm (GB LCCP SR 3.4.3 req. 10).",
        "test-account": "Test accounts are counted nowhere, so nothing is sold to them (house rule).",
        "consent": "Marketing and surveys only on a channel the player opted in to (GB LCCP SR 5.1.11; GDPR art. 6, "
        "21; Ontario standard 2.05). Consent is kept by channel, not by product as GB LCCP SR 5.1.12 asks.",
        "address": "A message needs somewhere to go, and an address that gave three in a row back, or one for good, "
        "is none.",
        "too-late": "A message that is older than its designer, or else its class, allows is not sent (house rule).",
        "active-today": "A text that misses the player goes to nobody seen within 24 hours (house rule).",
        "daily-cap": "At most so many marketing contacts in any 24 hours, all channels together (house rule).",
        "weekly-cap": "At most so many marketing contacts in any 7 days, all channels together (house rule).",
        "channel-weekly-cap": "At most so many marketing contacts on one channel in any 7 days (house rule).",
        "quiet-hours": "No marketing at night on the player's own clock (US TCPA 8:00-21:00; house rule 22:00-8:00).",
        "wager-cap": "Wagering of a bonus stays within the ceiling (GB LCCP SR 5.1.1, ten times).",
    }
)


class Reason(StrEnum):
    """Why something did not happen, as it is stored, each with the words that complete "… because" for people."""

    label: str

    def __new__(cls, code: str, label: str) -> Self:
        """A member is its code; a code without words is no member."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.label = label
        return member

    UNKNOWN_PLAYER = "unknown_player", "we know nothing about the player"
    FACTS_UNREADABLE = "facts_unreadable", "the player's protection could not be read"
    ACCOUNT_NOT_ACTIVE = "account_not_active", "the account is not active"
    SELF_EXCLUDED = "self_excluded", "the player is self-excluded"
    TIME_OUT = "time_out", "the player takes a time-out"
    HARM_SIGNAL = "harm_signal", "there are signs of gambling harm"
    TEST_ACCOUNT = "test_account", "it is a test account"
    NO_CONSENT = "no_consent", "the player did not opt in to this channel"
    NO_ADDRESS = "no_address", "there is no address for it"
    UNKNOWN_TIMEZONE = "unknown_timezone", "the player's time zone is not known"
    QUIET_HOURS = "quiet_hours", "it is night where the player is"
    TOO_LATE = "too_late", "it would come too late"
    ACTIVE_TODAY = "active_today", "the player was here today"
    DAILY_CAP = "daily_cap", "enough was said today"
    WEEKLY_CAP = "weekly_cap", "enough was said this week"
    CHANNEL_WEEKLY_CAP = "channel_weekly_cap", "enough was said on this channel this week"
    PROTECTED_MEANWHILE = "protected_meanwhile", "the player became protected meanwhile"
    WAGER_TOO_HIGH = "wager_too_high", "its wagering is above the ceiling"


class Policy(BaseModel):
    """The numbers of the gate, the same for every brand and country: the house's.

    All caps roll: "a day" is any 24 hours and "a week" any 7 days, not a calendar day, so that midnight never
    lets two messages follow each other. A contact exactly that old no longer counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=32)] = "house"
    per_day: Annotated[int, Field(ge=0)] = 1
    per_week: Annotated[int, Field(ge=0)] = 4
    channel_per_week: Mapping[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=lambda: dict(_PER_WEEK), validate_default=True
    )
    #: How old a message of a class may grow, from the step that sends it on; other classes are never too old. Keep
    #: marketing's longer than the quiet hours: what waits for a morning after that is not sent.
    too_late_after: Mapping[str, timedelta] = Field(default_factory=lambda: dict(_TOO_LATE_AFTER))
    #: Quiet hours on the player's clock, from inclusive, until exclusive; the same moment twice means none.
    quiet_from: time = time(22)
    quiet_until: time = time(8)
    #: Channels that interrupt nobody.
    quiet_exempt: frozenset[str] = _SILENT
    #: From which strength of harm signal on nothing is sold or given.
    harm_refuses_from: Literal["weak", "medium", "strong"] = "strong"
    #: Whether a self-excluded player hears of a payout or a document; off until a lawyer says on.
    service_to_excluded: bool = False
    #: The highest wagering a granted bonus may carry; None: no ceiling.
    max_wager_x: Annotated[int, Field(ge=0)] | None = 10

    @field_validator("channel_per_week", "quiet_exempt", mode="after")
    @classmethod
    def _one_name_a_channel(cls, named: dict[str, int] | frozenset[str]) -> dict[str, int] | frozenset[str]:
        if isinstance(named, frozenset):
            return frozenset(map(channel_name, named))
        return {channel_name(name): most for name, most in named.items()}

    @cached_property
    def version(self) -> str:
        """The name and a fingerprint of every number, so that two policies never share a version."""
        numbers = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return f"{self.name}@{hashlib.sha256(numbers.encode()).hexdigest()[:10]}"

    @field_serializer("quiet_exempt")
    def _in_order(self, channels: frozenset[str]) -> list[str]:
        # A set has no order, and the version must be the same in every process.
        return sorted(channels)
