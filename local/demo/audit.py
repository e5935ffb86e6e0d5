"""The demo's auditor: compares what was acknowledged with what is kept, and what we say we did with others' books.

Others' books are the bonus engine's ledger, the catch-all's files and Temporal's list of workflows; nothing of ours
writes them but through the front door.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from activities.database import Database
from activities.notices import MAIL_KEY
from activities.settings import TASK_QUEUE
from local.stand_ins.base import Record, read_journal
from workflows.channels import WEBHOOK_CHANNELS
from workflows.gate.policy import PROTECTIVE

Identity = tuple[str, str]


@dataclass(frozen=True)
class Check:
    """One comparison: what should be there, what is, what is missing and what is there too often."""

    name: str
    expected: int
    found: int
    lost: int
    doubled: int


@dataclass(frozen=True)
class ExcludedPlayer:
    """A player who self-excluded, and when the API had acknowledged it."""

    player_id: str
    acknowledged_at: datetime


class Auditor:
    """Compares our database with the providers' journals and with Temporal; writes nothing."""

    def __init__(self, database: Database, temporal: Client, folder: Path) -> None:
        self._database = database
        self._temporal = temporal
        self._folder = folder

    # ---- is everything done? -------------------------------------------------------------------

    async def backlog(self) -> int:
        """Deliveries not handed over and runs just begun that have done nothing yet: how far effects lag behind."""
        return int((await self._row(_BACKLOG))["backlog"])

    async def unfinished(self) -> dict[str, int]:
        """What is still being done, by name; empty when all is quiet and only timers are left."""
        left = {name: count for name, count in (await self._row(_UNFINISHED)).items() if count}
        if not left and (busy := await self._busy()):
            left["workflows at work"] = busy
        return left

    async def _busy(self) -> int:
        running = [
            (execution.id, execution.run_id)
            async for execution in self._temporal.list_workflows(_OF_JOURNEYS)
            if execution.status is WorkflowExecutionStatus.RUNNING
        ]
        slots = asyncio.Semaphore(16)

        async def at_work(workflow_id: str, run_id: str) -> bool:
            async with slots:
                try:
                    seen = await self._temporal.get_workflow_handle(workflow_id, run_id=run_id).describe()
                except RPCError:
                    return True
            described = seen.raw_description
            return bool(described.pending_activities) or described.HasField("pending_workflow_task")

        return sum(await asyncio.gather(*(at_work(*one) for one in running)))

    async def intake_figures(self) -> dict[str, Any]:
        """What feeding the same events again must not change."""
        return dict(await self._row(_INTAKE_FIGURES))

    # ---- what became of it all? ----------------------------------------------------------------

    async def figures(self) -> Mapping[str, Any]:
        """Counts of messages, grants and tasks by what became of them."""
        return await self._row(_FIGURES)

    async def runs(self) -> dict[tuple[str, str], int]:
        """Entries by journey and arm, whatever became of the run."""
        rows = await self._rows("SELECT journey, arm, count(*) AS n FROM runs GROUP BY journey, arm")
        return {(row["journey"], row["arm"]): row["n"] for row in rows}

    async def reactions(self, posted: Mapping[Identity, datetime]) -> list[float]:
        """Milliseconds from posting an event to the first executed effect of each run it started, sorted.

        A run whose first message waits for the morning has executed nothing yet and is not in the list.
        """
        rows = await self._rows(_REACTIONS)
        return sorted(
            (row["first"] - posted[identity]).total_seconds() * 1000
            for row in rows
            if row["first"] is not None and (identity := (row["source"], row["id"])) in posted
        )

    async def checks(self, acknowledged: Collection[Identity], answered: int) -> list[Check]:
        """Every comparison."""
        kept = [(row["source"], row["id"]) for row in await self._rows("SELECT source, id FROM events")]
        fed = [one for one in kept if one in acknowledged]
        counted = await self._row(_COUNTED)
        left = await self._row(_LEFT)
        return [
            _compare("events kept", acknowledged, fed),
            Check(
                f"events counted by players{_made_by_people(kept)}",
                *(int(counted[n]) for n in ("kept", "counted", "lost", "doubled")),
            ),
            await self._workflows(),
            await self._messages(),
            await self._grants(),
            _compare("answers of the manager", range(answered), range((await self.figures())["completed"])),
            Check("left undelivered", 0, left["undelivered"], left["undelivered"], 0),
        ]

    async def contacts_after(self, excluded: ExcludedPlayer) -> tuple[list[str], int]:
        """What was let through to a player after the acknowledgement of the self-exclusion, or still runs: nothing.

        Beside it, how many messages the gate had let pass before and reached their provider just after.
        """
        parameters = {"player": excluded.player_id, "protective": sorted(PROTECTIVE), "at": excluded.acknowledged_at}
        contacts = [row["what"] for row in await self._rows(_CONTACTS_AFTER, **parameters)]
        passed = {row["id"] for row in await self._rows(_PASSED, **parameters)}
        late = [
            record["key"]
            for record in self._handed_over()
            if _player_of(record["key"]) == excluded.player_id
            and datetime.fromisoformat(record["at"]) > excluded.acknowledged_at
        ]
        contacts += [f"{key} reached its provider and was never let pass" for key in late if key not in passed]
        return contacts, len(passed.intersection(late))

    # ---- others' books -------------------------------------------------------------------------

    async def _workflows(self) -> Check:
        rows = await self._rows("SELECT id FROM runs WHERE played")
        started = [
            execution.id
            async for execution in self._temporal.list_workflows(_OF_JOURNEYS)
            if execution.status is not WorkflowExecutionStatus.CONTINUED_AS_NEW
        ]
        return _compare("runs in Temporal", [row["id"] for row in rows], started)

    async def _messages(self) -> Check:
        rows = await self._rows("SELECT id FROM messages WHERE channel <> 'in_app' AND status = 'sent'")
        doubtful = {row["id"] for row in await self._rows("SELECT id FROM messages WHERE status = 'unknown'")}
        arrived = [record["key"] for record in self._handed_over() if record["key"] not in doubtful]
        return _compare("messages at the providers", [row["id"] for row in rows], arrived)

    async def _grants(self) -> Check:
        rows = await self._rows("SELECT id, status FROM grants WHERE status IN ('confirmed', 'unknown')")
        doubtful = {row["id"] for row in rows if row["status"] == "unknown"}
        ledger = read_journal(self._folder / "bonus-engine.jsonl")
        voided = {record["key"] for record in ledger if record["kind"] == "void"}
        paid = [r["key"] for r in ledger if r["kind"] == "grant" and r["key"] not in voided | doubtful]
        return _compare("rewards in the ledger", [r["id"] for r in rows if r["status"] == "confirmed"], paid)

    def _handed_over(self) -> list[Record]:
        folder = self._folder / "messages"
        # What tells people who work here of tasks is no message to a player.
        mails = [mail for mail in read_journal(folder / "mails.jsonl") if not mail["key"].startswith(MAIL_KEY)]
        hooks = [one for channel in WEBHOOK_CHANNELS for one in read_journal(folder / f"{channel}.jsonl")]
        return [*mails, *({"key": hook["webhook_id"], "at": hook["at"]} for hook in hooks)]

    async def _rows(self, query: str, **parameters: Any) -> list[Mapping[str, Any]]:
        async with self._database.reading() as connection:
            return [dict(row) for row in (await connection.execute(text(query), parameters)).mappings()]

    async def _row(self, query: str) -> Mapping[str, Any]:
        return (await self._rows(query))[0]


