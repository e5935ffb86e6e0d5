"""The crash test: load, kills, quiet, judgement.

    python -m tests.crash.harness [--seeds 1,2,3] [--minutes 10] [--no-disasters]

Everything that can die is killed with SIGKILL at moments drawn from the seed. Afterwards all is given time to become
quiet, and `checker` judges what is left. The seed decides who is killed when and what players do; the machine
decides the rest, so a seed that failed is worth several runs.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from local.slowness import slowness
from local.stack import Stack
from tests.crash.checker import LONG, check
from tests.crash.disasters import Disasters
from tests.crash.evidence import Evidence, gather, open_workflows
from tests.crash.load import CANARY, Caller, Journal, Manager, Players
from worker import UPKEEP_WORKFLOWS
from workflows.source.journey_loading import SHIPPED, load
from workflows.temporal_internals import runner

HERE = Path(__file__).parent
JOURNEYS = f"{__package__}.journeys"
SERVERS = ("temporal", "postgres", "bonus-engine", "catch-all")
PARTS = ("api", "worker", "dispatcher", *SERVERS)
# Shares of the nemesis's acts.
FROZEN, AWAY = 0.08, 0.04
# Nothing may move for so long before we call it stuck: longer than any attempt and any pause after one.
STUCK_AFTER = timedelta(minutes=2)

QUIET = """
SELECT (SELECT count(*) FROM deliveries)
     + (SELECT count(*) FROM runs WHERE state = 'active' AND journey LIKE 'crash%')
     + (SELECT count(*) FROM runs r WHERE r.state = 'active' AND r.journey = 'tier_up')
     + (SELECT count(*) FROM grants WHERE status IN ('reserved', 'unknown'))
     + (SELECT count(*) FROM messages WHERE status IN ('handed_over', 'waiting'))
     + (SELECT count(*) FROM tasks WHERE state IN ('open', 'claimed'))
     + (SELECT count(*) FROM runs r JOIN players p ON p.brand = r.brand AND p.id = r.player_id
        WHERE r.state = 'active' AND p.state ? 'exclusions')
