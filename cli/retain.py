"""`journeys retain`: make the months to come, and forget what is due."""

from typing import Annotated

import typer

from cli._console import out, say
from cli._environment import open_database, run_on_database, settings


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
    from activities.retention import RETENTION, period_of
    from activities.retention import retain as forget

    around = settings()
    if show:
        for table, retention in RETENTION.items():
            period = period_of(retention, around)
            kept = "for ever" if period is None else f"{period.days} days"
            out.print(f"{table:18} {kept:10} {retention.why}")
        return

    async def work() -> dict[str, int]:
        counts: dict[str, int] = {}
        async with open_database() as database:
            async for forgotten in forget(database, around, await database.now()):
                counts[forgotten.table] = counts.get(forgotten.table, 0) + forgotten.rows
                if forgotten.partition is not None:
                    say(f"{forgotten.partition} is dropped; {forgotten.rows} records of it are kept.")
            async for erasure in erase_due(database):
                if erasure.done_at is not None:
                    say(f"Player {erasure.player_id} of {erasure.brand} is erased: certificate {erasure.id}.")
        return counts

    for table, rows in run_on_database(work()).items():
        if table != "events" and rows:
            say(f"{rows} rows of {table} are forgotten.")
    say("What is due is forgotten, and the months to come are there.")
