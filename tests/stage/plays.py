# ruff: noqa: ARG002 - all take the same argument, and some have no use for it
"""Small workflows, one for each thing a workflow can ask of a server, and what must come of it.

Every play runs on the stage and on a real server that skips time, and must give the same trace on both.
"""

import asyncio
import builtins
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    TimeoutError,  # noqa: A004 - the SDK's own, which the stage must make
    WorkflowAlreadyStartedError,
)

SEGMENT = SearchAttributeKey.for_keyword("Segment")

Cue = tuple[float, str, Any]


@dataclass(frozen=True)
class Play:
    """A workflow, what is done to it when (seconds after its start), and the trace it must leave."""

    workflow: type[Any]
    expected: list[list[Any]]
    given: dict[str, Any] = field(default_factory=dict)
    #: `(seconds, "signal" | "cancel", value)`
    cues: Sequence[Cue] = ()
    #: Signals that come with the start.
    first: Sequence[str] = ()
    #: Why the server that skips time cannot show it; one with a real clock must, if not to the second.
    not_skipping: str = ""
    #: Why no server can show it in a test.
    stage_only: str = ""


def told(error: BaseException) -> str:
    """An error and its causes, as one line."""
    words = []
    seen: BaseException | None = error
    while seen is not None:
        word = type(seen).__name__
        match seen:
            case ApplicationError():
                word += f"({seen.type})"
            case ActivityError() if seen.retry_state is not None:
                word += f"({seen.retry_state.name})"
            case TimeoutError() if seen.type is not None:
                word += f"({seen.type.name})"
        words.append(word)
        seen = seen.__cause__
    return " < ".join(words)


def scaled(given: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    return given | {name: like[name] for name in ("scale", "pause") if name in like}


class Traced:
    """Keeps what happened when, in whole seconds since the start."""

    def __init__(self) -> None:
        self.trace: list[list[Any]] = []
        self.heard: list[str] = []

    def note(self, what: str, value: Any = None) -> None:
        seconds = (workflow.now() - workflow.info().workflow_start_time).total_seconds()
        self.trace.append([what, round(seconds), value])

    def span(self, given: dict[str, Any], count: float) -> timedelta:
        """So many seconds, or fewer where the clock is real."""
        return timedelta(seconds=count / given.get("scale", 1))

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)
        self.note("heard", word)


# ---- timers and conditions -----------------------------------------------------------------


@workflow.defn
class Timers(Traced):
    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        await workflow.sleep(self.span(given, 60))
        self.note("slept")
        await asyncio.sleep(self.span(given, 90).total_seconds())
        self.note("slept")
        try:
            await workflow.wait_condition(lambda: "early" in self.heard, timeout=self.span(given, 30))
        except builtins.TimeoutError:
            self.note("nothing")
        await workflow.wait_condition(lambda: "late" in self.heard, timeout=self.span(given, 10_000))
        self.note("woken")
        await workflow.sleep(self.span(given, 20_000))
        self.note("slept")
        return self.trace


@workflow.defn
class Races(Traced):
    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        async def nap(name: str, length: float) -> None:
            await workflow.sleep(self.span(given, length))
            self.note(name)

        long = asyncio.create_task(nap("long", 300))
        await asyncio.gather(nap("a", 20), nap("b", 10))
        long.cancel()
        await workflow.wait([long])
        self.note("cancelled", long.cancelled())
        await workflow.sleep(self.span(given, 600))
        self.note("end")
        return self.trace


# ---- activities ----------------------------------------------------------------------------


