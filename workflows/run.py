"""`@journey`: from one async function to a durable Temporal workflow.

A run is a workflow. Its inbox buffers what the journey listens to, its verbs (`player.py`) wait
and call effects, and every wait also ends when the run is told to stop or has outlived
`ends_after`.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from workflows.effects import END, MARK, Effect, EffectInput, End, Mark
from workflows.errors import DesignError, UnknownEventType
from workflows.events import Event
from workflows.local_time import hours
from workflows.player import Player
from workflows.rules.predicates import Where
from workflows.rules.triggers import Entry, Goal, On, Trigger, once
from workflows.rules.triggers import on as trigger_on
from workflows.run_protocol import Delivery, DeliveryBatch, Position, RunInput, StoryLine

O = TypeVar("O", bound=BaseModel)  # noqa: E741 - an effect's output, as in effects.py

# What a run carries along is bounded, because a payload is: 2 MiB, beyond which Temporal takes no step any more.
INBOX = 1_000
STORY = 200

JourneyFunction = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, eq=False)
class Journey:
    """A journey as its designer declared it.

    `listens` holds what the designer declared; what the code itself waits for is found by
    `registry.load`, which fills `listens_to`.
    """

    name: str
    function: JourneyFunction
    triggers: tuple[Trigger, ...]
    entry: Entry
    goal: Goal | None
    exit_on: tuple[On, ...]
    ends_after: timedelta
    control: int
    late_after: timedelta
    listens: frozenset[type[Event]]
    waives: Mapping[str, str] = field(default_factory=dict)
    workflow_class: type["JourneyRun"] | None = None
    listens_to: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        """The first sentence of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


class JourneyExit(BaseException):
    """Ends a run from inside any verb; designers never see it."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True)
class Again:
    """What `again(...)` returns: the arguments of the journey's next chapter."""

    arguments: Mapping[str, JsonValue]


def again(**arguments: JsonValue) -> Again:
    """Begin the next chapter of a journey that lives for years.

    Write `return again(chapter=2)`: the arguments reach the journey function by name. Events not
    yet used, deadlines and step counters are carried over. It must be returned from the journey
    function itself; calling it without `return` does nothing, and is refused at start-up.
    """
    return Again(arguments)


