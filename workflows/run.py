"""The workflow that plays a journey.

Its inbox buffers what the journey listens to, its verbs (`player.py`) wait and call effects, and every wait also ends
when the run is told to stop or has outlived `ends_after`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from workflows.declaration import Again, Journey
from workflows.effect_queues import Urgency, queue_of
from workflows.effects import END, MARK, Effect, EffectInput, End, Held, Mark, Retries
from workflows.errors import UnknownEventType
from workflows.events import Event
from workflows.journey_versions import module_of
from workflows.local_time import jitter
from workflows.rules.where import Where
from workflows.run_protocol import (
    DELIVER,
    ENGINE,
    POSITION,
    Delivery,
    DeliveryBatch,
    Position,
    RunInput,
    StoryLine,
)

O = TypeVar("O", bound=BaseModel)  # noqa: E741 - an effect's output, as in effects.py

# What a run carries along is bounded, because a payload is: 2 MiB, beyond which Temporal takes no step any more.
MOST_EVENTS = 1_000
# Twice what one signal carries: an attempt that comes late repeats no more than that.
MOST_HEARD = 1_000
MOST_LINES = 200
# The number of the engine from which on the end of a run holds between two effects, and moments are spread.
BOUNDED = 2
# A timer that is due at once, and how far the clocks of Temporal's hosts may be apart.
SHORTEST = timedelta(milliseconds=1)
DRIFT = timedelta(seconds=1)
# A held run is told when it may go on. Should that be lost with a database, it asks by itself, ever more rarely.
HOLD_ASKED_AFTER, HOLD_ASKED_AT_LEAST = timedelta(hours=1), timedelta(hours=6)


class JourneyExit(BaseException):
    """Ends a run from inside any verb; designers never see it."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class JourneyRun:
    """The workflow behind every journey; `@journey` makes one subclass of it for each.

    Its state is what the verbs read and change. Replay rebuilds it, so it follows from the input, the deliveries and
    the results of effects alone.
    """

    definition: ClassVar[Journey]

    def __init__(self, run_input: RunInput) -> None:
        self.input = run_input
        #: The journey as the run's release declared it.
        self.played = self.definition
        #: As of the start, or of the last `player.refresh()`.
        self.facts = run_input.facts
        #: The run is over at this instant, wherever it stands.
        self.ends_at = run_input.ends_at
        #: The outcome that a stop or a cancellation asked for.
        self.exit: str | None = None
        #: Events not used yet, oldest first, each with its number in order of arrival.
        self.inbox: list[tuple[int, Event]] = []
        #: How many events this chapter has buffered so far.
        self.arrived = 0
        #: Filled-in forms by the step that asked, until the step reads them.
        self.answers = dict(run_input.answers)
        #: The highest number of a delivery received.
        self.last_seen = run_input.last_seen
        #: The ids of the last deliveries received, by which a repetition is known.
        self.heard = dict.fromkeys(run_input.heard)
        #: Up to this number deliveries came without an id, and the number alone tells a repetition.
        self.unnamed = run_input.last_seen if run_input.unnamed is None else run_input.unnamed
        #: How often each step's name was used.
        self.counters = dict(run_input.counters)
        #: How often this chapter was told that a hold is over.
        self.resumed = 0
        #: Lines that no effect has stored yet.
        self.story = list(run_input.story)
        #: The step that waits, and until when.
        self.waiting: tuple[str, datetime] | None = None
        #: The step whose effect is under way.
        self.doing: str | None = None
        for wire in run_input.inbox:
            self._buffer(wire)

    @workflow.signal(name=DELIVER, description="Events, answers and stops, in order.")
    def deliver(self, batch: DeliveryBatch) -> None:
        """Receive deliveries.

        One that was received before is dropped, which makes an at-least-once dispatcher exactly once. One with an
        old number and an id of its own is none of those: Postgres was set back and counts again from where it was.
        """
        for item in batch.items:
            if self._is_repetition(item):
                continue
            if item.seq <= self.last_seen:
                self.record(self.step("delivery"), "renumbered", number=item.seq, last=self.last_seen)
            self.last_seen = max(self.last_seen, item.seq)
            self._receive(item)

    @workflow.query(name=POSITION, description="Where the run stands.")
    def position(self) -> Position:
        """Where the run stands right now."""
        step, until = self.waiting or (self.doing, None)
        return Position(
            step=step,
            waiting_until=until,
            story=self.story,
            last_seen=self.last_seen,
            chapter=self.input.chapter,
            version=self.input.version,
        )

    # ---- what the verbs are made of ----------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The run's own time, the same in replay."""
        return workflow.now()

    def delay(self, most: timedelta) -> timedelta:
        """How much longer this run waits for a moment that comes for many at once; always as long."""
        return jitter(self.input.run_id, most) if self.input.engine >= BOUNDED else timedelta(0)

    def step(self, name: str) -> str:
        """A step's identity: its name and how many of that name came before. Stable in replay."""
        count = self.counters[name] = self.counters.get(name, 0) + 1
        return f"{name}#{count}"

    def record(self, step: str, outcome: str, **detail: JsonValue) -> None:
        """Add a line to the story; the next effect stores it."""
        line = self.counters["story"] = self.counters.get("story", 0) + 1
        self.story.append(StoryLine(line=line, step=step, at=self.now, outcome=outcome, detail=detail))

    def common(self, step: str) -> dict[str, Any]:
        """The fields that every effect's input shares."""
        return {
            "brand": self.input.brand,
            "player_id": self.input.player_id,
            "journey": self.input.journey,
            "run_id": self.input.run_id,
            "step": step,
            "story": self.story,
            "knows_hold": True,
        }

    async def effect(self, effect: Effect[Any, O], effect_input: EffectInput) -> O:
        """Have an effect done, however long the world takes or a hold lasts, then obey a stop that came meanwhile."""
        pause = HOLD_ASKED_AFTER
        while True:
            resumed = self.resumed
            result = await self._attempt(effect, effect_input)
            if not isinstance(result, Held):
                return result
            await self.wait(effect_input.step, partial(self._resumed_since, resumed), self.now + pause)
            pause = min(2 * pause, HOLD_ASKED_AT_LEAST)
            effect_input = effect_input.model_copy(update={"story": self.story})

    def _resumed_since(self, resumed: int) -> bool:
        return self.resumed > resumed

    async def _attempt(self, effect: Effect[Any, O], effect_input: EffectInput) -> O | Held:
        """None begins after the run's end, however long the one before it took."""
        self.exit_if_stopped()
        if self.input.engine >= BOUNDED and self.now >= self.ends_at:
            raise JourneyExit("ended")
        try:
            result = await self._execute(effect, effect_input)
        except (asyncio.CancelledError, ActivityError) as error:
            # A designer's `except Exception` must not eat a cancellation: Temporal asks only once.
            if not is_cancelled_exception(error):
                raise
            self.exit = self.exit or "cancelled"
            raise JourneyExit(self.exit) from error
        self.exit_if_stopped()
        return result

    async def wait(self, step: str, happened: Callable[[], bool], deadline: datetime) -> bool:
        """Wait until `happened()`, at most until `deadline`; False when the deadline came first.

        One timer at most, and none when the answer is already there. The run's own end is folded
        into the same timer. What comes after is decided by the timer, which stands in the history, and not by
        `deadline`: in a replay the code may ask for another one.
        """
        if len(self.story) >= MOST_LINES:
            # A loop of waits alone would carry its whole story along, until Temporal takes it no more.
            await self.effect(MARK, Mark(**self.common(self.step("mark:story")), name="story"))
        end = min(deadline, self.ends_at)
        if not self.exit and not happened() and self._has_timer(end):
            self.waiting = (step, end)
            try:
                await workflow.wait_condition(
                    lambda: self.exit is not None or happened(),
                    timeout=max(end - self.now, SHORTEST),
                    timeout_summary=step,
                )
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                self.exit = "cancelled"
            finally:
                self.waiting = None
        self.exit_if_stopped()
        if happened():
            return True
        if self.now + DRIFT >= self.ends_at and (self.input.engine or deadline >= self.ends_at):
            raise JourneyExit("ended")
        return False

    def _has_timer(self, end: datetime) -> bool:
        """Whether a wait until then begins a timer; a release that changes its length must not change that."""
        return self.now < self.ends_at if self.input.engine else end > self.now

    def exit_if_stopped(self) -> None:
        """Raise the exit that a stop asked for."""
        if self.exit is not None:
            raise JourneyExit(self.exit)

    def oldest(self, kinds: Sequence[type[Event]], where: Where | None, after: int) -> Event | None:
        """The oldest buffered event of `kinds` whose number is higher than `after`, left in place."""
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
        """Remove an event from the inbox."""
        self.inbox = [entry for entry in self.inbox if entry[1] is not event]

    # ---- the run itself -----------------------------------------------------------------------

    async def play(self, player: object) -> str:
        """Perform the journey for `player` from its trigger to its recorded end; the outcome."""
        failure: FailureError | None = None
        try:
            outcome = await self._perform(player)
        except JourneyExit as left:
            outcome = left.outcome
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
        end = End(**self.common("end"), outcome=outcome)
        try:
            await self._execute(END, end)
        except (asyncio.CancelledError, FailureError) as error:
            if not is_cancelled_exception(error):
                raise
            # Temporal cancels a run once at most, so the second attempt is left in peace.
            await self._execute(END, end)

    async def _perform(self, player: object) -> str:
        self.played = of_version(self.definition, self.input.version)
        # A designer's own event class exists once more inside the sandbox; the journey knows that one.
        kinds = {rule.enters.wire_type: rule.enters for rule in self.played.triggers}
        wire = self.input.trigger
        trigger = None if wire is None else kinds.get(str(wire["type"]), Event).from_wire(wire)
        result = await self.played.function(player, trigger, **self.input.arguments)
        if isinstance(result, Again):
            self.exit_if_stopped()
            self._continue_as_new(result)
        return "completed"

    def _continue_as_new(self, chapter: Again) -> None:
        workflow.continue_as_new(
            self.input.model_copy(
                update={
                    "facts": self.facts,
                    "arguments": dict(chapter.arguments),
                    "inbox": [event.to_wire() for _, event in self.inbox],
                    "answers": self.answers,
                    "last_seen": self.last_seen,
                    "heard": [*self.heard],
                    "unnamed": self.unnamed,
                    "counters": self.counters,
                    "story": self.story,
                    "chapter": self.input.chapter + 1,
                    "engine": ENGINE,
                }
            )
        )

    async def _execute(self, effect: Effect[Any, O], effect_input: EffectInput) -> O | Held:
        stored = len(effect_input.story)
        self.doing = effect_input.step
        try:
            answer: dict[str, JsonValue] = await workflow.execute_activity(
                effect.name,
                effect_input,
                start_to_close_timeout=effect.time_limit,
                task_queue=queue_of(workflow.info().task_queue, effect_input.provider),
                retry_policy=retry_policy(effect.retries),
                summary=effect_input.step,
                priority=self._priority(effect.urgency),
            )
        finally:
            self.doing = None
        self.story = self.story[stored:]
        return effect.read(answer)

    def _is_repetition(self, item: Delivery) -> bool:
        """Whether an item was received before; if not, what it is known by is kept."""
        if item.id is None:
            self.unnamed = max(self.unnamed, item.seq)
            return item.seq <= self.last_seen
        if item.id in self.heard or item.seq <= self.unnamed:
            return True
        self.heard[item.id] = None
        if len(self.heard) > MOST_HEARD:
            del self.heard[next(iter(self.heard))]
        return False

    def _priority(self, urgency: Urgency) -> Priority:
        began_in_bulk = workflow.info().priority.priority_key == Urgency.BULK
        key = Urgency.BULK if began_in_bulk and urgency >= Urgency.REWARD else urgency
        return Priority(priority_key=key, fairness_key=self.input.brand)

    def _receive(self, item: Delivery) -> None:
        match item.kind:
            case "stop":
                self.exit = self.exit or item.reason or "stopped"
            case "answer" if item.step is not None:
                self.answers.setdefault(item.step, item.answer or {})
            case "event" if item.event is not None:
                self._buffer(item.event)
            case "resume":
                self.resumed += 1
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
        if len(self.inbox) > MOST_EVENTS:
            del self.inbox[0]
            if self.counters.get("inbox") is None:
                self.record(self.step("inbox"), "full", kept=MOST_EVENTS)


