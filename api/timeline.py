"""Everything that happened to a player, newest first, each with a sentence that says what and why."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import TextClause, text

from activities.shared_events import SHARED_EVENTS
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Filter, Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from api.timeline_text import sentence_of
from workflows.events import (
    ConsentChanged,
    ExclusionSet,
    HarmSignal,
    MessageReceived,
    MessageStatus,
    PlayerMerged,
    StatusChanged,
)
from workflows.json_object import JsonObject
from workflows.player_state.account_status import FINAL_STATUSES, MERGED_REASONS
from workflows.player_state.consents import WITHDRAWING
from workflows.player_state.devices import DEVICE_EVENTS
from workflows.player_state.stop_words import FILLERS, PHRASES, STOP_WORDS

router = APIRouter(prefix="/v1/players", tags=["players"])

Kind = Literal["event", "segment", "run", "step", "message", "grant", "task"]


class TimelineEntry(BaseModel):
    """One thing that happened."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "message:welcome:acme:p-1001:6f1c0a93be27/send:welcome#1/email",
                    "at": "2026-01-15T12:00:01Z",
                    "kind": "message",
                    "text": "E-mail “welcome” was not sent: the player did not opt in to this channel.",
                    "run_id": "welcome:acme:p-1001:6f1c0a93be27",
                    "journey": "welcome",
                    "detail": {"channel": "email", "status": "suppressed", "reason": "no_consent"},
                }
            ]
        }
    )

    id: str
    at: datetime
    kind: Kind
    text: str = Field(description="What happened and why.")
    run_id: str | None = None
    journey: str | None = None
    detail: JsonObject


class EntryRow(NamedTuple):
    """A row of any source, in the order in which `_cut` selects."""

    at: datetime
    id: str
    kind: Kind
    #: What happened, in the words of its source: a type, a template, a step.
    name: str
    run_id: str | None
    journey: str | None
    detail: JsonObject


class TimelineQuery(PageQuery):
    """Which part of the timeline."""

    kind: list[Kind] = Field(
        ["event", "segment", "run", "step", "message", "grant", "task"],
        max_length=7,
        description="Leave kinds out by naming the others.",
    )
    run: Annotated[Filter | None, Field(description="Only what belongs to this run.")] = None


@router.get("/{player_id}/timeline", responses={**COMMON, **documented(404)})
async def list_timeline(
    player_id: str,
    engine: EngineOf,
    key: Annotated[Key, needs("players:read")],
    query: Annotated[TimelineQuery, Query()],
) -> Page[TimelineEntry]:
    """Everything that happened to a player as one story, newest first.

    That is events, segments entered and left, entries and ends of runs, their steps, messages, grants and tasks.
    Events carry what they brought, personal data among it, and the `key` that posted them. What was told of another
    account of the person and protects this one too names that `account` in its detail.
    """
    page = await read_timeline(player_id, engine, key, query)
    return Page(items=[_entry(row) for row in page.rows], next_page_token=page.next_page_token)


class TimelinePage(NamedTuple):
    """A page of a timeline before anybody has put it in words."""

    rows: Sequence[EntryRow]
    next_page_token: str | None


async def read_timeline(player_id: str, engine: ApiEngine, key: Key, query: TimelineQuery) -> TimelinePage:
    """The rows of a page of a player's timeline, newest first. Raises `Problem` 404 for a player the brand has not."""
    whose = f"{key.brand} {player_id}"
    at, entry_id = query.after(whose, datetime, str) or ("infinity", "")
    parameters = {
        "brand": key.brand,
        "player": player_id,
        "at": at if isinstance(at, str) else at.isoformat(),
        "id": entry_id,
        "run": query.run,
        "size": query.size + 1,
    }
    async with engine.database.reading() as connection:
        told = list(await connection.execute(_merged(query), parameters))
    if not told:
        raise missing("player")
    rows = [EntryRow(*row) for row in told if row.at is not None]
    page, token = query.page(whose, rows, lambda row: (row.at, row.id))
    return TimelinePage(page, token)


def _entry(row: EntryRow) -> TimelineEntry:
    return TimelineEntry(
        id=row.id,
        at=row.at,
        kind=row.kind,
        text=sentence_of(row.kind, row.name, row.journey, row.detail),
        run_id=row.run_id,
        journey=row.journey,
        detail=row.detail,
    )


