"""What Temporal keeps is encoded by the codec that PAYLOAD_CODEC names, and every process of ours reads it."""

import asyncio
import json
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadCodec
from typer.testing import CliRunner

from activities.clock import utc_now
from activities.engine import worker_engine
from activities.run_delivery.dispatcher import Dispatcher
from activities.settings import Settings
from activities.temporal_client import connect, data_converter
from activities.temporal_credentials import WrongSetting
from cli.app import app
from tests.support.api_client import Api, serving
from tests.support.designs.facts import Ping
from tests.support.engine import SECRET, run_of
from tests.support.machine import eventually, within
from tests.support.payload_codecs import ENCODING, NamesRun, TurnsAround
from tests.support.workers import all_workers
from workflows.temporal_internals import JourneyRunner, runner_for

ROOT = Path(__file__).parent.parent.parent
CODEC = "tests.support.payload_codecs:TurnsAround"


@dataclass
class Encoded:
    """The API, a worker and a dispatcher that were all told of the codec."""

    api: Api
    client: Client
    dispatcher: Dispatcher

    async def happens(self, player_id: str, name: str) -> None:
        ping = Ping(event_id=f"{player_id}-{name}", event_source="/test", occurred_at=utc_now(), name=name)
        await self.api.engine.intake.ingest(self.api.brand, [(player_id, ping)], utc_now())
        while await self.dispatcher.run_once():
            pass

    async def history(self, run_id: str) -> Any:
        """As Temporal keeps it."""
        return json.loads((await self.client.get_workflow_handle(run_id).fetch_history()).to_json())


@pytest.fixture
async def encoded(
    postgres_url: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Encoded]:
    codec = getattr(request, "param", CODEC)
    told = {
        "DATABASE_URL": postgres_url,
        "JOURNEYS": "tests.support.designs",
        "PAYLOAD_CODEC": codec,
        "WEBHOOK_SECRET": SECRET,
        "LINK_SECRETS": SECRET,
    }
    for name, value in {**told, "TEMPORAL_ADDRESS": temporal_address}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(
            serving(postgres_url, journeys="tests.support.designs", payload_codec=codec)
        )
        built = await stack.enter_async_context(worker_engine(settings))
        client = await connect(settings)
        await stack.enter_async_context(all_workers(client, built))
        yield Encoded(api, client, built.dispatcher(client))


def payloads(kept: Any) -> Iterator[dict[str, Any]]:
    """Every payload in a history but search attributes, which Temporal itself must read."""
    if isinstance(kept, dict):
        if "metadata" in kept:
            yield kept
        for name, inner in kept.items():
            if name != "searchAttributes":
                yield from payloads(inner)
    elif isinstance(kept, list):
        for inner in kept:
            yield from payloads(inner)


async def test_everything_a_run_leaves_in_temporal_is_encoded_and_all_of_us_read_it(encoded: Encoded) -> None:
    crm = await encoded.api.client("journeys:manage", "players:read")
    await encoded.happens("p-1", "ask")
    run_id = await run_of(encoded.api.engine.database, "p-1", "asking")

    async def waiting() -> Any:
        position = (await crm.get(f"/v1/runs/{run_id}")).json()["position"]
        return position and position["waiting_until"]

    assert await eventually(waiting)
    kept = await encoded.history(run_id)
    found = list(payloads(kept))
    assert len(found) >= 4  # what it was started with, its summary, an effect and what came of it
    assert {one["metadata"]["encoding"] for one in found} == {b64encode(ENCODING).decode()}
    checked = await asyncio.to_thread(CliRunner().invoke, app, ["check", "asking", "--from-temporal"])
    if isinstance(checked.exception, SystemError):
        # CPython 3.11 reads source in one thread at a time only, and pytest reads what the sandbox imports in another.
        checked = await asyncio.to_thread(CliRunner().invoke, app, ["check", "asking", "--from-temporal"])
    assert "1 run in flight" in checked.output
    assert "in flight would" not in checked.output
    await encoded.client.get_workflow_handle(run_id).terminate()