@workflow.defn
class Works(Traced):
    """One activity, as `given` wants it; cancelled after `cancel_after` seconds."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        options: dict[str, Any] = {}
        for name in ("start_to_close_timeout", "schedule_to_close_timeout", "local_retry_threshold"):
            if name in given:
                options[name] = self.span(given, given[name])
        if "retry" in given:
            retry = given["retry"]
            options["retry_policy"] = RetryPolicy(
                initial_interval=self.span(given, retry.get("initial", 1)),
                backoff_coefficient=retry.get("coefficient", 2.0),
                maximum_interval=self.span(given, retry["longest"]) if "longest" in retry else None,
                maximum_attempts=retry.get("attempts", 0),
                non_retryable_error_types=retry.get("fatal"),
            )
        if "cancellation" in given:
            options["cancellation_type"] = workflow.ActivityCancellationType[given["cancellation"]]
        begin = workflow.start_local_activity if given.get("local") else workflow.start_activity
        handle = begin("work", given["plan"], result_type=str, **options)
        if (after := given.get("cancel_after")) is not None:
            if after:
                await workflow.sleep(self.span(given, after))
            handle.cancel()
        try:
            self.note("done", await handle)
        except (ActivityError, ApplicationError) as error:
            self.note("failed", told(error))
        except asyncio.CancelledError:
            self.note("cancelled outright")
        if "then" in given:
            await workflow.sleep(self.span(given, given["then"]))
        return self.trace


def works(
    expected: list[list[Any]], plan: Sequence[str], *, not_skipping: str = "", stage_only: str = "", **given: Any
) -> Play:
    limits = {} if "schedule_to_close_timeout" in given else {"start_to_close_timeout": 3}
    return Play(
        Works, expected, {"plan": list(plan), **limits, **given}, not_skipping=not_skipping, stage_only=stage_only
    )


ACTIVITIES = {
    "an activity returns": works([["done", 0, "ok@1"]], ["ok"]),
    "an attempt that fails is repeated with growing pauses up to the longest": works(
        [["done", 160, "ok@5"]], ["fail"] * 4 + ["ok"], retry={"initial": 10, "coefficient": 3, "longest": 60}
    ),
    "without a policy the pauses double from one second": works([["done", 15, "ok@5"]], ["fail"] * 4 + ["ok"]),
    "attempts run out": works(
        [["failed", 30, "ActivityError(MAXIMUM_ATTEMPTS_REACHED) < ApplicationError(Trouble)"]],
        ["fail"],
        retry={"initial": 10, "attempts": 3},
    ),
    "an error that the policy calls fatal is not repeated": works(
        [["failed", 10, "ActivityError(NON_RETRYABLE_FAILURE) < ApplicationError(Fatal)"]],
        ["fail", "fail Fatal"],
        retry={"initial": 10, "fatal": ["Fatal"]},
    ),
    "an error that calls itself fatal is not repeated": works(
        [["failed", 0, "ActivityError(NON_RETRYABLE_FAILURE) < ApplicationError(Trouble)"]], ["fatal"]
    ),
    "an error names the pause itself": works(
        [["done", 101, "ok@3"]], ["later 100", "fail", "ok"], retry={"longest": 1}
    ),
    "no attempt begins after the time for all of them": works(
        [["failed", 80, "ActivityError(TIMEOUT) < ApplicationError(Trouble)"]],
        ["fail"],
        schedule_to_close_timeout=100,
        retry={"initial": 40, "coefficient": 1},
    ),
    "an attempt that never answers is given up and repeated": works(
        [["done", 21, "ok@2"]], ["never", "ok"], start_to_close_timeout=1, retry={"initial": 20}
    ),
    "an attempt that never answers fails the activity in the end": works(
        [
            [
                "failed",
                21,
                "ActivityError(MAXIMUM_ATTEMPTS_REACHED) < TimeoutError(START_TO_CLOSE) < ApplicationError(Trouble)",
            ]
        ],
        ["fail", "never"],
        start_to_close_timeout=1,
        retry={"initial": 20, "attempts": 2},
    ),
    "an attempt that never answers leaves no time for another": works(
        [["failed", 1, "ActivityError(TIMEOUT) < TimeoutError(SCHEDULE_TO_CLOSE)"]],
        ["never"],
        start_to_close_timeout=1,
        schedule_to_close_timeout=30,
        retry={"initial": 40},
    ),
    "the time for all attempts ends one that never answers": works(
        [["failed", 2, "ActivityError(TIMEOUT) < TimeoutError(SCHEDULE_TO_CLOSE)"]],
        ["never"],
        schedule_to_close_timeout=2,
        retry={"attempts": 1},
        stage_only="a worker gives the attempt up itself, with a start-to-close timeout of the same length",
    ),
    "slow work is waited for": works([["done", 1, "ok@1"]], ["slow 1"]),
    "try-cancel ends the pause between two attempts": works(
        [["failed", 50, "ActivityError(CANCEL_REQUESTED) < CancelledError"]],
        ["fail"],
        retry={"initial": 1000},
        cancel_after=50,
    ),
    "wait-cancel ends the pause between two attempts": works(
        [["failed", 50, "ActivityError(CANCEL_REQUESTED) < CancelledError"]],
        ["fail"],
        retry={"initial": 1000},
        cancel_after=50,
        cancellation="WAIT_CANCELLATION_COMPLETED",
    ),
    "abandon ends the waiting at once": works(
        [["failed", 50, "ActivityError(CANCEL_REQUESTED) < CancelledError"]],
        ["fail"],
        retry={"initial": 1000},
        cancel_after=50,
        cancellation="ABANDON",
    ),
    "an activity cancelled in the breath that scheduled it never happens": works(
        [["cancelled outright", 0, None]], ["ok"], cancel_after=0
    ),
    "try-cancel does not wait for work under way": works(
        [["failed", 1, "ActivityError(CANCEL_REQUESTED) < CancelledError"]], ["slow 2"], cancel_after=1
    ),
    "wait-cancel waits for work under way, which may succeed": works(
        [["done", 2, "ok@1"]], ["slow 2"], cancel_after=1, cancellation="WAIT_CANCELLATION_COMPLETED"
    ),
    "wait-cancel does not repeat work that fails": works(
        [["failed", 2, "ActivityError(CANCEL_REQUESTED) < ApplicationError(Trouble)"]],
        ["slowfail 2"],
        start_to_close_timeout=60,
        cancel_after=1,
        cancellation="WAIT_CANCELLATION_COMPLETED",
        not_skipping="the server that skips time never tells of a failure after a request to cancel",
    ),
    "a local activity returns": works([["done", 0, "ok@1"]], ["ok"], local=True),
    "a local activity is repeated at once": works([["done", 1, "ok@2"]], ["fail", "ok"], local=True),
    "a local activity that backs off for long leaves that to a timer": works(
        [["done", 700, "ok@4"]],
        ["fail"] * 3 + ["ok"],
        local=True,
        retry={"initial": 100},
    ),
    "a local activity says itself how long is long": works(
        [["done", 20, "ok@2"]], ["fail", "ok"], local=True, retry={"initial": 20}, local_retry_threshold=10
    ),
    "attempts of a local activity run out": works(
        [["failed", 100, "ApplicationError(Trouble)"]],
        ["fail"],
        local=True,
        retry={"initial": 100, "attempts": 2},
    ),
    "a local activity that never answers is given up": works(
        [["failed", 1, "ActivityError(CANCEL_REQUESTED) < TimeoutError(START_TO_CLOSE)"]],
        ["never"],
        local=True,
        start_to_close_timeout=1,
        retry={"attempts": 1},
        stage_only="the SDK's own timer of it outlives the worker and breaks its connection",
    ),
    "a local activity whose time is over after its timer fails": works(
        [["failed", 70, "ActivityError(CANCEL_REQUESTED) < TimeoutError(SCHEDULE_TO_CLOSE)"]],
        ["fail"],
        local=True,
        schedule_to_close_timeout=50,
        retry={"initial": 70},
        local_retry_threshold=10,
        not_skipping="the SDK measures it by the machine's clock, which skips nothing",
    ),
    "try-cancel ends the backing off of a local activity": works(
        [["cancelled outright", 50, None]], ["fail"], local=True, retry={"initial": 100}, cancel_after=50
    ),
}


# ---- other runs ----------------------------------------------------------------------------


@workflow.defn
class Child(Traced):
    """Does as told: returns, fails, waits to be cancelled, or takes a moment to go."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> Any:
        await workflow.sleep(self.span(given, given.get("after", 10)))
        match given["do"]:
            case "return":
                return [given["value"], workflow.info().parent is not None]
            case "fail":
                raise ApplicationError("told to", type="Told")
            case "wait":
                try:
                    await workflow.wait_condition(lambda: bool(self.heard))
                except asyncio.CancelledError:
                    if "tidy" in given:
                        await asyncio.shield(workflow.sleep(self.span(given, given["tidy"])))
                    raise
        return self.heard


