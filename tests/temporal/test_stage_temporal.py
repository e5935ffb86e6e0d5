"""The virtual Temporal, one command at a time, and against a real server that skips time."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import getsource
from time import perf_counter
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from stage.errors import StageError
from stage.virtual_temporal.server import Call, TimedOut, VirtualTemporal
from tests.support import plays_that_break
from tests.support.plays import Play, Works, told
from tests.support.plays_of_lives import ENDINGS, PLAYS, WORKFLOWS
from tests.support.plays_that_break import Broken, Chances, Circles, Labelled, Strange, Wise
from tests.support.stage_servers import skipping

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)


def perform(call: Call) -> str:
    """An attempt of `work`, as the plan says. How long it takes is `latency`'s business."""
    plan = call.decode(list[str])
    word, _, rest = plan[min(call.attempt, len(plan)) - 1].partition(" ")
    match word:
        case "fail" | "slowfail":
            raise ApplicationError("trouble", type=rest if word == "fail" and rest else "Trouble")
        case "fatal":
            raise ApplicationError("trouble", type="Trouble", non_retryable=True)
        case "later":
            raise ApplicationError("trouble", type="Trouble", next_retry_delay=timedelta(seconds=int(rest)))
        case "never":
            raise TimedOut
        case _:
            return f"ok@{call.attempt}"


def latency(call: Call) -> timedelta:
    plan = call.decode(list[str])
    word, _, rest = plan[min(call.attempt, len(plan)) - 1].partition(" ")
    return timedelta(seconds=int(rest) if word in {"slow", "slowfail"} else 0)


def perform_play(play: Play, name: str = "play", **options: Any) -> VirtualTemporal:
    """The play on the stage, for ten hours."""
    temporal = VirtualTemporal(WORKFLOWS, perform, MORNING, latency=latency, **options)
    signals = [("hear", word) for word in play.first]
    temporal.start(play.workflow.__name__, name, play.given, signals=signals)
    for after, kind, value in play.cues:
        cue = partial(temporal.signal, name, "hear", value) if kind == "signal" else partial(temporal.cancel, name)
        temporal.at(MORNING + timedelta(seconds=after), cue)
    temporal.advance_to(MORNING + timedelta(hours=10))
    return temporal


class TestPlays:
    @pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
    def test_it_leaves_its_trace(self, play: Play) -> None:
        with perform_play(play) as temporal:
            assert temporal.result("play", list) == play.expected

    @pytest.mark.parametrize(("play", "status", "error"), ENDINGS.values(), ids=ENDINGS)
    def test_it_ends_badly(self, play: Play, status: str, error: str) -> None:
        with perform_play(play) as temporal:
            assert temporal.runs["play"].status == status
            with pytest.raises(Exception) as raised:  # noqa: PT011 - which one is what is tested
                temporal.result("play", list)
            assert told(raised.value) == error


@activity.defn(name="work")
async def work(plan: list[str]) -> str:
    """The same plan on a server, where slow work is really slow."""
    attempt = activity.info().attempt
    word, _, rest = plan[min(attempt, len(plan)) - 1].partition(" ")
    if word in {"slow", "slowfail"}:
        await asyncio.sleep(int(rest))
    call = Call("work", "", attempt, MORNING, pydantic_data_converter.payload_converter.to_payloads([plan]))
    try:
        return perform(call)
    except TimedOut:
        await asyncio.sleep(60)
        raise


