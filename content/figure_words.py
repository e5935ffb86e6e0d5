"""Figures as people read them."""

from typing import Final

from workflows.figures.definitions import FIGURES, Taken
from workflows.minor_units import whole_units

#: What figures are called.
NAMES: Final = {
    "registered": "Registered",
    "active_players": "Active players",
    "first_depositors": "First depositors",
    "deposited": "Deposits",
    "ngr": "Net gaming revenue",
    "harm_signals": "Signs of harm",
    "churn_30": "Churn, 30 days",
    "retention_d1": "Retention, day 1",
    "retention_d7": "Retention, day 7",
    "retention_d30": "Retention, day 30",
    "repeat_deposit_7": "Second deposit in 7 days",
    "repeat_deposit_30": "Second deposit in 30 days",
    "clv_90": "Value of a player, 90 days",
    "deposits_90": "Deposits of a player, 90 days",
    "nps": "Net Promoter Score",
    "redemption": "Rewards taken",
    "active_days_7": "Active days a week",
    "stickiness": "Daily of monthly players",
    "non_selling": "Contacts that sell nothing",
    "recognition_p50": "First word, half of players",
    "recognition_p95": "First word, 95 of 100",
    "recognition_p99": "First word, 99 of 100",
    "manager_minutes": "Time at tasks",
    "manager_with_players": "Of it with players",
    "answered_in_time": "Tasks answered in time",
    "hosted_players": "Players looked after",
    "known_players": "Of them known",
    "milestones_missed": "Milestones missed",
    "goal_difference": "Goal, treated less control",
    "goal_by_segment": "Goal, of a segment",
    "goal_by_kind": "Goal, of a kind of reward",
    "incremental_ngr": "Brought by the journey",
    "cost_per_incremental": "Cost of one more player",
}

#: In which order people read them.
GROUPS: Final = {
    "Players": ("registered", "active_players", "first_depositors", "active_days_7", "stickiness"),
    "Do they stay": (
        *("churn_30", "retention_d1", "retention_d7", "retention_d30", "repeat_deposit_7", "repeat_deposit_30"),
        "nps",
    ),
    "Money": ("deposited", "ngr", "deposits_90", "clv_90"),
    "What we send": (
        *("redemption", "non_selling", "recognition_p50", "recognition_p95", "recognition_p99", "harm_signals"),
    ),
    "People": (
        *("manager_minutes", "manager_with_players", "answered_in_time"),
        *("hosted_players", "known_players", "milestones_missed"),
    ),
}
#: What a journey brought because of itself.
EFFECTS: Final = ("goal_difference", "incremental_ngr", "cost_per_incremental")
#: For whom and with which reward.
EFFECT_PARTS: Final = ("goal_by_segment", "goal_by_kind")
#: Those whose interval is drawn around zero.
DRAWN: Final = (*EFFECTS[:2], *EFFECT_PARTS)

_FORMATS: Final = {
    "share": "{:.1f} %",
    "minutes": "{:,.0f} min",
    "score": "{:+.0f}",
    "days": "{:.1f}",
    "count": "{:,.0f}",
}


def figure_text(name: str, value: float | None, currency: str = "") -> str:
    """A value in its unit; a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    unit = FIGURES[name].unit
    if unit == "share" and name in DRAWN:
        return f"{100 * value:+.1f} points"
    if unit == "money":
        return money_text(value, currency)
    return _duration(value) if unit == "seconds" else _FORMATS[unit].format(100 * value if unit == "share" else value)


def money_text(minor: float, currency: str = "") -> str:
    """An amount of minor units; the currency behind it where one is given."""
    return f"{whole_units(round(minor), currency or 'EUR'):,.2f} {currency}".rstrip()


def interval_text(one: Taken) -> str:
    """From where to where the truth lies at 95 %; empty where no interval belongs to the figure.

    The currency of money, and that differences are in points, is said once.
    """
    if one.low is None or one.high is None:
        return ""
    unit = " points" if one.name in DRAWN and FIGURES[one.name].unit == "share" else f" {one.currency}"
    low, high = (figure_text(one.name, bound, one.currency).removesuffix(unit) for bound in (one.low, one.high))
    return f"{low} to {high}{unit if unit == ' points' else ''}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