class JourneyRun:
    """The workflow behind every journey; `@journey` makes one subclass of it for each."""

    definition: ClassVar[Journey]

    def __init__(self, given: RunInput) -> None:
        self.given = given
        self.facts = given.facts
        self.ends_at = given.ends_at
        self.exit: str | None = None
        self.inbox: list[tuple[int, Event]] = []
        self.arrived = 0
        self.answers = dict(given.answers)
        self.last_seen = given.last_seen
        self.counters = dict(given.counters)
        self.story = list(given.story)
        self.waiting: tuple[str, datetime] | None = None
        self.doing: str | None = None
        for wire in given.inbox:
            self._buffer(wire)

    @workflow.signal(name="deliver", description="Events, answers and stops, in order.")
    def deliver(self, batch: DeliveryBatch) -> None:
        """Take deliveries in.

        One that was heard before is dropped, which makes an at-least-once dispatcher exactly once.
        """
        for item in batch.items:
            if item.seq <= self.last_seen:
                continue
            self.last_seen = item.seq
            self._take(item)

    @workflow.query(name="position", description="Where the run stands.")
    def position(self) -> Position:
        """Where the run stands right now."""
        step, until = self.waiting or (self.doing, None)
        return Position(
            step=step,
            waiting_until=until,
            story=self.story,
            last_seen=self.last_seen,
            chapter=self.given.chapter,
        )

    # ---- what the verbs are made of ----------------------------------------------------------

    def step(self, name: str) -> str:
        """A step's identity: its name and how many of that name came before. Stable in replay."""
        count = self.counters[name] = self.counters.get(name, 0) + 1
        return f"{name}#{count}"

    def tell(self, step: str, outcome: str, **detail: JsonValue) -> None:
        """Add a line to the story; it is kept with the next effect."""
        line = self.counters["story"] = self.counters.get("story", 0) + 1
        told = StoryLine(line=line, step=step, at=workflow.now(), outcome=outcome, detail=detail)
        self.story.append(told)

    def common(self, step: str) -> dict[str, Any]:
        """The part every effect's input shares."""
        given = self.given
        return {
            "brand": given.brand,
            "player_id": given.player_id,
            "journey": given.journey,
            "run_id": given.run_id,
            "step": step,
            "story": self.story,
        }

    async def effect(self, effect: Effect[Any, O], given: EffectInput) -> O:
        """Have an effect done, however long the world takes, then obey a stop that came meanwhile."""
        self.leave_if_told()
        try:
            result = await self._execute(effect, given)
        except (asyncio.CancelledError, ActivityError) as error:
            # A designer's `except Exception` must not eat a cancellation: Temporal asks only once.
            if not is_cancelled_exception(error):
                raise
            self.exit = self.exit or "cancelled"
            raise JourneyExit(self.exit) from error
        self.leave_if_told()
        return result

    async def wait(self, step: str, happened: Callable[[], bool], deadline: datetime) -> bool:
        """Wait until `happened()`, at most until `deadline`; False when the deadline came first.

        One timer at most, and none when the answer is already there. The run's own end is folded
        into the same timer.
        """
        if len(self.story) >= STORY:
            # A loop of waits alone would carry its whole story along, until Temporal takes it no more.
            await self.effect(MARK, Mark(**self.common(self.step("mark:story")), name="story"))
        end = min(deadline, self.ends_at)
        if not self.exit and not happened() and end > workflow.now():
            self.waiting = (step, end)
            try:
                await workflow.wait_condition(
                    lambda: self.exit is not None or happened(),
                    timeout=end - workflow.now(),
                    timeout_summary=step,
                )
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                self.exit = "cancelled"
            finally:
                self.waiting = None
        self.leave_if_told()
        if happened():
            return True
        if deadline >= self.ends_at:
            raise JourneyExit("ended")
        return False

    def leave_if_told(self) -> None:
        """Raise the exit that a stop asked for."""
        if self.exit is not None:
            raise JourneyExit(self.exit)

    def oldest(self, kinds: Sequence[type[Event]], where: Where | None, after: int) -> Event | None:
        """The oldest buffered event of `kinds` that arrived later than `after`, left in place."""
        for index, (number, event) in enumerate(self.inbox):
            if number <= after:
                continue
            kind = next((k for k in kinds if isinstance(event, k) or event.type == k.type), None)
            if kind is None:
                continue
            if not isinstance(event, kind):
                # A designer's own event class exists once more inside the sandbox.
                event = kind.from_wire(event.to_wire())  # noqa: PLW2901 - kept as the same event
                self.inbox[index] = (number, event)
            if where is None or where(event):
                return event
        return None

    def use(self, event: Event) -> None:
        """Take an event out of the inbox."""
        self.inbox = [kept for kept in self.inbox if kept[1] is not event]

    # ---- the run itself -----------------------------------------------------------------------

    async def play(self) -> str:
        """Perform the journey from its trigger to its recorded end."""
        failure: FailureError | None = None
        try:
            outcome = await self._perform()
        except JourneyExit as told:
            outcome = told.outcome
        except (asyncio.CancelledError, FailureError) as error:
            # A cancellation that meets an effect under way arrives as the effect's failure. Any other failure closes
            # the run in Temporal, and it must not stay open in the books.
            outcome = "cancelled" if is_cancelled_exception(error) else "failed"
            failure = error if outcome == "failed" and isinstance(error, FailureError) else None
        await self._record_end(outcome)
        if failure is not None:
            raise failure
        return outcome

    async def _record_end(self, outcome: str) -> None:
        given = End(**self.common("end"), outcome=outcome)
        try:
            await self._execute(END, given)
        except (asyncio.CancelledError, FailureError) as error:
            if not is_cancelled_exception(error):
                raise
            # Temporal cancels a run once at most, so the second attempt is left in peace.
            await self._execute(END, given)

    async def _perform(self) -> str:
        given = self.given
        player = Player(self)
        # A designer's own event class exists once more inside the sandbox; the journey knows that one.
        kinds = {rule.enters.wire_type: rule.enters for rule in self.definition.triggers}
        wire = given.trigger
        trigger = None if wire is None else kinds.get(str(wire["type"]), Event).from_wire(wire)
        result = await self.definition.function(player, trigger, **given.arguments)
        if isinstance(result, Again):
            self.leave_if_told()
            self._next_chapter(result)
        return "completed"

    def _next_chapter(self, chapter: Again) -> None:
        workflow.continue_as_new(
            self.given.model_copy(
                update={
                    "facts": self.facts,
                    "arguments": dict(chapter.arguments),
                    "inbox": [event.to_wire() for _, event in self.inbox],
                    "answers": self.answers,
                    "last_seen": self.last_seen,
                    "counters": self.counters,
                    "story": self.story,
                    "chapter": self.given.chapter + 1,
                }
            )
        )

    async def _execute(self, effect: Effect[Any, O], given: EffectInput) -> O:
        told = len(given.story)
        self.doing = given.step
        try:
            result: O = await workflow.execute_activity(
                effect.name,
                given,
                result_type=effect.output,
                start_to_close_timeout=effect.time_limit,
                retry_policy=effect.retries,
                summary=given.step,
            )
        finally:
            self.doing = None
        self.story = self.story[told:]
        return result

    def _take(self, item: Delivery) -> None:
        match item.kind:
            case "stop":
                self.exit = self.exit or item.reason or "stopped"
            case "answer" if item.step is not None:
                self.answers.setdefault(item.step, item.answer or {})
            case "event" if item.event is not None:
                self._buffer(item.event)
            case kind:
                workflow.logger.warning("A run was sent a delivery of kind %s that this release does not know.", kind)

    def _buffer(self, wire: Mapping[str, Any]) -> None:
        # A run outlives releases: an event whose type is gone or has changed must not wedge it, for the stop that
        # comes after it would never be heard.
        try:
            event = Event.from_wire(wire)
        except (UnknownEventType, ValidationError):
            workflow.logger.warning("A run was sent an event of type %s that it cannot read.", wire.get("type"))
            return
        self.arrived += 1
        self.inbox.append((self.arrived, event))
        if len(self.inbox) > INBOX:
            del self.inbox[0]
            if self.counters.get("inbox") is None:
                self.tell(self.step("inbox"), "full", kept=INBOX)