def percentile(values: list[float], share: float) -> float | None:
    """The smallest of sorted values that at least this share of them does not exceed; None of none."""
    return round(values[max(0, -(-len(values) * int(share * 100) // 100) - 1)], 1) if values else None


def _compare(name: str, expected: Collection[Hashable], found: Collection[Hashable]) -> Check:
    """Each of `expected` should be found once, and nothing else."""
    times, wanted = Counter(found), set(expected)
    lost = sum(one not in times for one in wanted)
    doubled = sum(count - (one in wanted) for one, count in times.items())
    return Check(name, len(wanted), len(found), lost, doubled)


def _made_by_people(kept: Collection[Identity]) -> str:
    """Why more is counted than was fed: what a person does over the API, such as an exclusion, is an event too."""
    count = sum(source.startswith("api:") for source, _ in kept)
    return f", with {count} made by the desk" if count else ""


def _player_of(key: str) -> str:
    """The player in a key `journey:brand:player:n/step/channel`; a player's id may hold colons itself."""
    return ":".join(key.partition("/")[0].split(":")[2:-1])


# Not what recurs on a calendar.
_OF_JOURNEYS = f"TaskQueue = '{TASK_QUEUE}'"
_BACKLOG = """
SELECT (SELECT count(*) FROM deliveries)
     + (SELECT count(*) FROM runs r
        WHERE r.played AND r.state = 'active' AND r.entered_at > now() - interval '5 seconds'
          AND NOT EXISTS (SELECT FROM steps s WHERE s.run_id = r.id)) AS backlog
"""
_UNFINISHED = """
SELECT (SELECT count(*) FROM deliveries) AS deliveries,
       (SELECT count(*) FROM messages WHERE status IN ('handed_over', 'waiting')) AS "messages on their way",
       (SELECT count(*) FROM grants WHERE status = 'reserved') AS "rewards on their way",
       (SELECT count(*) FROM tasks WHERE state IN ('open', 'claimed')) AS "open tasks"
"""
_INTAKE_FIGURES = """
SELECT (SELECT count(*) FROM events) AS events,
       (SELECT count(*) FROM runs WHERE trigger->>'type' NOT LIKE 'derived.%') AS runs,
       (SELECT md5(string_agg(id || (state->'counts')::text, ',' ORDER BY id)) FROM players) AS counts
"""
_FIGURES = """
SELECT (SELECT count(*) FROM messages WHERE status = 'sent') AS sent,
       (SELECT count(*) FROM messages WHERE status = 'sent' AND channel = 'in_app') AS in_app,
       (SELECT count(*) FROM messages WHERE status = 'suppressed') AS suppressed,
       (SELECT count(*) FROM grants WHERE status = 'confirmed') AS confirmed,
       (SELECT count(*) FROM grants WHERE status = 'unknown') AS unknown,
       (SELECT count(*) FROM tasks) AS opened,
       (SELECT count(*) FROM tasks WHERE state = 'completed') AS completed
"""
_REACTIONS = """
SELECT r.trigger->>'source' AS source, r.trigger->>'id' AS id,
       least((SELECT min(m.delivered_at) FROM messages m WHERE m.run_id = r.id AND m.status = 'sent'),
             (SELECT min(g.resolved_at) FROM grants g WHERE g.run_id = r.id AND g.status = 'confirmed'),
             (SELECT min(t.created_at) FROM tasks t WHERE t.run_id = r.id)) AS first
FROM runs r WHERE r.arm = 'treated'
"""
_COUNTED = """
WITH kept AS (SELECT brand, player_id, type, count(*) AS n FROM events GROUP BY brand, player_id, type),
     counted AS (SELECT brand, id AS player_id, key AS type, value::bigint AS n
                 FROM players, jsonb_each_text(state->'counts'))
SELECT coalesce(sum(kept.n), 0) AS kept, coalesce(sum(counted.n), 0) AS counted,
       coalesce(sum(greatest(coalesce(kept.n, 0) - coalesce(counted.n, 0), 0)), 0) AS lost,
       coalesce(sum(greatest(coalesce(counted.n, 0) - coalesce(kept.n, 0), 0)), 0) AS doubled
FROM kept FULL JOIN counted USING (brand, player_id, type)
"""
_LEFT = """
SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM dead_letters WHERE retried_at IS NULL)
     + (SELECT count(*) FROM messages WHERE status IN ('handed_over', 'waiting'))
     + (SELECT count(*) FROM grants WHERE status = 'reserved') AS undelivered
"""
_CONTACTS_AFTER = """
SELECT id || ' was handed over at ' || handed_over_at AS what FROM messages
WHERE player_id = :player AND handed_over_at > :at AND message_class <> ALL(:protective)
UNION ALL
SELECT id || ' was asked for at ' || asked_at FROM grants WHERE player_id = :player AND asked_at > :at
UNION ALL
SELECT id || ' still runs' FROM runs WHERE player_id = :player AND state = 'active'
"""
_PASSED = """
SELECT id FROM messages
WHERE player_id = :player AND (handed_over_at <= :at OR message_class = ANY(:protective))
"""
