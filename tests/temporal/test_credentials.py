"""Certificates are rotated while a process works: it goes on with the new ones, and needs no restart."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from activities.settings import Settings
from activities.temporal_client import connect
from activities.temporal_credentials import keep_credentials
from local.ports import free_port
from local.slowness import slowness
from tests.support.machine import eventually
from tests.support.tls import Authority, door


@workflow.defn(sandboxed=False)
class AnswersAtOnce:
    @workflow.run
    async def run(self) -> str:
        return "played"


async def plays(client: Client, number: int) -> str:
    return await client.execute_workflow(
        AnswersAtOnce.run, id=f"rotated-{number}", task_queue="rotated", rpc_timeout=timedelta(seconds=60 * slowness())
    )


async def test_a_worker_and_its_client_go_on_when_the_certificates_are_replaced(
    temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(tmp_path / "client.crt"))
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(tmp_path / "client.key"))

    house, old, new = Authority("the house"), Authority("last year's"), Authority("this year's")
    (tmp_path / "ca.crt").write_text(house.pem)
    house.write(tmp_path, "server")
    old.write(tmp_path, "client")
    settings, stop = Settings(database_url="postgresql://nowhere"), asyncio.Event()
    async with door(tmp_path, port, temporal_address, old, new):
        client = await connect(settings)
        worker = Worker(client, task_queue="rotated", workflows=[AnswersAtOnce])
        keeping = asyncio.create_task(keep_credentials(client, settings, stop, [worker], every=0.05))
        running = asyncio.create_task(worker.run())
        assert await plays(client, 1) == "played"
        before = client.service_client.config.tls
        new.write(tmp_path, "client")
        await eventually(lambda: client.service_client.config.tls != before)
    # From now on nobody is let in with the old certificate, and what was open is closed.
    async with door(tmp_path, port, temporal_address, new):
        assert await plays(client, 2) == "played"
        stop.set()
        await keeping
        await worker.shutdown()
        await running
