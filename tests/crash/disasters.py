"""What no process does by dying: servers that are set back or lost, and people who lay hands on runs and players.

Each leaves a line in the journal, because the judge has to know what cannot hold any more, and for whom.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from local.stack import Stack
from tests.crash.load import Caller, Journal, Players

HELD, MOVED = "crash_deposit", "crash_moves"
ERASED = ("erased1", "erased2", "erased3")
REASON = {"reason": "The crash test does so."}
WORKED_OFF_S = 120
#: Of a run that is reset everything happens again from the end of its first task on.
FIRST_TASK_DONE = 4


@dataclass
class Disasters:
    """Strikes with one disaster after the other, each once, in an order drawn from the seed."""

    stack: Stack
    journal: Journal
    crm: Caller
    players: Players
    chance: random.Random
    #: Has whoever kills leave some parts alone while a disaster is made of them.
    sparing: Callable[..., AbstractAsyncContextManager[None]]
    struck: list[str] = field(default_factory=list)

    async def strike(self) -> None:
        """All of them, with a breath between two. What was held is resumed before this returns."""
        await asyncio.sleep(3)
        for disaster in self.chance.sample(self.all(), len(self.all())):
            self.struck.append(disaster.__name__)
            await self._until_done(disaster)
            await asyncio.sleep(self.chance.uniform(1, 3))

    async def _until_done(self, disaster: Callable[[], Awaitable[None]]) -> None:
        """Whoever has it happen meets what is being killed, and tries again."""
        for _ in range(10):
            try:
                await disaster()
            except (OSError, RuntimeError, psycopg.Error, RPCError):
                await asyncio.sleep(2)
            else:
                return

    def all(self) -> list[Callable[[], Awaitable[None]]]:
        """Every disaster there is."""
        return [
            self.postgres_set_back,
            self.temporal_lost,
            self.run_terminated,
            self.run_reset,
            self.mail_server_hangs,
            self.players_erased,
            self.journey_held,
            self.runs_moved,
            self.release_shadowed,
            self.run_stopped,
        ]

    # ---- servers ---------------------------------------------------------------------------

    async def postgres_set_back(self) -> None:
        """Postgres loses a second or two: its data directory is a copy. What was sent since then is sent again."""
        async with self.sparing("postgres"):
            since = await self._lose_some_seconds()
        self.journal.write("set_back", since=since.isoformat())
        await self.players.say_again(since, self.crm)
        self.players.caller.open.set()
        await self.reconcile("--all")

    async def _lose_some_seconds(self) -> datetime:
        data = self.stack.postgres.home.resolve() / "data"
        copy = data.with_name("copy")
        await self.stack.stop("postgres")
        since = datetime.now(UTC)
        await run("cp", "-a", str(data), str(copy))
        self.stack.start("postgres")
        await self.stack.ready("postgres")
        await asyncio.sleep(self.chance.uniform(1, 2))
        # What is sent again comes before what is new, or a player's first deposit could be another one.
        self.players.caller.open.clear()
        await self.stack.stop("postgres")
        await asyncio.sleep(2)
        shutil.rmtree(data)
        copy.rename(data)
        self.stack.start("postgres")
        await self.stack.ready("postgres")
        return since

    async def temporal_lost(self) -> None:
        """Temporal begins with nothing, and the books are told that this is true."""
        parts = ("worker", "dispatcher", "temporal")
        async with self.sparing(*parts):
            for part in parts:
                await self.stack.stop(part)
            self.journal.write("temporal_lost")
            for file in self.stack.folder.glob("temporal.db*"):
                file.unlink()
            for part in reversed(parts):
                self.stack.start(part)
            await self.stack.ready(*parts)
        await self.reconcile("--accept-loss")

    async def mail_server_hangs(self) -> None:
        """Mail and gateways are there and say nothing, for longer than anybody waits."""
        async with self.sparing("catch-all"):
            await self.stack.ready("catch-all")
            pid = self.stack.pid("catch-all")
            if pid is None:
                return
            self.journal.write("hung", part="catch-all")
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(self.chance.uniform(12, 16))
            finally:
                os.kill(pid, signal.SIGCONT)

    async def reconcile(self, *options: str) -> None:
        """`journeys reconcile`, as docs/production.md says after a restore; in the end where nobody is killed."""
        environment = os.environ | self.stack.environment()
        command = (sys.executable, "-m", "cli", "reconcile", *options)
        for _ in range(3):
            if not await run(*command, environment=environment):
                return
            await asyncio.sleep(2)
        async with self.sparing("postgres", "temporal"):
            await self.stack.ready("postgres", "temporal")
            if await run(*command, environment=environment):
                raise AssertionError("journeys reconcile did not succeed.")

    # ---- people ----------------------------------------------------------------------------

    async def run_terminated(self) -> None:
        """Somebody terminates a run in Temporal."""
        for run_id in await self._some_runs("active"):
            self.journal.write("terminated", run=run_id)
            try:
                await (await self._temporal()).get_workflow_handle(run_id).terminate()
            except RPCError:
                continue  # it is over
            return

    async def run_reset(self) -> None:
        """Somebody resets a run that goes on, and one that is over."""
        client = await self._temporal()
        for state in ("active", "ended"):
            for run_id in (await self._some_runs(state))[:2]:
                self.journal.write("reset", run=run_id)
                try:
                    described = await client.get_workflow_handle(run_id).describe()
                    await client.workflow_service.reset_workflow_execution(
                        ResetWorkflowExecutionRequest(
                            namespace=client.namespace,
                            workflow_execution=WorkflowExecution(workflow_id=run_id, run_id=described.run_id),
                            reason=REASON["reason"],
                            workflow_task_finish_event_id=FIRST_TASK_DONE,
                            request_id=str(uuid4()),
                        )
                    )
                except RPCError:
                    continue  # it has not begun, or is gone

    async def run_stopped(self) -> None:
        """Somebody stops two runs over the API."""
        for run_id in (await self._some_runs("active"))[:2]:
            self.journal.write("stopped", run=run_id)
            await self.crm.until_answered("POST", f"/v1/runs/{run_id}/stop", json=REASON)

    async def journey_held(self) -> None:
        """Somebody holds a journey and resumes it some seconds later."""
        answer = await self.crm.until_answered("POST", f"/v1/journeys/{HELD}/hold", json=REASON)
        answer.raise_for_status()
        self.journal.write("held", journey=HELD)
        await asyncio.sleep(self.chance.uniform(3, 6))
        self.journal.write("resumed", journey=HELD)
        answer = await self.crm.until_answered("POST", f"/v1/journeys/{HELD}/resume", json=REASON)
        answer.raise_for_status()

    async def runs_moved(self) -> None:
        """Somebody moves everybody's runs to another release, and perhaps back, while further ones begin."""
        for version in (2, 1)[: self.chance.choice((1, 2))]:
            await self.players.play([f"moved{version}-{number}" for number in range(3)])
            self.journal.write("moving", version=version)
            asked = {"version": version, "per_second": 20, **REASON}
            once = {"Idempotency-Key": uuid4().hex}
            answer = await self.crm.until_answered("POST", f"/v1/journeys/{MOVED}/migrate", json=asked, headers=once)
            if not await self._worked_off(f"/v1/migrations/{answer.raise_for_status().json()['id']}"):
                return  # and the judge sees that it was not
            self.journal.write("moved", version=version)
            await asyncio.sleep(self.chance.uniform(0, 4))

    async def _worked_off(self, job: str) -> bool:
        """Wait for a bulk job; whether it came to its end."""
        for _ in range(WORKED_OFF_S):
            answer = await self.crm.until_answered("GET", job)
            if (state := answer.raise_for_status().json()["state"]) != "running":
                return bool(state == "done")
            await asyncio.sleep(1)
        return False

    async def release_shadowed(self) -> None:
        """Somebody has the next release played beside the live one for a while."""
        path, shadow = f"/v1/journeys/{MOVED}/shadow", {"version": 2, "percent": 100}
        (await self.crm.until_answered("POST", path, json=shadow)).raise_for_status()
        self.journal.write("shadowed", journey=MOVED)
        await asyncio.sleep(2)
        await self.players.play([f"shadowed{number}" for number in range(6)])
        await asyncio.sleep(self.chance.uniform(12, 18))
        self.journal.write("unshadowed", journey=MOVED)
        (await self.crm.until_answered("POST", f"{path}/stop")).raise_for_status()

    async def players_erased(self) -> None:
        """Somebody removes players by SQL; things go on happening to them."""
        for player in ERASED:
            self.journal.write("erased", player=player)
        await self.players.come(ERASED)
        await asyncio.sleep(self.chance.uniform(0, 2))
        async with await self._books() as connection:
            await connection.execute("DELETE FROM players WHERE id = ANY(%s)", [[*ERASED]])
        await self.players.come(ERASED)

    async def _some_runs(self, state: str) -> list[str]:
        async with await self._books() as connection:
            query = "SELECT id FROM runs WHERE journey LIKE 'crash%%' AND state = %s ORDER BY id"
            found = [run_id for (run_id,) in await (await connection.execute(query, [state])).fetchall()]
        found = [run_id for run_id in found if run_id.split(":")[2] not in ERASED]
        return self.chance.sample(found, min(4, len(found)))

    async def _books(self) -> psycopg.AsyncConnection:
        database = self.stack.environment()["DATABASE_URL"].replace("+psycopg", "")
        return await psycopg.AsyncConnection.connect(database, autocommit=True, connect_timeout=5)

    async def _temporal(self) -> Client:
        return await Client.connect(self.stack.environment()["TEMPORAL_ADDRESS"])


async def run(*command: str, environment: dict[str, str] | None = None) -> int:
    """Run a command to its end; what it ended with."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=sys.stderr)
    return await process.wait()
