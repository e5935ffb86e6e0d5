"""`journeys retain`: make the months to come, and forget what is due."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import out, plural, say
from cli._environment import open_database, run_on_database, settings

if TYPE_CHECKING:
    from datetime import timedelta

    from activities.settings import Settings
    from workflows.record_keeping import RecordPeriod


def retain(
    *,
    show: Annotated[
        bool, typer.Option("--show", help="Say how long each table keeps its rows, and do nothing.")
    ] = False,
) -> None:
    """Make the months to come, forget what is due by the RETAIN_… settings, and erase players who asked for it.

    Safe to run twice, also at once.

    A schedule does it every night. Run it yourself with the owner's DATABASE_URL where the workers' role owns nothing.
    """
    from activities.erasures import erase_due
    from activities.retention import Forgotten
    from activities.retention import retain as forget
    from workflows.record_keeping import RECORD_CLASSES

    around = settings()
    if show:
        _show(around)
        return

    async def work() -> list[Forgotten]:
        told: list[Forgotten] = []
        async with open_database() as database:
            async for forgotten in forget(database, around, await database.now()):
                told.append(forgotten)
                if forgotten.partition is not None:
                    say(f"{forgotten.partition} is dropped; {forgotten.rows} records of it are kept.")
            async for erasure in erase_due(database):
                if erasure.done_at is not None:
                    say(f"Player {erasure.player_id} of {erasure.brand} is erased: certificate {erasure.id}.")
        return told

    told = run_on_database(work())
    tables: Counter[str] = Counter()
    for one in told:
        tables[one.table] += one.rows if one.partition is None and one.record_class is None else 0
    for table, rows in tables.items():
        if table != "events" and rows:
            say(f"{rows} rows of {table} are forgotten.")
    for record_class in RECORD_CLASSES:
        mine: Counter[str] = Counter()
        for one in told:
            if one.record_class == record_class and one.rows:
                mine[f"{one.table} in {one.jurisdiction or 'an unknown place'}"] += one.rows
        gone = ", ".join(f"{rows} of {where}" for where, rows in sorted(mine.items()))
        say(f"Records of {record_class}: {gone or 'nothing'} forgotten.")
    say("What is due is forgotten, and the months to come are there.")


def _show(around: Settings) -> None:
    from datetime import UTC, datetime

    from activities.overdue_records import EVERYWHERE, wishes_of
    from activities.retention import RETENTION, period_of
    from workflows.record_keeping import DUTIES, RECORD_CLASSES, period_of_records

    for table, retention in RETENTION.items():
        period = period_of(retention, around)
        out.print(f"{table:18} {_days(period):10} {retention.why}")
    day = datetime.now(UTC).date()
    places = sorted({one.jurisdiction for one in DUTIES} | around.retain_most.keys() - {EVERYWHERE})
    for record_class in RECORD_CLASSES:
        same: dict[RecordPeriod, list[str]] = {}
        for place in [None, *places]:
            wishes = [around.retain_records or None, *wishes_of(record_class, place, around.retain_most)]
            found = period_of_records(record_class, place, wishes, day)
            same.setdefault(found, []).append(place or "unknown")
        for kept, where in same.items():
            sources = "; ".join(kept.sources)
            why = f", and {kept.duty.days} days since the last that was heard of the player ({sources})"
            owed = why if kept.duty else ""
            out.print(f"{record_class:18} {_days(kept.wish):10} {', '.join(where)}{owed}", soft_wrap=True)


def _days(period: timedelta | None) -> str:
    return "for ever" if period is None else plural(period.days, "day")
