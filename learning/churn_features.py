"""What a player's deposits say about whether the next one comes: one function, for training and for scoring alike.

A feature looks only at deposits before its moment, by when they happened and when they were known; what comes later
never changes it.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Final, NamedTuple

from workflows.local_time import DAY

#: Players with a deposit in so many days have a score; that none comes in as many is what is foretold.
WINDOW: Final = timedelta(days=30)
#: Gaps between days with a deposit that are looked at, the newest.
GAPS: Final = 40
#: Days without a deposit from which on each day may count otherwise than the one before.
_IDLE_KNOTS: Final = (2.0, 5.0, 10.0, 17.0)
# Shape and rate of how often players come, and of how soon they leave for good.
_PACE: Final = (0.6, 6.0, 0.7, 2.5)


class PastDeposit(NamedTuple):
    """When it happened, how much, in minor units, and since when it was known where that was later."""

    at: datetime
    amount_minor: int
    known_at: datetime | None = None


def features(deposits: Sequence[PastDeposit], moment: datetime) -> dict[str, float] | None:
    """The features of a player at a moment, by name; None for one without a deposit in the 30 days before.

    `deposits` come in any order; those not known yet at that moment are left out. Names before a dot say what a feature
    is about, in the words of `REASONS`; those of one subject explain a score together.
    """
    known = sorted(
        (one for one in deposits if one.at < moment and (one.known_at is None or one.known_at < moment)),
        key=lambda one: (one.at, one.amount_minor),
    )
    if not known or known[-1].at < moment - WINDOW:
        return None
    days = sorted({one.at.astimezone(UTC).date().toordinal() for one in known})
    idle = (moment - known[-1].at) / DAY
    gaps = [float(later - before) for before, later in pairwise(days)][-GAPS:]
    usual = _usual(gaps)
    found = {
        "idle.days": idle,
        **{f"idle.after_{knot:g}": max(0.0, idle - knot) for knot in _IDLE_KNOTS},
        "pace.idle_to_median": idle / usual.median,
        "pace.idle_to_mean": idle / usual.mean,
        "pace.idle_to_longest": idle / usual.longest,
        "gaps.mean": usual.mean,
        "gaps.median": usual.median,
        "gaps.spread": usual.spread,
        "gaps.last": usual.last,
        "gaps.known": float(len(gaps)),
    }
    counts = _counts(known, days, moment)
    return {**found, **_gone(counts, idle), **counts, **_recency(known, days, moment), **_amounts(known, moment)}


def _gone(counts: Mapping[str, float], idle: float) -> dict[str, float]:
    """The odds that the player is gone for good, by the BG/NBD model with round numbers, over three spans.

    It is fitted to nobody: it says how silence weighs against a pace, and what that is worth is learned.
    """
    tenure = counts["tenure.days"]
    found = {}
    for name, span, visits in (
        ("ever", tenure, counts["days.ever"]),
        ("quarter", min(90.0, tenure), counts["days.last_90"]),
        ("month", min(30.0, tenure), counts["days.last_30"]),
    ):
        found[f"pace.gone_{name}"] = odds_of_gone(visits, span, idle)
    return found


def odds_of_gone(visits: float, span: float, idle: float) -> float:
    """The odds that who came on so many days of a span, and not for `idle` days since, is gone for good."""
    shape, rate, leaving, staying = _PACE
    again, last = max(1.0, visits - 1), max(0.0, span - idle)
    log_odds = math.log(leaving / (staying + again - 1)) + (shape + visits - 1) * math.log(
        (rate + span) / (rate + last)
    )
    return math.exp(max(-12.0, min(12.0, log_odds)))


def _recency(known: Sequence[PastDeposit], days: Sequence[int], moment: datetime) -> dict[str, float]:
    """Days and deposits that weigh less the longer ago they are, by three half-lives."""
    today = moment.astimezone(UTC).date().toordinal()
    ages = [(moment - one.at) / DAY for one in known]
    return {
        **{f"days.fading_{span}": math.fsum(0.5 ** ((today - day) / span) for day in days) for span in (4, 10, 25)},
        **{f"count.fading_{span}": math.fsum(0.5 ** (age / span) for age in ages) for span in (4, 10, 25)},
    }


class _Usual(NamedTuple):
    mean: float
    median: float
    longest: float
    spread: float
    last: float


def _usual(gaps: Sequence[float]) -> _Usual:
    """The player's usual gap. One who came on a single day is taken for who comes once in a window."""
    window = WINDOW / DAY
    # Drawn towards a window, or two visits on neighbouring days would say that every day is usual.
    mean = (math.fsum(gaps) + window / 3) / (len(gaps) + 1)
    if not gaps:
        return _Usual(mean, window / 3, window, 0.0, window)
    return _Usual(mean, median(gaps), max(gaps), pstdev(gaps), gaps[-1])


def _counts(known: Sequence[PastDeposit], days: Sequence[int], moment: datetime) -> dict[str, float]:
    today = moment.astimezone(UTC).date().toordinal()
    active = {span: float(sum(day >= today - span for day in days)) for span in (7, 14, 30, 60, 90)}
    counted = {span: float(sum(one.at >= moment - span * DAY for one in known)) for span in (7, 30, 90)}
    weeks = len({(today - day) // 7 for day in days if today - day < 84})
    return {
        **{f"days.last_{span}": count for span, count in active.items()},
        "days.ever": float(len(days)),
        "days.weeks_of_12": float(weeks),
        **{f"count.last_{span}": count for span, count in counted.items()},
        "count.ever": float(len(known)),
        "trend.month_to_quarter": 3 * active[30] / max(1.0, active[90]),
        "trend.week_to_month": 30 / 7 * active[7] / max(1.0, active[30]),
        "tenure.days": (moment - known[0].at) / DAY,
    }


def _amounts(known: Sequence[PastDeposit], moment: datetime) -> dict[str, float]:
    amounts = [one.amount_minor / 100 for one in known]
    month = [one.amount_minor / 100 for one in known if one.at >= moment - WINDOW]
    mean = fmean(amounts)
    return {
        "amount.mean": mean,
        "amount.month": math.fsum(month),
        "amount.largest_month": max(month),
        "amount.last_to_mean": amounts[-1] / mean if mean else 1.0,
    }


#: What is said of a subject when it speaks for leaving, and when it speaks for staying.
REASONS: Final = {
    "idle": ("a long time since the last deposit", "a deposit only lately"),
    "pace": ("silent for longer than is usual for them", "no longer silent than is usual for them"),
    "gaps": ("long or uneven gaps between deposits", "short and even gaps between deposits"),
    "days": ("few days with a deposit", "many days with a deposit"),
    "count": ("few deposits", "many deposits"),
    "trend": ("fewer days than before", "more days than before"),
    "tenure": ("how long they have been here", "how long they have been here"),
    "amount": ("the amounts of late", "the amounts of late"),
}
