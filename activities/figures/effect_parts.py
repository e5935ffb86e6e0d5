"""For whom a journey brings more or less than for others, and what journeys bring that give one kind of reward."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from learning.differences import Conversion, Estimate, NoNumber, difference_over
from learning.shrinkage import ALIKE, LEAST_CONTROL, Arms, segments_that_differ
from workflows.figures.definitions import FIGURES, Taken, none_because

#: How many entries there were, by whether they were treated and reached the goal.
_Counts = Counter[tuple[bool, bool]]


@dataclass(frozen=True, slots=True)
class ComparedEntry:
    """A player's first entry into a journey. `segments` are those at entry, None where they were not kept."""

    treated: bool
    reached: bool
    segments: frozenset[str] | None
    kinds: frozenset[str]


def by_segment(week: date, journey: str, entries: Sequence[ComparedEntry]) -> list[Taken]:
    """The difference at a journey's goal in each segment in which it is shown to be another one than elsewhere.

    Where it is in none, one line says so: the difference of the whole journey is then the answer for each.
    """
    known = [one for one in entries if one.segments is not None]
    parts = _inside_and_outside(known)
    found = segments_that_differ(parts)
    shown = {name: one for name, one in found.items() if isinstance(one, Estimate)}
    taken = [
        replace(taken_of("goal_by_segment", week, _players(parts[name][0]), one), part=f"{journey} / {name}")
        for name, one in shown.items()
    ]
    if not shown:
        why = _why_none(found) if known else "nobody entered whose segments are known"
        taken = [replace(none_because(FIGURES["goal_by_segment"], "week", week, why, len(known)), part=journey)]
    return [replace(one, split_by="journey_segment") for one in taken]


def by_kind(week: date, journeys: Mapping[str, Sequence[ComparedEntry]]) -> list[Taken]:
    """What treated players gained at the goals of journeys that give rewards of one kind and no other, by kind."""
    kinds = {name: {kind for one in entries if one.treated for kind in one.kinds} for name, entries in journeys.items()}
    taken: list[Taken] = []
    for kind in sorted({kind for given in kinds.values() for kind in given}):
        alone = {name: _arms(journeys[name]) for name, given in kinds.items() if given == {kind}}
        groups = {name: arms for name, arms in alone.items() if arms[1].players >= LEAST_CONTROL}
        if not alone:
            why = "every journey that gives it gives others too, so nobody knows which of them did it"
            found: Estimate | NoNumber = NoNumber(why)
        elif not groups:
            found = NoNumber(f"no journey that gives it alone has {LEAST_CONTROL} players in its control group")
        else:
            found = difference_over(groups)
        players = sum(map(_players, groups.values()))
        taken.append(replace(taken_of("goal_by_kind", week, players, found), split_by="kind", part=kind))
    return taken


def taken_of(name: str, week: date, players: int, found: Estimate | NoNumber, *, times: int = 1) -> Taken:
    """A figure of a week from what was found; `times` as much, where it is told for all and was found for one."""
    if isinstance(found, NoNumber):
        return none_because(FIGURES[name], "week", week, found.reason, players)
    low, high = found.interval.low, found.interval.high
    return Taken(name, "week", week, players, found.estimate * times, low * times, high * times)


def _why_none(found: Mapping[str, Estimate | NoNumber]) -> str:
    if not found:
        return "its players were in no segment"
    enough = sum(isinstance(one, NoNumber) and one.reason == ALIKE for one in found.values())
    if not enough:
        return f"none of {len(found)} segments has enough players in both groups, in it and outside"
    return f"no difference is shown between {enough} segments and the other players: what it brings holds for all"


def _inside_and_outside(entries: Iterable[ComparedEntry]) -> dict[str, tuple[Arms, Arms]]:
    """By segment the arms of who was in it and of who was not; each entry is looked at once, for there are many."""
    everybody, inside = _Counts(), defaultdict[str, _Counts](_Counts)
    for one in entries:
        everybody[one.treated, one.reached] += 1
        for name in one.segments or ():
            inside[name][one.treated, one.reached] += 1
    return {name: (_arms_of(counts), _arms_of(everybody - counts)) for name, counts in sorted(inside.items())}


def _arms(entries: Iterable[ComparedEntry]) -> Arms:
    return _arms_of(_Counts((one.treated, one.reached) for one in entries))


def _arms_of(counts: _Counts) -> Arms:
    treated, control = (Conversion(counts[arm, True], counts[arm, True] + counts[arm, False]) for arm in (True, False))
    return treated, control


def _players(arms: Arms) -> int:
    return sum(one.players for one in arms)
