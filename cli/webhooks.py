"""`journeys webhooks`: who hears what happens here, over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from cli._console import plural, say
from cli._environment import Key, Url, journeys_api

webhooks = typer.Typer(no_args_is_help=True, help="Who hears what happens here: subscribe, try, look, tell again.")
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the webhook, as `list` shows it.")]


@webhooks.command("list")
def show(*, url: Url = None, key: Key = None) -> None:
    """Show the brand's webhooks, and how their receivers do."""
    with journeys_api(url, key) as api:
        found = api.get("/v1/webhooks?page_size=200")["items"]
    if not found:
        say("Nobody has subscribed.")
    for one in found:
        trouble = f" since {one['failing_since']}: {one['last_error']}" if one.get("failing_since") else ""
        say(f"{one['id']}  {one['state']:<8}  {', '.join(one['types'])}  {one['url']}{trouble}")


@webhooks.command()
def add(
    address: Annotated[str, typer.Argument(metavar="URL", help="Where events are posted to.")],
    types: Annotated[list[str], typer.Argument(metavar="TYPE...", help="Types, families as 'task.*', or '*'.")],
    *,
    url: Url = None,
    key: Key = None,
) -> None:
    """Subscribe an address. Its secret is shown once."""
    with journeys_api(url, key) as api:
        made = api.post("/v1/webhooks", {"url": address, "types": types})
    say(f"{made['id']} hears {', '.join(made['types'])} from now on. Its secret, shown this once:")
    typer.echo(made["secret"])


@webhooks.command()
def rotate(
    webhook: Id,
    *,
    overlap_hours: Annotated[int, typer.Option(help="For how long the old secret signs too.")] = 24,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a new secret, shown once."""
    with journeys_api(url, key) as api:
        made = api.post(f"/v1/webhooks/{webhook}/rotate", {"overlap_hours": overlap_hours})
    say(f"The old secret of {webhook} signs for {plural(overlap_hours, 'hour')} more. The new one, shown this once:")
    typer.echo(made["secret"])


@webhooks.command("test")
def try_out(webhook: Id, *, url: Url = None, key: Key = None) -> None:
    """Tell one webhook an event that is none."""
    with journeys_api(url, key) as api:
        event = api.post(f"/v1/webhooks/{webhook}/test")["event_id"]
    say(f"Told as {event}; `journeys webhooks deliveries {webhook}` says what became of it.")


@webhooks.command()
def deliveries(
    webhook: Id,
    *,
    state: Annotated[str, typer.Option(help="pending, delivered or failed; without it all.")] = "",
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the latest events a webhook was told or has yet to hear."""
    chosen = f"&state={state}" if state else ""
    with journeys_api(url, key) as api:
        for one in api.get(f"/v1/webhooks/{webhook}/deliveries?page_size=50{chosen}")["items"]:
            why = one.get("last_error") or one.get("last_status") or ""
            say(f"{one['at']}  {one['state']:<9}  {one['type']:<18}  {one['player_id']:<12}  {one['event_id']}  {why}")


@webhooks.command()
def redeliver(
    webhook: Id,
    *,
    event: Annotated[list[str] | None, typer.Option(help="An event's id; repeat it for more.")] = None,
    since: Annotated[str | None, typer.Option(help="With --until: what happened from then on, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(help="See --since.")] = None,
    delivered_too: Annotated[bool, typer.Option(help="Also what was taken.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tell a webhook again what was given up, or all of a time."""
    body = {"event_ids": event or [], "since": since, "until": until, "delivered_too": delivered_too}
    with journeys_api(url, key) as api:
        told = api.post(f"/v1/webhooks/{webhook}/redeliver", body)["events"]
    say(f"{plural(told, 'event')} to be told again.")