@workflow.defn
class Parent(Traced):
    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        options: dict[str, Any] = {}
        if "close" in given:
            options["parent_close_policy"] = workflow.ParentClosePolicy[given["close"]]
        if "cancellation" in given:
            options["cancellation_type"] = workflow.ChildWorkflowCancellationType[given["cancellation"]]
        name = f"{workflow.info().workflow_id}-child"
        try:
            if given.get("twice"):
                reuse = WorkflowIDReusePolicy[given["twice"]]
                await workflow.execute_child_workflow("Child", {"do": "return", "value": 1}, id=name)
                self.note("first")
                await workflow.execute_child_workflow(
                    "Child", {"do": "return", "value": 2}, id=name, id_reuse_policy=reuse
                )
                self.note("second")
                return self.trace
            handle = await workflow.start_child_workflow("Child", scaled(given["child"], given), id=name, **options)
            self.note("started")
            if "signal" in given:
                await handle.signal("hear", given["signal"])
                self.note("signalled")
            if "leave" in given:
                await workflow.sleep(self.span(given, given["leave"]))
                return self.trace
            if "cancel_after" in given:
                await workflow.sleep(self.span(given, given["cancel_after"]))
                handle.cancel()
            self.note("done", await handle)
        except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
            self.note("failed", told(error))
        return self.trace


