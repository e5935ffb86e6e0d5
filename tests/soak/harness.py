"""The soak: a measured load for a long time, Temporal and the workers away for one of the minutes, and a judgement.

    python -m tests.soak.harness [--minutes 10] [--rate 4000]

Without a rate it sends 80 % of what it measures first. It ends with a table, one line of JSON and an exit code.
"""

import asyncio
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from local.stack import Stack
from tests.crash import harness as crash
from tests.soak.judge import CALM_WITHIN, GROWTH, JUDGED_FROM, Findings, judge
from tests.soak.load import Crowd, journal_in
from tests.soak.watch import MIB, PARTS, Watch

SHARE = 0.8
#: A rate is what holds once caches are warm and checkpoints have come, not a sprint.
MEASURED, WARM = 60.0, 15.0
AWAY = ("dispatcher", "worker", "temporal")
#: Every so many seconds a line is shown.
TOLD_EVERY = 10.0


@dataclass(frozen=True)
class Plan:
    """What is done for how long, in seconds. A rate of 0 is measured first."""

    seconds: float
    rate: float = 0.0
    players: int = 2_000
    deposits: float = 2.0
    seed: int = 1

    @property
    def away(self) -> float:
        """How long the servers are gone: a minute, or a third of a short soak."""
        return min(60.0, self.seconds / 3)


@dataclass(frozen=True)
class Report:
    """What came out."""

    plan: Plan
    measured: float
    rate: float
    crowd: Crowd
    findings: Findings
    drained: float

    def figures(self) -> dict[str, Any]:
        """The line for machines."""
        waits = quantiles(self.crowd.waits, n=100) if len(self.crowd.waits) > 1 else [0.0] * 99
        return {
            "ok": not self.findings.problems,
            "minutes": round(self.plan.seconds / 60, 2),
            "measured_per_s": round(self.measured),
            "rate_per_s": round(self.rate),
            "acknowledged": self.crowd.acknowledged.total(),
            "deposits": self.crowd.events - len(self.crowd.names) * 3,
            "answers": dict(self.crowd.answers),
            "answer_p50_ms": round(waits[49] * 1000, 1),
            "answer_p99_ms": round(waits[98] * 1000, 1),
            "away_s": round(self.plan.away),
            "calm_after_s": {k: None if v is None else round(v, 1) for k, v in self.findings.calm_after.items()},
            "drained_after_s": round(self.drained, 1),
            "memory": {
                one.part: {"mib": round(one.mebibytes), "grows_in_10_min": round(one.share, 4), "s": round(one.seconds)}
                for one in self.findings.grown
            },
            "problems": len(self.findings.problems),
        }


async def soak(plan: Plan, folder: Path, console: Console) -> Report:
    """Run the plan in `folder` on a stack of its own and judge it."""
    extra = {"JOURNEYS": crash.JOURNEYS, "TEMPLATES": str(crash.HERE / "templates")}
    async with Stack(folder, extra=extra, say=console.print) as stack:
        with journal_in(folder) as journal:
            crowd = Crowd(
                stack.api_url,
                stack.keys["admin"],
                journal,
                seed=plan.seed,
                players=plan.players,
                deposits=plan.deposits,
            )
            watch = Watch(stack)
            await crowd.move_in()
            measured = 0.0 if plan.rate else await crowd.measure(MEASURED, WARM)
            rate = plan.rate or measured * SHARE
            console.print(f"Sending {rate:,.0f} events a second for {plan.seconds / 60:.1f} minutes.")
            crowd.waits.clear()
            helpers = [asyncio.create_task(watch.look()), asyncio.create_task(_tell(crowd, watch, console))]
            try:
                began = time.monotonic()
                living = asyncio.create_task(crowd.live(plan.seconds, rate))
                await asyncio.sleep((plan.seconds - plan.away) / 2)
                went = time.monotonic()
                back = await _go_away(stack, plan.away, console)
                await living
                quiet_from = time.monotonic()
                console.print("All is sent; waiting until all is quiet.")
                database, temporal = stack.environment()["DATABASE_URL"], stack.environment()["TEMPORAL_ADDRESS"]
                await crash.until_quiet(database, temporal)
                drained = time.monotonic() - quiet_from
                await asyncio.sleep(6)  # a watch that sees the calm
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
                await crowd.close()
            findings = await judge(crowd, folder, database, temporal, watch.samples, (began, went, back))
        return Report(plan, measured, rate, crowd, findings, drained)


