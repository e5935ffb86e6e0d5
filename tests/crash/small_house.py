"""The engine in one process, on real Postgres and real providers, with a Temporal whose minutes pass in no time.

It is what the crash test runs, made small enough to break one piece of its code after the other. Everything is done
twice here: every event is sent again, and the first answer to every start, signal and effect is lost.
"""

import asyncio
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, get_type_hints

import sqlalchemy as sa
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.actors import Actor
from activities.engine import WorkerEngine
from activities.journey_controls import forget_held, next_held
from activities.tables import metadata, tasks
from activities.task_rows import TaskRequest, TaskRow
from activities.tasks import complete
from stage.virtual_temporal.payload_converter import CONVERTER
from stage.virtual_temporal.server import Call, StageRun, VirtualTemporal
from tests.crash.evidence import Evidence, Row, read_lines, read_tables
from tests.support.engine import run_of
from tests.support.servers import LocalBonusEngine
from workflows.events import Event

BRAND = "demo"
MANAGER = Actor(BRAND, "manager", id="manager", skills=frozenset({"aml", "executive"}))
CANARY = "Canarina"
#: What is not done after so long is not going to be.
QUIET_WITHIN = timedelta(minutes=4)
SECOND = timedelta(seconds=1)
EMPTIED = ", ".join(table.name for table in metadata.sorted_tables if table.name != "api_keys")


class LostAnswers:
    """Loses the first answer to each of what it is asked about."""

    def __init__(self) -> None:
        self.told: set[object] = set()

    def loses(self, *what: object) -> bool:
        """Whether this is the first answer to `what`."""
        first = what not in self.told
        self.told.add(what)
        return first


@dataclass
class VirtualClient:
    """As much of a Temporal client as the engine asks for, in front of a virtual server."""

    temporal: VirtualTemporal
    lost: LostAnswers
    namespace: str = "stage"
    #: What everybody is answered while a key is revoked.
    refuses: RPCStatusCode | None = None
    #: Everything that was told to Temporal.
    heard: list[bytes] = field(default_factory=list)

    @property
    def operator_service(self) -> Any:
        """It makes no search attributes for us."""

        async def refuse(*_: object, **__: object) -> None:
            raise RPCError("not here", RPCStatusCode.PERMISSION_DENIED, b"")

        return SimpleNamespace(list_search_attributes=refuse)

    async def start_workflow(
        self,
        name: str,
        given: object,
        *,
        id: str,  # noqa: A002 - the SDK's name
        id_reuse_policy: WorkflowIDReusePolicy,
        start_signal: str = "",
        start_signal_args: Sequence[object] = (),
        **_: object,
    ) -> None:
        """Start a run, or signal the one that is there."""
        self.listen(given, *start_signal_args)
        run = self.temporal.runs.get(id)
        signals = [(start_signal, one) for one in start_signal_args]
        if run is not None and run.open:
            for signal, argument in signals:
                self.temporal.signal(id, signal, argument)
        elif run is not None and id_reuse_policy is not WorkflowIDReusePolicy.ALLOW_DUPLICATE:
            raise WorkflowAlreadyStartedError(id, name)
        else:
            self.temporal.runs.pop(id, None)
            self.temporal.start(name, id, given, signals=signals)
        self.lose("start", id)

    def get_workflow_handle(self, run_id: str, **_: object) -> "VirtualHandle":
        """A run by its id, whether or not there is one."""
        return VirtualHandle(self, run_id)

    def lose(self, *what: object) -> None:
        """Raises RPCError instead of answering for the first time."""
        if self.lost.loses(*what):
            raise RPCError("the answer got lost", RPCStatusCode.UNAVAILABLE, b"")

    def listen(self, *said: object) -> None:
        """Keep what is said to Temporal. Raises RPCError while it refuses everybody."""
        if self.refuses is not None:
            raise RPCError("Request unauthorized.", self.refuses, b"")
        self.heard += [payload.data for payload in CONVERTER.to_payloads(list(said))]


