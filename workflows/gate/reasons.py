"""Why something did not happen: the codes that are stored, with words for people."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self


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
    DECEASED = "deceased", "the player has died"
    ACCOUNT_NOT_ACTIVE = "account_not_active", "the account is not active"
    SELF_EXCLUDED = "self_excluded", "the player is self-excluded"
    REGISTER_UNKNOWN = "register_unknown", "a register of excluded players could not be asked"
    TIME_OUT = "time_out", "the player takes a time-out"
    HARM_SIGNAL = "harm_signal", "there are signs of gambling harm"
    PROMOTIONS_PAUSED = "promotions_paused", "promotions are paused for the player"
    TEST_ACCOUNT = "test_account", "it is a test account"
    LIMIT_REACHED = "limit_reached", "the player stands at a limit of their own"
    OPEN_CHECK = "open_check", "a check of the player is open"
    NO_CONSENT = "no_consent", "the player did not opt in to this channel"
    NO_PRODUCT_CONSENT = "no_product_consent", "the player did not opt in to this channel for this kind of gambling"
    CONSENT_ELSEWHERE = "consent_elsewhere", "the player's consent was not given where the player is"
    PROFILING = "profiling", "the player objected to being profiled"
    NO_ADDRESS = "no_address", "there is no address for it"
    UNKNOWN_TIMEZONE = "unknown_timezone", "the player's time zone is not known"
    QUIET_HOURS = "quiet_hours", "it is night where the player is"
    TOO_LATE = "too_late", "it would come too late"
    ACTIVE_TODAY = "active_today", "the player was here today"
    OUTRANKED = "outranked", "another journey goes first"
    SORE = "sore", "the player has just lost or complained"
    DAILY_CAP = "daily_cap", "enough was said today"
    WEEKLY_CAP = "weekly_cap", "enough was said this week"
    CHANNEL_WEEKLY_CAP = "channel_weekly_cap", "enough was said on this channel this week"
    UNKNOWN_JURISDICTION = "unknown_jurisdiction", "no law is known under which the player may be offered anything"
    UNKNOWN_AGE = "unknown_age", "the player's age is not known"
    TOO_YOUNG = "too_young", "the player is too young for it"
    COOLING_OFF = "cooling_off", "the player has come back from an exclusion only just"
    MIXED_PRODUCTS = "mixed_products", "it would join two kinds of gambling"
    NOT_THE_FIRST_BONUS = "not_the_first_bonus", "only a first bonus is allowed where the player is"
    WELCOME_BONUS = "welcome_bonus", "nobody may be drawn in by a bonus where the player is"
    IN_PLAY = "in_play", "the player is playing"
    OPTED_OUT = "opted_out", "the player wants no part of points, missions and prizes"
    BANNED_REWARD = "banned_reward", "such a reward is not allowed where the player is"
    NEW_CUSTOMER = "new_customer", "the account is too new"
    PROTECTED_MEANWHILE = "protected_meanwhile", "the player became protected meanwhile"
    OVER_VALUE = "over_value", "the player had enough bonus value in 30 days"
    OVER_JOURNEY_BUDGET = "over_budget:journey", "the journey's budget of the day is spent"
    OVER_BRAND_BUDGET = "over_budget:brand", "the brand's budget of the day is spent"
    WITHHELD_CONTROL = "withheld:control", "the player is in the journey's control group"
    WITHHELD_HOLDOUT = "withheld:holdout", "the player is in the brand's holdout"
    WAGER_TOO_HIGH = "wager_too_high", "its wagering is above the ceiling"


#: Where a person may let a reward pass all the same, with the words for it.
BEYOND_BUDGETS: Final[Mapping[str, str]] = MappingProxyType(
    {str(one): one.label for one in (Reason.OVER_VALUE, Reason.OVER_JOURNEY_BUDGET, Reason.OVER_BRAND_BUDGET)}
)
