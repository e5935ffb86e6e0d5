"""Fuzz every parser, each for some minutes, and say how far that went.

    python -m tests.fuzz [--minutes 10] [--workers 2] [--parsers segment,cursors]

What was found interesting is kept below .local/fuzz and where the next time begins; an input that breaks a parser is
kept beside it, and its parser's seeds are where it belongs once it is mended.
"""

import asyncio
import importlib.util
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from tests.fuzz.parsers import PARSERS

KEPT: Final = Path(".local/fuzz")
#: Of libFuzzer: seconds of one input, which `judge` is far stricter about, and the memory of one process.
LIMITS: Final = ("-timeout=30", "-rss_limit_mb=2048", "-print_final_stats=1")


@dataclass(frozen=True)
class Campaign:
    """What became of fuzzing one parser."""

    parser: str
    seconds: float
    executions: int
    #: Edges of ours that were taken.
    covered: int
    output: str
    failed: bool


async def fuzz(parser: str, minutes: float, turns: asyncio.Semaphore) -> Campaign:
    """Fuzz one parser in a process of its own."""
    corpus, broken = KEPT / parser / "corpus", KEPT / parser / "broken-"
    options = [f"-max_total_time={minutes * 60:.0f}", f"-max_len={PARSERS[parser].longest}", *LIMITS]
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.one_parser",
        parser,
        str(corpus),
        *options,
        f"-artifact_prefix={broken}",
    ]
    async with turns:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        took = time.monotonic() - began
    output = said.decode(errors="replace")
    (KEPT / parser / "output.txt").write_text(output)
    executed = re.search(r"stat::number_of_executed_units: (\d+)", output)
    covered = re.findall(r"cov: (\d+)", output)
    return Campaign(
        parser,
        took,
        int(executed[1]) if executed else 0,
        int(covered[-1]) if covered else 0,
        output,
        process.returncode != 0,
    )


def main(
    minutes: Annotated[float, typer.Option(help="Minutes for each parser.")] = 10,
    workers: Annotated[int, typer.Option(help="Parsers at a time.")] = 2,
    parsers: Annotated[str, typer.Option(help="Their names, parted by commas; all if none.")] = "",
) -> None:
    """Fuzz every parser; exit 1 when one broke."""
    console = Console()
    if importlib.util.find_spec("atheris") is None:
        console.print("There is no build of Atheris for this machine; fuzz on Linux on x86-64.")
        raise typer.Exit(2)
    chosen = parsers.split(",") if parsers else list(PARSERS)

    async def all_of_them() -> list[Campaign]:
        turns = asyncio.Semaphore(workers)
        return await asyncio.gather(*(fuzz(parser, minutes, turns) for parser in chosen))

    campaigns = asyncio.run(all_of_them())
    table = Table("parser", "minutes", "executions", "edges covered", "")
    for one in campaigns:
        outcome = "BROKEN" if one.failed else "held"
        table.add_row(one.parser, f"{one.seconds / 60:.1f}", f"{one.executions:,}", f"{one.covered:,}", outcome)
    console.print(table)
    for one in campaigns:
        if one.failed:
            console.rule(one.parser)
            console.print(one.output[-3_000:], markup=False, highlight=False)
    raise typer.Exit(any(one.failed for one in campaigns))


if __name__ == "__main__":
    typer.run(main)
