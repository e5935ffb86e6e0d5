"""Commands that ask about runs in flight find the stack that `journeys up` made in their folder."""

import json
import os
from pathlib import Path

import pytest

from cli._environment import settings_here
from local.stack import PORTS, servers_of
from workflows.channels import WEBHOOK_CHANNELS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with a stack that was made in it; no variable names its servers."""
    for name in ("DATABASE_URL", "TEMPORAL_ADDRESS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    secrets = ["postgres", "identity-provider", "links", "registers", "register-hashes", "webhook"]
    secrets += [*(f"{channel}-webhook" for channel in WEBHOOK_CHANNELS)]
    memory = {
        "ports": {name: 20_000 + number for number, name in enumerate(PORTS)},
        "secrets": dict.fromkeys(secrets, "a/secret"),
    }
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(json.dumps(memory))
    return tmp_path


def test_the_servers_of_the_stack_are_used_where_none_are_named(folder: Path) -> None:
    kept = (folder / ".local" / "stack.json").read_text()
    found = settings_here()
    assert found.database_url.startswith("postgresql+psycopg://journeys:a%2Fsecret@127.0.0.1:20001/")
    assert os.environ["TEMPORAL_ADDRESS"] == "127.0.0.1:20002"
    assert (folder / ".local" / "stack.json").read_text() == kept


def test_what_the_environment_names_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (folder / ".local").exists()
    monkeypatch.setenv("DATABASE_URL", "postgresql://casino@db/journeys")
    assert settings_here().database_url == "postgresql://casino@db/journeys"
    assert "TEMPORAL_ADDRESS" not in os.environ


def test_where_no_stack_was_made_none_is_found(tmp_path: Path) -> None:
    assert servers_of(tmp_path) == {}
