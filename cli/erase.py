"""`journeys erase`: erases a player over HTTP, and shows the certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlencode

import typer

from cli._bulk_jobs import Yes, agree
from cli._console import say
from cli._environment import Url, journeys_api

if TYPE_CHECKING:
    from cli._api_client import Answer

_Key = Annotated[str | None, typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with players:erase.")]


def erase(
    player: Annotated[str, typer.Argument(help="The player, in the brand of the key.")],
    *,
    ground: Annotated[
        str, typer.Option(help="Why: consent_withdrawn, objection, no_longer_needed, unlawful, legal_obligation, …")
    ] = "consent_withdrawn",
    reference: Annotated[str, typer.Option(help="The number of your ticket; it is kept.")] = "",
    show: Annotated[bool, typer.Option("--show", help="Show the certificates, and erase nothing.")] = False,
    yes: Yes = False,
    url: Url = None,
    key: _Key = None,
) -> None:
    """Erase what is personal of a player: profile, texts, events. It cannot be undone.

    It is asked for twice as safely as once: nothing is erased twice.
    """
    path = f"/v1/players/{quote(player, safe='')}"
    with journeys_api(url, key) as api:
        if not show:
            agree(f"Erase {player} for good?", "Nothing was erased.", yes=yes)
            asked = urlencode({"ground": ground, "reference": reference})
            erasure = api.delete(f"{path}?{asked}")
            for one in erasure["what_happens"]:
                say(f"{one['when']}: {one['what']}")
            if erasure["accounts"]:
                say(f"Other accounts of the person, to be erased by themselves: {', '.join(erasure['accounts'])}.")
        for erasure in api.get_list(f"{path}/erasures"):
            _show(erasure)


def _show(erasure: Answer) -> None:
    state = f"done at {erasure['done_at']}, SHA-256 {erasure['hash']}" if erasure.get("done_at") else "under way"
    say(f"{erasure['id']}: asked for by {erasure['asked_by']} at {erasure['asked_at']}, {state}.")
    for table in erasure["tables"]:
        say(f"  {table['table']}: {table['deleted']:,} deleted, {table['overwritten']:,} overwritten")
