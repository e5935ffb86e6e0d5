"""`journeys impact`: what the present code of a journey would do to the runs in flight."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, print_lines, say
from cli._environment import deployment, first_line, open_database, settings_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activities.database import Database
    from activities.engine import Deployment
    from content.run_shapes import RunShape
    from stage.release_impact.impact import Impact
    from workflows.declaration import Journey
    from workflows.events import Event

#: Seconds that Temporal may take to answer the first call.
CONNECT_TIMEOUT = 10.0


def impact(
    journey: Annotated[str, typer.Argument(help="The journey's name.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON document, for a script.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file; FILE.html is a page with both versions drawn.")
    ] = None,
    do: Annotated[
        list[str] | None, typer.Option(help="An inserted step that runs past it would do all the same; repeat it.")
    ] = None,
    most: Annotated[int, typer.Option(min=3, help="Look at so many histories at most.")] = 600,
) -> None:
    """Say what a release of a journey does to the runs in flight, before you choose pin, migrate or stop."""
    report_impact(journey, as_json=as_json, output=output, most=most, do=do or ())


def report_impact(
    name: str, *, as_json: bool = False, output: Path | None = None, most: int = 600, do: Sequence[str] = ()
) -> None:
    """Make the report and show it, or write it to a file."""
    from stage.release_impact.impact_page import impact_page
    from stage.release_impact.impact_text import impact_text
    from workflows.source.flow_reader import read_flow

    deployed = deployment()
    journeys = deployed.registry.journeys
    if name not in journeys:
        fail(f"There is no journey {name}; there are {', '.join(journeys)}.")
    before, after = version_before(journeys[name]), journeys[name]
    report = asyncio.run(_impact(deployed, before, after, most, do))
    if output is not None and output.suffix == ".html":
        text = impact_page(report, read_flow(before), read_flow(after))
    elif as_json or (output is not None and output.suffix == ".json"):
        text = report.model_dump_json(indent=2) + "\n"
    else:
        text = impact_text(report)
    if output is None:
        print_lines([text.rstrip("\n")])
    else:
        output.write_text(text, encoding="utf-8")
        say(f"What a release of {name} does is told in {output}.")


def version_before(journey: Journey) -> Journey:
    """The release before the present code; the present code itself where there is none."""
    earlier = [number for number in journey.versions if not journey.version or number < journey.version]
    return journey.at(max(earlier, default=journey.version))


async def _impact(deployed: Deployment, before: Journey, after: Journey, most: int, do: Sequence[str]) -> Impact:
    from temporalio.service import RPCError

    from activities.temporal_client import connect, data_converter
    from content.run_shapes import Sample
    from stage.flow.check_release import histories_of
    from stage.release_impact.examination import Examiner
    from stage.release_impact.impact import impact_of

    configured, now = settings_here(), datetime.now(UTC)
    shapes = await _shapes(after)
    already = sum(shape.runs for shape in shapes if after.version and shape.version == after.version)
    sample = Sample.of([one for one in shapes if not after.version or one.version != after.version], most)
    templates = {name: deployed.templates[name] for name in deployed.templates}
    converter = data_converter(configured)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            client = await connect(configured)
        async with open_database() as database:
            heard = partial(_told_by_moving, database, after)
            examiner = Examiner(
                after.name, after.version, deployed.registry, templates, now, converter, do, heard, sample.arms
            )
            examined = await examiner.examine(histories_of(client, sample.run_ids, []))
    except TimeoutError:
        fail(f"Temporal did not answer in {CONNECT_TIMEOUT:.0f} seconds; name it with TEMPORAL_ADDRESS.")
    except RPCError as refusal:
        fail(f"Temporal does not give the runs in flight: {refusal}.")
    return impact_of(before, after, sample, examined.examples, examined.failures, now, already)


async def _told_by_moving(database: Database, journey: Journey, run_id: str) -> list[Event]:
    from activities.loops.migration import told_by_moving

    async with database.reading() as connection:
        return await told_by_moving(connection, run_id, journey, journey.version)


async def _shapes(journey: Journey) -> list[RunShape]:
    from sqlalchemy.exc import SQLAlchemyError

    from activities.run_shapes import run_shapes
    from content.run_shapes import loops_of
    from workflows.source.flow_reader import read_flow

    loops = frozenset[str]().union(*(loops_of(read_flow(one)) for one in (journey, *journey.versions.values())))
    try:
        async with open_database() as database, database.reading() as connection:
            return await run_shapes(connection, journey.name, loops)
    except SQLAlchemyError as error:
        fail(f"The database named by DATABASE_URL does not say which runs are in flight: {first_line(error)}")