"""

MOVED = """
SELECT (SELECT count(*) FROM steps), (SELECT count(*) FROM deliveries), (SELECT sum(version) FROM tasks)
"""


@dataclass(frozen=True)
class Verdict:
    """What one seed came to."""

    seed: int
    kills: Counter[str]
    evidence: Evidence
    problems: list[str]
    replayed: int
    calm_after: float
    struck: list[str]

    def __str__(self) -> str:
        said = Counter(line["what"] for line in self.evidence.journal)
        events = sum(len(line["events"]) for line in self.evidence.journal if line["what"] == "events")
        told = [
            f"seed {self.seed}: {self.kills.total()} kills {dict(self.kills)}",
            *([f"disasters, in this order: {', '.join(self.struck)}"] if self.struck else []),
            f"{said['frozen']} freezes, {said['away']} absences; quiet {self.calm_after:.0f} s after",
            f"{events} events in {said['events']} requests, {said['answered']} answers, {said['excluded']} exclusions",
            f"{self.evidence.at_once} of {self.evidence.operations} operations answered at once",
            f"attempts {dict(sorted(self.evidence.outcomes.items()))}",
            f"{len(self.evidence.ledger)} lines in the ledger, {len(self.evidence.mails)} mails, "
            + ", ".join(f"{len(hooks)} {channel}" for channel, hooks in self.evidence.webhooks.items())
            + f"; {self.replayed} histories replayed",
        ]
        if self.problems:
            told += [f"{len(self.problems)} promises broken (seed {self.seed}):", *sorted(self.problems)[:60]]
        return "\n".join(told)


async def crash(
    seed: int,
    load_for: timedelta,
    folder: Path,
    *,
    pause: tuple[float, float] = (1.0, 3.0),
    at_least: int = 0,
    pace: float = 2.0,
    with_disasters: bool = False,
) -> Verdict:
    """Run one seed in `folder` and judge it. Killing goes on beyond the load until there were `at_least` kills.

    `with_disasters` servers are also set back and lost, and people lay hands on runs, all while everything is killed.
    """
    extra = {"JOURNEYS": JOURNEYS, "TEMPLATES": str(HERE / "templates")}
    async with Stack(folder, extra=extra) as stack:
        end = time.monotonic() + load_for.total_seconds()
        journal = Journal(folder / "journal.jsonl")
        backend, desk = (
            Caller(stack.api_url, stack.keys[role], random.Random(seed)) for role in ("admin", "vip-manager")
        )
        # A part that is killed while it starts, again and again, lets nothing else happen.
        pause, pace = (pause[0] * slowness(), pause[1] * slowness()), pace * slowness()
        players = Players(backend, journal, seed, pace)
        players.stay = with_disasters
        nemesis = Nemesis(stack, journal, random.Random(seed), pause)
        crm = Caller(stack.api_url, stack.keys["admin"], random.Random(seed))
        disasters = Disasters(stack, journal, crm, players, random.Random(seed), nemesis.sparing)
        manager, raging, living = (
            asyncio.create_task(work)
            for work in (Manager(desk, journal).work(), nemesis.rage(), players.live(load_for.total_seconds()))
        )
        try:
            if with_disasters:
                await disasters.strike()
                players.stay = False
            while not living.done() and time.monotonic() < end:
                await asyncio.sleep(0.1)
            while nemesis.kills.total() < at_least:
                await asyncio.sleep(0.1)
            raging.cancel()
            await raging
            await stack.ready()
            began = time.monotonic()
            await living
            database, temporal = stack.environment()["DATABASE_URL"], stack.environment()["TEMPORAL_ADDRESS"]
            if with_disasters:
                await disasters.reconcile("--accept-loss")
            await until_quiet(database, temporal)
            calm_after = time.monotonic() - began
        finally:
            for task in (manager, raging, living):
                task.cancel()
            await asyncio.gather(manager, raging, living, return_exceptions=True)
            await asyncio.gather(*(caller.client.aclose() for caller in (backend, desk, crm)))
            journal.close()
        evidence = await gather(folder, database, temporal, CANARY)
        evidence.outcomes = dict(backend.outcomes + desk.outcomes)
        evidence.operations, evidence.at_once = backend.operations, backend.at_once
        problems = check(evidence)
        replayed, faults = await _replay(temporal)
        return Verdict(seed, nemesis.kills, evidence, [*problems, *faults], replayed, calm_after, disasters.struck)


@dataclass
class Nemesis:
    """Kills one part after the other, now and then two at once, rarely all, until cancelled.

    Some parts are frozen for a moment instead, which is how an overloaded machine fails, and some stay away for
    longer than any client tries by itself.
    """

    stack: Stack
    journal: Journal
    chance: random.Random
    pause: tuple[float, float]
    kills: Counter[str] = field(default_factory=Counter)
    #: Parts it leaves alone for a while, and those that it keeps away.
    spared: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def sparing(self, *parts: str) -> AsyncIterator[None]:
        """Leave these parts alone while the block lasts; whoever was kept away is back."""
        self.spared |= {*parts}
        try:
            while self.gone & {*parts}:
                await asyncio.sleep(0.1)
            yield
        finally:
            self.spared -= {*parts}

    async def rage(self) -> None:
        """Act until cancelled; whoever was sent away is back when this returns."""
        async with asyncio.TaskGroup() as absences:
            with contextlib.suppress(asyncio.CancelledError):
                while True:
                    await asyncio.sleep(self.chance.uniform(*self.pause))
                    await self._act(absences)

    async def _act(self, absences: asyncio.TaskGroup) -> None:
        standing = [part for part in PARTS if part not in self.spared and self.stack.pid(part) is not None]
        if not standing:
            return
        one, act = self.chance.choice(standing), self.chance.random()
        if act < FROZEN:
            self.journal.write("frozen", part=one)
            await self._freeze(one, self.chance.uniform(1, 4))
        elif act < FROZEN + AWAY:
            one = self.chance.choice([part for part in SERVERS if part not in self.spared | self.gone])
            self.journal.write("away", part=one)
            absences.create_task(self._keep_away(one, self.chance.uniform(12, 20)))
        else:
            count = self.chance.choices((1, 2, len(PARTS)), weights=(84, 13, 3))[0]
            victims = self.chance.sample(standing, min(count, len(standing)))
            await asyncio.gather(*(self.stack.kill(part) for part in victims))
            for part in victims:
                self.journal.write("killed", part=part)
            self.kills.update(victims)

    async def _freeze(self, part: str, seconds: float) -> None:
        pid = self.stack.pid(part)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)

    async def _keep_away(self, part: str, seconds: float) -> None:
        self.gone.add(part)
        await self.stack.stop(part)
        await asyncio.sleep(seconds)
        self.stack.start(part)
        self.gone.discard(part)


async def until_quiet(database: str, temporal: str) -> None:
    """Return when nothing is under way any more but what waits for days, or when all that is left is stuck.

    Whoever is stuck is found by the checker, with names.
    """
    seen, moved = None, time.monotonic()
    async with await psycopg.AsyncConnection.connect(
        database.replace("+psycopg", ""), autocommit=True, connect_timeout=60
    ) as connection:
        while time.monotonic() < moved + STUCK_AFTER.total_seconds() * slowness():
            row = await (await connection.execute(QUIET)).fetchone()
            if row == (0,) and all(run.startswith(LONG) for run in await open_workflows(temporal)):
                return
            now = await (await connection.execute(MOVED)).fetchone()
            if now != seen:
                seen, moved = now, time.monotonic()
            await asyncio.sleep(0.5)


async def _replay(temporal: str) -> tuple[int, list[str]]:
    """Replay every history there is; how many there were, and which did not replay."""
    client = await Client.connect(temporal, data_converter=pydantic_data_converter)
    replayer = Replayer(
        workflows=[*load((SHIPPED, JOURNEYS)).workflows, *UPKEEP_WORKFLOWS],
        workflow_runner=runner(),
        data_converter=pydantic_data_converter,
    )
    histories = client.list_workflows().map_histories()
    done = await replayer.replay_workflows(histories, raise_on_replay_failure=False)
    faults = [f"A history does not replay: {failure}" for failure in done.replay_failures.values()]
    return await _count(client), faults


async def _count(client: Client) -> int:
    return (await client.count_workflows()).count


def main(
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "",
    minutes: Annotated[float, typer.Option(help="How long each seed is loaded and killed.")] = 1.0,
    *,
    disasters: Annotated[bool, typer.Option(help="Set servers back, lose them, and lay hands on runs.")] = True,
) -> None:
    """Run the crash test for some seeds, each on a stack of its own, and stop at the first broken promise."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    chosen = [int(seed) for seed in seeds.split(",") if seed.strip()] or [random.randrange(1_000_000)]
    for seed in chosen:
        folder = Path(tempfile.mkdtemp(prefix=f"journeys-crash-{seed}-"))
        folder.chmod(0o711)  # the database's own account must get in
        verdict = asyncio.run(
            crash(seed, timedelta(minutes=minutes), folder, pace=8 if disasters else 2, with_disasters=disasters)
        )
        console.print(str(verdict))
        if verdict.problems:
            console.print(f"What is left of it lies in {folder}.")
            raise typer.Exit(1)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
