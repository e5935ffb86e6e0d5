"""What a house wants its figures to come to, and where it stands on the way."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from types import ModuleType
from typing import Final, Literal

from workflows.errors import DesignError
from workflows.figures.definitions import FIGURES, Period, Taken, period_end, period_of

__all__ = ["target"]

#: Figures that add up over a period; of the others the newest counts.
ADDS_UP: Final = ("registered", "first_depositors", "deposited", "ngr")
#: How far behind its share of the time a sum may be before it is at risk.
ROOM: Final = 0.9
_QUARTER: Final = re.compile(r"(\d{4})-Q([1-4])")
Standing = Literal["reached", "on_course", "at_risk", "missed", "not_measurable"]


@dataclass(frozen=True)
class Target:
    """What a figure is to come to."""

    figure: str
    #: Percent more than in the period before; negative is less.
    change: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    per: Period = "quarter"
    #: The first day of the last quarter; None: every period anew.
    by: date | None = None

    @property
    def words(self) -> str:
        """The target in a few words."""
        if self.change is not None:
            return f"{self.change:+g} % against the {self.per} before"
        least = self.at_least is not None
        wanted = self.at_least if least else self.at_most
        assert wanted is not None
        value = f"{100 * wanted:g} %" if FIGURES[self.figure].unit == "share" else f"{wanted:g}"
        bound = f"at least {value}" if least else f"at most {value}"
        until = "" if self.by is None else f" by {self.by.year}-Q{(self.by.month + 2) // 3}"
        return f"{bound}{until}"


@dataclass(frozen=True)
class Judged:
    """Where a target stands, with what it was judged by."""

    target: Target
    standing: Standing
    why: str
    value: float | None = None
    wanted: float | None = None


def target(
    figure: str,
    change: float | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    per: Period = "quarter",
    by: str | None = None,
) -> Target:
    """Want a figure to change by so many percent, or to come to a value.

    ::

        targets = [target("registered", +20, per="quarter"), target("retention_d30", at_least=0.32, by="2026-Q4")]

    Raises DesignError where there is no such figure, or not one thing is wanted of it.
    """
    if figure not in FIGURES:
        raise DesignError(f"There is no figure {figure!r}; there are {', '.join(FIGURES)}.")
    if sum(one is not None for one in (change, at_least, at_most)) != 1:
        raise DesignError(f"Say one thing of the target for {figure}: a change in percent, at_least= or at_most=.")
    if change is not None and figure not in ADDS_UP:
        raise DesignError(f"{figure} does not add up over a {per}; give its target at_least= or at_most=.")
    last = None if by is None else _QUARTER.fullmatch(by)
    if by is not None and last is None:
        raise DesignError(f"The target for {figure} says by={by!r}; write a quarter, such as '2026-Q4'.")
    until = None if last is None else date(int(last[1]), 3 * int(last[2]) - 2, 1)
    return Target(figure, change, at_least, at_most, per, until)


def declared_targets(modules: Iterable[ModuleType]) -> tuple[Target, ...]:
    """Every target that a module holds, alone or in a list, each once."""
    found: list[Target] = []
    for module in modules:
        for one in vars(module).values():
            several = one if isinstance(one, list | tuple) else [one]
            found += [each for each in several if isinstance(each, Target) and each not in found]
    return tuple(found)


def judge(wanted: Target, now: Taken | None, before: Taken | None, as_of: date) -> Judged:
    """Where a target stands at the end of a day.

    `now` is the newest figure, or the sum of the period so far; `before` the sum of the period before.
    """
    if now is None or now.value is None:
        reason = "nothing was taken yet" if now is None or now.reason is None else now.reason
        return Judged(wanted, "not_measurable", reason)
    if wanted.change is not None:
        return _judge_sum(wanted, now.value, before, as_of)
    goal = wanted.at_least if wanted.at_least is not None else wanted.at_most
    assert goal is not None
    is_there = now.value >= goal if wanted.at_least is not None else now.value <= goal
    if is_there:
        return Judged(wanted, "reached", "the newest figure reaches it", now.value, goal)
    over = wanted.by is not None and as_of >= period_end("quarter", wanted.by)
    return Judged(wanted, "missed" if over else "at_risk", "the newest figure does not reach it", now.value, goal)


def _judge_sum(wanted: Target, so_far: float, before: Taken | None, as_of: date) -> Judged:
    if before is None or before.value is None or before.value <= 0:
        return Judged(wanted, "not_measurable", f"nothing is known of the {wanted.per} before", so_far)
    assert wanted.change is not None
    goal = before.value * (1 + wanted.change / 100)
    starts = period_of(wanted.per, as_of)
    ends = period_end(wanted.per, starts)
    share = ((as_of - starts).days + 1) / (ends - starts).days
    if so_far >= goal:
        return Judged(wanted, "reached", "the sum is there", so_far, goal)
    if share >= 1:
        return Judged(wanted, "missed", "the period is over", so_far, goal)
    ahead = so_far >= goal * share * ROOM
    why = f"{100 * so_far / goal:.0f} % of it after {100 * share:.0f} % of the time"
    return Judged(wanted, "on_course" if ahead else "at_risk", why, so_far, goal)
