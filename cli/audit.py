"""`journeys audit`: proves that nobody changed the trail behind its back, and tells what is in it."""

from __future__ import annotations

import csv
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli._console import fail, out, plural, print_lines, progress_bar, say
from cli._environment import open_database, run_on_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from activities.audit.chain import ChainFault, ChainHead
    from activities.audit.lines import AuditLine

app = typer.Typer(help="The audit trail: verify, anchor, export.", no_args_is_help=True)

#: Findings that are shown; one edit of a chain made anew can be as many as it has entries.
SHOWN = 50
#: What begins a formula in a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How lines are written."""

    JSON = "json"
    CSV = "csv"


@app.command()
def verify(
    anchor: Annotated[str | None, typer.Option(help="A file of `journeys audit anchor`; else the heads alone.")] = None,
) -> None:
    """Read every entry and say what was edited, deleted, swapped or cut off; exit code 1 if anything was."""
    from activities.audit.verification import count, verify_all

    known = None if anchor is None else _read_anchor(anchor)

    async def check() -> tuple[int, list[ChainFault], float]:
        async with open_database() as database, database.reading() as connection:
            total, began = await count(connection), time.perf_counter()
            with progress_bar(transient=True) as bar:
                task = bar.add_task("Verifying", total=total)
                checked, found = await verify_all(connection, known, lambda done: bar.update(task, completed=done))
            return checked, found, time.perf_counter() - began

    checked, found, took = run_on_database(check())
    say(f"{plural(checked, 'entry').replace('entrys', 'entries')} in {took:.1f} s, {checked / took:,.0f} a second.")
    print_lines(one.sentence for one in found[:SHOWN])
    if found:
        fail(f"The trail is not as it was written: {plural(len(found), 'finding')}.")
    say("Nothing was edited, deleted, swapped or cut off.")


@app.command()
def anchor() -> None:
    """Print where every chain ends now. Keep it where nobody who may write the database can reach it."""
    from activities.audit.verification import heads_of

    async def read() -> Mapping[tuple[str, int], ChainHead]:
        async with open_database() as database, database.reading() as connection:
            return await heads_of(connection)

    heads = run_on_database(read())
    lanes = {f"{brand}/{lane}": [head.n, head.hash.hex()] for (brand, lane), head in sorted(heads.items())}
    out.print_json(json.dumps({"at": datetime.now(UTC).isoformat(), "lanes": lanes}))


@app.command()
def export(
    brand: Annotated[str, typer.Option(help="Whose.")],
    player: Annotated[str | None, typer.Option(help="Of one player.")] = None,
    message: Annotated[str | None, typer.Option(help="Why this message was sent, or was not.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From then on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Until before then, UTC.")] = None,
    format: Annotated[Format, typer.Option(help="A JSON object a line, or CSV.")] = Format.JSON,  # noqa: A002 - the option's name
) -> None:
    """Print what the records tell of a player, a message or a period, the oldest first."""
    if message is not None:
        print(json.dumps(_why(brand, message), default=str, indent=2))  # noqa: T201 - the result
        return
    from activities.audit.lines import lines_of

    period = {"since": _utc(since), "until": _utc(until)}

    async def read() -> None:
        write = _writer(format)
        async with open_database() as database, database.reading() as connection:
            async for line in lines_of(connection, brand, player_id=player, **period):
                write(line)

    run_on_database(read())


def _why(brand: str, message: str) -> Any:
    from activities.audit.lines import why_sent

    async def read() -> Any:
        async with open_database() as database, database.reading() as connection:
            return await why_sent(connection, brand, message)

    why = run_on_database(read())
    if why is None:
        fail(f"{brand} has no message {message}; its id is in the list of messages.")
    return why


def _writer(chosen: Format) -> Any:
    if chosen is Format.JSON:
        return lambda line: print(json.dumps(asdict(line), default=str))  # noqa: T201 - the result
    rows = csv.writer(sys.stdout)
    rows.writerow(["at", "record", "actor", "action", "object", "player_id", "rule", "reason", "detail"])
    return lambda line: rows.writerow(_cells(line))


def _cells(line: AuditLine) -> Iterator[str]:
    for value in asdict(line).values():
        cell = "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
        yield f"'{cell}" if cell.startswith(FORMULA) else cell


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _read_anchor(path: str | Path) -> Mapping[tuple[str, int], ChainHead]:
    from pathlib import Path as File

    from activities.audit.chain import ChainHead

    try:
        lanes = json.loads(File(path).read_text())["lanes"]
        found = {}
        for name, (number, hashed) in lanes.items():
            brand, _, lane = name.rpartition("/")
            found[brand, int(lane)] = ChainHead(int(number), bytes.fromhex(hashed))
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{path} is no anchor that `journeys audit anchor` wrote: {error}")
    return found
