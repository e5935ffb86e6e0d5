"""Temporal's API key in a file: read at the start, and again when it changes."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.settings import Settings
from activities.temporal_client import WrongSetting, client_options, keep_api_key
from tests.support.machine import eventually


def settings(file: Path) -> Settings:
    return Settings(database_url="postgresql://nowhere", temporal_api_key_file=str(file))


async def test_a_new_key_is_used_without_a_restart_and_a_broken_file_keeps_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    given = settings(file)
    client = await Client.connect(**client_options(given), lazy=True)
    assert client.api_key == "first"
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_api_key(client, given, stop, every=0.01))

    async def reads(key: str) -> bool:
        return client.api_key == key

    file.write_text("second")
    await eventually(lambda: reads("second"))
    file.write_text("")
    await asyncio.sleep(0)
    assert client.api_key == "second"
    file.write_text("third")
    await eventually(lambda: reads("third"))
    stop.set()
    await keeping


@pytest.mark.parametrize("written", [None, "", "  \n"])
def test_a_key_that_is_not_there_is_told_before_anything_starts(tmp_path: Path, written: str | None) -> None:
    file = tmp_path / "key"
    if written is not None:
        file.write_text(written)
    with pytest.raises(WrongSetting, match="TEMPORAL_API_KEY_FILE"):
        client_options(settings(file))


async def test_without_a_file_there_is_nothing_to_keep() -> None:
    given = Settings(database_url="postgresql://nowhere")
    client = await Client.connect(**client_options(given), lazy=True)
    await keep_api_key(client, given, asyncio.Event())
