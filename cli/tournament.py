"""`journeys tournament`: instances of tournaments and who stands where, over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from cli._console import say
from cli._environment import Key, Url, journeys_api

app = typer.Typer(no_args_is_help=True, help="Tournaments: what is on, who stands where, and ending one.")
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the instance, as `list` shows it.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the audit.")]


@app.command("list")
def show_all(*, url: Url = None, key: Key = None) -> None:
    """Show the brand's instances, those that open last first."""
    with journeys_api(url, key) as api:
        found = api.get("/v1/tournaments?page_size=50")["items"]
    if not found:
        say("There is no tournament yet.")
    for one in found:
        entries = "" if one["entries"] is None else f"  {one['entries']} with a place"
        why = "" if one["reason"] is None else f"  {one['reason']}"
        say(f"{one['id']}  {one['phase']:<9}  closes {one['closes_at']}{entries}{why}")


@app.command()
def show(instance: Id, *, url: Url = None, key: Key = None) -> None:
    """Show the first hundred of an instance, with their prizes."""
    with journeys_api(url, key) as api:
        one = api.get(f"/v1/tournaments/{instance}")
        places = api.get_list(f"/v1/tournaments/{instance}/places")
    say(f"{one['id']} is {one['phase']}; it closes {one['closes_at']}.")
    for row in places:
        prize = f"  {row['points']} points {row['prize']}" if row["prize"] else ""
        late = f"  {row['late']} too late" if row["late"] else ""
        say(f"{row['position']:>4}  {row['player_id']:<24}  {row['score']:>12}{prize}{late}")


@app.command()
def cancel(instance: Id, *, reason: Reason, url: Url = None, key: Key = None) -> None:
    """End an instance without places and prizes."""
    with journeys_api(url, key) as api:
        api.post(f"/v1/tournaments/{instance}/cancel", {"reason": reason})
    say(f"{instance} is cancelled.")


@app.command()
def disqualify(
    instance: Id,
    player: Annotated[str, typer.Argument(metavar="PLAYER", help="Who loses the place.")],
    *,
    reason: Reason,
    url: Url = None,
    key: Key = None,
) -> None:
    """Take a player's place in an instance; the prize is not paid."""
    with journeys_api(url, key) as api:
        api.post(f"/v1/tournaments/{instance}/disqualify", {"player_id": player, "reason": reason})
    say(f"{player} has no place in {instance} any more.")
