"""The restore drill: one side is set back to a backup, or lost, while the other is ahead; then every promise is judged.

    python -m tests.crash.restore_drill

What a restore cannot keep is told in docs/production.md, "Backup and restore"; everything else must hold.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console

from local.stack import Stack
from tests.crash.evidence import open_workflows, read_lines
from tests.crash.load import Caller

HERE = Path(__file__).parent
BRAND, JOURNEY = "demo", "drill_wait"
APP = ("api", "worker", "dispatcher")
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
SETTLE_S = 120.0
# A call to a provider that was under way when an exclusion was acknowledged may still arrive so much later.
UNDER_WAY = timedelta(seconds=25)
Event = dict[str, Any]
Say = Callable[[str], object]
Row = dict[str, Any]


@dataclass
class Drill:
    """A stack under a small load, of which everything that was acknowledged is remembered."""

    stack: Stack
    caller: Caller
    sent: list[Event] = field(default_factory=list)
    excluded: dict[str, datetime] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    #: By player: how many rewards are due, one for each login or deposit that a run is there to hear.
    due: Counter[str] = field(default_factory=Counter)
    #: Keys of mails that were handed over in the time that Postgres lost: such a mail may come once more.
    forgotten: set[str] = field(default_factory=set)

    # ---- what happens ----------------------------------------------------------------------

    async def post(self, events: Sequence[Event]) -> None:
        """Send events until they are acknowledged."""
        answer = await self.caller.until_answered("POST", "/v1/events", json=[*events], headers=BATCH)
        summary = answer.raise_for_status().json()
        assert summary["accepted"] + summary["duplicate"] == len(events), summary
        self.sent += [event for event in events if event not in self.sent]

    def event(self, player: str, kind: str, /, **data: Any) -> Event:
        """A new fact."""
        return {
            "specversion": "1.0",
            "id": f"drill-{len(self.sent)}-{random.randrange(1 << 48):x}",
            "source": "/drill",
            "type": f"igaming.{kind}.v1",
            "subject": player,
            "time": datetime.now(UTC).isoformat(),
            "data": data,
        }

    async def register(self, players: Iterable[str]) -> None:
        """Players come, reachable by mail."""
        about = {"language": "en", "timezone": "Europe/Kyiv", "currency": "EUR", "opted_in": ["email"]}
        await self.post(
            [self.event(one, "player.registered", email=f"{one}@drill.example", **about) for one in players]
        )

    async def login(self, players: Sequence[str]) -> None:
        """Each logs in, and is rewarded for it while the run waits."""
        await self.post([self.event(one, "session.login") for one in players])
        self.due.update(players)

    async def deposit(self, players: Sequence[str]) -> None:
        """Each deposits, and is rewarded for it by a run that is over then."""
        about = {"amount_minor": 1900, "currency": "EUR"}
        await self.post(
            [
                self.event(one, "payment.deposit_approved", payment_id=f"x-{len(self.sent)}-{one}", **about)
                for one in players
            ]
        )
        self.due.update(players)

    async def exclude(self, player: str) -> None:
        """A player excludes themselves, and hears that it is so."""
        await self.post([self.event(player, "compliance.exclusion_set", kind="self_exclusion")])
        self.excluded[player] = datetime.now(UTC)

    # ---- what can be seen ------------------------------------------------------------------

    @property
    def database(self) -> str:
        return self.stack.environment()["DATABASE_URL"].replace("+psycopg", "")

    async def rows(self, query: str) -> list[Row]:
        """What a query finds."""
        async with await psycopg.AsyncConnection.connect(self.database, row_factory=dict_row) as connection:
            return await (await connection.execute(query)).fetchall()

    def paid(self) -> Counter[str]:
        """How often each key was paid, by the bonus engine's own file."""
        ledger = read_lines(self.stack.folder / "bonus-engine.jsonl")
        return Counter(line["key"] for line in ledger if line["kind"] == "grant")

    def mailed(self) -> Counter[str]:
        """How often each mail was handed over, by the mail system's own file."""
        return Counter(mail["key"] for mail in read_lines(self.stack.folder / "messages" / "mails.jsonl"))

    def rewards_of(self, player: str) -> int:
        """How many rewards a player has got."""
        return sum(f":{BRAND}:{player}:" in key for key in self.paid())

    async def settled(self) -> None:
        """Wait until nothing is to be delivered and every reward that is due was paid; told if not."""
        deadline = asyncio.get_running_loop().time() + SETTLE_S
        while asyncio.get_running_loop().time() < deadline:
            (waiting,) = await self.rows("SELECT count(*) AS n FROM deliveries")
            if not waiting["n"] and all(self.rewards_of(player) >= due for player, due in self.due.items()):
                return
            await asyncio.sleep(0.2)
        for row in await self.rows("SELECT run_id, kind, last_error FROM deliveries"):
            self.problems.append(f"A delivery of kind {row['kind']} to {row['run_id']} stays: {row['last_error']}")

    # ---- what must hold --------------------------------------------------------------------

    async def judge(self, when: str) -> None:
        """Hold what is there against the promises of docs/guarantees.md."""
        found = Counter(row["id"] for row in await self.rows("SELECT id FROM events WHERE source = '/drill'"))
        broken = [
            f"Event {event['id']} is kept {found[event['id']]} times." for event in self.sent if found[event["id"]] != 1
        ]
        broken += [f"{key} was paid {count} times." for key, count in self.paid().items() if count > 1]
        broken += [
            f"{player} got {got} rewards for {due} logins and deposits."
            for player, due in self.due.items()
            if (got := self.rewards_of(player)) != due
        ]
        for row in await self.rows("SELECT id, outcome FROM runs WHERE journey = 'drill_once'"):
            if row["outcome"] != "completed":
                broken.append(f"{row['id']} came to its end and is {row['outcome']} in the books.")
        broken += [
            f"The mail {key} was handed over {count} times."
            for key, count in self.mailed().items()
            if count > 1 + (key in self.forgotten)
        ]
        active = await self.rows("SELECT id, player_id FROM runs WHERE state = 'active'")
        excluded = [row["id"] for row in active if row["player_id"] in self.excluded]
        broken += [f"{run} goes on although its player is excluded." for run in excluded]
        going = await open_workflows(self.stack.environment()["TEMPORAL_ADDRESS"])
        broken += [
            f"{run} goes on in Temporal although its player is excluded." for run in going if self._is_excluded(run)
        ]
        broken += [f"{row['id']} is active here and unknown to Temporal." for row in active if row["id"] not in going]
        for row in await self.rows("SELECT run_id, kind, reason FROM dead_letters WHERE retried_at IS NULL"):
            broken.append(f"Dead letter of {row['run_id']}, kind {row['kind']}: {row['reason']}")
        self.problems += [f"{when}: {sentence}" for sentence in broken]

    def _is_excluded(self, run: str) -> bool:
        return any(f":{BRAND}:{player}:" in run for player in self.excluded)


