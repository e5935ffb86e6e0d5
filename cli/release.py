"""`journeys release` freezes the code of a journey as a version; `journeys versions` says who is on which."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._bulk_jobs import Once, PerSecond, Yes
from cli._console import fail, figures_table, out, plural, say
from cli._environment import Key, Url, deployment, open_database, run_on_database, settings_without_database
from cli.impact import report_impact
from cli.migration import RunsInFlight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from activities.versions_in_flight import VersionInFlight
    from workflows.declaration import Journey
    from workflows.source.journey_loading import Registry
    from workflows.source.releases import InFlight, JourneyRelease, ReleaseIndex
    from workflows.source.version_content import JourneyPackages


def release(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[JOURNEY]...", help="All whose code is no release if unset.")
    ] = None,
    *,
    pin: Annotated[bool, typer.Option("--pin", help="Runs in flight stay on their versions; the default.")] = False,
    migrate: Annotated[bool, typer.Option("--migrate", help="Runs in flight move to this one.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Runs in flight on other versions end.")] = False,
    to: Annotated[
        int | None, typer.Option(min=1, help="With --migrate: move them to this version; nothing is released.")
    ] = None,
    do: Annotated[
        list[str] | None, typer.Option(help="With --migrate: an inserted step that runs past it do all the same.")
    ] = None,
    per_second: PerSecond = 50,
    reason: Annotated[
        str | None, typer.Option(help="Why runs move or end; it stands in their story and never leaves Postgres.")
    ] = None,
    yes: Yes = False,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    author: Annotated[str, typer.Option(help="Whose release it is, for the index.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what it does to the runs in flight.")
    ] = False,
    gone: Annotated[int | None, typer.Option(min=1, help="Take this version out; nobody may be on it.")] = None,
) -> None:
    """Freeze the code of journeys as versions, to be committed beside it; move or end the runs in flight.

    With --migrate or --stop the first call freezes the code. When that is deployed, the same call again shows how many
    runs there are, asks, and has them moved or ended at a rate.
    """
    _refuse_contradictions(pin + migrate + stop, migrate=migrate, moved=to is not None or bool(do))
    registry = deployment().registry
    chosen = _chosen(registry, names)
    in_flight = RunsInFlight(stop, do or [], per_second, reason, yes, once, url, key)
    if to is not None:
        raise typer.Exit(in_flight.move(_the_one(names, "whose runs move"), to))
    if gone is not None:
        _take_out(registry, _the_one(names, "of which that version is gone"), gone)
        return
    unreleased = [name for name in chosen if names or not registry.journeys[name].version]
    if dry_run:
        for name in unreleased:
            report_impact(name)
        return
    if not unreleased:
        say(f"Nothing to release: the code of {plural(len(chosen), 'journey')} is released.")
    _release_each(registry, unreleased, "migrate" if migrate else "stop" if stop else "pin", author, in_flight)


def _refuse_contradictions(choices: int, *, migrate: bool, moved: bool) -> None:
    if choices > 1:
        fail("Choose --pin, --migrate or --stop.", code=2)
    if moved and not migrate:
        fail("--to and --do go with --migrate.", code=2)


def _the_one(names: Sequence[str] | None, what: str) -> str:
    if names is None or len(names) != 1:
        fail(f"Name the one journey {what}.", code=2)
    return names[0]


def _release_each(
    registry: Registry, unreleased: Sequence[str], choice: InFlight, author: str, in_flight: RunsInFlight
) -> None:
    for name in unreleased:
        number = _release(registry, name, choice, author)
        if number is not None and choice != "pin" and (code := in_flight.move(name, number)):
            raise typer.Exit(code)


def versions(
    names: Annotated[list[str] | None, typer.Argument(metavar="[JOURNEY]...", help="All of them if unset.")] = None,
) -> None:
    """List the versions of journeys: who is on which, since when, and when the last must be over."""
    registry = deployment().registry
    chosen = _chosen(registry, names)
    flying = run_on_database(_in_flight(chosen))
    table = figures_table(["journey", "version", "released", "", "oldest run", "over by"], ["runs"])
    for name in chosen:
        for row in _rows(registry, name, [one for one in flying if one.journey == name]):
            table.add_row(name, *row)
    out.print(table)


def _chosen(registry: Registry, names: list[str] | None) -> list[str]:
    for name in names or ():
        if name not in registry.journeys:
            fail(f"There is no journey {name}; there are {', '.join(registry.journeys)}.")
    return [*dict.fromkeys(names or registry.journeys)]


def _release(registry: Registry, name: str, in_flight: InFlight, author: str) -> int | None:
    """Release a journey; the number of its version if that had been released before."""
    from workflows.source.releases import read_index
    from workflows.source.version_content import JourneyPackages

    sources = JourneyPackages(settings_without_database().packages)
    # The index of a package has its other journeys too, and one of them may just have been written.
    index = read_index(registry.releases[name].package)
    made = write_release(registry.journeys[name], sources, index, datetime.now(UTC).date(), in_flight, author)
    if made in index.of(name):
        say(f"{name} is v{made.number} already, released on {made.released}: new runs play it, nothing is written.")
        return made.number
    folder = releases_folder(index.package) / name / made.folder
    say(f"{name} is v{made.number} now, in {folder}. Commit it together with the code.")
    if in_flight != "pin":
        does = "moves the runs in flight" if in_flight == "migrate" else "ends the runs in flight on other versions"
        say(f"When it is deployed, `journeys release {name} --{in_flight}` again {does}.")
    return None


def write_release(
    journey: Journey,
    sources: JourneyPackages,
    index: ReleaseIndex,
    today: date,
    in_flight: InFlight = "pin",
    author: str = "",
) -> JourneyRelease:
    """The release that a journey's present code is, written beside it unless it is there. Raises `DesignError`."""
    from workflows.source.releases import next_release, source_of

    made = next_release(journey, sources, index, today, in_flight, author)
    if made in index.of(journey.name):
        return made
    source = source_of(journey, sources, index, made)
    root = releases_folder(index.package)
    folder = root / journey.name / made.folder
    folder.mkdir(parents=True, exist_ok=True)
    for package in (root, root / journey.name, folder):
        (package / "__init__.py").touch()
    for file, text in source.files.items():
        (folder / f"{file}.py").write_text(text, encoding="utf-8")
    _write_index(index.with_release(journey.name, made))
    return made


