"""`journeys shadow`: plays a release beside the live one for some players, and tells what it would have done."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, plural, print_lines, say
from cli._environment import Key, Url, journeys_api, settings_without_database
from cli.hold import Journey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli._api_client import Answer
    from workflows.source.flow_graph import Flow


def shadow(
    journey: Journey,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="The release to play beside the live one.")] = None,
    percent: Annotated[float | None, typer.Option(min=0.01, max=100, help="Of the brand's players.")] = None,
    report: Annotated[bool, typer.Option("--report", help="What it would have done; also if nothing is said.")] = False,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Freeze the edited code as a release that nobody enters on yet.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End it; what it would have done stays.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The report in a file; FILE.html is a page, FILE.json is JSON."),
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Play a release beside the live one for real players, with nothing sent, granted or asked, and compare them."""
    starting = version is not None or percent is not None
    if starting + stop + freeze + (report or as_json or output is not None) > 1:
        fail("Choose one: --freeze, --version with --percent, --report, or --stop.", code=2)
    if starting and (version is None or percent is None):
        fail("Name the release and how many players: --version 8 --percent 5.", code=2)
    if freeze:
        _freeze(journey)
        return
    path = f"/v1/journeys/{journey}/shadow"
    with journeys_api(url, key) as api:
        if starting:
            made = api.post(path, {"version": version, "percent": percent})
            say(
                f"v{made['version']} of {journey} is played beside v{made['beside']} for {made['percent']:g} % of the "
                f"players who enter from now on. Look with `journeys shadow {journey} --report`."
            )
        elif stop:
            api.post(f"{path}/stop")
            say(f"The shadow of {journey} is stopped; `journeys shadow {journey} --report` still tells of it.")
        else:
            _report(api.get(path), output, as_json=as_json)


def _report(told: Answer, output: Path | None, *, as_json: bool) -> None:
    """Show the report, or write it to a file."""
    ending = "" if output is None else output.suffix
    if ending == ".html":
        from stage.release_impact.shadow_page import shadow_page

        flows, undrawn = _flows(told)
        lines = [shadow_page(told, flows, undrawn)]
    else:
        lines = [json.dumps(told, indent=2)] if as_json or ending == ".json" else [*report_lines(told)]
    if output is None:
        print_lines(lines)
        return
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"What the shadow of {told['journey']} would have done is told in {output}.")


def _flows(told: Answer) -> tuple[tuple[Flow, Flow] | None, str]:
    """Both versions as they are read from the code that is here; or None, and why they are not."""
    from workflows.errors import DesignError
    from workflows.source.flow_reader import read_flow
    from workflows.source.journey_loading import load

    name = told["journey"]
    try:
        journey = load(settings_without_database().packages).journeys.get(name)
    except DesignError as mistakes:
        return None, f"the journeys here cannot be read. {mistakes}"
    if journey is None:
        return None, f"there is no journey {name} here; name its package in JOURNEYS."
    live, shadow = told["beside"], told["version"]
    for version in (live, shadow):
        if not journey.knows(version):
            return None, f"there is no v{version} of {name} here; check out the commit that is deployed."
    return (read_flow(journey.at(live)), read_flow(journey.at(shadow))), ""


def _freeze(name: str) -> None:
    """Write the present code as a release for a shadow: players go on entering on the one before."""
    from cli._environment import deployment
    from cli.release import releases_folder, write_release
    from workflows.source.releases import last_live
    from workflows.source.version_content import JourneyPackages

    registry = deployment().registry
    if name not in registry.journeys:
        fail(f"There is no journey {name}; there are {', '.join(registry.journeys)}.")
    present, index = registry.journeys[name], registry.releases[name]
    live = last_live(index.of(name))
    if live is None:
        fail(
            f"{name} has no release that players enter on; make what is live one with `journeys release {name}` first."
        )
    if present.version and present.live is None:
        fail(f"The code of {name} is v{present.version}, which players enter on; edit it first.")
    sources = JourneyPackages(settings_without_database().packages)
    made = write_release(present, sources, index, datetime.now(UTC).date(), "shadow")
    folder = releases_folder(index.package) / name / made.folder
    say(
        f"{name} is v{made.number}, in {folder}, and players enter on v{live} until `journeys release {name}`. Commit "
        f"it, deploy it, and play it with `journeys shadow {name} --version {made.number} --percent 5`."
    )


def report_lines(told: Answer) -> Iterator[str]:
    """The comparison of a shadow with the live runs beside it, as text."""
    began = _moment(told["started_at"])
    state = f"since {began}" if told["running"] else f"{began} to {_moment(told['stopped_at'])}"
    versions = f"v{told['version']} beside v{told['beside']}"
    yield f"{told['journey']}: {versions}, {told['percent']:g} % of the players, {state}"
    compared = told.get("compared", told["runs"])
    sample = f"; {compared:,} of the runs are compared here" if compared < told["runs"] else ""
    yield f"{told['runs']:,} live runs with a shadow, {told['under_way']:,} of the shadows under way{sample}"
    rows = [("step", "live", "shadow", "")]
    for one in told["steps"]:
        differs = "" if one["live"] == one["shadow"] else "*"
        rows.append((one["step"], _counts(one["live"]), _counts(one["shadow"]), differs))
    if left := told.get("steps_left"):
        rows.append((f"and {plural(left, 'step')} more", "", "", ""))
    for one in told["costs"]:
        currency = one["currency"]
        rows.append((f"cost in {currency}", _cost(one["live"], currency), _cost(one["shadow"], currency), ""))
    yield ""
    yield from _table(rows)
    if told["ends"]:
        yield ""
        yield from _table([("ends", "live", "shadow", ""), *(_end(one) for one in told["ends"])])


def _end(one: Answer) -> tuple[str, str, str, str]:
    differs = "" if one["live"] == one["shadow"] else f"* such as {one['example']}"
    return f"{one['runs']:,}", one["live"], one["shadow"], differs


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()) or "-"


def _cost(cost: Answer, currency: str) -> str:
    from workflows.minor_units import minor_units, whole_units

    unlimited = f", {cost['unlimited']:,} without a ceiling" if cost["unlimited"] else ""

    places = minor_units(currency)
    most, expected = (f"{whole_units(cost[which], currency):,.{places}f}" for which in ("most", "expected"))
    return f"{most} at most, {expected} expected{unlimited}"


def _moment(at: str) -> str:
    return at[:16].replace("T", " ")


def _table(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[3]]).rstrip()
