"""`journeys demo`: the main job, end to end, on a stack of its own."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli._console import fail
from cli._environment import LOCAL, local_module


def demo(
    log: Annotated[Path | None, typer.Option(help="A real log of deposits: player_id, ts_utc, amount_usd.")] = None,
    folder: Annotated[Path, typer.Option(help="Made anew each time.")] = LOCAL / "demo",
    players: Annotated[int, typer.Option(min=12, help="Players with a past, without --log.")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed makes the same synthetic casino.")] = 1,
) -> None:
    """Show the main job: history in, then live players, messages, rewards, tasks, and a check that nothing was lost."""
    shown = local_module("local.demo.demo")
    try:
        raise typer.Exit(asyncio.run(shown.run(folder, log=log, players=players, seed=seed)))
    except shown.DemoError as error:
        fail(error)