@asynccontextmanager
async def workers(client: Client) -> AsyncIterator[None]:
    async with Worker(
        client, task_queue="plays", workflows=WORKFLOWS, activities=[work], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        yield


async def on_a_server(play: Play, client: Client, sleep: Callable[[float], Awaitable[None]], **given: Any) -> Any:
    """The play on a server: its trace, or how it ended."""
    name = f"play-{uuid4()}"
    first: dict[str, Any] = {"start_signal": "hear", "start_signal_args": [play.first[0]]} if play.first else {}
    handle = await client.start_workflow(
        play.workflow.__name__, play.given | given, id=name, task_queue="plays", **first
    )
    passed = 0.0
    for after, kind, value in play.cues:
        await sleep(after - passed)
        passed = after
        await (handle.signal("hear", value) if kind == "signal" else handle.cancel())
    try:
        return await handle.result()
    except WorkflowFailureError as failure:
        return told(failure.cause)


EXPECTED = {name: (play, play.expected) for name, play in PLAYS.items()} | {
    n: (p, e) for n, (p, _, e) in ENDINGS.items()
}


async def test_a_server_that_skips_time_leaves_the_same_traces() -> None:
    """A server each, because one that has seen an activity given up stops skipping."""
    at_once = asyncio.Semaphore(4)
    different: dict[str, Any] = {}

    async def compare(name: str, play: Play, expected: Any) -> None:
        async with at_once, await skipping() as server, workers(server.client):
            began = perf_counter()
            trace = await on_a_server(play, server.client, server.sleep)
        different.pop(name, None)
        if not agree(trace, expected, perf_counter() - began):
            different[name] = (trace, expected)

    chosen = {n: one for n, one in EXPECTED.items() if not one[0].stage_only and not one[0].not_skipping}
    await asyncio.gather(*(compare(name, *one) for name, one in chosen.items()))
    # Attempts take real seconds, and a machine that stood still for some has told another story: once more, alone.
    for name in [*different] * 2:
        if name in different:
            await compare(name, *chosen[name])
    assert different == {}


async def test_a_server_with_a_real_clock_tells_the_same(temporal: Client) -> None:
    """What the server that skips time does not do as a real one does. Twenty times as fast, and not to the second.

    Where a trace is another one the play goes on slower: what follows on what is then less the machine's doing.
    """
    expected = {name: timeless(trace) for name, (play, trace) in EXPECTED.items() if play.not_skipping}
    found: dict[str, Any] = {}
    async with workers(temporal):
        for scale in (20, 5, 2):
            left = [name for name in expected if found.get(name) != expected[name]]
            traces = await asyncio.gather(*(_slowed(EXPECTED[name][0], temporal, scale) for name in left))
            found |= {name: timeless(trace) for name, trace in zip(left, traces, strict=True)}
    assert found == expected


async def _slowed(play: Play, client: Client, scale: int) -> Any:
    """The trace of a play on a server with a real clock, so many times as fast as it is written."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / scale)

    return await on_a_server(play, client, sleep, scale=scale)


def timeless(trace: Any) -> Any:
    return [[what, value] for what, _, value in trace] if isinstance(trace, list) else trace


def agree(trace: Any, expected: Any, patience: float) -> bool:
    """Whether two traces tell the same, times to within what the server itself took."""
    if timeless(trace) != timeless(expected):
        return False
    return isinstance(trace, str) or all(
        -1 <= there[1] - here[1] <= 1 + patience for there, here in zip(trace, expected, strict=True)
    )


class TestMistakes:
    def test_a_bug_is_told_with_its_run_its_moment_and_its_line(self) -> None:
        with VirtualTemporal([Broken], perform, MORNING, step_of=lambda _: "send:welcome#1") as temporal:
            temporal.start("Broken", "run-1", {})
            with pytest.raises(StageError) as raised:
                temporal.advance_to(MORNING + timedelta(hours=1))
        message = str(raised.value)
        line = next(
            number
            for number, text in enumerate(getsource(plays_that_break).splitlines(), 1)
            if "the line that is told" in text
        )
        assert "Broken broke in run run-1 at 2026-03-09T09:01:40+00:00 after step send:welcome#1" in message
        assert f"plays_that_break.py line {line}: KeyError: 'missing'" in message
        assert isinstance(raised.value.__cause__, KeyError)
        assert raised.value.__cause__.__traceback__ is not None

    def test_a_run_that_goes_in_circles_is_stopped(self) -> None:
        with VirtualTemporal([Circles], perform, MORNING) as temporal:
            temporal.start("Circles", "run-1", {})
            with pytest.raises(StageError, match="a server terminates a run at 51200"):
                temporal.advance_to(MORNING)

    def test_a_run_is_told_when_a_new_chapter_would_be_wise(self) -> None:
        with VirtualTemporal([Wise], perform, MORNING) as temporal:
            temporal.start("Wise", "run-1", {})
            temporal.advance_to(MORNING)
            assert 600 < temporal.result("run-1", int) < 800

    @pytest.mark.parametrize(
        ("use", "named"),
        [
            ("nexus", "schedule_nexus_operation"),
            ("child", "start_child_workflow_execution"),
            ("signal", "signal_external_workflow_execution"),
            ("cancel", "request_cancel_external_workflow_execution"),
        ],
    )
    def test_what_the_stage_does_not_perform_is_named(self, use: str, named: str) -> None:
        temporal = VirtualTemporal([Strange], perform, MORNING)
        with temporal, pytest.raises(StageError, match=f"Strange .*{named}, which the stage does not perform"):
            temporal.start("Strange", "run-1", {"use": use})

    def test_an_unknown_workflow_is_named_with_the_known_ones(self) -> None:
        temporal = VirtualTemporal([Chances], perform, MORNING)
        with temporal, pytest.raises(StageError, match="No workflow Timers is on this stage; add it to Chances"):
            temporal.start("Timers", "run-1", {})

    def test_an_id_is_used_once(self) -> None:
        with VirtualTemporal([Chances], perform, MORNING) as temporal:
            temporal.start("Chances", "run-1", {})
            with pytest.raises(StageError, match="run-1 exists already"):
                temporal.start("Chances", "run-1", {})


class TestRuns:
    def test_chance_depends_on_the_seed_and_the_run_alone(self) -> None:
        def drawn(name: str, seed: int) -> list[Any]:
            with VirtualTemporal([Chances], perform, MORNING, seed=seed) as temporal:
                temporal.start("Chances", name, {})
                temporal.advance_to(MORNING + timedelta(minutes=1))
                found: list[Any] = temporal.result(name, list)
                return found

        assert drawn("a", 1) == drawn("a", 1)
        assert drawn("a", 1) != drawn("b", 1)
        assert drawn("a", 1) != drawn("a", 2)

    def test_a_run_answers_questions_until_it_is_over(self) -> None:
        with VirtualTemporal([Chances], perform, MORNING) as temporal:
            temporal.start("Chances", "run-1", {})
            assert temporal.query("run-1", "so_far", int, 10) == 2
            length = temporal.runs["run-1"].length
            with pytest.raises(ApplicationError, match="not now"):
                temporal.query("run-1", "angry", int)
            assert temporal.runs["run-1"].length == length
            temporal.advance_to(MORNING + timedelta(minutes=1))
            with pytest.raises(StageError, match="run-1 is completed and cannot be asked any more"):
                temporal.query("run-1", "so_far", int, 10)

    def test_a_signal_to_a_run_that_is_over_is_not_heard(self) -> None:
        with perform_play(PLAYS["an activity returns"]) as temporal:
            assert temporal.signal("play", "hear", "anybody?") is False
            assert temporal.signal("nobody", "hear", "anybody?") is False

    def test_search_attributes_and_the_memo_of_the_start_travel_to_the_next_chapter(self) -> None:
        with VirtualTemporal([Labelled], perform, MORNING) as temporal:
            temporal.start("Labelled", "run-1", 1)
            temporal.start("Labelled", "run-2", 2)
            temporal.advance_to(MORNING + timedelta(minutes=1))
            assert temporal.result("run-1", list) == [["gold"], {}]
            assert temporal.result("run-2", list) == [[], {}]

    def test_an_attempt_lasts_as_long_as_the_world_wants(self) -> None:
        with VirtualTemporal([Works], perform, MORNING, latency=lambda _: timedelta(seconds=2)) as temporal:
            temporal.start("Works", "run-1", PLAYS["attempts run out"].given)
            temporal.advance_to(MORNING + timedelta(hours=1))
            assert temporal.result("run-1", list)[0][1] == 36

    async def test_the_loop_it_is_called_from_goes_on(self) -> None:
        loop = asyncio.get_running_loop()
        with perform_play(PLAYS["an activity returns"]):
            assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)

    def test_runs_that_are_left_open_are_taken_down_in_silence(self, caplog: pytest.LogCaptureFixture) -> None:
        gc.collect()
        with VirtualTemporal(WORKFLOWS, perform, MORNING) as temporal:
            for number, play in enumerate(PLAYS.values()):
                temporal.start(play.workflow.__name__, f"run-{number}", play.given)
                temporal.advance_to(MORNING + timedelta(seconds=number))
        del temporal
        gc.collect()
        assert caplog.records == []
