"""What proofs of exact delivery share: places to crash at, lives to compare, and what a run has heard."""

import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from temporalio.client import (
    CancelWorkflowInput,
    Client,
    DescribeWorkflowInput,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowInput,
    WorkflowExecutionDescription,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Database
from activities.outgoing.outbox import Outbox
from activities.tables import metadata
from tests.support.engine import HeldTimer, Row, connected
from tests.support.exact_journeys import ALL, SEGMENTS
from tests.support.machine import eventually
from tests.support.servers import owners
from workflows.declaration import Journey
from workflows.rules.index import RuleIndex
from workflows.run import JourneyRun
from workflows.run_protocol import Delivery, DeliveryBatch, RunInput

Manner = Literal["cut", "die"]
When = Literal["asked", "answered"]
MANNERS: tuple[Manner, ...] = ("cut", "die")
JOURNEYS: dict[str, Journey] = {
    run.definition.name: replace(
        run.definition, listens_to=frozenset(kind.type for kind in run.definition.listens), workflow_class=run
    )
    for run in ALL
}
RULES = RuleIndex(JOURNEYS, {segment.name: segment for segment in SEGMENTS})
# What differs between two ways to the same end: our own clock's stamps, counters of attempts, numbers of rows.
INCIDENTAL = {
    "event_ids": {"seq", "received_at"},
    "events": {"seq", "received_at"},
    "players": {"created_at", "updated_at"},
    "runs": {"check_at"},
    "run_changes": {"seq", "noted_at"},
    "steps": {"seq"},
    "deliveries": {"id", "due_at", "created_at", "attempts", "last_error"},
    "dead_letters": {"id", "at"},
    "failed_events": {"id", "at"},
    "gate_decisions": {"id", "at", "seen"},
    "memberships": {"seq"},
    "task_history": {"id"},
}
TABLES = [table.name for table in metadata.sorted_tables if table.name != "api_keys"]
#: Tables whose rows a trigger keeps from everybody.
KEPT = ("audit_entries", "point_transfers")
World = dict[str, list[Row]]


_BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""


class Crash(BaseException):
    """The process dies here; nothing of ours may catch it, and nothing of ours runs after it."""


class Faults:
    """Every statement of a database and both sides of every commit, in the order they are reached.

    `cut` ends the server's side of the connection, so that the statement fails by itself or the commit's answer is
    lost; `die` ends our side, without a chance to handle anything.
    """

    def __init__(self, database: Database, killer: psycopg.Connection[Any]) -> None:
        self.database = database
        self.places: list[str] = []
        self.crashes = 0
        #: What their callers noticed, for whoever holds it against the crashes.
        self.felt: list[str] = []
        self._killer = killer
        self._at: int | None = None
        self._manner: Manner = "cut"
        engine = database.engine.sync_engine
        sa.event.listen(engine, "before_cursor_execute", self._statement)
        commit = engine.dialect.do_commit

        def both_sides(connection: Any) -> None:
            self._arrive("before COMMIT", connection)
            commit(connection)
            self._arrive("after COMMIT", connection)

        engine.dialect.do_commit = both_sides  # type: ignore[assignment,method-assign]  # no event tells of a commit that is done

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Note the places of what is done inside, and crash at none."""
        with self.crash_at(None):
            yield

    @contextmanager
    def crash_at(self, place: int | None, manner: Manner = "cut") -> Iterator[None]:
        """Crash at the place of this number, once."""
        self.places.clear()
        # Who subscribed is read once a second: without this the places would differ from one second to the next, and
        # where the machine stands still between two of them.
        self.database.outbox = Outbox(timer=HeldTimer())
        self._at, self._manner = place, manner
        try:
            yield
        finally:
            self._at = None

    def clear(self) -> None:
        """Empty every table, and count from nothing."""
        self.felt, self.crashes = [], 0
        emptied = [f"DELETE FROM {table}" for table in reversed(TABLES)]
        may = [[f"ALTER TABLE {table} {switch} TRIGGER USER" for table in KEPT] for switch in ("DISABLE", "ENABLE")]
        self._killer.execute("; ".join([*may[0], *emptied, *may[1]]))

    async def freed(self) -> None:
        """Return when Postgres has noticed who is dead: until then what they had locked is skipped."""
        await eventually(lambda: self._killer.execute(_BUSY).fetchone() == (0,))

    def _statement(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._arrive(" ".join(statement.split()), connection.connection)

    def _arrive(self, place: str, connection: Any) -> None:
        self.places.append(place)
        if self._at != len(self.places) - 1:
            return
        self._at = None
        self.crashes += 1
        if self._manner == "die":
            raise Crash(place)
        pid = connection.driver_connection.info.backend_pid
        self._killer.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
        if place == "after COMMIT":
            raise psycopg.OperationalError("The server ended the connection and the answer to COMMIT is lost.")


@asynccontextmanager
async def faulty(url: str, **settings: Any) -> AsyncIterator[Faults]:
    """A database with places to crash at."""
    async with connected(url, **settings) as database:
        with killing(database) as faults:
            yield faults


@contextmanager
def killing(database: Database) -> Iterator[Faults]:
    """Places to crash at in a database that is connected already."""
    with psycopg.connect(owners(database.url).replace("+psycopg", ""), autocommit=True) as killer:
        yield Faults(database, killer)


async def survives(
    faults: Faults,
    prepare: Callable[[], Awaitable[None]],
    act: Callable[[], Awaitable[object]],
    seen: Callable[[], Awaitable[object]],
    manners: Iterable[Manner] = MANNERS,
) -> list[str]:
    """Crash `act` at each of its places in turn and do it again: each time `seen` is what it is without a crash.

    The places it has, in order, so that a test may say which it means.
    """
    await prepare()
    with faults.counting():
        await act()
        places = list(faults.places)
    expected = await seen()
    for manner in manners:
        for number, place in enumerate(places):
            await prepare()
            with faults.crash_at(number, manner):
                try:
                    await act()
                except (Crash, DBAPIError):
                    pass
                else:
                    raise AssertionError(f"{manner} at {place[:60]} was swallowed.")
            await faults.freed()
            await act()
            assert await seen() == expected, f"{manner} at place {number}, {place[:60]}"
    return places


async def patiently(faults: Faults, act: Callable[[], Awaitable[object]]) -> None:
    """Do it again as long as it crashes: whoever calls the engine does."""
    while True:
        try:
            await act()
        except (Crash, DBAPIError) as noticed:
            # A machine that stood still for longer than a connection may take broke nothing: nothing was asked yet.
            if isinstance(noticed.__cause__, psycopg.errors.ConnectionTimeout):
                continue
            ours = [
                frame for frame in traceback.extract_tb(noticed.__traceback__) if "site-packages" not in frame.filename
            ]
            faults.felt.append("".join([*traceback.format_list(ours), repr(noticed)]))
        else:
            return


# ---- what must be the same ----------------------------------------------------------------------


async def world(database: Database, *tables: str) -> World:
    """Everything the engine keeps, without what differs between two ways to the same end."""
    found: World = {}
    async with database.reading() as connection:
        for name in tables or TABLES:
            table = metadata.tables[name]
            left_out = INCIDENTAL.get(name, set())
            rows = await connection.execute(sa.select(*(c for c in table.c if c.name not in left_out)))
            found[name] = sorted((dict(row._mapping) for row in rows), key=repr)
    return found


@dataclass
class Heard:
    """What a run knows when it has heard everything, as the run's own code took it in."""

    given: dict[str, Any]
    events: list[dict[str, Any]]
    answers: dict[str, Any]
    exit: str | None
    last_seen: int


def heard(given: RunInput, batches: Iterable[DeliveryBatch]) -> Heard:
    """Let a run take these signals in."""
    made = JOURNEYS[given.journey].workflow_class
    assert made is not None
    # Outside of Temporal there is no time; what a run writes into its story is dated by its entry.
    run: JourneyRun = type(made.__name__, (made,), {"now": given.entered_at})(given)
    for batch in batches:
        run.deliver(batch)
    events = [event.to_wire() for _, event in run.inbox.entries]
    return Heard(given.model_dump(mode="json"), events, run.answers, run.exit, run.last_seen)


def heard_one_by_one(deliveries: Iterable[Mapping[str, Any]]) -> dict[str, Heard]:
    """What runs would know if each delivery came alone, by run."""
    starts: dict[str, RunInput] = {}
    items: dict[str, list[DeliveryBatch]] = {}
    for row in sorted(deliveries, key=lambda row: (row["run_id"], row["seq"])):
        if row["kind"] == "start":
            starts[row["run_id"]] = RunInput.model_validate(row["payload"])
        else:
            item = Delivery(seq=row["seq"], kind=row["kind"], **row["payload"])
            items.setdefault(row["run_id"], []).append(DeliveryBatch(items=[item]))
    return {run_id: heard(given, items.get(run_id, [])) for run_id, given in starts.items()}


async def heard_in_temporal(client: Client, run_id: str) -> Heard:
    """What a run was really told, by its history."""
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(run_id)
    given: RunInput | None = None
    batches: list[DeliveryBatch] = []
    async for happened in handle.fetch_history_events():
        if happened.HasField("workflow_execution_started_event_attributes"):
            (payload,) = happened.workflow_execution_started_event_attributes.input.payloads
            given = RunInput.model_validate_json(payload.data)
        elif happened.HasField("workflow_execution_signaled_event_attributes"):
            (payload,) = happened.workflow_execution_signaled_event_attributes.input.payloads
            batches.append(DeliveryBatch.model_validate(json.loads(payload.data)))
    assert given is not None
    return heard(given, batches)


# ---- a line to Temporal that fails --------------------------------------------------------------


@dataclass
class Line(Interceptor):
    """The line to Temporal: the call of this number, or its answer, is lost, or its caller dies then."""

    calls: list[str] = field(default_factory=list)
    _at: int | None = None
    _when: When = "asked"
    _manner: Manner = "cut"
    _answer: RPCStatusCode | None = None
    crashes: int = 0

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        return _Outbound(next, self)

    @contextmanager
    def crash_at(self, call: int | None, when: When, manner: Manner) -> Iterator[None]:
        """Lose the call of this number on its way there, or its answer on the way back."""
        self.calls.clear()
        self._at, self._when, self._manner = call, when, manner
        try:
            yield
        finally:
            self._at = None

    @contextmanager
    def refusing(self, answer: RPCStatusCode) -> Iterator[None]:
        """Have every call answered with this error, as a server does to whom it does not know."""
        self.calls.clear()
        self._answer = answer
        try:
            yield
        finally:
            self._answer = None

    async def carry(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls.append(name)
        if self._answer is not None:
            raise RPCError("Request refused.", self._answer, b"")
        fails = self._at == len(self.calls) - 1
        if fails and self._when == "asked":
            self._fail(name)
        try:
            return await call()
        finally:
            if fails and self._at is not None:
                self._fail(name)

    def _fail(self, name: str) -> None:
        self._at = None
        if self._manner == "die":
            self.crashes += 1
            raise Crash(name)
        raise RPCError("The connection was lost.", RPCStatusCode.UNAVAILABLE, b"")


class _Outbound(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, line: Line) -> None:
        super().__init__(following)
        self.line = line

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        handle: WorkflowHandle[Any, Any] = await self.line.carry("start", lambda: self.next.start_workflow(input))
        return handle

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        await self.line.carry("signal", lambda: self.next.signal_workflow(input))

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:  # noqa: A002
        await self.line.carry("cancel", lambda: self.next.cancel_workflow(input))

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:  # noqa: A002
        described: WorkflowExecutionDescription = await self.line.carry(
            "describe", lambda: self.next.describe_workflow(input)
        )
        return described
