"""Great Britain: the LCCP of the Gambling Commission.

- A VIP gets nothing before it is known that the spend is affordable, that there is no sign of harm, who they are and
  where the money comes from, and nobody under 25 does (high value customers guidance of 31 October 2020, and the
  industry's code; whom an executive signs off below 25 is rewarded by a person).
- Strong signs of harm end marketing and new bonuses (SR 3.4.3, requirement 10): the house's `harm` rule already. The
  indicators that the licensee must watch for (requirement 5: spend, patterns of spend, time, gambling management tools)
  are derived by every marker there is.
- A self-exclusion lasts six months at least, stays until the customer acts, and they wait a day after that (SR 3.5.3,
  3.5.4). A time-out lasts six weeks at most (SR 3.3.4).
- By mail, text message (through a messenger too) and phone only with a consent that names the product, since 1 May 2025
  (SR 5.1.12). Push and what stays on the site are not on its list.
- Wagering at most ten times the bonus, and one product an incentive, since 19 January 2026 (SR 5.1.1).
- More than 500 pounds net in 30 days, and since 28 February 2025 more than 150, open a check of what the player can
  afford, once in twelve months (SR 3.4.4). Amounts in other currencies are not counted.

Not here: what such a check comes to, and limits (RTS 12), are duties of people and of the account service, not answers
about one message or reward.
"""

from datetime import date, timedelta
from typing import Any, Final

from workflows.channels import MESSENGERS
from workflows.gate.policy import policy
from workflows.player_state.harm_markers import MARKERS

_SINCE_2023: Final[dict[str, Any]] = {
    "harm_refuses_from": "strong",
    "harm_markers": frozenset(MARKERS),
    "exclusions_lapse": False,
    "cooling_off": timedelta(days=1),
    # Six months, as long as any six are.
    "self_exclusion_least": timedelta(days=184),
    "time_out_most": timedelta(weeks=6),
    "vip_needs": {"kyc", "affordability", "sof", "no_harm"},
    "vip_min_age": 25,
}
_SINCE_AUGUST_2024: Final[dict[str, Any]] = {**_SINCE_2023, "check_net_deposits": {"GBP": 50_000}}
_SINCE_FEBRUARY_2025: Final[dict[str, Any]] = {**_SINCE_2023, "check_net_deposits": {"GBP": 15_000}}
_SINCE_2025: Final[dict[str, Any]] = {**_SINCE_FEBRUARY_2025, "product_consent": {"email", "sms", "phone", *MESSENGERS}}
_SINCE_2026: Final[dict[str, Any]] = {**_SINCE_2025, "wager_cap": 10, "one_product": True}

POLICIES: Final = (
    policy("GB", since=date(2023, 2, 12), jurisdiction="GB", **_SINCE_2023),
    policy("GB", since=date(2024, 8, 30), jurisdiction="GB", **_SINCE_AUGUST_2024),
    policy("GB", since=date(2025, 2, 28), jurisdiction="GB", **_SINCE_FEBRUARY_2025),
    policy("GB", since=date(2025, 5, 1), jurisdiction="GB", **_SINCE_2025),
    policy("GB", since=date(2026, 1, 19), jurisdiction="GB", **_SINCE_2026),
)
