"""What a journey brought because of itself: treated players against its control group, each in their first entry."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Row

from activities.figures import figure_queries as queries
from activities.figures.effect_parts import ComparedEntry, by_kind, by_segment, taken_of
from activities.figures.figure_taking import FigureTaking, missing_part
from learning.differences import Conversion, NoNumber, cost_per_incremental, difference_of_shares
from learning.money import money_difference
from workflows.figures.definitions import FIGURES, Taken, none_because
from workflows.gate.comparison import is_held_out

#: Weeks of entries that are compared.
WEEKS: Final = 13
#: What is counted of an entry.
WINDOW: Final = timedelta(days=30)
#: Counts that say whether every part of net gaming revenue is told.
PARTS: Final = ("games", "granted", "reward_ends")
TREATED, CONTROL = "treated", "control"


async def journey_effects(taking: FigureTaking, journeys: Sequence[str]) -> list[Taken]:
    """For each journey with a control group: the difference at its goal, what it brought, and what one player cost.

    And the difference in segments where it is another one, and of journeys that give one kind of reward.
    """
    taken: list[Taken] = []
    entries: dict[str, list[ComparedEntry]] = {}
    week = taking.newest(FIGURES["goal_difference"])
    for name in journeys:
        since = week - timedelta(weeks=WEEKS - 1)
        rows = await taking.ask(queries.FIRST_ENTRIES, since, week + timedelta(days=7), journey=name)
        compared = [row for row in rows if not _is_held_out(taking, row)]
        taken += [replace(one, split_by="journey", part=name) for one in _effects(week, compared, name)]
        entries[name] = [
            ComparedEntry(
                treated=row.arm == TREATED,
                reached=row.reached,
                segments=None if row.segments is None else frozenset(row.segments),
                kinds=frozenset(row.kinds or ()),
            )
            for row in compared
            if row.arm in {TREATED, CONTROL}
        ]
        if len({one.treated for one in entries[name]}) > 1:
            taken += by_segment(week, name, entries[name])
    return [*taken, *by_kind(week, entries)]


def _is_held_out(taking: FigureTaking, row: Row[Any]) -> bool:
    """Whether a player is in the brand's holdout, from entry or from some day of what is counted.

    They get no offers whatever their arm, so they are neither treated nor, with nothing from anybody, like the control
    group. Who is in it was drawn apart from the arms: without them both are as they were drawn.
    """
    whose = (taking.brand, (row.player_id, *(row.accounts or ())), row.jurisdiction)
    return is_held_out(*whose, taking.house.policies, row.entered_at, row.entered_at + WINDOW)


def _effects(week: date, rows: Sequence[Row[Any]], name: str) -> list[Taken]:
    arms = {arm: [row for row in rows if row.arm == arm] for arm in (TREATED, CONTROL)}
    players = sum(map(len, arms.values()))
    if not all(arms.values()):
        why = "nobody is in the control group" if players else "nobody entered in these weeks"
        figures = (FIGURES[one] for one in ("goal_difference", "incremental_ngr", "cost_per_incremental"))
        return [none_because(figure, "week", week, why, players) for figure in figures]
    treated, control = (Conversion(sum(row.reached for row in arm), len(arm)) for arm in arms.values())
    gain = difference_of_shares(treated, control)
    taken = [taken_of("goal_difference", week, players, gain)]
    cost = float(sum(row.bonus_cost for row in arms[TREATED]))
    price = cost_per_incremental(cost, treated, control) if cost else NoNumber("no reward of it has cost anything yet")
    if len({currency for row in arms[TREATED] for currency in row.cost_currencies or ()}) > 1:
        price = NoNumber("its rewards cost in several currencies, which cannot be added up")
    taken.append(taken_of("cost_per_incremental", week, players, price))
    return [*taken, *_money(week, arms, name)]


def _money(week: date, arms: dict[str, list[Row[Any]]], name: str) -> list[Taken]:
    """What all who were treated brought more than they would have, by currency, where every part of it is told."""
    figure, everybody = FIGURES["incremental_ngr"], [row for arm in arms.values() for row in arm]
    currencies = sorted({currency for row in everybody for currency in row.ngr or {}})
    games, granted, ended = (sum(getattr(row, name) for row in everybody) for name in PARTS)
    why = missing_part(games=games, granted=granted, ended=ended) if currencies else "nobody in it moved money"
    if why is not None:
        return [none_because(figure, "week", week, why, len(everybody))]
    taken = []
    for currency in currencies:
        sums = [[float((row.ngr or {}).get(currency, 0)) for row in arms[arm]] for arm in (TREATED, CONTROL)]
        found = money_difference(sums[0], sums[1], seed=f"{name}:{week}:{currency}")
        each = found if isinstance(found, NoNumber) else found.difference
        one = taken_of("incremental_ngr", week, len(everybody), each, times=len(sums[0]))
        taken.append(replace(one, currency=currency))
    return taken