RETURNS = {"do": "return", "value": 7}
WAITS = {"do": "wait"}
CHILDREN = {
    "a child returns": Play(Parent, [["started", 0, None], ["done", 10, [7, True]]], {"child": RETURNS}),
    "a child fails": Play(
        Parent,
        [["started", 0, None], ["failed", 10, "ChildWorkflowError < ApplicationError(Told)"]],
        {"child": {"do": "fail"}},
    ),
    "a child hears its parent": Play(
        Parent,
        [["started", 0, None], ["signalled", 0, None], ["done", 10, ["hello"]]],
        {"child": WAITS, "signal": "hello"},
    ),
    "a cancelled child is waited for": Play(
        Parent,
        [["started", 0, None], ["failed", 90, "ChildWorkflowError < CancelledError"]],
        {"child": {"do": "wait", "tidy": 60}, "cancel_after": 30},
        not_skipping="the server that skips time lets a cancelled run lie until something else happens to it",
    ),
    "try-cancel does not wait for a child": Play(
        Parent,
        [["started", 0, None], ["failed", 30, "ChildWorkflowError < CancelledError"]],
        {"child": {"do": "wait", "tidy": 60}, "cancel_after": 30, "cancellation": "TRY_CANCEL", "close": "ABANDON"},
    ),
    "an abandoned child goes on": Play(
        Parent,
        [["started", 0, None], ["failed", 30, "ChildWorkflowError < CancelledError"]],
        {"child": WAITS, "cancel_after": 30, "cancellation": "ABANDON", "close": "ABANDON"},
    ),
    "an id may be used again when its run is over": Play(
        Parent, [["first", 10, None], ["second", 20, None]], {"twice": "ALLOW_DUPLICATE"}
    ),
    "an id may be reserved for ever": Play(
        Parent,
        [["first", 10, None], ["failed", 10, "WorkflowAlreadyStartedError"]],
        {"twice": "REJECT_DUPLICATE"},
    ),
    "an id may be used again only after a failure": Play(
        Parent,
        [["first", 10, None], ["failed", 10, "WorkflowAlreadyStartedError"]],
        {"twice": "ALLOW_DUPLICATE_FAILED_ONLY"},
    ),
    "a parent that leaves takes its child along": Play(
        Parent, [["started", 0, None]], {"child": WAITS, "leave": 60, "close": "TERMINATE"}
    ),
    "a parent that leaves lets its child be": Play(
        Parent, [["started", 0, None]], {"child": WAITS, "leave": 60, "close": "ABANDON"}
    ),
    "a parent that leaves asks its child to cancel": Play(
        Parent, [["started", 0, None]], {"child": WAITS, "leave": 60, "close": "REQUEST_CANCEL"}
    ),
}
#: How the child of a play must end.
CHILDREN_END = {
    "a child returns": "completed",
    "a cancelled child is waited for": "cancelled",
    "try-cancel does not wait for a child": "cancelled",
    "an abandoned child goes on": "running",
    "a parent that leaves takes its child along": "terminated",
    "a parent that leaves lets its child be": "running",
    "a parent that leaves asks its child to cancel": "cancelled",
}


