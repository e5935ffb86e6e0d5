"""`journeys export`: everything that is kept of a player, as a file to hand to them, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from cli._console import say
from cli._environment import Url, journeys_api

_Key = Annotated[str | None, typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with players:export.")]


def export(
    player: Annotated[str, typer.Argument(help="The player, in the brand of the key.")],
    file: Annotated[Path, typer.Argument(help="The ZIP file to be written.")],
    *,
    url: Url = None,
    key: _Key = None,
) -> None:
    """Write everything kept of a player into a ZIP: player.json for machines, index.html for people."""
    if file.exists():
        say(f"{file} is there already; name another file.")
        raise typer.Exit(1)
    with journeys_api(url, key) as api:
        archive = api.download(f"/v1/players/{quote(player, safe='')}/export")
    file.write_bytes(archive)
    say(f"{file} holds what is kept of {player}: {len(archive):,} bytes.")
