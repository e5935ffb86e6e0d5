"""Batches take turns: so many events at a time, whoever came first goes first, and nobody takes a turn along."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from activities.intake.admission import AdmissionQueue, AdmissionTimeout
from activities.tables import events
from tests.support.api_client import Api, serving
from tests.support.engine import rows
from tests.support.machine import eventually

BATCH = {"Content-Type": "application/cloudevents-batch+json"}


class Line:
    """Batches that stand in line, each working until it is told to end."""

    def __init__(self, most: int) -> None:
        self.turns = AdmissionQueue(most)
        self.begun: list[int] = []
        self.most_seen = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.ends: list[asyncio.Event] = []

    async def come(self, size: int, timeout: timedelta | None = None) -> None:
        number = len(self.tasks)
        self.ends.append(asyncio.Event())

        async def work() -> None:
            async with self.turns.admitted(size, timeout):
                self.begun.append(number)
                self.most_seen = max(self.most_seen, self.turns.under_way)
                await self.ends[number].wait()

        self.tasks.append(asyncio.create_task(work()))
        await self.settle()

    async def end(self, number: int) -> None:
        self.ends[number].set()
        await self.settle()

    async def leave(self, number: int) -> None:
        self.tasks[number].cancel()
        await self.settle()

    async def settle(self) -> None:
        """Let everybody act who can; nothing here waits for anything else."""
        for _ in range(6):
            await asyncio.sleep(0)


async def test_those_who_fit_go_at_once_and_the_others_in_the_order_they_came() -> None:
    line = Line(10)
    for size in (6, 4, 5, 5, 1):
        await line.come(size)
    assert line.begun == [0, 1]
    await line.end(0)
    assert line.begun == [0, 1, 2]
    await line.end(1)
    assert line.begun == [0, 1, 2, 3]
    await line.end(3)
    assert line.begun == [0, 1, 2, 3, 4]


async def test_a_small_batch_does_not_overtake_a_large_one_that_waits() -> None:
    line = Line(10)
    for size in (5, 8, 1):
        await line.come(size)
    assert line.begun == [0]
    await line.end(0)
    assert line.begun == [0, 1, 2]


async def test_a_batch_larger_than_all_turns_goes_alone() -> None:
    line = Line(10)
    for size in (1, 500, 1):
        await line.come(size)
    assert line.begun == [0]
    await line.end(0)
    assert line.begun == [0, 1]
    await line.end(1)
    assert line.begun == [0, 1, 2]


async def test_whoever_waited_long_enough_is_sent_back_and_the_next_moves_up() -> None:
    line = Line(10)
    await line.come(6)
    await line.come(6, timeout=timedelta(seconds=0.01))
    await line.come(3)
    with pytest.raises(AdmissionTimeout):
        await line.tasks[1]
    await line.settle()
    assert line.begun == [0, 2]


async def test_whoever_gives_up_frees_the_way() -> None:
    line = Line(10)
    for size in (6, 6, 3):
        await line.come(size)
    await line.leave(1)
    assert line.begun == [0, 2]


async def test_a_turn_that_came_as_its_batch_gave_up_is_given_back() -> None:
    line = Line(10)
    await line.come(10)
    await line.come(10)
    line.ends[0].set()
    line.tasks[1].cancel()
    await line.settle()
    assert line.turns.under_way == 0
    await line.come(10)
    assert line.begun == [0, 2]


async def test_a_batch_that_fails_gives_its_turn_back() -> None:
    turns = AdmissionQueue(5)
    with pytest.raises(RuntimeError):
        async with turns.admitted(5, None):
            raise RuntimeError
    assert turns.under_way == 0


@given(
    most=st.integers(1, 8),
    steps=st.lists(st.tuples(st.sampled_from(["come", "end", "leave"]), st.integers(1, 12)), max_size=40),
)
async def test_there_are_never_too_many_and_in_the_end_everybody_who_stayed_had_a_turn(
    most: int, steps: list[tuple[str, int]]
) -> None:
    line = Line(most)
    left: set[int] = set()
    for what, number in steps:
        if what == "come":
            await line.come(number)
        elif line.tasks:
            chosen = number % len(line.tasks)
            if what == "end":
                await line.end(chosen)
            elif chosen not in line.begun:
                left.add(chosen)
                await line.leave(chosen)
    assert line.begun == sorted(line.begun)
    for number in range(len(line.tasks)):
        line.ends[number].set()
    await asyncio.gather(*line.tasks, return_exceptions=True)
    assert line.begun == [number for number in range(len(line.tasks)) if number not in left]
    assert line.most_seen <= most
    assert line.turns.under_way == 0
    assert REGISTRY.get_sample_value("journeys_events_waiting") == 0


# ---- what senders see ------------------------------------------------------------------------


@pytest.fixture
async def api(postgres_url: str) -> AsyncIterator[Api]:
    async with serving(postgres_url) as served:
        served.engine.intake.admission_timeout = timedelta(seconds=0.05)
        yield served


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client("events:write")


def wire(kind: str, /, **data: object) -> dict[str, object]:
    about = {"specversion": "1.0", "id": kind, "source": "/turns", "subject": "p"}
    return {**about, "type": f"igaming.{kind}.v1", "data": data}


async def test_while_too_much_is_sent_a_batch_is_sent_back_and_taken_later(
    api: Api, backend: httpx.AsyncClient
) -> None:
    batch = [wire("session.login")]
    async with api.engine.intake.admission.admitted(10_000, None):
        answer = await backend.post("/v1/events", json=batch, headers=BATCH)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert [result["status"] for result in answer.json()["results"]] == ["later"]
    assert await rows(api.engine.database, events, brand=api.brand) == []
    assert (await backend.post("/v1/events", json=batch, headers=BATCH)).status_code == 202


async def test_what_protects_stands_in_no_line_and_the_rest_of_its_batch_does(
    api: Api, backend: httpx.AsyncClient
) -> None:
    batch = [wire("session.login"), wire("compliance.exclusion_set", kind="self_exclusion")]
    async with api.engine.intake.admission.admitted(10_000, None):
        alone = await backend.post("/v1/events", json=batch[1:], headers=BATCH)
        answer = await backend.post("/v1/events", json=batch, headers=BATCH)
    assert (alone.status_code, answer.status_code) == (202, 429)
    assert [result["status"] for result in answer.json()["results"]] == ["later", "duplicate"]
    assert (await backend.post("/v1/events", json=batch, headers=BATCH)).json()["accepted"] == 1


async def test_history_waits_in_a_line_of_its_own(api: Api, backend: httpx.AsyncClient) -> None:
    login = [wire("session.login")]
    async with api.engine.intake.history_admission.admitted(10_000, None):
        waiting = asyncio.create_task(backend.post("/v1/events?mode=history", json=login, headers=BATCH))
        await eventually(lambda: REGISTRY.get_sample_value("journeys_events_waiting"))
        assert (await backend.post("/v1/events", json=[wire("bonus.viewed")], headers=BATCH)).status_code == 202
        assert not waiting.done()
    assert (await waiting).json()["accepted"] == 1


async def test_history_whose_line_does_not_move_may_be_sent_again(api: Api, backend: httpx.AsyncClient) -> None:
    api.engine.intake.history_admission_timeout = timedelta(seconds=0.05)
    login = [wire("session.login")]
    async with api.engine.intake.history_admission.admitted(10_000, None):
        answer = await backend.post("/v1/events?mode=history", json=login, headers=BATCH)
        stream = await backend.post(
            "/v1/events?mode=history", content=json.dumps(login[0]), headers={"Content-Type": "application/x-ndjson"}
        )
    for told in (answer, stream):
        assert (told.status_code, told.headers["Retry-After"]) == (503, "1")
        assert "More is sent than can be taken in" in told.json()["detail"]
    assert (await backend.post("/v1/events?mode=history", json=login, headers=BATCH)).json()["accepted"] == 1
