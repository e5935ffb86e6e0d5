"""`journeys figures`: the figures of a brand, or a journey in numbers, as the API and the console have them."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Table

from cli._console import out, print_lines, say
from cli._environment import Key, Url, journeys_api

if TYPE_CHECKING:
    from cli._api_client import Answer


def figures(
    journey: Annotated[str | None, typer.Argument(help="Of which journey; without one those of the brand.")] = None,
    *,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Of the brand: with what was known then.")
    ] = None,
    page: Annotated[Path | None, typer.Option("--page", help="Of the brand: the report, as a page.")] = None,
    month: Annotated[bool, typer.Option("--month", help="With --page: of the newest month.")] = False,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day, of UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day after the last.")] = None,
    version: Annotated[int | None, typer.Option(min=0, help="Of one release.")] = None,
    by: Annotated[str | None, typer.Option(help="segment, or a split of the journey such as split:tone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the figures of the brand; of a journey who entered, what was sent and cost, and who reached the goal."""
    if journey is None:
        _of_brand(url, key, None if as_of is None else f"{as_of:%Y-%m-%d}", page, month=month, as_json=as_json)
        return
    asked = {
        "since": None if since is None else f"{since:%Y-%m-%d}",
        "until": None if until is None else f"{until:%Y-%m-%d}",
        "version": version,
        "split_by": by,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    with journeys_api(url, key) as api:
        told = api.get(f"/v1/journeys/{journey}/figures?{query}")
    if as_json:
        print_lines([json.dumps(told, indent=2)])
    else:
        _print(told)


def _of_brand(
    url: str | None, key: str | None, as_of: str | None, page: Path | None, *, month: bool, as_json: bool
) -> None:
    query = "" if as_of is None else f"?as_of={as_of}"
    with journeys_api(url, key) as api:
        told = api.get(f"/v1/figures{query}")
        if page is not None and told["as_of"] is not None:
            day = told["as_of"]
            if month:
                # The second of a month, on which its figures were taken.
                day = f"{day[:8]}02" if day[8:] >= "02" else f"{date.fromisoformat(day) - timedelta(days=1):%Y-%m}-02"
            page.write_bytes(api.download(f"/v1/figures/{day}/report?period={'month' if month else 'week'}"))
            say(f"The report is in {page}.")
            return
    if as_json:
        print_lines([json.dumps(told, indent=2)])
        return
    from content.figure_words import figure_text

    out.print(f"With what was known at the end of {told['as_of'] or 'no day yet'} (UTC)", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("figure", "of", "value", "from", "to", "players", "no number, because"):
        table.add_column(name)
    for one in told["items"]:
        values = (figure_text(one["name"], one[bound], one["currency"]) for bound in ("value", "low", "high"))
        about = f"{one['split_by']} {one['part']}".strip()
        table.add_row(one["title"], about, *values, str(one["n"] or ""), one["reason"] or "")
    out.print(table)
    for one in told["targets"]:
        out.print(f"Target {one['figure']}, {one['wants']}: {one['standing']} ({one['why']})", highlight=False)


def _print(told: Answer) -> None:
    as_of = told["as_of"] or "nothing is counted yet"
    out.print(f"[bold]{told['journey']}[/bold]  counted until {as_of}", highlight=False)
    out.print(_arms(told["arms"], "arm"))
    if told["parts"]:
        for part in told["parts"]:
            out.print(f"\n[bold]{part['part']}[/bold]", highlight=False)
            out.print(_arms(part["arms"], "arm"))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("step", "arm", "passed", "here", "what it came to"):
        table.add_column(name)
    for step in told["steps"]:
        outcomes = ", ".join(f"{count} {name}" for name, count in step["outcomes"].items())
        here = "" if step["here"] is None else str(step["here"])
        table.add_row(step["step"], step["arm"], str(step["passed"]), here, outcomes)
    out.print()
    out.print(table)


def _arms(arms: list[dict[str, Any]], first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (first, "entered", "active", "goal", "sent", "held back", "granted", "cost", "tasks"):
        table.add_column(name)
    for arm in arms:
        rate = "" if arm["goal_rate"] is None else f" ({100 * arm['goal_rate']:.1f} %)"
        held = ", ".join(f"{count} {why}" for why, count in arm["suppressed"].items())
        cost = ", ".join(f"{minor} {currency}" for currency, minor in arm["cost_minor"].items())
        active = "" if arm["active"] is None else str(arm["active"])
        numbers = (arm["entered"], active, f"{arm['goals']}{rate}", arm["sent"], held, arm["granted"], cost)
        table.add_row(arm["arm"], *map(str, numbers), str(arm["tasks"]))
    return table
