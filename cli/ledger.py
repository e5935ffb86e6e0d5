"""`journeys ledger verify`: whether what players have follows from the journal of points."""

import time

import typer

from cli._console import fail, out, say
from cli._environment import open_database, run_on_database

app = typer.Typer(help="The journal of points.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The journal of points."""


@app.command()
def verify() -> None:
    """Recompute what every player has from the journal alone, and compare; exits with 1 where they differ.

    It writes nothing and may run beside everything else.
    """
    from activities.ledger_proof import LedgerFault, prove_ledger

    async def work() -> tuple[int, int, list[LedgerFault]]:
        players = transfers = 0
        faults: list[LedgerFault] = []
        async with open_database() as database:
            async for proved in prove_ledger(database):
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