async def _go_away(stack: Stack, seconds: float, console: Console) -> float:
    """Take Temporal, worker and dispatcher away for so long; the moment at which they were back."""
    console.print(f"Temporal, worker and dispatcher go away for {seconds:.0f} s.")
    until = time.monotonic() + seconds
    for part in AWAY:
        await stack.stop(part)
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    for part in reversed(AWAY):
        stack.start(part)
    await stack.ready(*AWAY)
    console.print("They are back.")
    return time.monotonic()


async def _tell(crowd: Crowd, watch: Watch, console: Console) -> None:
    began, told, seen = time.monotonic(), crowd.acknowledged.total(), 0
    while True:
        await asyncio.sleep(TOLD_EVERY)
        now, last = crowd.acknowledged.total(), watch.samples[-1]
        slowest = max(crowd.waits[seen:], default=0.0)
        memory = " ".join(f"{part} {held // MIB}" for part, (_, held) in last.memory.items())
        console.print(
            f"{time.monotonic() - began:5.0f} s {(now - told) / TOLD_EVERY:7,.0f}/s, slowest {slowest:6.2f} s, "
            f"{crowd.answers['429']:4} 429s, {last.deliveries:5} deliveries and {last.runs:5} runs wait; MiB: {memory}"
        )
        told, seen = now, len(crowd.waits)


def show(report: Report, console: Console) -> None:
    """The figures as a table, the problems as sentences, the JSON last."""
    figures = report.figures()
    table = Table()
    for heading in ("What", "Found", "Asked for"):
        table.add_column(heading, no_wrap=True)
    table.add_row("events acknowledged", f"{figures['acknowledged']:,}", "each there once")
    table.add_row("deposits, each a run", f"{figures['deposits']:,}", "messages and reward once")
    table.add_row("answer p50 / p99", f"{figures['answer_p50_ms']} / {figures['answer_p99_ms']} ms", "")
    table.add_row(
        "answers 429 and 503, sent again",
        f"{figures['answers'].get('429', 0)} and {figures['answers'].get('503', 0)}",
        "",
    )
    for what, after in report.findings.calm_after.items():
        table.add_row(f"backlog of {what} normal again", _seconds(after), f"within {CALM_WITHIN:.0f} s")
    table.add_row("all quiet after the load", _seconds(report.drained), "")
    for one in report.findings.grown:
        judged = f"below {GROWTH:.0%} in 10 min" if one.seconds >= JUDGED_FROM else "too short to judge"
        table.add_row(f"memory of {one.part}", f"{one.mebibytes:.0f} MiB, {one.share:+.1%} in 10 min", judged)
    if {one.part for one in report.findings.grown} != set(PARTS):
        table.add_row("memory", "some parts did not live long enough", "")
    console.print(table, soft_wrap=False)
    for problem in report.findings.problems[:40]:
        console.print(problem)
    console.print(orjson.dumps(figures).decode())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


def main(
    minutes: Annotated[float, typer.Option(help="How long the load lasts.")] = 10.0,
    rate: Annotated[float, typer.Option(help="Events a second; 0 measures first and sends 80 % of that.")] = 0.0,
    seed: Annotated[int, typer.Option(help="What players do.")] = 1,
) -> None:
    """Soak a stack of its own, and judge what is left of it."""
    console = Console(soft_wrap=True, markup=False, highlight=False, width=120)
    folder = Path(tempfile.mkdtemp(prefix="journeys-soak-"))
    folder.chmod(0o711)  # the database's own account must get in
    report = asyncio.run(soak(Plan(minutes * 60, rate, seed=seed), folder, console))
    if report.findings.problems:
        console.print(f"What is left of it lies in {folder}.")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    show(report, console)
    if report.findings.problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
