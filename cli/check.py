"""`journeys check`: what is wrong with journeys and templates, and which runs in flight a release would break."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, plural, print_lines, say
from cli._environment import deployment, settings_without_database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stage.flow.check_release import ReleaseCheck
    from workflows.declaration import Journey

#: Seconds that Temporal may take to answer the first call.
CONNECT_TIMEOUT = 10.0


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
    from stage.flow.check_versions import check_versions

    if histories is not None and from_temporal:
        fail("Choose --histories or --from-temporal.", code=2)
    deployed = deployment()
    registry, catalogue = deployed.registry, deployed.templates
    for name in names or ():
        if name not in registry.journeys:
            fail(f"There is no journey {name}; there are {', '.join(registry.journeys)}.")
    journeys = [registry.journeys[name] for name in dict.fromkeys(names or registry.journeys)]
    templates = {name: catalogue[name] for name in catalogue}
    checked = check_rules(journeys, templates)
    for waiver in checked.waivers:
        say(waiver)
    unreleased = [*check_versions(journeys, registry, settings_without_database().packages)]
    print_lines([*checked.findings, *unreleased])
    wrong = len(checked.findings) + len(unreleased)
    seen = [plural(len(journeys), "journey"), plural(len(templates), "template")]
    if histories is not None or from_temporal:
        release = asyncio.run(_replay_runs(histories, registry.journeys, names or None, most))
        for name, count in sorted(release.left_out.items()):
            say(f"{name}: {count:,} older runs were not looked at; raise --most to look at them.")
        sentences = list(release.sentences)
        print_lines(sentences)
        wrong += len(sentences)
        seen.append(f"{plural(release.replayed.total(), 'run')} in flight")
    listed = f"{', '.join(seen[:-1])} and {seen[-1]}"
    if wrong:
        fail(f"{plural(wrong, 'thing')} to mend in {listed}.")
    say(f"Nothing is wrong with {listed}.")


async def _replay_runs(
    folder: Path | None, journeys: Mapping[str, Journey], chosen: list[str] | None, most: int
) -> ReleaseCheck:
    """Replay the runs in flight, from a folder of histories or else from Temporal, on the code as it is here."""
    from temporalio.service import RPCError

    from activities.temporal_client import connect, data_converter
    from stage.flow.check_release import ReleaseCheck, histories_in_folder, in_flight, replay

    settings, release = settings_without_database(), ReleaseCheck()
    if folder is not None:
        return await replay(histories_in_folder(folder, chosen), journeys, release, data_converter(settings))
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            client = await connect(settings)
        fetched = in_flight(client, settings.task_queue, journeys, release, most=most, chosen=chosen)
        return await replay(fetched, journeys, release, data_converter(settings))
    except TimeoutError:
        fail(
            f"Temporal did not answer in {CONNECT_TIMEOUT:.0f} seconds; name it with TEMPORAL_ADDRESS, "
            "or see that it runs."
        )
    except RPCError as refusal:
        fail(f"Temporal does not list the runs in flight: {refusal}.")
