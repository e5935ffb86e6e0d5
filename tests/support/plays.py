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
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,  # noqa: A004 - the SDK's own, which the stage must make
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
    # So long that no attempt meets it but one that is to: on a server attempts take real time.
    limits = {} if "schedule_to_close_timeout" in given else {"start_to_close_timeout": 60}
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