@workflow.defn
class Neighbour(Traced):
    """Signals or cancels another run by its id."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        name = f"{workflow.info().workflow_id}-child"
        child = await workflow.start_child_workflow("Child", scaled(WAITS, given), id=name)
        await workflow.sleep(self.span(given, 30))
        other = workflow.get_external_workflow_handle(given.get("other", name))
        try:
            if given["do"] == "signal":
                await other.signal("hear", "over the fence")
            else:
                await other.cancel()
            self.note("told")
            self.note("done", await child)
        except ApplicationError as error:
            self.note("refused", told(error))
        except ChildWorkflowError as error:
            self.note("failed", told(error))
        return self.trace


NOBODY = "ApplicationError(ExternalWorkflowExecutionNotFound)"
NEIGHBOURS = {
    "a run hears another": Play(Neighbour, [["told", 30, None], ["done", 30, ["over the fence"]]], {"do": "signal"}),
    "a run cancels another": Play(
        Neighbour,
        [["told", 30, None], ["failed", 30, "ChildWorkflowError < CancelledError"]],
        {"do": "cancel"},
        not_skipping="the server that skips time lets a cancelled run lie until something else happens to it",
    ),
    "a signal to nobody is refused": Play(Neighbour, [["refused", 30, NOBODY]], {"other": "nobody", "do": "signal"}),
    "a cancellation of nobody is refused": Play(
        Neighbour,
        [["refused", 30, NOBODY]],
        {"other": "nobody", "do": "cancel"},
        not_skipping="the server that skips time never answers it",
    ),
}


# ---- its own life --------------------------------------------------------------------------


@workflow.defn
class Chapters(Traced):
    """Three chapters; what was heard and not used travels on."""

    @workflow.init
    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.trace = given.get("trace", [])
        self.heard = given.get("heard", [])

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        number = given.get("number", 1)
        self.note(f"chapter {number}", workflow.patched("a patch"))
        await workflow.wait_condition(lambda: bool(self.heard), timeout=self.span(given, 1_000))
        self.note("used", self.heard.pop(0))
        if number < 3:
            workflow.continue_as_new(
                scaled({"number": number + 1, "trace": self.trace, "heard": self.heard}, given),
                backoff_start_interval=self.span(given, given["pause"]) if "pause" in given else None,
            )
        return self.trace


@workflow.defn
class Patched(Traced):
    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        self.note("new way", workflow.patched("a patch"))
        await workflow.sleep(self.span(given, 10))
        self.note("new way", workflow.patched("a patch"))
        workflow.deprecate_patch("an old patch")
        self.note("deprecated")
        return self.trace


@workflow.defn
class Cancelled(Traced):
    """Is cancelled in a wait, in an activity, or does not let itself be."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        try:
            if given["during"] == "wait":
                await workflow.wait_condition(lambda: False, timeout=self.span(given, 1_000))
            elif given["during"] == "sleep":
                await workflow.sleep(self.span(given, 1_000))
            else:
                await workflow.execute_activity(
                    "work",
                    ["fail"],
                    result_type=str,
                    start_to_close_timeout=self.span(given, 3),
                    retry_policy=RetryPolicy(initial_interval=self.span(given, 1_000)),
                )
        except (asyncio.CancelledError, ActivityError) as error:
            self.note("cancelled", told(error))
            if given.get("leave"):
                raise
        await workflow.sleep(self.span(given, 10))
        self.note("tidied")
        return self.trace