async def drill(folder: Path, say: Say) -> list[str]:
    """Do all of it in `folder`; what was broken, as sentences."""
    extra = {"JOURNEYS": f"{__package__}.drill_journeys", "TEMPLATES": str(HERE / "templates")}
    began = time.monotonic()

    def tell(what: str) -> None:
        say(f"{time.monotonic() - began:4.0f} s  {what}")

    async with Stack(folder, extra=extra) as stack:
        drill = Drill(stack, Caller(stack.api_url, stack.keys["admin"], random.Random(1)))
        try:
            await postgres_set_back(drill, tell)
            await told(drill, tell)
            await temporal_from_nothing(drill, tell)
            await told(drill, tell)
        finally:
            await drill.caller.client.aclose()
        return drill.problems


async def told(drill: Drill, say: Say) -> None:
    """What is there now, for whoever watches."""
    runs = Counter(row["outcome"] or "under way" for row in await drill.rows("SELECT outcome FROM runs"))
    paid, due = drill.paid().total(), drill.due.total()
    twice = sum(count > 1 for count in drill.mailed().values())
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(runs.items()))
    say(f"{len(drill.sent)} events; runs: {outcomes}; {paid} rewards of {due}, {twice} mails twice.")


async def postgres_set_back(drill: Drill, say: Say) -> None:
    """Load, backup, more load, Postgres is restored while Temporal is ahead, and senders send again."""
    early, late = [f"a{number}" for number in range(1, 7)], [f"b{number}" for number in range(1, 4)]
    say("Load.")
    await drill.register(early)
    await drill.login(early)
    await drill.deposit(early[:2])
    await drill.settled()
    say("Backup.")
    await backup(drill)
    since, mailed = len(drill.sent), drill.mailed()
    say("More load.")
    await drill.login(early)
    await drill.register(late)
    await drill.login(late)
    await drill.deposit([*early[2:], *late])
    await drill.settled()
    await drill.exclude("a1")
    await drill.settled()
    say("Restore of Postgres; Temporal is ahead of it.")
    await restore(drill)
    drill.forgotten = drill.mailed().keys() - mailed.keys()
    # A deposit that nobody made before comes first: it must not be taken for one of the lost time.
    await drill.deposit(["a3"])
    await drill.post(drill.sent[since:])
    drill.excluded["a1"] = datetime.now(UTC)
    await reconcile_runs(drill, "--all")
    await drill.exclude("a2")
    await drill.login(["a3", "b1"])
    await drill.settled()
    await no_run_of_an_excluded_player(drill)
    await reconcile_runs(drill, "--all")
    await drill.judge("After Postgres was set back")