@dataclass
class VirtualHandle:
    """What the engine asks of one run."""

    client: VirtualClient
    run_id: str

    async def signal(self, name: str, argument: object, **_: object) -> None:
        """Tell the run something."""
        self.client.listen(argument)
        if not self.client.temporal.signal(self.run_id, name, argument):
            raise RPCError("not running", RPCStatusCode.NOT_FOUND, b"")
        self.client.lose("signal", self.run_id, CONVERTER.to_payloads([argument])[0].data)

    async def cancel(self, **_: object) -> None:
        """Ask the run to end."""
        self.client.temporal.cancel(self.run_id)

    async def describe(self, **_: object) -> Any:
        """How it stands."""
        status = {"running": WorkflowExecutionStatus.RUNNING, "completed": WorkflowExecutionStatus.COMPLETED}
        return SimpleNamespace(status=status.get(self._run().status, WorkflowExecutionStatus.TERMINATED))

    async def result(self, **_: object) -> Any:
        """What it ended as."""
        return self.client.temporal.result(self._run().workflow_id)

    def _run(self) -> StageRun:
        run = self.client.temporal.runs.get(self.run_id)
        if run is None:
            raise RPCError("unknown", RPCStatusCode.NOT_FOUND, b"")
        return run


class SmallHouse:
    """Players to whom things happen, an engine, and everything that is left of it afterwards."""

    def __init__(self, built: WorkerEngine, temporal: VirtualTemporal, mark: str) -> None:
        self.built = built
        self.temporal = temporal
        self.mark = mark
        self.lost = LostAnswers()
        self.client = VirtualClient(temporal, self.lost)
        self.dispatcher = built.dispatcher(self.client)  # type: ignore[arg-type]  # as much of one as it asks for
        self.journal: list[Row] = []
        self.events = 0
        self.effects = {_name(effect): effect for effect in built.activities}

    # ---- what happens ----------------------------------------------------------------------

    def player(self, name: str) -> str:
        """A player's id that no other house uses."""
        return f"{name}-{self.mark}"

    def event(self, player: str, kind: str, /, **data: object) -> Row:
        """A fact of this moment, as its sender writes it."""
        self.events += 1
        return {
            "id": f"{self.mark}-{self.events}",
            "source": "/crash",
            "type": f"igaming.{kind}.v1",
            "subject": player,
            "time": self.temporal.now.isoformat(),
            "data": data,
        }

    async def tell(self, *events: Row, mode: Any = "live") -> None:
        """Send events and note that they were acknowledged."""
        batch = [(str(event["subject"]), Event.from_wire(event)) for event in events]
        for _ in range(2):
            receipts = await self.built.intake.ingest(BRAND, batch, self.temporal.now, mode=mode)
            assert {*receipts} <= {"accepted", "duplicate"}, receipts
        self.note("events", mode=mode, events=[*events])

    def note(self, what: str, **more: Any) -> None:
        """Write down what was acknowledged."""
        self.journal.append({"what": what, "at": self.temporal.now.isoformat(), **more})

    async def settles(self) -> None:
        """Let everything happen that is to happen soon; whoever is asked answers."""
        until = self.temporal.now + QUIET_WITHIN
        while self.temporal.now < until:
            await self.deliver()
            answered = await self.answer()
            await self.deliver()
            due = self.temporal.next_moment
            is_quiet = (due is None or due > until) and not answered
            if is_quiet and not await self.count("SELECT count(*) FROM deliveries"):
                return
            if due is None or due > until:
                due = self.temporal.now
            await asyncio.to_thread(self.temporal.advance_to, min(until, due + SECOND))

    async def deliver(self) -> None:
        """Hand over what waits: thrice, because first answers are lost, and no more: some may never be taken."""
        for _ in range(3):
            if not await self.count("SELECT count(*) FROM deliveries"):
                return
            await self.execute("UPDATE deliveries SET due_at = now() - interval '1 second'")
            await self.dispatcher.run_once()

    async def answer(self) -> bool:
        """A person answers every open task, always the same answer to the same task; whether there was any."""
        answered = False
        async with self.built.database.transaction() as connection:
            open_tasks = await connection.execute(
                sa.select(tasks.c.id, tasks.c.run_id, tasks.c.player_id, tasks.c.form).where(tasks.c.state == "open")
            )
            for task in open_tasks.all():
                answer = {"word": f"w{task.id}"} if task.form == "CrashQuestion" else {"outcome": "written", "note": ""}
                request = TaskRequest(BRAND, task.id, MANAGER, self.temporal.now)
                done = await complete(connection, self.built.intake, request, task.player_id, answer)
                if isinstance(done, TaskRow):
                    self.note("answered", task=task.id, run=task.run_id, form=task.form, answer=answer)
                    answered = True
        return answered

    async def count(self, query: str) -> int:
        """The one number that a query finds."""
        async with self.built.database.reading() as connection:
            found: int = (await connection.execute(sa.text(query))).scalar_one()
            return found

    async def execute(self, statement: str, **values: object) -> None:
        """Change something behind the engine's back."""
        async with self.built.database.transaction() as connection:
            await connection.execute(sa.text(statement), values)

    async def run_of(self, player: str, journey: str) -> str:
        """The id of a player's run."""
        return await run_of(self.built.database, player, journey)

    async def resume(self, journey: str) -> None:
        """Tell every held run of a journey to go on, as the job does that a person begins."""
        now = self.temporal.now
        async with self.built.database.transaction() as connection:
            waiting = await next_held(connection, BRAND, journey, 100)
            ids = [run.player_id for run in waiting]
            async with self.built.intake.locked(connection, BRAND, ids, now) as players:
                for run in waiting:
                    players.resume(run.player_id, run.run_id)
            await forget_held(connection, [run.run_id for run in waiting])

    # ---- effects -----------------------------------------------------------------------------

    async def attempt(self, call: Call) -> Any:
        """Have an effect done as a worker would; its first answer never reaches the run."""
        effect = self.effects[call.name]
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            attempt=call.attempt,
            started_time=call.now,
            scheduled_time=call.now - call.waited,
            current_attempt_scheduled_time=call.now,
        )
        given = call.decode(_input_of(effect))
        answer = await environment.run(effect, given)
        if self.lost.loses(call.workflow_id, call.name, bytes(call.arguments[0].data)):
            raise ApplicationError("The worker died before it could say what it had done.")
        return answer

    # ---- what is left --------------------------------------------------------------------------

    async def evidence(self, bonus_engine: LocalBonusEngine, messages: Any) -> Evidence:
        """Everything the checker looks at; of what providers keep, what concerns this house's players."""
        canary = CANARY.encode()
        leaks = ["temporal"] if any(canary in said for said in self.client.heard) else []
        mails = read_lines(messages / "mails.jsonl")
        hooks = {channel: read_lines(messages / f"{channel}.jsonl") for channel in ("sms", "push")}
        return Evidence(
            journal=self.journal,
            tables=await read_tables(self.built.settings.database_url),
            ledger=self._mine(read_lines(bonus_engine.ledger), "key"),
            mails=self._mine(mails, "key"),
            webhooks={channel: self._mine(theirs, "webhook_id") for channel, theirs in hooks.items()},
            open_workflows={run_id for run_id, run in self.temporal.runs.items() if run.open},
            leaks=leaks,
            operations=1,
            at_once=1,
        )

    def _mine(self, records: Collection[Row], key: str) -> list[Row]:
        return [record for record in records if f"-{self.mark}:" in str(record[key])]


def _name(effect: Callable[..., Any]) -> str:
    name: str = effect.__temporal_activity_definition.name  # type: ignore[attr-defined]
    return name


def _input_of(effect: Callable[..., Any]) -> type[Any]:
    (parameter,) = inspect.signature(effect).parameters
    kind: type[Any] = get_type_hints(effect)[parameter]
    return kind


def performing(loop: asyncio.AbstractEventLoop, houses: Mapping[str, SmallHouse]) -> Callable[[Call], Any]:
    """What a virtual Temporal calls for every attempt, from the thread in which its time passes."""

    def perform(call: Call) -> Any:
        return asyncio.run_coroutine_threadsafe(houses["this"].attempt(call), loop).result()

    return perform
