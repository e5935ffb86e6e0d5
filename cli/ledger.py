"""`journeys ledger`: whether what players have follows from the journal of points, and what the journal comes to."""

import time
from typing import Annotated

import typer
from rich.table import Table

from cli._console import fail, out, say
from cli._environment import deployment, open_database, run_on_database

EveryStep = Annotated[bool, typer.Option("--every-step", help="Replay each transfer; else Postgres adds them up.")]

app = typer.Typer(help="The journal of points.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The journal of points."""


@app.command()
def verify(every_step: EveryStep = False) -> None:  # noqa: FBT002 - a flag of a command line
    """Recompute what every player has from the journal alone, and compare; exits with 1 where they differ.

    It writes nothing and may run beside everything else.
    """
    from activities.ledger_proof import LedgerFault, prove_ledger

    async def work() -> tuple[int, int, list[LedgerFault]]:
        players = transfers = 0
        faults: list[LedgerFault] = []
        async with open_database() as database:
            async for proved in prove_ledger(database, every_step=every_step):
                players, transfers = players + proved.players, transfers + proved.transfers
                faults += proved.faults
        return players, transfers, faults

    begun = time.perf_counter()
    players, transfers, faults = run_on_database(work())
    for fault in faults:
        out.print(f"{fault.brand} {fault.player_id}: {fault.detail}", soft_wrap=True)
    if faults:
        fail(f"{len(faults)} of {players} players have what the journal does not explain; see the lines above.")
    took = max(time.perf_counter() - begun, 0.001)
    say(f"{players} players follow from {transfers} transfers ({transfers / took:,.0f} a second).")


@app.command()
def economy(
    brand: Annotated[str, typer.Option(help="Whose points.")],
    months: Annotated[int, typer.Option(min=1, help="So many months, the newest last.")] = 12,
) -> None:
    """Points issued, redeemed and expired by month, what players have, and what that is for each active player."""
    from datetime import UTC, datetime

    from activities.point_economy import PointEconomy, flows
    from workflows.loyalty.point_economy import MonthOfPoints, months_of

    async def work() -> list[MonthOfPoints]:
        async with open_database() as database:
            await PointEconomy(database, deployment().registry.loyalty, lambda: datetime.now(UTC)).count_once()
            async with database.reading() as connection:
                return months_of(await flows(connection, brand))

    told = run_on_database(work())
    shown = [one for one in told if one.month in sorted({each.month for each in told})[-months:]]
    if not shown:
        say(f"The journal of {brand} has no points in it.")
        return
    table = Table(box=None, pad_edge=False)
    heads = ("month", "currency", "issued", "redeemed", "expired", "taken back", "players have")
    for head in (*heads, "active", "breakage %", "inflation %", "cost an active player"):
        table.add_column(head, justify="left" if head in {"month", "currency"} else "right")
    for one in shown:
        numbers = (one.issued, one.redeemed, one.expired, one.taken_back, one.liability, one.active_players)
        shares = (one.breakage_pct, one.inflation_pct, one.cost_per_active_player)
        cells = [f"{number:,}" for number in numbers] + ["" if share is None else f"{share:,.2f}" for share in shares]
        table.add_row(f"{one.month:%Y-%m}", one.currency, *cells)
    out.print(table)