async def temporal_from_nothing(drill: Drill, say: Say) -> None:
    """Temporal begins with nothing while Postgres is ahead."""
    await drill.stack.stop("worker")
    await drill.register(["d1"])  # its run begins in Temporal and does nothing there
    await drill.settled()
    say("Temporal begins with nothing; Postgres is ahead of it.")
    for part in ("dispatcher", "api", "temporal"):
        await drill.stack.stop(part)
    for file in drill.stack.folder.glob("temporal.db*"):
        file.unlink()
    for part in ("temporal", *APP):
        drill.stack.start(part)
    await drill.stack.ready()
    await reconcile_runs(drill, "--accept-loss")
    await drill.register(["c1", "c2"])
    await drill.login(["c1", "c2", "d1"])
    await drill.settled()
    await drill.exclude("a4")
    await drill.exclude("c2")
    await drill.settled()
    await no_run_of_an_excluded_player(drill)
    await drill.judge("After Temporal was lost")


async def no_run_of_an_excluded_player(drill: Drill) -> None:
    """Give stops their time; whoever goes on after it is found by the judge."""
    deadline = asyncio.get_running_loop().time() + UNDER_WAY.total_seconds()
    while asyncio.get_running_loop().time() < deadline:
        going = await open_workflows(drill.stack.environment()["TEMPORAL_ADDRESS"])
        if not any(drill._is_excluded(run) for run in going):
            return
        await asyncio.sleep(0.5)


async def reconcile_runs(drill: Drill, option: str) -> None:
    """Have the books compared with Temporal now."""
    await journeys(drill, "reconcile", option)


async def journeys(drill: Drill, *arguments: str) -> None:
    """A command of ours."""
    environment = os.environ | drill.stack.environment()
    command = (sys.executable, "-m", "cli", *arguments)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=sys.stderr)
    if await process.wait():
        raise RuntimeError(f"journeys {' '.join(arguments)} ended with {process.returncode}.")


async def backup(drill: Drill) -> None:
    """As docs/production.md says, while everything runs."""
    await run(drill, "pg_dump", "--format=custom", f"--file={drill.stack.folder / 'backup'}", drill.database)


async def restore(drill: Drill) -> None:
    """As docs/production.md says: our processes stand still while the database is made anew."""
    for part in reversed(APP):
        await drill.stack.stop(part)
    name = drill.database.rpartition("/")[2]
    await drill.stack.postgres.drop_database(name)
    await drill.stack.postgres.create_database(name)
    await run(drill, "pg_restore", "--exit-on-error", f"--dbname={drill.database}", str(drill.stack.folder / "backup"))
    await journeys(drill, "migrate")
    for part in APP:
        drill.stack.start(part)
    await drill.stack.ready()


async def run(drill: Drill, tool: str, *arguments: str) -> None:
    """A tool of the server's own release."""
    found = drill.stack.postgres.tool(tool)
    process = await asyncio.create_subprocess_exec(str(found), *arguments, env=os.environ | {"LC_ALL": "C"})
    if await process.wait():
        raise RuntimeError(f"{tool} ended with {process.returncode}.")


def main() -> None:
    """Do the drill once, on a stack of its own."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="journeys-drill-"))
    folder.chmod(0o711)  # the database's own account must get in
    problems = asyncio.run(drill(folder, console.print))
    for problem in problems:
        console.print(problem)
    if problems:
        console.print(f"What is left of it lies in {folder}.")
        raise typer.Exit(1)
    console.print("Every promise that can hold held.")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
