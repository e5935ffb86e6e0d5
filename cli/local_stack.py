"""`journeys up` and `demo`: the whole stack on this machine, and the main job shown on one."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli._console import fail, out
from cli._environment import LOCAL, deployment, local_module


def up(folder: Annotated[Path, typer.Option(help="Where data, logs and addresses are kept.")] = LOCAL) -> None:
    """Run the whole stack on this machine until Ctrl-C; the next start resumes every run."""
    # A mistake in a journey is a sentence here; in the parts of the stack it would be a row of restarts.
    deployment()
    stack = local_module("local.stack")
    try:
        asyncio.run(stack.run(folder, console=out))
    except stack.StackError as error:
        fail(error)


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