class Source(NamedTuple):
    """Where entries come from: a table under an alias, and the expressions of an entry over it."""

    table: str
    alias: str
    at: str
    id: str
    name: str
    #: The run it belongs to; NULL for what belongs to none.
    run: str
    journey: str
    detail: str
    #: Whose it is, where that is no column `player_id`.
    player: str | None = None


def _in(values: Iterable[str]) -> str:
    return ", ".join(f"'{one}'" for one in sorted(values))


_NO_LETTER: Final = r"(\W|\d|_)"
_STOPS: Final = "|".join(sorted({*STOP_WORDS, *PHRASES})).replace(" ", f"{_NO_LETTER}+")
_BESIDE: Final = f"{_STOPS}|{'|'.join(sorted(FILLERS))}"
#: A message of stop words and nothing else, as `is_stop_word` reads it, but for letters that only look like others.
_STOP: Final = f"^{_NO_LETTER}*(({_BESIDE}){_NO_LETTER}+)*({_STOPS})({_NO_LETTER}+({_BESIDE}))*{_NO_LETTER}*$"
#: Events of a person's other accounts that concern this one: those of `merging.is_shared` that stop something, and the
#: merges themselves. Limits and checks stop nothing: they stand in the accounts' own timelines.
#: `SHARED_EVENTS` says nothing more than the rest; word for word it is what an index holds.
_SHARED = f"""(
    SELECT o.*, p.id AS protected FROM players p
    CROSS JOIN LATERAL (
        SELECT * FROM events WHERE {SHARED_EVENTS} AND brand = p.brand
        AND player_id = ANY(ARRAY(SELECT jsonb_array_elements_text(p.state -> 'accounts')))
    ) AS o
    WHERE o.type IN ({_in([ExclusionSet.type, HarmSignal.type])})
    OR o.type = '{ConsentChanged.type}' AND o.data ->> 'opted_in' = 'false'
    OR o.type = '{MessageStatus.type}' AND o.data ->> 'status' IN ({_in(WITHDRAWING)})
    OR o.type = '{MessageReceived.type}' AND o.data ->> 'text' ~* '{_STOP}'
    OR o.type = '{StatusChanged.type}' AND o.data ->> 'to' IN ({_in(FINAL_STATUSES)})
       AND coalesce(o.data ->> 'reason', '') NOT IN ({_in(MERGED_REASONS)})
    OR o.type = '{PlayerMerged.type}' AND p.id IN (o.data ->> 'survivor_id', o.data ->> 'absorbed_id')
)"""  # noqa: S608 - made of our own words

