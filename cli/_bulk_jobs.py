"""What bulk jobs have in common at the terminal: begun, watched with a bar, listed, paused, resumed, cancelled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli._console import about, out, progress_bar, say
from cli._environment import Key, Url, journeys_api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cli._api_client import Answer, BlockingApi

Id = Annotated[str, typer.Argument(metavar="ID", help="The id that the list shows.")]
PerSecond = Annotated[int, typer.Option(min=1, max=5_000, help="Players or runs a second at most.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Once = Annotated[str | None, typer.Option(help="An idempotency key: the same key twice is one job.")]

#: Seconds between two questions how far a job has come.
REFRESH: Final = 0.5


@dataclass(frozen=True)
class JobWords:
    """How one kind of bulk job is spoken of."""

    #: The path of its list below `/v1/`, which is also the command; and one of them.
    plural: str
    noun: str
    #: What it goes through.
    unit: str
    #: What the list shows besides, by heading.
    columns: Mapping[str, str]
    #: What became of those it has come to.
    counts: Callable[[Answer], str]
    pause: str
    resume: str
    cancel: str

    def state(self, job: Answer) -> str:
        """One line about a job: its state, how far it came, and why it failed if it did."""
        came = f"{self.noun.capitalize()} {job['id']} is {job['state']} after {job['done']:,} of {job['total']:,}"
        failed = f"{job['failed']:,} passed over, see the log" if job["failed"] else ""
        counts = "; ".join(part for part in (self.counts(job), failed) if part)
        return " ".join(part for part in (f"{came}: {counts}." if counts else f"{came}.", job["failure"]) if part)

    def begin(self, api: BlockingApi, path: str, body: Answer, once: str | None) -> int:
        """Have a job begun, once for each idempotency key, and watch it; the exit code."""
        from secrets import token_hex

        return self.watch(api, api.post(path, body, idempotency_key=once or token_hex(16)))

    def watch(self, api: BlockingApi, job: Answer) -> int:
        """Show a bar until a job goes on no more; the exit code: 0 done, 1 not, 130 left with Ctrl-C."""
        from rich.progress import TextColumn

        figures = TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + self.unit + "{task.fields[held]}")
        try:
            with progress_bar(figures) as progress:
                bar = progress.add_task(job["journey"], total=job["total"], held="")
                while True:
                    progress.update(bar, completed=job["done"], held=_held(job))
                    if job["state"] != "running":
                        break
                    time.sleep(REFRESH)
                    job = api.get(f"/v1/{self.plural}/{job['id']}")
        except KeyboardInterrupt:
            say(
                f"The {self.noun} goes on without this window. Look at it again with `journeys {self.plural} watch "
                f"{job['id']}`, hold it with `journeys {self.plural} pause {job['id']}`."
            )
            return 130
        say(self.state(job))
        return 0 if job["state"] == "done" else 1

    def show(self, api: BlockingApi) -> None:
        """List the jobs of the kind, the newest first."""
        from rich.table import Table

        table = Table(self.noun, "state", self.unit, *self.columns, box=None)
        for column in table.columns[:3]:
            # What is copied or read at a glance is never cut.
            column.no_wrap, column.overflow = True, "ignore"
        for job in api.get(f"/v1/{self.plural}")["items"]:
            done = f"{job['done']:,} of {job['total']:,}"
            table.add_row(job["id"], job["state"], done, *(str(job[field]) for field in self.columns.values()))
        out.print(table)


def how_long(count: int, per_second: int) -> str:
    """A sentence that says how long a job over so many takes at a rate."""
    return f"At {per_second:,} a second it takes about {about(count / per_second)}."


def agree(question: str, otherwise: str, *, yes: bool) -> None:
    """Ask before a job begins, unless that was said to be needless; at a no the command ends and says `otherwise`."""
    if not yes and not typer.confirm(question, err=True):
        say(otherwise)
        raise typer.Exit(1)


def job_commands(words: JobWords) -> typer.Typer:
    """The command that lists the jobs of a kind, and those that watch, pause, resume and cancel one."""
    said = f"{words.plural.capitalize()} under way: list, watch, pause, resume, cancel."
    commands = typer.Typer(help=said)

    def list_jobs(context: typer.Context, url: Url = None, key: Key = None) -> None:
        if context.invoked_subcommand is None:
            with journeys_api(url, key) as api:
                words.show(api)

    def watch(job_id: Id, url: Url = None, key: Key = None) -> None:
        with journeys_api(url, key) as api:
            raise typer.Exit(words.watch(api, api.get(f"/v1/{words.plural}/{job_id}")))

    def acting(action: str) -> Callable[..., None]:
        def act(job_id: Id, url: Url = None, key: Key = None) -> None:
            with journeys_api(url, key) as api:
                say(words.state(api.post(f"/v1/{words.plural}/{job_id}/{action}")))

        return act

    commands.callback(invoke_without_command=True, help=said)(list_jobs)
    commands.command("watch", help="Show how far it has come, until it goes on no more.")(watch)
    for action, sentence in (("pause", words.pause), ("resume", words.resume), ("cancel", words.cancel)):
        commands.command(action, help=sentence)(acting(action))
    return commands


def _held(job: Answer) -> str:
    if job["waiting"]:
        return f", waiting: {job['waiting']}"
    return ", held back until Temporal has taken more" if job["held_back"] else ""
