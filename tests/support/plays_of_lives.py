# ruff: noqa: ARG002 - all take the same argument, and some have no use for it
"""Plays about other runs and about a run's own life: children, neighbours, chapters, patches, cancellation."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

from tests.support.plays import ACTIVITIES, Play, Races, Timers, Traced, Works, scaled, told

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