def _take_out(registry: Registry, name: str, number: int) -> None:
    index = registry.releases[name]
    known = next((one for one in index.of(name) if one.number == number), None)
    if known is None:
        fail(f"There is no v{number} of {name}; there are {_numbers(index.of(name)) or 'none'}.")
    journey = registry.journeys[name]
    if number in {journey.version, journey.entered_on}:
        fail(f"v{number} of {name} is its present code or what players enter on; release another one first.")
    on_it = [one for one in run_on_database(_in_flight([name])) if one.version == number]
    if on_it:
        fail(
            f"v{number} of {name} has {plural(sum(one.runs for one in on_it), 'run')} in flight, the last until "
            f"{max(one.over_by for one in on_it):%Y-%m-%d}; move or stop them first."
        )
    if shadowing := run_on_database(_shadowing(name, number)):
        fail(
            f"v{number} of {name} is shadowed in {', '.join(shadowing)}; stop that first with journeys shadow {name} "
            "--stop, and try again when its runs have been told."
        )
    from dataclasses import replace

    _write_index(index.with_release(name, replace(known, gone=datetime.now(UTC).date())))
    shutil.rmtree(releases_folder(index.package) / name / known.folder, ignore_errors=True)
    say(f"v{number} of {name} is gone. Commit the change.")


def releases_folder(package: str) -> Path:
    """The folder on disk that is imported as `package`, which need not be there yet."""
    parent, _, name = package.rpartition(".")
    beside = find_spec(parent) if parent else find_spec(name.removesuffix("_releases"))
    assert beside is not None
    places: Sequence[str] = beside.submodule_search_locations or ()
    return Path(places[0] if places else str(beside.origin)).joinpath("" if places else "..", name).resolve()


def _write_index(index: ReleaseIndex) -> None:
    from workflows.source.releases import INDEX

    (releases_folder(index.package) / INDEX).write_text(index.to_toml(), encoding="utf-8")


async def _in_flight(journeys: list[str]) -> list[VersionInFlight]:
    from activities.versions_in_flight import versions_in_flight

    async with open_database() as database, database.transaction() as connection:
        return await versions_in_flight(connection, journeys)


async def _shadowing(journey: str, version: int) -> list[str]:
    from activities.shadows import brands_shadowing

    async with open_database() as database, database.transaction() as connection:
        return await brands_shadowing(connection, journey, version)


def _rows(registry: Registry, name: str, flying: Sequence[VersionInFlight]) -> list[tuple[str, ...]]:
    """A row for each version of a journey that is not gone or has runs, the newest first."""
    journey, index = registry.journeys[name], registry.releases[name]
    known: Mapping[int, JourneyRelease] = {one.number: one for one in index.of(name) if one.gone is None}
    rows: list[tuple[str, ...]] = []
    for number in sorted({*known, journey.entered_on, *(one.version for one in flying)}, reverse=True):
        mine = [one for one in flying if one.version == number]
        released = f"{known[number].released}" if number in known else "" if number == 0 else "not here"
        note = "new runs" if number == journey.entered_on else known[number].in_flight if number in known else ""
        oldest = f"{min(one.oldest for one in mine):%Y-%m-%d}" if mine else ""
        last = f"{max(one.over_by for one in mine):%Y-%m-%d}" if mine else ""
        moving = sum(one.moving for one in mine)
        count = f"{sum(one.runs for one in mine):,}" + (f" ({moving:,} told to move)" if moving else "")
        rows.append((f"v{number}", released, note, oldest, last, count))
    return rows


def _numbers(releases: Sequence[JourneyRelease]) -> str:
    return ", ".join(f"v{one.number}" for one in releases)
