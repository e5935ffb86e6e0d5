"""Joins what is counted of two accounts of one person, so that it is as if one account had had both histories.

Exact are counts, first and last times, sums, hours, games, entries into journeys, measures that count for ever or by
the calendar in one zone, what is usual, and streaks of which no more than 16 hits were in a row. Not exact, because the
row has no more: windows, whose slices begin elsewhere for each player and may count up to a slice longer or shorter;
days and hours of accounts in different zones; streaks of days, of which the longer one goes on.
"""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from workflows.player_state.active_run import REMEMBERED_KEYS, Entries
from workflows.player_state.decisions import Decision, Moved
from workflows.player_state.net_deposits import join_net
from workflows.player_state.state import PlayerState
from workflows.rules import patterns, usual_values
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex
from workflows.rules.measures import SLICES
from workflows.rules.streak_state import join_streaks

#: What runs of an account end as that was merged into another.
MERGED: Final = "merged"
_SLICE: Final = {name: int(length.total_seconds()) for _, length, name in SLICES}


def absorb(
    into: PlayerState, gone: PlayerState, rules: RuleIndex, now: datetime, failures: list[RuleFailure], *, live: bool
) -> list[tuple[str, Decision]]:
    """Join the history of `gone` to that of `into`; by account what follows from it.

    `gone` keeps what protects and what says whose it was. Its runs end; those of `into` go on. Nobody enters or hears
    anything because of it: what both together would have set off has been missed, and segments are asked anew.
    """
    _join_counts(into, gone)
    _join_rules(into, gone)
    _join_facts(into, gone)
    decisions: list[tuple[str, Decision]] = []
    if live:
        decisions += [(gone.player_id, one) for one in gone.stop_all(MERGED, now)]
    decisions += [(gone.player_id, Moved(name, entered=False, at=now)) for name in sorted(gone.segments)]
    _hand_over(gone, into.player_id, now)
    # While a release rolls another process may know rules that this one does not: nothing of theirs is dropped here.
    elsewhere = {*into.moments, *into.occasions, *(f"segment:{name}" for name in into.segments)}
    decisions += [(into.player_id, one) for one in into.rearm(rules, now, failures, elsewhere=elsewhere)]
    return decisions


def _join_counts(into: PlayerState, gone: PlayerState) -> None:
    _add(into.counts, gone.counts)
    _add(into.hours, gone.hours)
    _add(into.stakes, gone.stakes)
    into.deposited_minor += gone.deposited_minor
    join_net(into.net_deposits, gone.net_deposits)
    for kind, at in gone.first.items():
        into.first[kind] = min(at, into.first.get(kind, at))
    for kind, at in gone.last.items():
        into.last[kind] = max(at, into.last.get(kind, at))
    for journey, theirs in gone.entries.items():
        mine = into.entries.setdefault(journey, Entries())
        mine.count += theirs.count
        mine.last = max((at for at in (mine.last, theirs.last) if at is not None), default=None)
        mine.keys = [*dict.fromkeys([*theirs.keys, *mine.keys])][-REMEMBERED_KEYS:]


def _join_rules(into: PlayerState, gone: PlayerState) -> None:
    for key, held in gone.series.items():
        _join_series(key, into.series.setdefault(key, {}), held, into, gone)
    for key, streak in gone.streaks.items():
        mine = into.streaks.get(key)
        into.streaks[key] = streak if mine is None else join_streaks(mine, streak)
    for key, days in gone.day_streaks.items():
        into.day_streaks[key] = max(days, into.day_streaks.get(key, days))
    for key, day in gone.occasions.items():
        into.occasions[key] = max(day, into.occasions.get(key, day))


def _join_series(
    key: str, mine: dict[str, int], theirs: Mapping[str, int], into: PlayerState, gone: PlayerState
) -> None:
    how, _, rest = key.partition(":")
    grain = rest.rpartition(":")[2]
    seconds = _SLICE.get(grain)
    if grain == "newest":
        for at, amount in theirs.items():
            usual_values.keep(mine, datetime.fromtimestamp(int(at), tz=UTC), amount)
    elif grain == "weeks":
        patterns.join(mine, theirs, how)
    elif how == "distinct":
        for mark, theirs_last in theirs.items():
            last = theirs_last if seconds is None else _slice_of(theirs_last, seconds, gone, into)
            mine[mark] = max(last, mine.get(mark, last))
    elif seconds is not None:
        _add(mine, {str(_slice_of(int(index), seconds, gone, into)): amount for index, amount in theirs.items()})
    else:
        _add(mine, theirs)


def _slice_of(index: int, seconds: int, of: PlayerState, for_: PlayerState) -> int:
    """The slice of one player that lies in the middle of another's."""
    middle = index * seconds + _phase(of, seconds) + seconds // 2
    return (middle - _phase(for_, seconds)) // seconds


def _phase(player: PlayerState, seconds: int) -> int:
    return zlib.crc32(player.player_id.encode()) % seconds


def _join_facts(into: PlayerState, gone: PlayerState) -> None:
    """Of a fact that both have the newest word counts, and what stays keeps its own where nobody said when."""
    for name, value in gone.facts.items():
        if name == "registered_at":
            into.facts[name] = min(value, into.facts.get(name, value))
        elif name == "is_test":
            into.facts[name] = bool(value or into.facts.get(name))
        elif name not in into.facts or abs(gone.told.get(name, 0)) > abs(into.told.get(name, 0)):
            into.facts[name] = value
            if name in gone.told:
                into.told[name] = gone.told[name]
    if into.born is None:
        into.born = gone.born


def _hand_over(gone: PlayerState, to: str, now: datetime) -> None:
    """Leave in the account that goes what protects, and nothing that counts twice."""
    for parts in (gone.counts, gone.first, gone.last, gone.hours, gone.stakes, gone.series, gone.streaks):
        parts.clear()
    for rest in (gone.net_deposits, gone.day_streaks, gone.moments, gone.occasions, gone.segments):
        rest.clear()
    gone.deposited_minor = 0
    for journey, entries in gone.entries.items():
        gone.taken[journey] = gone.taken.get(journey, 0) + entries.count
    gone.entries.clear()
    gone.merged_into, gone.merged_at = to, now


def _add(mine: dict[str, int], theirs: Mapping[str, int]) -> None:
    for key, number in theirs.items():
        mine[key] = mine.get(key, 0) + number