@pytest.mark.parametrize("encoded", ["tests.support.payload_codecs:NamesRun"], indirect=True)
async def test_a_codec_that_asks_whose_payload_it_is_hears_it(encoded: Encoded) -> None:
    await encoded.happens("p-1", "fail")
    run_id = await run_of(encoded.api.engine.database, "p-1", "failing")
    with pytest.raises(WorkflowFailureError):
        await encoded.client.get_workflow_handle(run_id).result()
    scheduled = [
        one
        for event in (await encoded.history(run_id))["events"]
        if "activityTaskScheduledEventAttributes" in event or "markerRecordedEventAttributes" in event
        for one in payloads(event)
        if "run" in one["metadata"]
    ]
    assert scheduled
    assert b64encode(run_id.encode()).decode() in {one["metadata"]["run"] for one in scheduled}


def test_only_a_codec_that_asks_has_the_sandbox_asked() -> None:
    plain, asking = (replace(pydantic_data_converter, payload_codec=codec()) for codec in (TurnsAround, NamesRun))
    assert type(runner_for(asking)) is JourneyRunner
    assert type(runner_for(plain)) is not JourneyRunner
    assert type(runner_for(pydantic_data_converter)) is not JourneyRunner


async def test_the_texts_of_errors_are_encoded_too(encoded: Encoded) -> None:
    await encoded.happens("p-1", "fail")
    run_id = await run_of(encoded.api.engine.database, "p-1", "failing")
    with pytest.raises(WorkflowFailureError) as failed:
        await encoded.client.get_workflow_handle(run_id).result()
    assert str(failed.value.cause) == "This run cannot go on."
    kept = await encoded.history(run_id)
    assert kept["events"][-1]["workflowExecutionFailedEventAttributes"]["failure"]["message"] == "Encoded failure"
    assert "cannot go on" not in json.dumps(kept)


async def test_a_run_tells_what_fails_although_it_is_encoded(encoded: Encoded) -> None:
    crm = await encoded.api.client("journeys:manage", "players:read")
    async with encoded.api.engine.database.transaction() as connection:
        await connection.exec_driver_sql("ALTER TABLE tasks RENAME TO tasks_away")
    await encoded.happens("p-1", "ask")
    run_id = await run_of(encoded.api.engine.database, "p-1", "asking")

    async def failing() -> Any:
        return (await crm.get(f"/v1/runs/{run_id}")).json()["failing"]

    told = await eventually(failing)
    assert told["effect"] == "open_task"
    assert told["error"]
    await encoded.client.get_workflow_handle(run_id).terminate()


@pytest.mark.parametrize("name", [CODEC, "tests.support.payload_codecs:made"])
def test_a_codec_or_what_makes_one_is_named(name: str) -> None:
    made: PayloadCodec | None = data_converter(Settings(database_url="", payload_codec=name)).payload_codec
    assert isinstance(made, TurnsAround)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tests.support.payload_codecs:Absent", "'tests.support.payload_codecs:Absent', which cannot be imported"),
        (
            "tests.support.payload_codecs",
            "'tests.support.payload_codecs', which cannot be imported: write module:attribute",
        ),
        ("absent:Codec", "'absent:Codec', which cannot be imported"),
        (":", "which cannot be imported"),
        ("tests.support.payload_codecs:NO_CODEC", "which is no codec"),
    ],
)
def test_a_name_that_is_no_codec_is_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(WrongSetting, match=sentence):
        data_converter(Settings(database_url="", payload_codec=name))


async def test_a_worker_without_its_codec_does_not_start(postgres_url: str, temporal_address: str) -> None:
    variables = {"DATABASE_URL": postgres_url, "TEMPORAL_ADDRESS": temporal_address, "WEBHOOK_SECRET": SECRET}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker"),
        cwd=ROOT,
        env=os.environ | variables | {"PAYLOAD_CODEC": "absent:Codec"},
        stderr=asyncio.subprocess.PIPE,
    )
    async with within(60):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().splitlines()[-1].startswith("PAYLOAD_CODEC is 'absent:Codec', which cannot be imported")
