"""What Temporal knows us by, in files: read at the start, and again when it changes."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import TLSConfig

from activities.settings import Settings
from activities.temporal_client import client_options
from activities.temporal_credentials import WrongSetting, credentials, keep_credentials
from tests.support.machine import eventually

VARIABLES = {
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "ca.crt",
    "TEMPORAL_TLS_CLIENT_CERT_PATH": "tls.crt",
    "TEMPORAL_TLS_CLIENT_KEY_PATH": "tls.key",
}


def settings(file: Path) -> Settings:
    return Settings(database_url="postgresql://nowhere", temporal_api_key_file=str(file))


async def test_a_new_key_is_used_without_a_restart_and_a_broken_file_keeps_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    given = settings(file)
    client = await Client.connect(**client_options(given), lazy=True)
    assert client.api_key == "first"
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_credentials(client, given, stop, every=0.01))

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


class TestCertificates:
    @pytest.fixture
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for variable, name in VARIABLES.items():
            (tmp_path / name).write_text(name)
            monkeypatch.setenv(variable, str(tmp_path / name))
        monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
        monkeypatch.setenv("TEMPORAL_NAMESPACE", "casino")
        return tmp_path

    def test_they_are_read_from_the_files_that_the_variables_name_as_they_are_now(self, files: Path) -> None:
        given = credentials(settings(Path()).model_copy(update={"temporal_api_key_file": ""}))
        assert given.connection == {"target_host": "temporal.example:7233", "namespace": "casino"}
        assert given.tls == TLSConfig(
            server_root_ca_cert=b"ca.crt", client_cert=b"tls.crt", client_private_key=b"tls.key"
        )
        (files / "tls.crt").write_text("new")
        assert credentials(Settings(database_url="postgresql://nowhere")).tls == TLSConfig(
            server_root_ca_cert=b"ca.crt", client_cert=b"new", client_private_key=b"tls.key"
        )

    def test_one_that_is_not_there_is_told_before_anything_starts(self, files: Path) -> None:
        (files / "tls.key").unlink()
        with pytest.raises(WrongSetting, match="TEMPORAL_… variables"):
            client_options(Settings(database_url="postgresql://nowhere"))

    def test_a_variable_that_is_empty_counts_as_not_set(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in VARIABLES:
            monkeypatch.setenv(variable, "")
        given = credentials(Settings(database_url="postgresql://nowhere"))
        assert (given.tls, given.api_key) == (None, None)
        assert files.exists()
