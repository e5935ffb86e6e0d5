"""What is left after a crash test, read from the files, the database and Temporal. Imports nothing of ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from temporalio.client import Client

Row = dict[str, Any]

TABLES = {
    "events": "SELECT source, id, type, player_id, data, history FROM events",
    "players": "SELECT id, state FROM players",
    "runs": "SELECT id, player_id, journey, arm, state, outcome, entered_at, ended_at, trigger FROM runs",
    "messages": "SELECT id, player_id, channel, status, reason, handed_over_at, run_id FROM messages",
    "grants": "SELECT id, player_id, kind, status, reason, run_id, reserved_at FROM grants",
    "tasks": "SELECT id, run_id, form, state, answer FROM tasks",
    "deliveries": "SELECT run_id, seq, kind, attempts, last_error FROM deliveries",
    "dead_letters": "SELECT run_id, seq, kind, reason FROM dead_letters",
    "moves": "SELECT run_id, at, outcome, detail FROM steps WHERE step LIKE 'migrate#%' AND outcome = 'told' "
    "OR step LIKE 'move#%' AND outcome = 'moved'",
    "shadow_runs": "SELECT id, player_id, beside, outcome FROM shadow_runs",
    "shadow_steps": "SELECT run_id, step, outcome FROM shadow_steps WHERE line = 0",
}


@dataclass
class Evidence:
    """Everything the checker looks at."""

    journal: list[Row]
    tables: dict[str, list[Row]]
    ledger: list[Row]
    mails: list[Row]
    webhooks: dict[str, list[Row]]
    open_workflows: set[str]
    #: Files of Temporal and logs that hold a name or an address.
    leaks: list[str]
    #: How many attempts had which outcome, how many operations there were, and how many took one attempt.
    outcomes: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    at_once: int = 0


async def gather(
    folder: Path, database_url: str, temporal_address: str, canary: str, queries: Mapping[str, str] = TABLES
) -> Evidence:
    """Read what a stack in `folder` left, while its two servers still run.

    `canary` is part of every name and address of its players; `queries` say what is read of each table.
    """
    messages = folder / "messages"
    watched = [*folder.glob("temporal.db*"), *(folder / "logs").iterdir()]
    return Evidence(
        journal=read_lines(folder / "journal.jsonl"),
        tables=await read_tables(database_url, queries),
        ledger=read_lines(folder / "bonus-engine.jsonl"),
        mails=read_lines(messages / "mails.jsonl"),
        webhooks={channel: read_lines(messages / f"{channel}.jsonl") for channel in ("sms", "push")},
        open_workflows=await open_workflows(temporal_address),
        leaks=[path.name for path in watched if canary.lower().encode() in path.read_bytes().lower()],
    )


def read_lines(path: Path) -> list[Row]:
    """The whole lines of a file of JSON; a last one cut short was never promised to anybody."""
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


async def read_tables(database_url: str, queries: Mapping[str, str] = TABLES) -> dict[str, list[Row]]:
    """The rows of one consistent moment."""
    async with await psycopg.AsyncConnection.connect(
        database_url.replace("+psycopg", ""), row_factory=dict_row, connect_timeout=60
    ) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        return {
            table: [dict(row) for row in await (await connection.execute(query)).fetchall()]
            for table, query in queries.items()
        }


async def open_workflows(temporal_address: str) -> set[str]:
    """The ids of the journeys' workflows Temporal calls running."""
    query = "TaskQueue = 'journeys' AND ExecutionStatus = 'Running'"
    client = await Client.connect(temporal_address)
    return {found.id async for found in client.list_workflows(query)}
