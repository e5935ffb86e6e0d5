"""`journeys stuck`: the runs that do not move or are lost, the longest first, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

import typer

from cli._console import out, say
from cli._environment import journeys_api

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli._api_client import Answer

#: What is wrong, in words.
WORDS: Final[Mapping[str, str]] = {
    "failing_effect": "an effect keeps failing",
    "failing_code": "its code fails",
    "past_end": "past its end",
    "lost": "lost by Temporal",
    "dead_letter": "a delivery was refused for good",
    "unknown_grant": "a reward may or may not be paid",
}


def stuck(
    problem: Annotated[str, typer.Option(help=f"Only this: {', '.join(WORDS)}; or any.")] = "any",
    journey: Annotated[str | None, typer.Option(help="Only runs of this journey.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Runs at most.")] = 50,
    url: Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with journeys:manage or players:read.")
    ] = None,
) -> None:
    """List the runs that are stuck or lost, the longest first: where, since when, why. Exit code 1 if there are any."""
    asked = {"problem": problem, "page_size": limit} | ({"journey": journey} if journey else {})
    with journeys_api(url, key) as api:
        found = api.get(f"/v1/runs?{urlencode(asked)}")
    if not found["items"]:
        say("No run is stuck.")
        return
    for run in found["items"]:
        _show(run)
    if found["next_page_token"]:
        say(f"These are the first {limit}; there are more.")
    raise typer.Exit(1)


def _show(run: Answer) -> None:
    wrong = run["problem"]
    at = f" at {wrong['step']}" if wrong["step"] else ""
    line = f"{wrong['since'][:16].replace('T', ' ')}  {run['id']}  {WORDS[wrong['kind']]}{at}"
    out.print(line, markup=False, highlight=False, soft_wrap=True)
    if wrong["error"]:
        out.print(f"    {wrong['error']}", markup=False, highlight=False, soft_wrap=True)
