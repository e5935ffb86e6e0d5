"""`journeys stop` and `stops`: ends the runs of a journey at a rate, over HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli._console import about, out, plural, progress_bar, say
from cli.hold import Journey, Key, Reason, Url, journeys_api

if TYPE_CHECKING:
    from cli._api_client import Answer, BlockingApi

Id = Annotated[str, typer.Argument(metavar="ID", help="The id that `journeys stops` shows.")]

#: Seconds between two questions how far a stop has come.
REFRESH: Final = 0.5


def stop(
    journey: Journey,
    *,
    reason: Reason,
    per_second: Annotated[int, typer.Option(min=1, max=5_000, help="Runs a second at most.")] = 50,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    once: Annotated[str | None, typer.Option(help="An idempotency key: the same key twice is one stop.")] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Close a journey and end its runs: shows how many first, asks, then works at a rate.

    It goes on without this window; Ctrl-C only stops looking.
    """
    from secrets import token_hex

    with journeys_api(url, key) as api:
        counts = api.post(f"/v1/journeys/{journey}/stop/preview")
        whole = counts["treated"] + counts["control"]
        say(
            f"{journey}: {plural(whole, 'run')} would end, {counts['control']:,} of them in the control group, and "
            f"{plural(counts['open_tasks'], 'open task')} would be closed. Nobody would enter it any more."
        )
        if whole:
            say(f"At {per_second:,} a second it takes about {about(whole / per_second)}.")
        if not yes and not typer.confirm("Stop it?", err=True):
            say("Nothing was stopped.")
            raise typer.Exit(1)
        body = {"reason": reason, "per_second": per_second}
        made = api.post(f"/v1/journeys/{journey}/stop", body, idempotency_key=once or token_hex(16))
        raise typer.Exit(_watch(api, made))


stops = typer.Typer(help="Stops under way: list, watch, pause, resume, cancel.")


@stops.callback(invoke_without_command=True)
def list_stops(context: typer.Context, url: Url = None, key: Key = None) -> None:
    """Stops under way: list, watch, pause, resume, cancel."""
    from rich.table import Table

    if context.invoked_subcommand is not None:
        return
    table = Table("stop", "state", "runs", "journey", "by", box=None)
    for column in table.columns[:3]:
        column.no_wrap, column.overflow = True, "ignore"
    with journeys_api(url, key) as api:
        items = api.get("/v1/stops")["items"]
    for one in items:
        done = f"{one['done']:,} of {one['total']:,}"
        table.add_row(one["id"], one["state"], done, one["journey"], one["created_by"])
    out.print(table)


@stops.command()
def watch(stop_id: Id, url: Url = None, key: Key = None) -> None:
    """Show how far it has come, until it goes on no more."""
    with journeys_api(url, key) as api:
        raise typer.Exit(_watch(api, api.get(f"/v1/stops/{stop_id}")))


@stops.command()
def pause(stop_id: Id, url: Url = None, key: Key = None) -> None:
    """End no further run until it is resumed."""
    _change(stop_id, "pause", url, key)


@stops.command("resume")
def resume_stop(stop_id: Id, url: Url = None, key: Key = None) -> None:
    """Go on with the runs whose turn has not come."""
    _change(stop_id, "resume", url, key)


@stops.command()
def cancel(stop_id: Id, url: Url = None, key: Key = None) -> None:
    """End no further run, ever; the journey stays closed."""
    _change(stop_id, "cancel", url, key)


def _change(stop_id: str, change: str, url: str | None, key: str | None) -> None:
    with journeys_api(url, key) as api:
        say(_state_of(api.post(f"/v1/stops/{stop_id}/{change}")))


def _watch(api: BlockingApi, stopping: Answer) -> int:
    """Show a bar until a stop goes on no more; the exit code: 0 done, 1 not, 130 left with Ctrl-C."""
    from rich.progress import TextColumn

    figures = TextColumn("{task.completed:,.0f} of {task.total:,.0f} runs{task.fields[held]}")
    try:
        with progress_bar(figures) as progress:
            bar = progress.add_task(stopping["journey"], total=stopping["total"], held="")
            while True:
                held = ", held back until Temporal has taken more" if stopping["held_back"] else ""
                progress.update(bar, completed=stopping["done"], held=held)
                if stopping["state"] != "running":
                    break
                time.sleep(REFRESH)
                stopping = api.get(f"/v1/stops/{stopping['id']}")
    except KeyboardInterrupt:
        say(f"The stop goes on without this window; look at it again with `journeys stops watch {stopping['id']}`.")
        return 130
    say(_state_of(stopping))
    return 0 if stopping["state"] == "done" else 1


def _state_of(stopping: Answer) -> str:
    """One line about a stop: its state and how far it came."""
    counts = f"{plural(stopping['stopped'], 'run')} told to end, {stopping['left']:,} had ended before"
    return (
        f"Stop {stopping['id']} is {stopping['state']} after {stopping['done']:,} of {stopping['total']:,}: {counts}."
    )
