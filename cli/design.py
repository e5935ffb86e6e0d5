"""`journeys diagram` and `journeys check`: what a designer asks of the code before anyone meets it.

The commands know neither settings nor templates nor Temporal's address; the command line hands over functions that do.
"""

# ruff: noqa: PLC0415  a command loads only what it needs; all of it takes seconds

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.converter import DataConverter

    from stage.flow.check_release import ReleaseCheck
    from stage.flow.check_rules import Templates
    from workflows.declaration import Journey

T = TypeVar("T")

PATIENCE = 10.0
out = Console()
err = Console(stderr=True)


@dataclass(frozen=True)
class Surroundings:
    """What the commands need of the world and the stage may not import; the composition root brings it.

    `packages` hold the journeys. The others may raise a `JourneysError` that tells every mistake. `converter` reads the
    payloads of histories.
    """

    packages: Callable[[], Sequence[str]]
    templates: Callable[[], Templates]
    temporal: Callable[[], Awaitable[Client]]
    converter: Callable[[], DataConverter]
    task_queue: str = "journeys"


def add_design(app: typer.Typer, around: Surroundings) -> None:
    """Give the command line its `diagram` and `check`."""

    @app.command()
    def diagram(
        journey: Annotated[str, typer.Argument(help="The journey's name.")],
        *,
        as_svg: Annotated[bool, typer.Option("--svg", help="Draw a picture; the default for FILE.svg.")] = False,
        as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Write Mermaid text; else the default.")] = False,
        output: Annotated[Path | None, typer.Option("-o", "--output", help="The file; stdout if unset.")] = None,
        counts: Annotated[
            Path | None, typer.Option(help='JSON to lay over it: {"send:welcome#1": 1204}, by step id.')
        ] = None,
    ) -> None:
        """Draw a journey from its code."""
        if as_svg and as_mermaid:
            _fail("Choose --svg or --mermaid.", code=2)
        from stage.flow.diagram import picture
        from stage.flow.diagram_mermaid import mermaid
        from stage.flow.diagram_svg import svg
        from workflows.source.flow_reader import read_flow

        read = read_flow(_named(_journeys(around), journey))
        shown = picture(read, None if counts is None else _counts(counts))
        pictured = as_svg or (not as_mermaid and output is not None and output.suffix == ".svg")
        text = _obeyed(lambda: svg(shown) if pictured else mermaid(shown))
        if output is None:
            print(text, end="")  # noqa: T201  alone on stdout, so that it can be piped
        else:
            output.write_text(text, encoding="utf-8")
            _say(f"{journey} is drawn in {output}.")

    @app.command()
    def check(
        names: Annotated[list[str] | None, typer.Argument(metavar="[JOURNEY]...", help="All of them if unset.")] = None,
        *,
        histories: Annotated[
            Path | None, typer.Option(help="A folder of histories of runs in flight, one JSON file each.")
        ] = None,
        from_temporal: Annotated[
            bool, typer.Option("--from-temporal", help="Fetch the histories of the runs in flight.")
        ] = False,
        most: Annotated[int, typer.Option(min=1, help="Fetch at most so many runs of a journey.")] = 200,
    ) -> None:
        """Say in sentences what is wrong with journeys and templates, and which runs a release would break.

        Exits with 1 if there is anything.
        """
        from stage.flow.check import check as check_rules

        if histories is not None and from_temporal:
            _fail("Choose --histories or --from-temporal.", code=2)
        every, templates = _journeys(around), _obeyed(around.templates)
        journeys = {name: _named(every, name) for name in names} if names else every
        checked = check_rules(journeys.values(), templates)
        for waiver in checked.waivers:
            _say(str(waiver))
        _tell(checked.findings)
        wrong = len(checked.findings)
        looked_at = [_counted(len(journeys), "journey"), _counted(len(templates), "template")]
        if histories is not None or from_temporal:
            release = _obeyed(lambda: asyncio.run(_release(histories, around, every, names or None, most)))
            for name, count in sorted(release.left_out.items()):
                _say(f"{name}: {count:,} older runs were not looked at; raise --most to look at them.")
            sentences = list(release.sentences)
            _tell(sentences)
            wrong += len(sentences)
            looked_at.append(f"{_counted(release.replayed.total(), 'run')} in flight")
        listed = f"{', '.join(looked_at[:-1])} and {looked_at[-1]}"
        if wrong:
            _fail(f"{_counted(wrong, 'thing')} to mend in {listed}.")
        _say(f"Nothing is wrong with {listed}.")


async def _release(
    folder: Path | None, around: Surroundings, journeys: Mapping[str, Journey], chosen: list[str] | None, most: int
) -> ReleaseCheck:
    from stage.flow.check_release import ReleaseCheck, in_flight, in_folder, replay

    release, converter = ReleaseCheck(), around.converter()
    if folder is not None:
        return await replay(in_folder(folder, chosen), journeys, release, converter)
    from temporalio.service import RPCError

    try:
        async with asyncio.timeout(PATIENCE):
            client = await around.temporal()
        fetched = in_flight(client, around.task_queue, journeys, release, most=most, chosen=chosen)
        return await replay(fetched, journeys, release, converter)
    except TimeoutError:
        _fail(f"Temporal did not answer in {PATIENCE:.0f} seconds; name it with TEMPORAL_ADDRESS, or see that it runs.")
    except RPCError as refusal:
        _fail(f"Temporal does not list the runs in flight: {refusal}.")


# ---- what they share -----------------------------------------------------------------------------------


def _journeys(around: Surroundings) -> Mapping[str, Journey]:
    from workflows.source.registry import load

    return _obeyed(lambda: load(tuple(around.packages()))).journeys


def _obeyed(work: Callable[[], T]) -> T:
    """Do something; the mistakes it names are told, each on a line of its own, and end the command."""
    from workflows.errors import JourneysError

    try:
        return work()
    except JourneysError as mistake:
        _fail(str(mistake))


def _named(journeys: Mapping[str, Journey], name: str) -> Journey:
    if name not in journeys:
        _fail(f"There is no journey {name}; there are {', '.join(journeys)}.")
    return journeys[name]


def _counts(file: Path) -> Mapping[str, int]:
    try:
        counts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _fail(f"{file} cannot be read: {error}.")
    if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
        _fail(f'{file} must be one JSON object of step ids and whole numbers, such as {{"send:welcome#1": 1204}}.')
    return {str(step): count for step, count in counts.items()}


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _tell(sentences: Iterable[object]) -> None:
    for sentence in sentences:
        out.print(str(sentence), markup=False, highlight=False, soft_wrap=True)


def _say(sentence: str) -> None:
    err.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _fail(sentence: str, code: int = 1) -> NoReturn:
    _say(sentence)
    raise typer.Exit(code)
