"""One history, played in both theatres: what each leaves, in a form in which they can be compared.

Everything that is compared is a decision: which effects, in which order, with which arguments, when, and what came
of them. Moments are seconds since the beginning; the real server's clock runs on while its machinery works, so they
may be later there by as much as that took.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from time import perf_counter
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel
from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.bulk_jobs import Job
from activities.engine import worker_engine
from activities.loops.migration import MIGRATE, RunMoves, begin_migration
from activities.player_commands import PlayerCommand, PlayerCommands
from activities.settings import settings_from
from activities.tables import grants, messages, runs, tasks
from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.players import make
from stage.world.world import World
from tests.support.machine import eventually
from tests.support.temporal_engine import BRAND, REACHABLE, Theatre
from tests.support.workers import all_workers
from workflows import Event, FeedbackAnswered, PlayerRegistered
from workflows.channels import Channel
from workflows.effects import START, EffectInput
from workflows.local_time import DAY, WEEK
from workflows.source.journey_loading import Registry

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
#: Two moments closer than this are one, as far as a server can tell.
MOMENT_S = 60
#: What only a provider can call something.
NAMES = {"provider_ref"}
COMMON = {"brand", "player_id", "journey", "run_id", "step", "story"}


@dataclass(frozen=True)
class Happening:
    """Events of one batch, `after` the beginning."""

    after: timedelta
    events: Sequence[tuple[type[Event], Mapping[str, Any]]]
    mode: Any = "live"


@dataclass(frozen=True)
class Answering:
    """A person fills in the open task of a form, `after` the beginning; `if_open` where there may be none."""

    after: timedelta
    form: str
    answer: Mapping[str, Any]
    if_open: bool = False


@dataclass(frozen=True)
class Replying:
    """The player answers the newest survey, `after` the beginning."""

    after: timedelta
    kind: str
    said: Mapping[str, Any]

    def to(self, question_id: str) -> Happening:
        """The answer as an event."""
        given = {"kind": self.kind, "score": None, "question_id": question_id, **self.said}
        return Happening(self.after, [(FeedbackAnswered, given)])


@dataclass(frozen=True)
class Looking:
    """Nothing happens, but the sweep looks at the players: on the stage it needs no telling."""

    after: timedelta


@dataclass(frozen=True)
class Moving:
    """Every run of a journey is told to move to another release, `after` the beginning."""

    after: timedelta
    journey: str
    version: int
    do: Sequence[str] = ()


@dataclass(frozen=True)
class Pressing:
    """The player presses a button of a mission or a wheel, `after` the beginning."""

    after: timedelta
    button: Literal["opt_in", "claim", "spin"]
    name: str
    key: str = "press"


Act = Happening | Answering | Replying | Looking | Moving | Pressing
History = Sequence[Act]


def registers(after: timedelta = timedelta(0), *, mode: Any = "live", **facts: Any) -> Happening:
    """A player in Johannesburg, reachable and opted in everywhere unless `facts` says otherwise."""
    return Happening(after, [(PlayerRegistered, {**REACHABLE, "email": "p@synthetic.example", **facts})], mode)


def happens(after: timedelta, kind: type[Event], /, *, mode: Any = "live", times: int = 1, **data: Any) -> Happening:
    """The same event so many times, in one batch."""
    return Happening(after, [(kind, data)] * times, mode)


@dataclass
class Trace:
    """What one theatre leaves of the histories, in the order of the players' and the runs' names."""

    began: datetime
    effects: dict[str, list[Any]] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, list[Any]] = field(default_factory=dict)
    grants: dict[str, list[Any]] = field(default_factory=dict)
    tasks: dict[str, list[Any]] = field(default_factory=dict)
    patience: float = 0

    def keep(self, at: datetime, name: str, given: EffectInput, result: BaseModel) -> None:
        """One effect, as its run saw it."""
        told = [[line.step, line.outcome, self.seconds(line.at), line.detail] for line in given.story]
        self.effects.setdefault(given.run_id, []).append(
            {
                "at": self.seconds(at),
                "effect": name,
                "step": given.step,
                "given": self.timeless(given.model_dump(mode="json", exclude=COMMON)),
                "result": self.timeless(result.model_dump(mode="json", exclude=NAMES)),
                "told": self.timeless(told),
            }
        )

    def seconds(self, moment: datetime | None) -> float | None:
        """Since the beginning."""
        return None if moment is None else (moment - self.began).total_seconds()

    def timeless(self, value: Any) -> Any:
        """The same JSON with every moment as seconds since the beginning."""
        match value:
            case dict():
                return {key: self.timeless(one) for key, one in value.items()}
            case list() | tuple():
                return [self.timeless(one) for one in value]
            case str() if MOMENT.fullmatch(value):
                return Seconds((datetime.fromisoformat(value) - self.began).total_seconds())
            case _:
                return value


class Seconds(float):
    """A moment, and no other number."""


def differences(stage: Trace, server: Trace) -> list[str]:
    """Where the two theatres disagree, a sentence each."""
    found: list[str] = []
    for part in ("effects", "runs", "messages", "grants", "tasks"):
        _compare(part, getattr(stage, part), getattr(server, part), server.patience, found)
    return found


def _compare(where: str, here: Any, there: Any, patience: float, found: list[str]) -> None:
    match here, there:
        case (dict(), dict()):
            found += [f"{where}.{key} is only on the stage" for key in sorted(here.keys() - there.keys())]
            found += [f"{where}.{key} is only on the server" for key in sorted(there.keys() - here.keys())]
            for key in sorted(here.keys() & there.keys()):
                _compare(f"{where}.{key}", here[key], there[key], patience, found)
        case (list(), list()) if len(here) == len(there):
            for index, (one, other) in enumerate(zip(here, there, strict=True)):
                _compare(f"{where}[{index}]", one, other, patience, found)
        case (float(), float()):
            if not -1 < there - here < 1 + patience:
                found.append(f"{where}: {here} s on the stage, {there} s on the server")
        case _ if here != there:
            found.append(f"{where}: {here!r} on the stage, {there!r} on the server")


def beginning(now: datetime) -> datetime:
    """Ten in the morning of the next Wednesday but one where players live."""
    wednesday = now.date() + timedelta(days=(2 - now.weekday()) % 7 + 7)
    return datetime.combine(wednesday, time(8), UTC)


def in_order(histories: Mapping[str, History]) -> list[tuple[timedelta, str, Act]]:
    """All acts of all players by time; of one player at one time as they are written."""
    acts = [(act.after, player_id, act) for player_id, history in sorted(histories.items()) for act in history]
    return sorted(acts, key=lambda act: act[0])


def _batch(player_id: str, number: int, act: Happening, moment: datetime) -> list[Event]:
    return [
        make(kind, data, event_id=f"{player_id}-{number}-{index}", occurred_at=moment)
        for index, (kind, data) in enumerate(act.events)
    ]


def on_edge(trace: Trace, patience: float = 0) -> bool:
    """Whether two messages lie so close to a cap's window that what a server takes decides: `patience` seconds.

    It gives now one answer and now the other, so there is nothing to compare.
    """
    windows = (DAY.total_seconds(), WEEK.total_seconds())
    sent: dict[str, list[float]] = {}
    for run_id, effects in trace.effects.items():
        player_id = run_id.split(":")[2]
        sent.setdefault(player_id, []).extend(effect["at"] for effect in effects if effect["effect"] == "send")
    return any(
        abs(abs(one - other) - window) < max(MOMENT_S, patience)
        for times in sent.values()
        for one in times
        for other in times
        for window in windows
    )


# ---- the stage -----------------------------------------------------------------------------


def on_the_stage(
    registry: Registry, histories: Mapping[str, History], began: datetime, until: timedelta, **options: Any
) -> Trace:
    """Play the histories in memory."""
    trace = Trace(began)
    with World(
        registry, read_template_facts([SHIPPED_TEMPLATES]), began, brand=BRAND, on_effect=trace.keep, **options
    ) as world:
        for number, (after, player_id, act) in enumerate(in_order(histories)):
            world.advance_to(began + after)
            if isinstance(act, Replying):
                surveys = [m for m in world.messages if m.player_id == player_id and m.step.startswith("survey:")]
                act = act.to(f"{surveys[-1].run_id}/{surveys[-1].step}")  # noqa: PLW2901 - the same, with what it answers
            match act:
                case Happening():
                    events = _batch(player_id, number, act, began + after)
                    for event in events:
                        _reach(world, player_id, event)
                    world.happen(player_id, *events, mode=act.mode)
                case Answering():
                    asked = (player_id, act.form, "open")
                    found = [t for t in world.tasks.values() if (t.player_id, t.form, t.state) == asked]
                    assert found or act.if_open
                    for task in found:
                        world.answer(task, act.answer)
                case Moving():
                    for run in [one for one in world.runs.values() if one.journey == act.journey]:
                        world.migrate(run.run_id, act.version, act.do)
                case Pressing():
                    world.press(player_id, act.button, act.name, key=act.key)
                case Looking():
                    pass
        world.advance_to(began + until)
        for run in sorted(world.runs.values(), key=lambda r: r.run_id):
            trace.runs[run.run_id] = [run.arm, run.outcome, trace.seconds(run.entered_at), trace.seconds(run.goal_at)]
        for message in world.messages:
            trace.messages.setdefault(message.run_id, []).append(
                [message.step, message.template, message.channel, message.suppressed]
            )
        for grant in world.grants:
            trace.grants.setdefault(grant.run_id, []).append([grant.step, grant.kind, grant.status, grant.reason])
        for task in world.tasks.values():
            trace.tasks.setdefault(task.run_id, []).append(
                [task.task_id, task.step, task.form, task.team, task.state, task.answer, trace.seconds(task.due_at)]
            )
    return _sorted(trace)


def _reach(world: World, player_id: str, event: Event) -> None:
    """Where a player can be reached stands in the profile, of which the stage keeps nothing else."""
    if isinstance(event, PlayerRegistered):
        known: dict[Channel, Any] = {"email": event.email, "sms": event.phone, "push": True, "in_app": True}
        world.addresses[player_id] = frozenset(channel for channel, address in known.items() if address)


# ---- the server ----------------------------------------------------------------------------


class Recorder(Interceptor):
    """Keeps what every effect of the real worker was given and gave."""

    def __init__(self, theatre: Theatre, trace: Trace) -> None:
        self.theatre = theatre
        self.trace = trace

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's word
        theatre, trace = self.theatre, self.trace

        class Recording(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's word
                result = await self.next.execute_activity(input)
                info = activity.info()
                trace.keep(info.started_time, info.activity_type, input.args[0], result)
                if info.activity_type == START.name:
                    # Time is not skipped while an effect is under way, so the other run begins when it should.
                    await theatre.deliver()
                return result

        return Recording(next)


@asynccontextmanager
async def real(
    environment: WorkflowEnvironment, variables: Mapping[str, str], began: datetime
) -> AsyncIterator[tuple[Theatre, Trace]]:
    """The engine on real Postgres and a server that skips time, at the moment of the beginning."""
    trace = Trace(began)
    theatre = Theatre(environment, "", began)
    async with worker_engine(settings_from(dict(variables)), theatre.clock) as built:
        theatre.attach(built)
        async with all_workers(environment.client, built, interceptors=[Recorder(theatre, trace)]):
            await _sleep_until(theatre, began)
            yield theatre, trace


async def on_the_server(theatre: Theatre, trace: Trace, histories: Mapping[str, History], until: timedelta) -> Trace:
    """Play the histories on the real engine, all at once because its clock is one for all."""
    clock = perf_counter()
    for number, (after, player_id, act) in enumerate(in_order(histories)):
        if trace.began + after > theatre.now:
            await _sleep_until(theatre, trace.began + after)
        theatre.player_id = player_id
        if isinstance(act, Replying):
            asked = [row for row in await theatre.rows(messages) if row["step"].startswith("survey:")]
            newest = max(asked, key=lambda row: row["created_at"])
            act = act.to(f"{newest['run_id']}/{newest['step']}")  # noqa: PLW2901 - the same, with what it answers
        match act:
            case Happening():
                events = [(player_id, e) for e in _batch(player_id, number, act, trace.began + after)]
                await theatre.engine.intake.ingest(BRAND, events, theatre.now, mode=act.mode)
                await theatre.deliver()
            case Answering():
                if not act.if_open:
                    # The clock goes on while a crowd's effects are under way, and this one may stand at their end.
                    await eventually(partial(_is_asked, theatre, act.form))
                if await _is_asked(theatre, act.form):
                    await theatre.answers(act.form, act.answer)
            case Moving():
                await _move(theatre, act)
            case Pressing():
                await _press(theatre, player_id, act)
            case Looking():
                pass
    await _sleep_until(theatre, trace.began + until)
    for player_id in histories:
        theatre.player_id = player_id
        await _read(theatre, trace)
    trace.patience = perf_counter() - clock
    return _sorted(trace)


async def _is_asked(theatre: Theatre, form: str) -> bool:
    """Whether the player's run waits for an answer to this form."""
    return any((asked, state) == (form, "open") for asked, _, state in await theatre.asked())


