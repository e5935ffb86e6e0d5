"""How a player plays from week to week, and whether that is another way than before.

A few integers a week are kept, of thirteen weeks: which days, what was chosen on which days, how high. The last four
weeks that are over are held against the eight before them. Where there is too little to tell, nothing has changed.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from workflows.rules.usual_values import middle

#: Weeks that are compared, and those they are compared with. One more is kept: the one under way.
LATELY: Final = 4
BEFORE: Final = 8
KEPT: Final = LATELY + BEFORE + 1
#: In fewer weeks with play nothing is a way of playing.
FEWEST_LATELY, FEWEST_BEFORE = 3, 6
#: In fewer days neither.
FEWEST_DAYS_LATELY, FEWEST_DAYS_BEFORE = 6, 12
#: How much of the days must have gone over to something else, in percent.
LEAST_SHIFT: Final = 40
#: From how many standard deviations on a shift is no accident, squared: about one in three hundred that are none.
LEAST_Z_SQUARED: Final = 9
#: A level has changed when it is half as high again, or as low as that the other way.
LEAST_RATIO: Final = (3, 2)
#: And when it is this far from the middle of the weeks before: three deviations of the median kind, times 10,000.
DEVIATIONS: Final = 3 * 14_826
#: Different choices that are kept of one week.
MOST_CHOICES: Final = 8
LONGEST_CHOICE: Final = 40
#: Saturday and Sunday among the bits of a week.
_WEEKEND: Final = 0b1100000
_SPAN: Final = "of the last four weeks, against"


@dataclass(frozen=True)
class Change:
    """Whether a pattern has changed; `bool()` says so. `known` is False while there is too little to tell."""

    known: bool = False
    #: What it changed to: `weekend` or `weekdays`, `higher` or `lower`, or what is chosen now.
    to: str | None = None
    #: What is seen, in a sentence for people; None where nothing has changed.
    why: str | None = None

    def __bool__(self) -> bool:
        return self.why is not None


# ---- keeping -------------------------------------------------------------------------------------


def week_of(day: date) -> int:
    """The number of a week, Monday to Sunday."""
    return (day.toordinal() - 1) // 7


def note_day(held: dict[str, int], on: date, today: date) -> str | None:
    """Keep that something happened on a day; the key of its week, None where that is too long ago."""
    return _note_bit(held, str(week_of(on)), on, today)


def note_choice(held: dict[str, int], on: date, today: date, choice: str) -> str | None:
    """Keep what was chosen on a day."""
    week = f"{week_of(on)}/"
    chosen = f"{week}{choice[:LONGEST_CHOICE]}"
    begins = chosen not in held
    key = _note_bit(held, chosen, on, today)
    if begins:
        # Which go follows from their names alone, not from their order of arrival.
        for too_many in sorted(one for one in held if one.startswith(week))[MOST_CHOICES:]:
            del held[too_many]
    return key


def note_level(held: dict[str, int], on: date, today: date, amount: int) -> str | None:
    """Keep one more amount of a week: their sum, and how many."""
    week = week_of(on)
    if week <= week_of(today) - KEPT:
        return None
    key = str(week)
    begins = key not in held
    held[key] = held.get(key, 0) + amount
    held[f"{key}n"] = held.get(f"{key}n", 0) + 1
    if begins:
        _forget(held, today)
    return key


def _note_bit(held: dict[str, int], key: str, on: date, today: date) -> str | None:
    if week_of(on) <= week_of(today) - KEPT:
        return None
    begins = key not in held
    held[key] = held.get(key, 0) | 1 << on.weekday()
    if begins:
        _forget(held, today)
    return key


def _forget(held: dict[str, int], today: date) -> None:
    oldest = week_of(today) - KEPT
    for key in [key for key in held if _week(key) <= oldest]:
        del held[key]


def may_change(held: Mapping[str, int], today: date) -> bool:
    """Whether anything is kept of a week that still counts, or will when it is over."""
    return any(_week(key) > week_of(today) - KEPT for key in held)


def join(mine: dict[str, int], theirs: Mapping[str, int], how: str) -> None:
    """Take what is kept of another account of the same person."""
    for key, number in theirs.items():
        mine[key] = mine.get(key, 0) + number if how == "level" else mine.get(key, 0) | number


def _week(key: str) -> int:
    return int(key.partition("/")[0].removesuffix("n"))


# ---- comparing -----------------------------------------------------------------------------------


def days_changed(held: Mapping[str, int], today: date, kind: str) -> Change:
    """Whether weekend became weekday or the other way: `kind` is what happens on these days."""
    if not _enough(held, today):
        return Change()
    found = _Shift.between({week: mask & _WEEKEND for week, mask in held.items()}, held, today)
    if not found.is_one:
        return Change(known=True)
    to = "weekend" if found.rises else "weekdays"
    return Change(known=True, to=to, why=f"{found.words} days with {kind} were at the weekend {found.spans}.")


def choices_changed(held: Mapping[str, int], today: date, kind: str) -> Change:
    """Whether something else is chosen: of the choices whose share of the days has shifted the clearest."""
    by_choice: defaultdict[str, dict[str, int]] = defaultdict(dict)
    days: dict[str, int] = {}
    for key, mask in held.items():
        week, _, choice = key.partition("/")
        by_choice[choice][week] = mask
        days[week] = days.get(week, 0) | mask
    if not _enough(days, today):
        return Change()
    shifts = {choice: _Shift.between(weeks, days, today) for choice, weeks in by_choice.items()}
    clear = [name for name, shift in shifts.items() if shift.is_one]
    if not clear:
        return Change(known=True)
    name = max(clear, key=lambda one: (shifts[one].size, one))
    to = max(shifts, key=lambda one: (shifts[one].lately, one))
    return Change(known=True, to=to, why=f"{shifts[name].words} days with {kind} had {name} {shifts[name].spans}.")


def level_changed(held: Mapping[str, int], today: date, what: str) -> Change:
    """Whether amounts are higher or lower: the middle of weekly means against those of before."""
    now = week_of(today)
    sums = {week: held[str(week)] // held[f"{week}n"] for week in range(now - KEPT + 1, now) if f"{week}n" in held}
    lately = [mean for week, mean in sums.items() if week >= now - LATELY]
    before = [mean for week, mean in sums.items() if week < now - LATELY]
    if len(lately) < FEWEST_LATELY or len(before) < FEWEST_BEFORE:
        return Change()
    is_, was = middle(lately), middle(before)
    deviation = middle([abs(mean - was) for mean in before])
    more, less = LEAST_RATIO
    # Against the one nearer to nothing, so that losses are held against losses as wins against wins.
    is_much = abs(is_ - was) * less >= min(abs(is_), abs(was)) * (more - less)
    is_other = is_much and abs(is_ - was) * 10_000 > DEVIATIONS * deviation
    if not is_other:
        return Change(known=True)
    to = "higher" if is_ > was else "lower"
    return Change(known=True, to=to, why=f"{what} was {is_} in the middle {_SPAN} {was} in the eight before.")


@dataclass(frozen=True)
class _Shift:
    """On how many of how many days something was so, lately and before."""

    lately: int
    of_lately: int
    before: int
    of_before: int

    @classmethod
    def between(cls, part: Mapping[str, int], whole: Mapping[str, int], today: date) -> "_Shift":
        """How the share of a part of the days has shifted."""
        (lately, before), (of_lately, of_before) = _split(part, today), _split(whole, today)
        return cls(_days(lately), _days(of_lately), _days(before), _days(of_before))

    @property
    def _difference(self) -> int:
        """Of the shares, times both numbers of days."""
        return self.lately * self.of_before - self.before * self.of_lately

    @property
    def rises(self) -> bool:
        return self._difference > 0

    @property
    def size(self) -> float:
        return abs(self._difference) / (self.of_lately * self.of_before)

    @property
    def is_one(self) -> bool:
        """Whether the shares differ by much, and by more than chance explains."""
        both, days = self.lately + self.before, self.of_lately + self.of_before
        product = self.of_lately * self.of_before
        is_much = abs(self._difference) * 100 >= LEAST_SHIFT * product
        return is_much and self._difference**2 * days >= LEAST_Z_SQUARED * product * both * (days - both)

    @property
    def words(self) -> str:
        return f"{self.lately} of {self.of_lately}"

    @property
    def spans(self) -> str:
        return f"in the last four weeks, against {self.before} of {self.of_before} in the eight before"


def _split(held: Mapping[str, int], today: date) -> tuple[dict[str, int], dict[str, int]]:
    """The weeks that are over, lately and before. The one under way is left out: its weekend may be yet to come."""
    now = week_of(today)
    weeks = {key: number for key, number in held.items() if now - KEPT < _week(key) < now}
    lately = {key: number for key, number in weeks.items() if _week(key) >= now - LATELY}
    return lately, {key: number for key, number in weeks.items() if key not in lately}


def _enough(held: Mapping[str, int], today: date) -> bool:
    lately, before = _split(held, today)
    weeks = len(lately) >= FEWEST_LATELY and len(before) >= FEWEST_BEFORE
    return weeks and _days(lately) >= FEWEST_DAYS_LATELY and _days(before) >= FEWEST_DAYS_BEFORE


def _days(weeks: Mapping[str, int]) -> int:
    return sum(mask.bit_count() for mask in weeks.values())
