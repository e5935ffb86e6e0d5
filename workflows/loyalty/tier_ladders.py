"""`ladder` and `tier`: status that is earned by what a player does, and never spent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from workflows.errors import LoyaltyDesignError
from workflows.events import PointsChanged
from workflows.local_time import DAY
from workflows.rules.measures import Measure, Period, month

__all__ = ["at_least", "ladder", "tier"]


@dataclass(frozen=True)
class AtLeast:
    """A number that a measure must not fall below."""

    measure: Measure
    number: int


def at_least(measure: Measure, number: int) -> AtLeast:
    """`measure` is `number` or more: what a tier asks of who keeps it. Raises `LoyaltyDesignError`."""
    _require_measure(measure, "at_least(...)")
    if number <= 0:
        raise LoyaltyDesignError(f"at_least({measure.words}, {number}) asks for nothing; name a number above 0.")
    return AtLeast(measure, number)


@dataclass(frozen=True)
class Tier:
    """One step of a ladder: `at` is what its measure must reach."""

    name: str
    at: int


def tier(name: str, at: int) -> Tier:
    """A step that is reached when the ladder's measure is `at` or more. What it opens looks at the player's tier."""
    return Tier(name, at)


@dataclass(frozen=True)
class Ladder:
    """The tiers of the house, lowest first. A player rises at once and falls only at an announced review."""

    name: str
    by: Measure
    tiers: tuple[Tier, ...]
    keeps: Mapping[str, AtLeast] = field(default_factory=dict)
    review: Period = month
    warn: timedelta = timedelta(days=14)
    safe_after_up: timedelta = timedelta(days=90)

    @property
    def measures(self) -> list[Measure]:
        """What it reads of a player."""
        return [self.by, *(one.measure for one in self.keeps.values())]

    def place(self, name: str | None) -> int:
        """The number of a tier, -1 for none and for one that the ladder does not have."""
        return next((number for number, one in enumerate(self.tiers) if one.name == name), -1)


def ladder(
    name: str,
    *,
    by: Measure,
    tiers: Sequence[Tier],
    keeps: Mapping[str, AtLeast] | None = None,
    review: Period = month,
    warn: timedelta = timedelta(days=14),
    safe_after_up: timedelta = timedelta(days=90),
) -> Ladder:
    """Declare the tiers of the house by a measure of what players do.

    The event that lifts the measure to a tier moves the player there in its own transaction, through every step, and
    each is told as `TierChanged`. Down goes who misses what `keeps` says of their tier at the end of a `review` period,
    one step, told as `TierAtRisk` at least `warn` before, and not within `safe_after_up` of the last rise. A tier
    without a word in `keeps` is kept. Raises `LoyaltyDesignError`.
    """
    at = f"ladder({name!r})"
    _require_measure(by, f"{at} by=")
    if not tiers or [one.at for one in tiers] != sorted({one.at for one in tiers}) or tiers[0].at <= 0:
        raise LoyaltyDesignError(
            f"{at} needs tiers from the lowest to the highest, each above the one before and above 0."
        )
    names = [one.name for one in tiers]
    if len({*names}) < len(names):
        raise LoyaltyDesignError(f"{at} has two tiers of one name; rename one.")
    if by.how == "distinct" and by.most < tiers[-1].at:
        raise LoyaltyDesignError(f"{at} counts up to {by.most} different values; give its measure most={tiers[-1].at}.")
    if unknown := sorted(set(keeps or {}) - set(names)):
        raise LoyaltyDesignError(f"{at} says what keeps {unknown[0]}, which is none of its tiers.")
    if not DAY <= warn <= timedelta(days={"day": 0, "week": 6, "month": 27}[review.name]):
        raise LoyaltyDesignError(
            f"{at} warns {warn.days} days before its review; the warning must lie in the same period."
        )
    return Ladder(name, by, tuple(tiers), dict(keeps or {}), review, warn, safe_after_up)


def _require_measure(value: Any, call: str) -> None:
    if not isinstance(value, Measure):
        raise LoyaltyDesignError(f"{call} takes a measure such as count(DepositApproved), not {value!r}.")
    if issubclass(value.kind, PointsChanged):
        raise LoyaltyDesignError(f"{call} reads spendable points: spending would cost players their tier.")
    if not value.is_counted:
        raise LoyaltyDesignError(f"{call} takes a number that is counted, not one that is usual for the player.")