async def _press(theatre: Theatre, player_id: str, act: Pressing) -> None:
    built = theatre.engine
    registers = built.grants.registers
    commands = PlayerCommands(built.database, built.intake, built.policies, registers, theatre.clock)
    await commands.do(PlayerCommand(BRAND, player_id, act.key, act.button, act.name))
    await theatre.deliver()


async def _move(theatre: Theatre, act: Moving) -> None:
    """Have the bulk job move every run of the journey."""
    built, now = theatre.engine, theatre.now
    detail = {"version": act.version, "do": [*act.do], "reason": "", "per_second": 100}
    job = Job(
        id=uuid4().hex,
        brand=BRAND,
        kind=MIGRATE,
        subject=act.journey,
        detail=detail,
        created_at=now,
        updated_at=now,
    )
    async with built.database.transaction() as connection:
        await begin_migration(connection, job, now)
    at_work = RunMoves(built.database, built.intake, built.pressure, theatre.clock, processes=built.processes)
    while await at_work.batch(job.id) is not None:
        pass
    await theatre.deliver()


async def _sleep_until(theatre: Theatre, moment: datetime) -> None:
    now = await theatre.environment.get_current_time()
    await theatre.advance(max(moment - now, timedelta(0)))


async def _read(theatre: Theatre, trace: Trace) -> None:
    for run in await theatre.rows(runs):
        trace.runs[run["id"]] = [
            run["arm"],
            run["outcome"],
            trace.seconds(run["entered_at"]),
            trace.seconds(run["goal_at"]),
        ]
    for message in await theatre.rows(messages):
        reason = None if message["status"] == "sent" else message["reason"]
        trace.messages.setdefault(message["run_id"], []).append(
            [message["step"], message["template"], message["channel"], reason]
        )
    for grant in await theatre.rows(grants):
        trace.grants.setdefault(grant["run_id"], []).append(
            [grant["step"], grant["kind"], grant["status"], grant["reason"]]
        )
    for task in await theatre.rows(tasks):
        if task["run_id"] is None:
            continue  # a review of harm: intake opens it, and it belongs to the player and to no run
        trace.tasks.setdefault(task["run_id"], []).append(
            [
                task["id"],
                task["step"],
                task["form"],
                task["team"],
                task["state"],
                task["answer"],
                trace.seconds(task["due_at"]),
            ]
        )


def _sorted(trace: Trace) -> Trace:
    # Rows of one step are compared as a set: the order in which they are written is nobody's promise.
    for part in (trace.messages, trace.grants, trace.tasks):
        for rows in part.values():
            rows.sort(key=repr)
    return trace