def journey(
    *triggers: Trigger,
    ends_after: timedelta,
    entry: Entry = once,
    goal: Goal | None = None,
    exit_on: Sequence[type[Event] | Trigger] = (),
    control: int = 0,
    late_after: timedelta = hours(24),
    listens: Sequence[type[Event]] = (),
    waives: Mapping[str, str] | None = None,
) -> Callable[[JourneyFunction], type[JourneyRun]]:
    """Make a journey of an async function `(player, trigger event)`.

    Args:
        triggers: what starts it: `on(...)`, `milestone(...)`, `streak(...)`, `inactive(...)`.
            Without any it starts only by hand or from another journey.
        ends_after: a run is over this long after entry, wherever it stands.
        entry: how often one player may enter: `once`, `always`, `every(period)`, `per(field)`.
        goal: what success is; measured in both arms, it ends nothing.
        exit_on: events that end the run at once.
        control: percent of players who are tracked but never contacted.
        late_after: a trigger older than this when we learn of it enters nobody.
        listens: event types the code waits for that cannot be read off it.
        waives: rules of `journeys check` that this journey breaks on purpose, each with its reason.

    The function becomes a workflow class under its own name and module, so there is one journey
    of a name and its module must be importable without side effects. A run in flight replays the
    function: changing the order of its verbs breaks it unless guarded by `workflow.patched`.
    """

    def build(function: JourneyFunction) -> type[JourneyRun]:
        name = function.__name__
        if not inspect.iscoroutinefunction(function):
            raise DesignError(f"Journey {name} must be an async function: write `async def {name}`.")
        if not name.isascii():
            raise DesignError(f"Journey {name}: its name travels in ids and headers; use ASCII letters.")
        if not 0 <= control <= 100:
            raise DesignError(f"Journey {name}: control is a percentage from 0 to 100, not {control}.")
        if not isinstance(ends_after, timedelta):
            raise DesignError(f"Journey {name}: ends_after must be a duration such as days(14), not {ends_after!r}.")
        if ends_after <= timedelta(0):
            raise DesignError(f"Journey {name}: ends_after must be a positive duration.")
        definition = Journey(
            name=name,
            function=function,
            triggers=tuple(trigger_on(t) for t in triggers),
            entry=entry,
            goal=goal,
            exit_on=tuple(_exit(name, e) for e in exit_on),
            ends_after=ends_after,
            control=control,
            late_after=late_after,
            listens=frozenset(listens),
            waives=dict(waives or {}),
        )
        return _workflow_class(definition)

    return build


def _exit(name: str, rule: type[Event] | Trigger) -> On:
    exit_rule = trigger_on(rule)
    if not isinstance(exit_rule, On):
        raise DesignError(f"Journey {name}: exit_on takes event types and on(...), not {exit_rule.key}.")
    return exit_rule


def _workflow_class(definition: Journey) -> type[JourneyRun]:
    function = definition.function

    # The SDK finds the class by module and name, inside its sandbox too, insists that the run method
    # is defined on that very class, and reads the arguments' types off it: an annotated `self`
    # would be taken for the first of them.
    async def run(self, given: RunInput) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG001
        outcome: str = await self.play()
        return outcome

    def init(self, given: RunInput) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        JourneyRun.__init__(self, given)

    for name, method in (("run", run), ("__init__", init)):
        method.__module__ = function.__module__
        method.__qualname__ = f"{definition.name}.{name}"
        method.__name__ = name
    members: dict[str, Any] = {
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "definition": definition,
        "run": workflow.run(run),
        "__init__": workflow.init(init),
    }
    made: type[JourneyRun] = type(definition.name, (JourneyRun,), members)
    object.__setattr__(definition, "workflow_class", made)
    return workflow.defn(name=definition.name)(made)
