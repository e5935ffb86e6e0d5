"""`journeys check`: what is wrong with journeys and templates, and which runs in flight a release would break."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, plural, print_lines, say
from cli._environment import deployment, first_line, open_database, settings_here, settings_without_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stage.flow.check_release import ReleaseCheck
    from workflows.declaration import Journey
    from workflows.experiments import Experiment
    from workflows.gate.policy import Policy

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
    most: Annotated[int, typer.Option(min=3, help="Fetch at most so many runs of a journey.")] = 600,
    coverage: Annotated[
        float, typer.Option(min=0, max=100, help="Fail where fewer percent of the runs are spoken for.")
    ] = 99,
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
    notices = (*_unlabelled(journeys, registry.policies), *_unguarded(registry.experiments.values()))
    for notice in (*checked.waivers, *notices):
        say(notice)
    unreleased = [*check_versions(journeys, registry, settings_without_database().packages)]
    print_lines([*checked.findings, *unreleased])
    wrong = len(checked.findings) + len(unreleased)
    seen = [plural(len(journeys), "journey"), plural(len(templates), "template")]
    if histories is not None or from_temporal:
        release = asyncio.run(_replay_runs(histories, registry.journeys, names or None, most))
        for name, sample in release.samples.items():
            say(f"{name}: {sample}.")
        sentences = [*release.sentences, *release.uncovered(coverage)]
        print_lines(sentences)
        wrong += len(sentences)
        seen.append(f"{plural(release.replayed.total(), 'run')} in flight")
    listed = f"{', '.join(seen[:-1])} and {seen[-1]}"
    if wrong:
        fail(f"{plural(wrong, 'thing')} to mend in {listed}.")
    say(f"Nothing is wrong with {listed}.")


def _unlabelled(journeys: Sequence[Journey], own: Sequence[Policy]) -> Iterator[str]:
    """Which journeys say no product, and so go by the setting, where a policy asks for a consent that names it."""
    from workflows.gate.policies import SHIPPED

    names = [journey.name for journey in journeys if journey.product is None]
    asking = sorted({one.name for one in (*SHIPPED, *own) if one.product_consent})
    if names and asking:
        product = settings_without_database().product
        yield (
            f"{plural(len(names), 'journey')} without product= {'counts' if len(names) == 1 else 'count'} as "
            f"{product}, which is the setting PRODUCT, where {' and '.join(asking)} ask for a consent that names the "
            f"product: {', '.join(names)}."
        )


def _unguarded(experiments: Iterable[Experiment]) -> Iterator[str]:
    """Which experiments nothing stops by itself, whatever harm an arm of theirs does."""
    for one in experiments:
        if not one.guardrails:
            yield (
                f"The experiment {one.name} v{one.version} has no guardrail, so no harm stops an arm of it; "
                "give it guardrails=[no_more(HarmSignal)]."
            )


async def _replay_runs(
    folder: Path | None, journeys: Mapping[str, Journey], chosen: list[str] | None, most: int
) -> ReleaseCheck:
    """Replay the runs in flight, from a folder of histories or else from Temporal, on the code as it is here."""
    from temporalio.service import RPCError

    from activities.temporal_client import connect, data_converter
    from stage.flow.check_release import ReleaseCheck, bulk_jobs, histories_in_folder, histories_of, replay

    if folder is not None:
        converter = data_converter(settings_without_database())
        return await replay(histories_in_folder(folder, chosen), journeys, ReleaseCheck(), converter)
    configured, release = settings_here(), ReleaseCheck()
    await _sample(journeys, chosen, most, release)
    converter = data_converter(configured)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            client = await connect(configured)
        run_ids = [run_id for sample in release.samples.values() for run_id in sample.run_ids]
        await replay(histories_of(client, run_ids, release.missing), journeys, release, converter)
        if chosen is None:
            await replay(bulk_jobs(client, configured.maintenance_queue), journeys, release, converter)
    except TimeoutError:
        fail(
            f"Temporal did not answer in {CONNECT_TIMEOUT:.0f} seconds; name it with TEMPORAL_ADDRESS, "
            "or see that it runs."
        )
    except RPCError as refusal:
        fail(f"Temporal does not give the runs in flight: {refusal}.")
    return release


async def _sample(journeys: Mapping[str, Journey], chosen: list[str] | None, most: int, release: ReleaseCheck) -> None:
    """Choose the runs to look at, by their shapes, and note those whose journeys are not here any more."""
    from sqlalchemy.exc import SQLAlchemyError

    from activities.run_shapes import gone_journeys, run_shapes
    from content.run_shapes import Sample, loops_of
    from stage.flow.check_release import Broken
    from workflows.source.flow_reader import read_flow

    try:
        async with open_database() as database, database.reading() as connection:
            for name in chosen or journeys:
                shapes = await run_shapes(connection, name, loops_of(read_flow(journeys[name])))
                release.samples[name] = Sample.of(shapes, most)
            for gone in [] if chosen else await gone_journeys(connection, journeys):
                release.replayed[gone.journey] += gone.runs
                why = "there is no such journey now"
                release.broken += [Broken(gone.journey, gone.example, "gone", "the start", why)] * gone.runs
    except SQLAlchemyError as error:
        fail(f"The database named by DATABASE_URL does not say which runs are in flight: {first_line(error)}")