@workflow.defn
class Described(Traced):
    """Describes itself to people who list runs."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        workflow.upsert_memo({"mood": "good"})
        workflow.upsert_memo({"mood": None, "weather": 3})
        self.note("memo", dict(workflow.memo()))
        workflow.metric_meter().create_counter("noted").add(1)
        return self.trace


@workflow.defn
class Fails(Traced):
    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        await workflow.sleep(self.span(given, 10))
        if given.get("late"):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        raise ApplicationError("no", type="Refused")


LIVES = {
    "timers fire when they are due": Play(
        Timers,
        [
            ["slept", 60, None],
            ["heard", 100, "late"],
            ["slept", 150, None],
            ["nothing", 180, None],
            ["woken", 180, None],
            ["slept", 20180, None],
        ],
        cues=[(100, "signal", "late")],
    ),
    "a condition that comes true takes its timer back": Play(
        Timers,
        [
            ["slept", 60, None],
            ["slept", 150, None],
            ["heard", 165, "early"],
            ["heard", 400, "late"],
            ["woken", 400, None],
            ["slept", 20400, None],
        ],
        cues=[(165, "signal", "early"), (400, "signal", "late")],
    ),
    "tasks race and are cancelled": Play(
        Races, [["b", 10, None], ["a", 20, None], ["cancelled", 20, True], ["end", 620, None]]
    ),
    "a signal that comes with the start is heard first": Play(
        Chapters,
        [
            ["heard", 0, "one"],
            ["chapter 1", 0, True],
            ["used", 0, "one"],
            ["chapter 2", 0, True],
            ["heard", 50, "two"],
            ["used", 50, "two"],
            ["chapter 3", 0, True],
            ["heard", 40, "three"],
            ["used", 40, "three"],
        ],
        first=["one"],
        cues=[(50, "signal", "two"), (90, "signal", "three")],
    ),
    "signals between two chapters are kept": Play(
        Chapters,
        [
            ["heard", 0, "one"],
            ["chapter 1", 0, True],
            ["used", 0, "one"],
            ["heard", 60, "two"],
            ["chapter 2", 60, True],
            ["used", 60, "two"],
            ["heard", 60, "three"],
            ["chapter 3", 60, True],
            ["used", 60, "three"],
        ],
        {"pause": 60},
        first=["one"],
        cues=[(30, "signal", "two"), (90, "signal", "three")],
        not_skipping="the server that skips time lets a signal wake a chapter that has yet to begin",
    ),
    "a run that never ran before takes the new way": Play(
        Patched, [["new way", 0, True], ["new way", 10, True], ["deprecated", 10, None]]
    ),
    "a cancelled run may tidy up": Play(
        Cancelled,
        [["cancelled", 40, "CancelledError"], ["tidied", 50, None]],
        {"during": "wait"},
        cues=[(40, "cancel", "")],
    ),
    "a run cancelled in its sleep may tidy up": Play(
        Cancelled,
        [["cancelled", 40, "CancelledError"], ["tidied", 50, None]],
        {"during": "sleep"},
        cues=[(40, "cancel", "")],
    ),
    "a run cancelled during an activity may tidy up": Play(
        Cancelled,
        [["cancelled", 40, "ActivityError(CANCEL_REQUESTED) < CancelledError"], ["tidied", 50, None]],
        {"during": "work"},
        cues=[(40, "cancel", "")],
    ),
    "a run describes itself": Play(Described, [["memo", 0, {"weather": 3}]]),
}
#: Plays that do not complete, and how they end.
ENDINGS = {
    "a run lets itself be cancelled": (
        Play(Cancelled, [], {"during": "sleep", "leave": True}, cues=[(40, "cancel", "")]),
        "cancelled",
        "CancelledError",
    ),
    "a run cancelled during an activity is cancelled": (
        Play(Cancelled, [], {"during": "work", "leave": True}, cues=[(40, "cancel", "")]),
        "cancelled",
        "CancelledError",
    ),
    "a run fails": (Play(Fails, []), "failed", "ApplicationError(Refused)"),
    "a run that forgets to catch a timeout fails": (
        Play(Fails, [], {"late": True}),
        "failed",
        "ApplicationError(TimeoutError) < ApplicationError(CancelledError)",
    ),
}

WORKFLOWS = [Timers, Races, Works, Child, Parent, Neighbour, Chapters, Patched, Cancelled, Described, Fails]
PLAYS = ACTIVITIES | CHILDREN | NEIGHBOURS | LIVES


# ---- what goes wrong -----------------------------------------------------------------------


@workflow.defn
class Broken(Traced):
    """A bug on the second day."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        await workflow.sleep(100)
        return self.stumble(given)

    def stumble(self, given: dict[str, Any]) -> list[Any]:
        return [given["missing"]]  # the line that is told


