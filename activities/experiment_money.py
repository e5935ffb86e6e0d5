"""The money of who took part in an experiment, from days of players that are counted."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.experiment_rows import ExperimentRow, LookRow
from activities.figures.figure_queries import NGR
from activities.figures.figure_taking import missing_part
from learning.experiment_findings import SETTLES, ExperimentFindings, Participant
from learning.experiment_money import BROKEN, NO_PLAN, NOT_OVER, PlayerMoney, money_of_arm
from workflows.experiment_draw import CONTROL
from workflows.experiments import Experiment
from workflows.local_time import DAY


def judged_at(
    tried: Experiment, started_at: datetime, looks: Sequence[LookRow], found: ExperimentFindings
) -> datetime | str:
    """When money was judged: at the look that ended the plan; or why it is not yet."""
    if found.verdict == "broken":
        return BROKEN
    if tried.plan is None:
        return NO_PLAN
    over = next((one.at for one in looks if one.counted >= 1), None)
    if over is None and looks and found.as_of > started_at + tried.plan.at_most + tried.plan.every:
        over = looks[-1].at
    return NOT_OVER if over is None else over


async def with_money(
    connection: AsyncConnection,
    experiment: ExperimentRow,
    tried: Experiment,
    people: Sequence[Participant],
    found: ExperimentFindings,
    at: datetime,
) -> ExperimentFindings:
    """What was found, with what each arm brought in money by `at`, when it was judged.

    `people` is what was known of everybody then: with what is known now the figures would move.
    """
    counted, missing = await _counted(connection, experiment, tried, people, at)
    seed = f"{experiment.brand}:{experiment.name}:{experiment.version}"
    arms = [
        one
        if one.arm == CONTROL
        else one.model_copy(update={"money": money_of_arm(one.arm, counted, missing, seed=seed)})
        for one in found.arms
    ]
    why = None if any(one.money for one in arms) else "nobody in it moved money"
    return found.model_copy(update={"arms": arms, "money_at": at, "no_money": why})


async def _counted(
    connection: AsyncConnection,
    experiment: ExperimentRow,
    tried: Experiment,
    people: Sequence[Participant],
    at: datetime,
) -> tuple[list[PlayerMoney], str | None]:
    """Who was counted at a moment with their money, and which part of net gaming revenue was not told."""
    whose = {"brand": experiment.brand, "experiment": experiment.name, "version": experiment.version}
    within = tried.goal.within
    drawn_by = at - within - SETTLES
    given = {**whose, "window": math.ceil(within / DAY), "known_before": at.date(), "drawn_by": drawn_by}
    sums: defaultdict[str, dict[str, dict[str, int]]] = defaultdict(lambda: {"ngr": {}, "ngr_before": {}, "cost": {}})
    games = ended = 0
    for row in await connection.execute(_MONEY, given):
        for name, amount in (("ngr", row.ngr), ("ngr_before", row.ngr_before), ("cost", row.bonus_cost)):
            if amount:
                sums[row.player_id][name][row.currency] = int(amount)
        games, ended = games + int(row.games), ended + int(row.reward_ends)
    granted = await connection.scalar(_GRANTED, {**given, "within": within})
    counted = [
        PlayerMoney(
            one.arm,
            one.shares,
            one.reached,
            ngr=sums[one.player_id]["ngr"],
            ngr_before=sums[one.player_id]["ngr_before"],
            bonus_cost=sums[one.player_id]["cost"],
        )
        for one in sorted(people, key=lambda one: one.player_id)
        if len(one.shares) > 1 and one.at <= drawn_by
    ]
    return counted, missing_part(games=games, granted=granted or 0, ended=ended)


_DRAWN: Final = "CAST(a.at AT TIME ZONE 'UTC' AS date)"
_WHOSE: Final = "a.brand = :brand AND a.experiment = :experiment AND a.version = :version AND a.at <= :drawn_by"
_SINCE: Final = f"FILTER (WHERE d.day >= {_DRAWN})"
#: Money of the days from the draw on, and of as many before; the day of the draw counts whole, in all arms alike.
_MONEY: Final = text(
    f"""
    SELECT a.player_id, d.currency, coalesce(sum({NGR}) {_SINCE}, 0) AS ngr,
           coalesce(sum({NGR}) FILTER (WHERE d.day < {_DRAWN}), 0) AS ngr_before,
           coalesce(sum(d.bonus_cost) {_SINCE}, 0) AS bonus_cost, coalesce(sum(d.rounds + d.bets) {_SINCE}, 0) AS games,
           coalesce(sum(d.reward_ends) {_SINCE}, 0) AS reward_ends
    FROM assignments a JOIN player_days d ON d.brand = a.brand AND d.player_id = a.player_id
     AND d.day >= {_DRAWN} - :window AND d.day < {_DRAWN} + :window AND d.known_on < :known_before
    WHERE {_WHOSE} GROUP BY a.player_id, d.currency
    """  # noqa: S608 - our own words
)
_GRANTED: Final = text(
    f"""
    SELECT count(*) FROM assignments a JOIN grants g ON g.brand = a.brand AND g.player_id = a.player_id
     AND g.status = 'confirmed' AND g.created_at >= a.at AND g.created_at < a.at + :within
    WHERE {_WHOSE}
    """  # noqa: S608 - our own words
)
