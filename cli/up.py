"""`journeys up`: the whole stack on this machine."""

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
    stack, supervisor = local_module("local.development_stack"), local_module("local.supervisor")
    try:
        asyncio.run(stack.run(folder, console=out))
    except supervisor.StackError as error:
        fail(error)
