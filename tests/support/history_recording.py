"""Histories of runs as every later version must replay them: written when asked for, by tests marked `recorded`."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.tables import runs
from tests.support.temporal_engine import Theatre
from workflows.shadows import is_shadow_run
from workflows.source.journey_loading import load

SHIPPED = Path(__file__).parent.parent / "histories"
#: Of journeys that only tests know, and of shadows, which play a release of one that is shipped.
DESIGNS = SHIPPED / "designs"


async def record(request: pytest.FixtureRequest, stage: Theatre) -> None:
    """With RECORD_HISTORIES=1, store every run of a test marked `recorded`, a file for each of its chapters."""
    if not (os.environ.get("RECORD_HISTORIES") and request.node.get_closest_marker("recorded")):
        return
    test = request.node.name.removeprefix("test_")
    entries: Counter[str] = Counter()
    for run in sorted(await stage.rows(runs), key=lambda row: row["entered_at"]):
        entries[run["journey"]] += 1
        entry = entries[run["journey"]]
        twice = "" if entry == 1 else f".entry-{entry}"
        await _store(stage.environment.client, run["id"], f"{run['journey']}.{test}{twice}")


async def record_run(request: pytest.FixtureRequest, client: Client, workflow_id: str) -> None:
    """With RECORD_HISTORIES=1, store one run that a test marked `recorded` has started itself."""
    if os.environ.get("RECORD_HISTORIES") and request.node.get_closest_marker("recorded"):
        test = request.node.name.removeprefix("test_")
        journey = workflow_id.split(":")[1 if is_shadow_run(workflow_id) else 0]
        await _store(client, workflow_id, f"{journey}.{test}")


async def _store(client: Client, workflow_id: str, name: str) -> None:
    shipped = name.partition(".")[0] in load().journeys and not is_shadow_run(workflow_id)
    folder = SHIPPED if shipped else DESIGNS
    for number, history in enumerate(await _chapters(client, workflow_id), start=1):
        part = "" if number == 1 else f".chapter-{number}"
        (folder / f"{name}{part}.json").write_text(history)


async def _chapters(client: Client, workflow_id: str) -> list[str]:
    """The run's histories in Temporal, the first chapter's first, without what names the machine that made them."""
    found: list[str] = []
    run_id: str | None = None
    while run_id != "":
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        found.append(json.dumps(_nameless(json.loads(history.to_json())), separators=(",", ":"), sort_keys=True))
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return found[::-1]


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        recorded = {"identity": "recorded", "stackTrace": ""}
        return {key: recorded.get(key) if key in recorded else _nameless(inner) for key, inner in value.items()}
    return [_nameless(inner) for inner in value] if isinstance(value, list) else value
