"""What a player's deposits say about how much they will deposit: one function, for training and for scoring alike.

It looks at half a year before its moment and at nothing else, so a player of ten years and one of ten months are
looked at alike, and so are rows of long ago and of today.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from learning.churn_features import GAPS, PastDeposit, odds_of_gone
from workflows.local_time import DAY

#: How far back a player is looked at. Who has not deposited for longer is expected to deposit nothing.
LOOKS_BACK: Final = timedelta(days=180)
#: The days ahead that are foretold.
AHEAD: Final = timedelta(days=90)


def value_features(deposits: Sequence[PastDeposit], moment: datetime) -> dict[str, float] | None:
    """The features of a player at a moment, by name; None for one without a deposit in the half year before.

    `deposits` come in any order; those not known yet at that moment are left out. Names before a dot say what a feature
    is about, in the words of `REASONS`.
    """
    known = sorted(
        (
            one
            for one in deposits
            if moment - LOOKS_BACK <= one.at < moment and (one.known_at is None or one.known_at < moment)
        ),
        key=lambda one: one.at,
    )
    if not known:
        return None
    worth = [(max(0, one.amount_minor) / 100, (moment - one.at) / DAY) for one in known]
    today = moment.astimezone(UTC).date().toordinal()
    days = sorted({one.at.astimezone(UTC).date().toordinal() for one in known})
    gaps = [later - before for before, later in pairwise(days)][-GAPS:]
    # Drawn towards ten days, or two visits on neighbouring days would say that every day is usual.
    usual = (sum(gaps) + 10) / (len(gaps) + 1)
    idle, tenure = worth[-1][1], worth[0][1]
    quarter = sum(today - day < 90 for day in days)
    return {
        **{
            f"amount.fading_{span}": math.fsum(a * 0.5 ** (age / span) for a, age in worth)
            for span in (14, 30, 60, 120)
        },
        **{f"days.fading_{span}": math.fsum(0.5 ** ((today - day) / span) for day in days) for span in (14, 30, 60)},
        "idle.days": idle,
        "pace.idle_to_mean": idle / usual,
        "pace.gone_half_year": odds_of_gone(len(days), tenure, idle),
        "pace.gone_quarter": odds_of_gone(quarter, min(90.0, tenure), idle),
        "tenure.days": tenure,
    }


#: What says more together than each alone: silence against what was deposited, and what grows ever more slowly.
PAIRS: Final = (
    ("idle.days", "idle.days"),
    ("idle.days", "days.fading_30"),
    ("idle.days", "amount.fading_120"),
    ("amount.fading_30", "amount.fading_30"),
    ("amount.fading_120", "amount.fading_120"),
)

#: What is said of a subject when it speaks for much, and when it speaks for little.
REASONS: Final = {
    "amount": ("large sums deposited of late", "small sums deposited of late"),
    "days": ("many days with a deposit", "few days with a deposit"),
    "idle": ("a deposit only lately", "a long time since the last deposit"),
    "pace": ("no longer silent than is usual for them", "silent for longer than is usual for them"),
    "tenure": ("how long they have been here", "how long they have been here"),
}