def of_version(journey: Journey, version: int) -> Journey:
    """The journey as a run of this version plays it. Raises `UnknownVersion`."""
    if version in journey.versions:
        return journey.versions[version]
    module = module_of(journey.function.__module__, journey.name, version)
    if module is None:
        return journey
    with workflow.unsafe.sandbox_import_notification_policy(workflow.SandboxImportNotificationPolicy.SILENT):
        # Imported by the run, as its journey's own module is: what frozen code keeps in a module is the run's alone.
        frozen: Journey = getattr(__import__(module, fromlist=[journey.name]), journey.name).definition
    return frozen


@cache
def retry_policy(retries: Retries) -> RetryPolicy:
    """The contract's retries as the SDK knows them."""
    return RetryPolicy(**asdict(retries))


def workflow_class(definition: Journey, player: Callable[[JourneyRun], object]) -> type[JourneyRun]:
    """The workflow of one journey, under its function's own module and name; `player` makes what the function plays.

    The SDK finds the class by these two, inside its sandbox too.
    """
    function = definition.function

    # The SDK insists that the run method is defined on that very class, and reads the arguments' types off it: an
    # annotated `self` would be taken for the first of them.
    async def run(self, run_input: RunInput) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG001
        outcome: str = await self.play(player(self))
        return outcome

    def init(self, run_input: RunInput) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        JourneyRun.__init__(self, run_input)

    for name, method in (("run", run), ("__init__", init)):
        method.__module__ = function.__module__
        method.__qualname__ = f"{definition.name}.{name}"
        method.__name__ = name
    members: dict[str, Any] = {
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "run": workflow.run(run),
        "__init__": workflow.init(init),
    }
    made: type[JourneyRun] = type(definition.name, (JourneyRun,), members)
    made.definition = replace(definition, workflow_class=made)
    return workflow.defn(name=definition.name)(made)
