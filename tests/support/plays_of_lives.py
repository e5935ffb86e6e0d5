# ruff: noqa: ARG002 - all take the same argument, and some have no use for it
"""Plays about a run's own life: timers, chapters, patches, cancellation."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
)

from tests.support.plays import ACTIVITIES, Play, Races, Timers, Traced, Works, scaled, told


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

WORKFLOWS = [Timers, Races, Works, Chapters, Patched, Cancelled, Described, Fails]
PLAYS = ACTIVITIES | LIVES