#: The key that posted an event, where one did.
_BY_KEY: Final = "jsonb_strip_nulls(jsonb_build_object('key', e.key_id))"
#: A device's token says nothing to people.
_DATA: Final = f"CASE WHEN e.type IN ({_in(kind.type for kind in DEVICE_EVENTS)}) THEN e.data - 'token' ELSE e.data END"
_SOURCES = {
    "event": Source(
        table="events",
        alias="e",
        at="e.occurred_at",
        id="'event:' || e.source || '/' || e.id",
        name="e.type",
        run="NULL",
        journey="NULL",
        detail=f"jsonb_build_object('source', e.source, 'id', e.id, 'history', e.history, 'data', {_DATA})"
        f" || {_BY_KEY}",
    ),
    "shared": Source(
        table=_SHARED,
        alias="e",
        player="e.protected",
        at="e.occurred_at",
        id="'event:' || e.source || '/' || e.id",
        name="e.type",
        run="NULL",
        journey="NULL",
        detail="jsonb_build_object('source', e.source, 'id', e.id, 'history', e.history, 'data', e.data, "
        f"'account', e.player_id) || {_BY_KEY}",
    ),
    "came": Source(
        table="memberships",
        alias="m",
        at="m.entered_at",
        id="'segment:' || m.seq || '/entered'",
        name="'entered'",
        run="NULL",
        journey="NULL",
        detail="jsonb_build_object('segment', m.segment)",
    ),
    "went": Source(
        table="memberships",
        alias="m",
        at="m.left_at",
        id="'segment:' || m.seq || '/left'",
        name="'left'",
        run="NULL",
        journey="NULL",
        detail="jsonb_build_object('segment', m.segment, 'since', m.entered_at)",
    ),
    "entered": Source(
        table="runs",
        alias="r",
        at="r.entered_at",
        id="'run:' || r.id || '/entered'",
        name="'entered'",
        run="r.id",
        journey="r.journey",
        detail="jsonb_build_object('arm', r.arm, 'trigger', r.trigger, 'outcome', r.outcome)",
    ),
    "reached": Source(
        table="runs",
        alias="r",
        at="r.goal_at",
        id="'run:' || r.id || '/goal'",
        name="'reached_goal'",
        run="r.id",
        journey="r.journey",
        detail="jsonb_build_object('arm', r.arm)",
    ),
    "ended": Source(
        table="(SELECT * FROM runs WHERE outcome NOT LIKE 'refused:%')",
        alias="r",
        at="r.ended_at",
        id="'run:' || r.id || '/ended'",
        name="'ended'",
        run="r.id",
        journey="r.journey",
        detail="jsonb_build_object('arm', r.arm, 'outcome', r.outcome)",
    ),
    "step": Source(
        # What these verbs bring about has entries of its own; the run's own lines about them have not.
        table="(SELECT * FROM steps WHERE line > 0 OR step !~ '^(send|grant|ask|end)(:|$)')",
        alias="s",
        at="s.at",
        id="'step:' || s.run_id || '/' || s.step || '/' || s.line || '/' || s.outcome",
        name="s.step",
        run="s.run_id",
        journey="split_part(s.run_id, ':', 1)",
        detail="s.detail || jsonb_build_object('outcome', s.outcome)",
    ),
    "message": Source(
        table="messages",
        alias="m",
        at="m.created_at",
        id="'message:' || m.id",
        name="m.template",
        run="m.run_id",
        journey="m.journey",
        detail="jsonb_build_object('channel', m.channel, 'status', m.status, 'reason', m.reason, "
        "'message_class', m.message_class, 'decision', m.decision, 'delivery', m.delivery, "
        "'delivery_at', m.delivery_at)",
    ),
    "grant": Source(
        table="grants",
        alias="g",
        at="g.created_at",
        id="'grant:' || g.id",
        name="g.kind",
        run="g.run_id",
        journey="g.journey",
        detail="jsonb_build_object('status', g.status, 'reason', g.reason, 'reward', g.reward, 'decision', g.decision, "
        "'stage', g.stage, 'stage_at', g.stage_at, 'stage_reason', g.stage_reason)",
    ),
    "task": Source(
        table="(SELECT h.id AS line, h.at, h.action, h.actor, h.text, h.detail, t.id, t.form, t.run_id, t.journey, "
        "t.brand, t.player_id FROM tasks t JOIN task_history h ON h.task_id = t.id)",
        alias="t",
        at="t.at",
        id="'task:' || t.id || '/' || t.line",
        name="t.form",
        run="t.run_id",
        journey="t.journey",
        detail="t.detail || jsonb_build_object('task_id', t.id, 'action', t.action, 'actor', t.actor, "
        "'comment', t.text)",
    ),
}
_OF_KIND: dict[Kind, tuple[str, ...]] = {
    "event": ("event", "shared"),
    "run": ("entered", "reached", "ended"),
    "segment": ("came", "went"),
}


def _merged(query: TimelineQuery) -> TextClause:
    """All sources of the wanted kinds, each cut to the page by its own index before they are merged.

    One row without a moment says that the player is there and has no entry; no row at all, that nobody is.
    """
    parts = [_cut(_SOURCES[name], kind) for kind in dict.fromkeys(query.kind) for name in _OF_KIND.get(kind, (kind,))]
    merged = " UNION ALL ".join(parts)
    return text(f"""
        SELECT page.* FROM (SELECT 1 FROM players WHERE brand = :brand AND id = :player) AS here
        LEFT JOIN (SELECT * FROM ({merged}) AS merged ORDER BY at DESC, id DESC LIMIT :size) AS page ON true
        ORDER BY page.at DESC, page.id DESC
    """)  # noqa: S608 - as below


def _cut(source: Source, kind: Kind) -> str:
    # The first condition on the moment is for the index, the second, with the id, for rows of one moment.
    return f"""(
        SELECT * FROM (
            SELECT {source.at} AS at, {source.id} AS id, '{kind}' AS kind, {source.name} AS name,
                   {source.run} AS run_id, {source.journey} AS journey, {source.detail} AS detail
            FROM {source.table} AS {source.alias}
            WHERE {source.alias}.brand = :brand AND {source.player or source.alias + ".player_id"} = :player
              AND {source.at} <= CAST(:at AS timestamptz)
              AND (CAST(:run AS text) IS NULL OR {source.run} = :run)
        ) AS entries
        WHERE (at, id) < (CAST(:at AS timestamptz), :id)
        ORDER BY at DESC, id DESC LIMIT :size
    )"""  # noqa: S608 - made of the constants above
