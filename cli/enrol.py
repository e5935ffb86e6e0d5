"""`journeys segments`, `enrol` and `enrolments`: many players let into a journey, over HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli._console import about, out, plural, progress_bar, say
from cli._environment import api_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from cli._api_client import Answer, BlockingApi

Url = Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with journeys:manage; the local stack's if unset."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id that `journeys enrolments` shows.")]

#: Seconds between two questions how far an enrolment has come.
REFRESH: Final = 0.5
#: What became of the players of an enrolment, for the end of a line that begins with how many they are.
OUTCOMES: Final[Mapping[str, str]] = {
    "treated": "play it",
    "control": "are in its control group: tracked, contacted by nobody",
    "other_brand": "are of a brand it is not for",
    "in_it": "are in it already",
    "once": "were in it once, and it is entered once in a life",
    "too_soon": "were in it too recently",
    "needs_event": "lack the event it is entered for",
    "closed": "came while it was closed",
    "left_segment": "have left the segment",
    "unknown_player": "are not known any more",
    "self_excluded": "are self-excluded: it counts as an entry, nothing is played",
    "time_out": "take a time-out: it counts as an entry, nothing is played",
    "account_not_active": "have no active account: it counts as an entry, nothing is played",
}


def segments(url: Url = None, key: Key = None) -> None:
    """List the deployed segments and how many players are in each."""
    from rich.table import Table

    table = Table("segment", "players", "who", box=None)
    table.columns[1].justify = "right"
    with _api(url, key) as api:
        items = api.get("/v1/segments")["items"]
    for segment in items:
        table.add_row(segment["name"], f"{segment['members']:,}", segment["description"])
    out.print(table)


def enrol(
    journey: Annotated[str, typer.Argument(help="The journey they enter.")],
    *,
    segment: Annotated[str, typer.Option(help="Who: everybody who is in it now.")],
    per_second: Annotated[int, typer.Option(min=1, max=5_000, help="Players a second at most.")] = 50,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    once: Annotated[str | None, typer.Option(help="An idempotency key: the same key twice is one enrolment.")] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Let many players into a journey: shows how many first, asks, then works at a rate that you can hold.

    The entry rule, the protection and the control group hold for each of them. It goes on without this window;
    Ctrl-C only stops looking.
    """
    from secrets import token_hex

    who_enters = {"journey": journey, "segment": segment}
    with _api(url, key) as api:
        if not _show_preview(api.post("/v1/enrolments/preview", who_enters), per_second):
            return
        if not yes and not typer.confirm("Enrol them?", err=True):
            say("Nobody was enrolled.")
            raise typer.Exit(1)
        body = {**who_enters, "per_second": per_second}
        raise typer.Exit(_watch(api, api.post("/v1/enrolments", body, idempotency_key=once or token_hex(16))))


enrolments = typer.Typer(help="Enrolments under way: list, watch, pause, resume, cancel.")


@enrolments.callback(invoke_without_command=True)
def list_enrolments(context: typer.Context, url: Url = None, key: Key = None) -> None:
    """Enrolments under way: list, watch, pause, resume, cancel."""
    from rich.table import Table

    if context.invoked_subcommand is not None:
        return
    table = Table("enrolment", "state", "players", "journey", "segment", box=None)
    for column in table.columns[:3]:
        # What is copied or read at a glance is never cut.
        column.no_wrap, column.overflow = True, "ignore"
    with _api(url, key) as api:
        items = api.get("/v1/enrolments")["items"]
    for enrolment in items:
        done = f"{enrolment['done']:,} of {enrolment['total']:,}"
        table.add_row(enrolment["id"], enrolment["state"], done, enrolment["journey"], enrolment["segment"])
    out.print(table)


@enrolments.command()
def watch(enrolment: Id, url: Url = None, key: Key = None) -> None:
    """Show how far it has come, until it goes on no more."""
    with _api(url, key) as api:
        raise typer.Exit(_watch(api, api.get(f"/v1/enrolments/{enrolment}")))


@enrolments.command()
def pause(enrolment: Id, url: Url = None, key: Key = None) -> None:
    """Let nobody else in until it is resumed."""
    _change(enrolment, "pause", url, key)


@enrolments.command()
def resume(enrolment: Id, url: Url = None, key: Key = None) -> None:
    """Go on with those whose turn has not come."""
    _change(enrolment, "resume", url, key)


@enrolments.command()
def cancel(enrolment: Id, url: Url = None, key: Key = None) -> None:
    """Let nobody else in, ever; runs that have begun go on."""
    _change(enrolment, "cancel", url, key)


def _change(enrolment: str, change: str, url: str | None, key: str | None) -> None:
    with _api(url, key) as api:
        say(_state_of(api.post(f"/v1/enrolments/{enrolment}/{change}")))


def _api(url: str | None, key: str | None) -> BlockingApi:
    from cli._api_client import BlockingApi

    return BlockingApi(*api_address(url, key, role="crm"))


def _show_preview(preview: Answer, per_second: int) -> bool:
    """How many would enter, why the others would not, and how long it takes; False when it is sure that nobody would.

    An estimate of nobody is not sure.
    """
    from cli._console import err

    if not preview["members"]:
        say(f"Nobody is in {preview['segment']}. Nobody would enter.")
        return False
    say(f"{preview['journey']} for the {plural(preview['members'], 'player')} in {preview['segment']}, of whom")
    counts = {"treated": preview["entering"], "control": preview["control"], **preview["refused"]}
    err.print(_outcome_table({name: count for name, count in counts.items() if count}))
    if not (preview["entering"] or preview["control"] or preview["estimate"]):
        say("Nobody would enter.")
        return False
    if preview["estimate"]:
        say(f"This is an estimate from {preview['looked_at']:,} of them.")
    say(f"At {per_second:,} a second it takes about {about(preview['members'] / per_second)}.")
    return True


def _watch(api: BlockingApi, enrolment: Answer) -> int:
    """Show a bar until an enrolment goes on no more; the exit code: 0 done, 1 not, 130 left with Ctrl-C."""
    from rich.progress import TextColumn

    enrolment_id = enrolment["id"]
    figures = TextColumn("{task.completed:,.0f} of {task.total:,.0f} players{task.fields[held]}")
    try:
        with progress_bar(figures) as progress:
            bar = progress.add_task(enrolment["journey"], total=enrolment["total"], held="")
            while True:
                held = ", held back until Temporal has taken more" if enrolment["held_back"] else ""
                progress.update(bar, completed=enrolment["done"], held=held)
                if enrolment["state"] != "running":
                    break
                time.sleep(REFRESH)
                enrolment = api.get(f"/v1/enrolments/{enrolment_id}")
    except KeyboardInterrupt:
        say(
            f"The enrolment goes on without this window. Look at it again with "
            f"`journeys enrolments watch {enrolment_id}`, hold it with `journeys enrolments pause {enrolment_id}`."
        )
        return 130
    out.print(
        _outcome_table({"treated": enrolment["entered"], "control": enrolment["control"], **enrolment["refused"]})
    )
    if enrolment["state"] == "done":
        return 0
    say(_state_of(enrolment))
    return 1


def _state_of(enrolment: Answer) -> str:
    """One line about an enrolment: its state, how far it came, and why it failed if it did."""
    line = f"Enrolment {enrolment['id']} is {enrolment['state']} after {enrolment['done']:,} of {enrolment['total']:,}."
    return f"{line} {enrolment['failure']}" if enrolment["failure"] else line


def _outcome_table(counts: Mapping[str, int]) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for name, count in counts.items():
        table.add_row(f"{count:,}", OUTCOMES.get(name, name.replace("_", " ")))
    return table