@workflow.defn
class Circles:
    """Never gets anywhere."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> None:
        while True:
            await workflow.execute_activity(
                "work", ["ok"], result_type=str, start_to_close_timeout=timedelta(seconds=3)
            )


@workflow.defn
class Strange:
    """Uses what the stage does not perform."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> None:
        if given["use"] == "nexus":
            client = workflow.create_nexus_client(service="desk", endpoint="desk")
            await client.execute_operation("serve", 1)
        else:
            await workflow.execute_child_workflow("Child", {}, id="child", cron_schedule="* * * * *")


@workflow.defn
class Chances:
    """Everything random a workflow may use."""

    def __init__(self) -> None:
        self.chances: list[Any] = []

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        self.chances += [workflow.random().random(), str(workflow.uuid4())]
        await workflow.sleep(10)
        self.chances.append(workflow.random().randint(0, 10**9))
        return self.chances

    @workflow.query
    def so_far(self, most: int) -> int:
        return min(most, len(self.chances))

    @workflow.query
    def angry(self) -> None:
        raise ApplicationError("not now", type="Angry")


@workflow.defn
class Wise:
    """Counts the steps until a server suggests a new chapter."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> int:
        steps = 0
        while not workflow.info().is_continue_as_new_suggested():
            steps += 1
            await workflow.execute_activity(
                "work", ["ok"], result_type=str, start_to_close_timeout=timedelta(seconds=3)
            )
        return steps


@workflow.defn
class Labelled:
    """The first labels itself and begins anew; what a chapter learns of itself."""

    @workflow.run
    async def run(self, given: int) -> list[Any]:
        if given == 1:
            workflow.upsert_search_attributes([SEGMENT.value_set("gold")])
            workflow.upsert_memo({"mood": "good"})
            workflow.continue_as_new(0)
        return [[pair.value for pair in workflow.info().typed_search_attributes], dict(workflow.memo())]
