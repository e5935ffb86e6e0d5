"""The workflow that plays a journey.

Its inbox buffers what the journey listens to, its verbs (`player.py`) wait and call effects, and every wait also ends
when the run is told to stop or has outlived `ends_after`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache, cached_property, lru_cache, partial
from typing import Any, NoReturn, TypeVar, cast

from pydantic import BaseModel, JsonValue
from temporalio import workflow
from temporalio.common import Priority, RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from workflows.declaration import Again, Journey
from workflows.effect_queues import Urgency, queue_of
from workflows.effect_retries import Retries
from workflows.effects import (
    END,
    MARK,
    MOVE_TASK,
    RUN_OVER,
    WITHHOLD,
    Effect,
    EffectInput,
    End,
    Held,
    Mark,
    MoveTask,
    Withheld,
    Withhold,
)
from workflows.events import Event
from workflows.journey_versions import module_of, version_of
from workflows.local_time import jitter
from workflows.run_journal import MOVED_PAST, LookedFarEnough, Migration, MovedRun, counted_behind, over
from workflows.run_protocol import BRAND, ENGINE, JOURNEY, JOURNEY_VERSION, KnownStep, RunInput
from workflows.run_state import RunState
from workflows.verb_table import VERBS

O = TypeVar("O", bound=BaseModel)  # noqa: E741 - an effect's output, as in effects.py

MOST_LINES = 200
# The number of the engine from which on the end of a run holds between two effects, and moments are spread.
BOUNDED = 2
# The number from which on a run that has moved says so.
TELLS_ARRIVAL = 3
# Temporal takes 10,000 signals in the life of a workflow and refuses every one after.
MOST_SIGNALS = 8_000
# A timer that is due at once, and how far the clocks of Temporal's hosts may be apart.
SHORTEST = timedelta(milliseconds=1)
DRIFT = timedelta(seconds=1)
# A held run is told when it may go on. Should that be lost with a database, it asks by itself, ever more rarely.
HOLD_ASKED_AFTER, HOLD_ASKED_AT_LEAST = timedelta(hours=1), timedelta(hours=6)
# The engine's own steps and the numbers of lines. They are counted through all of a run's life, while the steps of the
# journey are counted anew with every chapter that plays it from the top.
OWN = frozenset({"story", "inbox", "delivery", "journal", "move", "kept:story", "kept:move"})


class JourneyExit(BaseException):
    """Ends a run from inside any verb; designers never see it."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class JourneyRun(RunState):
    """The workflow behind every journey; `@journey` makes one subclass of it for each."""

    @classmethod
    def migrate(cls, *, from_version: int) -> Callable[[Migration], Migration]:
        """Say what becomes of runs that come from release `from_version`: rename steps, map arguments.

        Write it below the journey, as `@welcome.migrate(from_version=3)`. The function is called once for each such
        run, before the new code is; it must be as deterministic as the journey.
        """

        def declare(migration: Migration) -> Migration:
            cls.definition.migrations[from_version] = migration
            return migration

        return declare

    @cached_property
    def sdk(self) -> workflow.Info:
        """What the SDK knows of this chapter; the same object all along, and asking for it anew is not cheap."""
        return workflow.info()

    # ---- what the verbs are made of ----------------------------------------------------------

    def recall(self, step: str, skipped: JsonValue | BaseModel = None, *, said: str = MOVED_PAST) -> KnownStep | None:
        """What is known of a step that is over; None when it is to be done now, or goes on.

        In a run that came from another release, `skipped` is what a step came to that the run was past; the story
        says `said` of it.
        """
        entry = self.journal.entry(step)
        if entry is None and self.journal.passes_over(step):
            outcome = skipped.model_dump(mode="json") if isinstance(skipped, BaseModel) else skipped
            entry = over(self.clock, self.clock, outcome)
            if not self.journal.looking:
                self.record(step, said)
                self.journal.keep(step, entry)
        if entry is None or entry.over is None:
            return None
        self.clock = entry.over
        return entry

    def begin(self, step: str, **fixed: JsonValue) -> KnownStep:
        """The entry of a step that the run stands in, with what was fixed when it began: now, unless it had begun."""
        entry = self.journal.entries.get(step)
        if entry is None:
            entry = KnownStep(began=self.now, fixed=fixed)
            self.journal.keep(step, entry)
        return entry

    def keep(self, step: str, outcome: JsonValue) -> KnownStep:
        """Write down what a step came to; its verb returns that whenever the function is played anew."""
        begun, was_full, now = self.journal.entries.get(step), self.journal.full, self.now
        began, fixed = (now, None) if begun is None else (begun.began, begun.fixed)
        self.clock, self.advanced = now, True
        entry = over(began, self.clock, outcome, fixed)
        self.journal.keep(step, entry)
        if self.journal.full and not was_full and self.input.engine:
            self.record(self.step("journal"), "full_journal")
        if self.journal.ahead is not None:
            # A step that was done on the way may have turned the way.
            self._look_ahead()
        return entry

    def end_of(self, entry: KnownStep, length: timedelta) -> datetime:
        """Until when a step waits that takes this long: as it was fixed when it began.

        After a move the new release says how long, counted from when the wait began.
        """
        if self.input.moved_from is not None:
            entry.fixed["until"] = (entry.began + length).isoformat()
        return datetime.fromisoformat(str(entry.fixed["until"]))

    def delay(self, most: timedelta) -> timedelta:
        """How much longer this run waits for a moment that comes for many at once; always as long."""
        return jitter(self.input.beside or self.input.run_id, most) if self.input.engine >= BOUNDED else timedelta(0)

    def common(self, step: str) -> dict[str, Any]:
        """The fields that every effect's input shares."""
        if self.input.engine and self.inbox.dropped and not self.journal.looking:
            self.record(self.step("inbox"), "dropped", **self.inbox.told())
        return {
            "brand": self.input.brand,
            "player_id": self.input.player_id,
            "journey": self.input.journey,
            "run_id": self.input.run_id,
            "step": step,
            "story": self.story,
            "knows_hold": True,
            "product": self.played.product,
            "vip": self.played.vip,
            "earned": self.played.earned,
        }

    async def once(self, effect: Effect[Any, O], effect_input: EffectInput, skipped: O) -> O:
        """What an effect came to: from the journal, else by having it done; `skipped` where the run was past it."""
        known = self.recall(effect_input.step, skipped)
        if known is not None:
            return effect.output.model_validate(known.outcome)
        result = await self.effect(effect, effect_input)
        self.keep(effect_input.step, result.model_dump(mode="json"))
        return result

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
            if not (is_cancelled_exception(error) or _is_over(error)):
                raise
            self.exit = self.exit or (RUN_OVER if _is_over(error) else "cancelled")
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
            name = "kept:story" if self.input.engine else "mark:story"
            await self.effect(MARK, Mark(**self.common(self.step(name)), name="story"))
        if self.exit is None and self._turns():
            self._turn(step)
        end, began = min(deadline, self.ends_at), self.now
        if not self.exit and not happened() and self._has_timer(began, end):
            self.waiting = (step, end)
            try:
                await workflow.wait_condition(
                    lambda: self.exit is not None or happened() or self._turns(),
                    timeout=max(end - began, SHORTEST),
                    timeout_summary=step,
                )
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                self.exit = "cancelled"
            finally:
                self.waiting = None
        self.exit_if_stopped()
        if self._turns():
            self._turn(step)
        if happened():
            return True
        if self.now + DRIFT >= self.ends_at and (self.input.engine or deadline >= self.ends_at):
            raise JourneyExit("ended")
        return False

    def _has_timer(self, began: datetime, end: datetime) -> bool:
        """Whether a wait until then begins a timer; a release that changes its length must not change that."""
        return began < self.ends_at if self.input.engine else end > began

    def exit_if_stopped(self) -> None:
        """Raise the exit that a stop asked for."""
        if self.exit is not None:
            raise JourneyExit(self.exit)

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
        self.player = player
        self.refuse_later_engine()
        self.played = of_version(self.definition, version_of(self.definition, self.input))
        self.began = self.clock = self.input.began or self.now
        if self.input.moved_from is not None:
            await self._arrive(self.input.moved_from)
        result = await self._function()
        if isinstance(result, Again):
            self.exit_if_stopped()
            counters = counted_behind(self.counters, (*self.input.journal, *self.journal.entries))
            self._begin_chapter(facts=self.facts, arguments=dict(result.arguments), counters=counters)
        return "completed"

    def _function(self) -> Coroutine[Any, Any, Any]:
        """The journey's function, called from the top."""
        # A designer's own event class exists once more inside the sandbox; the journey knows that one.
        kinds = {rule.enters.wire_type: rule.enters for rule in self.played.triggers}
        wire = self.input.trigger
        trigger = None if wire is None else kinds.get(str(wire["type"]), Event).from_wire(wire)
        # What `async def` makes; `@journey` takes nothing else.
        return cast("Coroutine[Any, Any, Any]", self.played.function(self.player, trigger, **self.arguments))

    # ---- chapters that begin by themselves, and moves to another release ----------------------

    def _turns(self) -> bool:
        """Whether the next chapter is to begin at this wait."""
        if self.journal.full or self.journal.ahead is not None:
            return False
        if self.move is not None:
            return True
        # The limit is looked at last: it asks the SDK, and this is asked at every step of every run.
        return bool(self.input.engine and self.advanced) and (
            self.signals >= MOST_SIGNALS or self.sdk.is_continue_as_new_suggested()
        )

    def _turn(self, step: str) -> NoReturn:
        """Begin the next chapter with the journal, at a wait."""
        self._begin_chapter(**self._kept_at(step))

    def standing(self) -> RunInput | None:
        """The input of a chapter that begins where the run stands, to play it on elsewhere.

        None where it stands nowhere or has no journal any more.
        """
        step = self.waiting[0] if self.waiting is not None else self.doing
        return None if step is None or self.journal.full else self._chapter(**self._kept_at(step))

    def _kept_at(self, step: str) -> dict[str, Any]:
        """What a chapter begins with besides, that plays the function from the top to a step."""
        return {
            "facts": self.input.facts,
            "arguments": self.arguments,
            "counters": self._counters_at_the_top(),
            "journal": self.journal.entries,
            "began": self.began,
            "stands_at": step,
        }

    def _begin_chapter(self, **handed_on: Any) -> NoReturn:
        workflow.continue_as_new(self._chapter(**handed_on), search_attributes=self._shown_anew())

    def _shown_anew(self) -> TypedSearchAttributes | None:
        """What the next chapter is found by, where a move changes that; None leaves it as it is.

        A namespace without our attributes would refuse them and the chapter with them: this run began without any.
        """
        if self.move is None or self.move.version is None or BRAND not in workflow.info().search_attributes:
            return None
        return TypedSearchAttributes(
            [
                SearchAttributePair(SearchAttributeKey.for_keyword(BRAND), self.input.brand),
                SearchAttributePair(SearchAttributeKey.for_keyword(JOURNEY), self.input.journey),
                SearchAttributePair(SearchAttributeKey.for_int(JOURNEY_VERSION), self.move.version),
            ]
        )

    def _chapter(self, **handed_on: Any) -> RunInput:
        """The input of the next chapter."""
        self.inbox.trim()
        move = self.move
        return self.input.model_copy(
            update={
                "inbox": [event.to_wire() for _, event in self.inbox.entries],
                "numbers": [number for number, _ in self.inbox.entries],
                "arrived": self.inbox.arrived,
                "answers": self.answers,
                "last_seen": self.last_seen,
                "heard": [*self.heard],
                "unnamed": self.unnamed,
                "story": self.story,
                "chapter": self.input.chapter + 1,
                "engine": ENGINE,
                "journal": {},
                "began": None,
                "stands_at": None,
                "version": version_of(self.definition, self.input) if move is None else move.version,
                "moved_from": None if move is None else self.input.version,
                "do": [] if move is None else move.do,
                **handed_on,
            }
        )

    def _counters_at_the_top(self) -> dict[str, int]:
        """The counters when the function began, with what the engine itself has counted since."""
        own = {name: count for name, count in self.counters.items() if name in OWN}
        return {name: count for name, count in self.input.counters.items() if name not in OWN} | own

    async def _arrive(self, from_version: int) -> None:
        """Find the place in this release for a run that comes from another."""
        moved = MovedRun(from_version, self.input.stands_at, self.arguments, self.journal.entries)
        migration = self.played.migrations.get(from_version)
        if migration is not None:
            migration(moved)
        self.arguments, self.journal.entries, self.stands_at = moved.arguments, dict(moved.known), moved.stands_at
        self.record(self.step("move"), "moved", version=self.input.version, before=from_version)
        if self.input.engine >= TELLS_ARRIVAL:
            # Until the books know, the release it comes from may not go.
            told = Mark(**self.common(self.step("kept:move")), name="move", arrived=self.input.version)
            await self.effect(MARK, told)
        if not self._look_ahead() and self.stands_at is not None:
            await self._leave(self.stands_at)

    async def _leave(self, step: str) -> None:
        """End the wait that this release does not have: as if nothing had happened in time."""
        entry = self.journal.entries.get(step)
        self.record(step, "removed")
        if entry is None or not VERBS[step.partition("#")[0].partition(":")[0]].waits:
            # A message that waited for the morning: it was not sent, and never is.
            self.journal.forget(step)
            return
        self.keep(step, None)
        if (task_id := entry.fixed.get("task_id")) is not None:
            closing = MoveTask(**self.common(step), task_id=str(task_id), move="expire")
            await self.effect(MOVE_TASK, closing)

    def _look_ahead(self) -> bool:
        """Follow the function through what is known, without doing anything; whether it comes to the run's place."""
        before = self.counters, self.facts, self.clock
        self.counters, self.facts, self.clock = self._counters_at_the_top(), self.input.facts, self.began
        try:
            return self.journal.look(self._follow, self.stands_at)
        finally:
            self.counters, self.facts, self.clock = before

    def _follow(self) -> None:
        followed = self._function()
        try:
            followed.send(None)
        except (StopIteration, LookedFarEnough):
            pass
        except Exception:  # noqa: BLE001 - whatever the function makes of steps that were passed over
            workflow.logger.debug("A look ahead ended in an error of the journey.")
        finally:
            followed.close()

    async def _execute(self, effect: Effect[Any, O], effect_input: EffectInput) -> O | Held:
        """Ask for an effect. A shadow run asks for nothing but `withhold`, whatever its journey wants done."""
        beside = self.input.beside
        if beside is None:
            return effect.read(await self._call(effect, effect_input))
        answer = await self._call(WITHHOLD, Withhold.of(effect.name, effect_input, beside))
        return effect.read(Withheld.model_validate(answer).answer)

    async def _call(self, effect: Effect[Any, Any], effect_input: EffectInput) -> dict[str, JsonValue]:
        stored = len(effect_input.story)
        self.doing = effect_input.step
        try:
            answer: dict[str, JsonValue] = await workflow.execute_activity(
                effect.name,
                effect_input,
                start_to_close_timeout=effect.time_limit,
                task_queue=queue_of(self.sdk.task_queue, effect_input.provider),
                retry_policy=retry_policy(effect.retries),
                summary=effect_input.step,
                priority=self._priority(effect.urgency),
            )
        finally:
            self.doing = None
        self.story = self.story[stored:]
        return answer

    def _priority(self, urgency: Urgency) -> Priority:
        began_in_bulk = self.sdk.priority.priority_key == Urgency.BULK
        key = Urgency.BULK if began_in_bulk and urgency >= Urgency.REWARD else urgency
        return priority_of(key, self.input.brand)


def of_version(journey: Journey, version: int) -> Journey:
    """The journey as a run of this version plays it. Raises `UnknownVersion`."""
    if version in journey.versions:
        return journey.versions[version]
    module = module_of(journey.function.__module__, journey.name, version)
    if module is None:
        return journey
    with workflow.unsafe.sandbox_import_notification_policy(workflow.SandboxImportNotificationPolicy.SILENT):
        # Imported inside, as its journey's own module is: what frozen code may keep there is the run's alone.
        frozen: Journey = getattr(__import__(module, fromlist=[journey.name]), journey.name).definition
    return frozen


def _is_over(error: BaseException) -> bool:
    """Whether an effect was refused because the books call the run over: it was ended there, or is none of theirs."""
    cause = error.cause if isinstance(error, ActivityError) else None
    return isinstance(cause, ApplicationError) and cause.type == RUN_OVER


@lru_cache(maxsize=1_000)
def priority_of(key: Urgency, brand: str) -> Priority:
    """Urgency and fairness as the SDK knows them."""
    return Priority(priority_key=key, fairness_key=brand)


@cache
def retry_policy(retries: Retries) -> RetryPolicy:
    """The contract's retries as the SDK knows them."""
    return RetryPolicy(**asdict(retries))
