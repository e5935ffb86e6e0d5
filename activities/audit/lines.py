"""What the trail and the histories tell of a player, a message or a period, line by line, the oldest first.

Entries of the trail say who did what and who looked. What the gate decided, what people did to a task and what protects
a player have records of their own, which are not written twice: they are read from there.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.json_object import JsonObject


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One thing that happened: when, in which record it stands, who, what, to what, and why."""

    at: datetime
    record: str
    actor: str
    action: str
    object: str | None
    player_id: str | None
    rule: str | None
    reason: str | None
    detail: JsonObject


async def lines_of(
    connection: AsyncConnection,
    brand: str,
    *,
    player_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncIterator[AuditLine]:
    """The lines of a brand, of one player if given, from `since` until before `until`; streamed."""
    given = {"brand": brand, "player": player_id, "since": since, "until": until}
    async with connection.stream(_LINES, given) as found:
        async for row in found:
            yield AuditLine(*row)


async def why_sent(connection: AsyncConnection, brand: str, message_id: str) -> JsonObject | None:
    """Why a message was sent, or was not: it, its journey's run and cause, and what the gate saw; None for no message.

    Without its text: that is personal, and `GET /v1/messages/{id}` shows it to whoever may read it.
    """
    row = (await connection.execute(_WHY, {"brand": brand, "id": message_id})).one_or_none()
    if row is None:
        return None
    decisions = await connection.execute(_DECISIONS, {"brand": brand, "id": message_id})
    why: JsonObject = row.why
    return why | {"decisions": [one.decision for one in decisions]}


_LINES: Final = text(
    """
    SELECT * FROM (
        SELECT at, 'audit:' || kind, actor, action, object, player_id, NULL::text, NULL::text,
               detail || jsonb_strip_nulls(jsonb_build_object('key', key_id, 'request', request_id))
        FROM audit_entries WHERE brand = :brand AND (CAST(:player AS text) IS NULL OR player_id = :player)
        UNION ALL
        SELECT at, 'gate', 'engine', outcome || ' ' || subject, effect_id, player_id, rule, reason,
               jsonb_build_object('policy', policy, 'release', release, 'seen', seen)
        FROM gate_decisions WHERE brand = :brand AND (CAST(:player AS text) IS NULL OR player_id = :player)
        UNION ALL
        SELECT h.at, 'task', h.actor, h.action, h.task_id, t.player_id, NULL, NULL,
               jsonb_strip_nulls(jsonb_build_object('key', h.key_id, 'form', t.form, 'step', t.step))
        FROM task_history h JOIN tasks t ON t.id = h.task_id
        WHERE t.brand = :brand AND (CAST(:player AS text) IS NULL OR t.player_id = :player)
        UNION ALL
        SELECT received_at, 'event', source, type, id, player_id, NULL, NULL,
               jsonb_strip_nulls(jsonb_build_object('happened', occurred_at, 'key', key_id))
        FROM events WHERE brand = :brand AND (CAST(:player AS text) IS NULL OR player_id = :player)
          AND (type LIKE 'compliance.%' OR type LIKE 'consent.%' OR type IN ('player.status_changed', 'player.merged'))
    ) AS line (at, record, actor, action, object, player_id, rule, reason, detail)
    WHERE (CAST(:since AS timestamptz) IS NULL OR at >= :since) AND (CAST(:until AS timestamptz) IS NULL OR at < :until)
    ORDER BY at, record, object
    """
)
_WHY: Final = text(
    """
    SELECT jsonb_build_object(
        'message', jsonb_build_object('id', m.id, 'player_id', m.player_id, 'channel', m.channel,
            'template', m.template, 'class', m.message_class, 'language', m.language, 'status', m.status,
            'reason', m.reason, 'decided_at', m.created_at, 'handed_over_at', m.handed_over_at),
        'run', CASE WHEN r.id IS NULL THEN NULL ELSE jsonb_build_object('id', r.id, 'journey', r.journey, 'arm', r.arm,
            'release', r.version, 'entered_at', r.entered_at, 'caused_by', r.trigger - 'data') END,
        'step', m.step) AS why
    FROM messages m LEFT JOIN runs r ON r.id = m.run_id
    WHERE m.brand = :brand AND m.id = :id
    """
)
_DECISIONS: Final = text(
    """
    SELECT jsonb_build_object('at', at, 'outcome', outcome, 'rule', rule, 'reason', reason, 'policy', policy,
                              'release', release, 'rules', rules, 'seen', seen) AS decision
    FROM gate_decisions WHERE brand = :brand AND effect_id = :id ORDER BY at
    """
)
