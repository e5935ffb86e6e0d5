"""The tables of events: every acknowledged fact, once, and what it means when an identity comes back.

Only this module writes them. `(brand, source, id)` is the identity, kept as a digest for as long as the dedupe window.
The same again is a duplicate; another player, type or data under it is a conflict and told as such, or whoever says an
id first could make another event disappear.
"""

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import ValidationError
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Boolean, Text

from activities.event_loop_turns import in_turns
from activities.intake.backpressure import protects
from activities.intake.receipts import Conflict, DuplicateOf, Receipt
from activities.overdue_records import overdue
from workflows.events import CATALOGUE, Event
from workflows.json_object import JsonObject

#: Source and id.
Identity = tuple[str, str]
#: Under what begins so stand events that protect and whose own identity was taken. Nobody posts under it.
CONFLICT_SOURCE: Final = "engine:conflict:"
MAX_SOURCE: Final = 255
#: Characters of a unique value; a longer one is kept as its hash.
MAX_UNIQUE: Final = 255


@dataclass(frozen=True)
class StoredEvents:
    """What became of each event, and those that are new, in their order: they are yet to be acted upon."""

    receipts: list[Receipt]
    new: list[tuple[str, Event]]


async def store_events(
    connection: AsyncConnection,
    brand: str,
    events: Sequence[tuple[str, Event]],
    *,
    history: bool,
    first_counts: Collection[Identity] = (),
    key_id: str | None = None,
) -> StoredEvents:
    """Keep `(player id, event)` pairs, each once by its identity; `key_id` is the key that posted them, if any.

    Events that are all new cost one statement; who repeats himself pays for the comparison. Of an identity in
    `first_counts` the data is not compared: it says itself what happened, and what was told first stands.
    """
    inserted = await _insert(connection, brand, events, key_id, history=history)
    receipts: list[Receipt] = []
    new: dict[int, tuple[str, Event]] = {}
    for position, (player_id, event) in enumerate(events):
        identity = (event.event_source, event.event_id)
        if identity in inserted:
            inserted.remove(identity)
            new[position] = (player_id, event)
            receipts.append("accepted")
        else:
            receipts.append("duplicate")
    if len(new) < len(events):
        repeated = {position: pair for position, pair in enumerate(events) if position not in new}
        protective: dict[int, tuple[str, Event]] = {}
        async for position, receipt in _compare(connection, brand, repeated, first_counts):
            receipts[position] = receipt
            if isinstance(receipt, Conflict) and receipt.applied:
                player_id, event = repeated[position]
                protective[position] = (player_id, _under_own_identity(player_id, event))
        new |= await _insert_protective(connection, brand, protective, key_id, history=history)
    return StoredEvents(receipts, [new[position] for position in sorted(new)])


async def _insert(
    connection: AsyncConnection,
    brand: str,
    events: Sequence[tuple[str, Event]],
    key_id: str | None,
    *,
    history: bool,
) -> set[Identity]:
    """Insert events; the identities that were new.

    They are numbered in the order in which they are given, and inserted in one that two batches share, or they could
    deadlock.
    """
    rows: dict[Identity, tuple[str, Event]] = {}
    for player_id, event in events:
        rows.setdefault((event.event_source, event.event_id), (player_id, event))
    # What happens once is sorted by that first, and then as it was told: the first to be told is the one to be kept.
    order = [
        ((player_id, event.type, event.unique_value or "", number) if event.unique_field else ("", "", "", 0), identity)
        for number, (identity, (player_id, event)) in enumerate(rows.items())
    ]
    turns = {identity: turn for turn, (_, identity) in enumerate(sorted(order))}
    fresh = [_row(*pair) | {"turn": turns[identity]} async for identity, pair in in_turns(rows.items())]
    given = {"brand": brand, "rows": _json(fresh), "history": history, "key": key_id}
    inserted = await connection.execute(_INSERT, given)
    return {(row.source, row.id) for row in inserted}


async def _insert_protective(
    connection: AsyncConnection,
    brand: str,
    events: Mapping[int, tuple[str, Event]],
    key_id: str | None,
    *,
    history: bool,
) -> dict[int, tuple[str, Event]]:
    """Keep what protects although its identity was taken; what of it is new. Sent again it is known again."""
    if not events:
        return {}
    inserted = await _insert(connection, brand, [*events.values()], key_id, history=history)
    new: dict[int, tuple[str, Event]] = {}
    for position, (player_id, event) in events.items():
        if (event.event_source, event.event_id) in inserted:
            inserted.remove((event.event_source, event.event_id))
            new[position] = (player_id, event)
    return new


async def _compare(
    connection: AsyncConnection,
    brand: str,
    repeated: Mapping[int, tuple[str, Event]],
    first_counts: Collection[Identity],
) -> AsyncIterator[tuple[int, Receipt]]:
    """Of events that were not new, those that are not simply known: conflicts, and facts known by another identity.

    In a statement of its own: what another transaction has just committed is not seen by the one that met it.
    """
    rows = [{"position": position, **_row(player_id, event)} for position, (player_id, event) in repeated.items()]
    for row in await connection.execute(_COMPARE, {"brand": brand, "rows": _json(rows)}):
        player_id, event = repeated[row.position]
        if row.first_id is not None:
            yield row.position, DuplicateOf(row.first_source, row.first_id)
            continue
        difference = [] if row.player_id == player_id else ["another player"]
        if row.type != event.type:
            difference.append("another type")
        elif (event.event_source, event.event_id) not in first_counts and not _same_data(event, row.data):
            difference.append("other data")
        if difference:
            yield row.position, Conflict(" and ".join(difference), applied=protects(event))


def _same_data(event: Event, stored: JsonObject) -> bool:
    """Whether what is kept says what the event says, as its class reads it: a field may have got a default since.

    Where personal data was taken out of what is kept, the rest decides; what cannot be read any more decides nothing.
    """
    wire = event.to_wire() | {"data": stored}
    try:
        before = type(event).from_wire(wire)
    except ValidationError:
        return True
    return _canonical(before) in (_canonical(event), _canonical(event.redacted()))


def _canonical(event: Event) -> bytes:
    """The data of an event as bytes, one way whatever the order of keys in its maps."""
    return orjson.dumps(orjson.loads(event.to_data()), option=orjson.OPT_SORT_KEYS)


def _under_own_identity(player_id: str, event: Event) -> Event:
    """The event under an identity made of everything it says."""
    said = [event.event_source, event.event_id, player_id, event.type, orjson.Fragment(_canonical(event))]
    digest = hashlib.sha256(orjson.dumps(said)).hexdigest()
    source = f"{CONFLICT_SOURCE}{event.event_source}"[:MAX_SOURCE]
    return event.model_copy(update={"event_id": digest, "event_source": source})


def _row(player_id: str, event: Event) -> JsonObject:
    row: JsonObject = {
        "source": event.event_source,
        "id": event.event_id,
        "type": event.type,
        "player_id": player_id,
        "occurred_at": event.occurred_at,
        "data": orjson.Fragment(event.to_data()),
    }
    if (value := event.unique_value) is not None:
        # An entry of an index has room for less than a text may hold.
        short = len(value) <= MAX_UNIQUE
        row["unique_value"] = value if short else hashlib.sha256(value.encode()).hexdigest()
    return row


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


_INSERT: Final[TextClause] = text(
    """
    WITH given AS MATERIALIZED (
        SELECT *, event_identity(:brand, source, id) AS identity,
               event_fact(:brand, player_id, type, unique_value) AS fact, nextval('event_ids_seq_seq') AS number
        FROM json_to_recordset(CAST(:rows AS json))
          AS t (source text, id text, type text, player_id text, occurred_at timestamptz, data jsonb, unique_value text,
                turn integer)
    ), fresh AS (
        INSERT INTO event_ids (identity, fact, seq) SELECT identity, fact, number FROM given ORDER BY turn
        ON CONFLICT DO NOTHING RETURNING identity, seq
    )
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data, unique_value, history, key_id)
    SELECT :brand, source, id, seq, type, player_id, occurred_at, data, unique_value, :history, :key
    FROM given JOIN fresh USING (identity)
    ON CONFLICT DO NOTHING
    RETURNING source, id
    """
).bindparams(bindparam("history", type_=Boolean), bindparam("brand", type_=Text), bindparam("key", type_=Text))
# Only what is not the same comes back: a batch that is sent again as it was brings no row. Nor does what is known and
# not kept any more.
_COMPARE: Final[TextClause] = text(
    """
    SELECT t.position, e.player_id, e.type, e.data, u.source AS first_source, u.id AS first_id
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (position int, source text, id text, type text, player_id text, data jsonb, unique_value text)
    LEFT JOIN event_ids i ON i.identity = event_identity(:brand, t.source, t.id)
    LEFT JOIN events e ON e.received_at = i.received_at AND e.seq = i.seq
    LEFT JOIN event_ids f ON i.identity IS NULL AND f.fact = event_fact(:brand, t.player_id, t.type, t.unique_value)
    LEFT JOIN events u ON u.received_at = f.received_at AND u.seq = f.seq
    WHERE u.id IS NOT NULL
       OR e.id IS NOT NULL AND (e.player_id, e.type, e.data) IS DISTINCT FROM (t.player_id, t.type, t.data)
    """
).bindparams(bindparam("brand", type_=Text))
#: Whether the event of a source and an id `t` is known, as a condition for `:brand`.
IS_KNOWN: Final = (
    "EXISTS (SELECT FROM event_ids i WHERE i.identity = event_identity(CAST(:brand AS text), t.source, t.id))"
)
#: Forgets up to `:limit` identities from before `:before`: who sends one of them again tells something new.
FORGET_IDENTITIES: Final = text(
    """
    DELETE FROM event_ids
    WHERE identity = ANY(ARRAY(SELECT identity FROM event_ids WHERE received_at < :before LIMIT :limit))
    """
)
#: Keeps what must outlive the events of a month, of the types `:kinds` and none of `:but`, patterns as LIKE reads them.
KEEP_RECORDS: Final = text(
    """
    INSERT INTO kept_events (brand, source, id, seq, type, player_id, occurred_at, received_at, history, data, key_id)
    SELECT brand, source, id, seq, type, player_id, occurred_at, received_at, history, data, key_id FROM events
    WHERE received_at < :before AND type LIKE ANY(:kinds) AND NOT type LIKE ANY(:but)
    ON CONFLICT DO NOTHING
    """
).bindparams(bindparam("kinds", type_=ARRAY(Text)), bindparam("but", type_=ARRAY(Text)))
#: Forgets up to `:limit` records of the types `:kinds` that are over at `:due`.
FORGET_RECORDS: Final = text(
    f"""
    DELETE FROM kept_events WHERE seq = ANY(ARRAY(
        SELECT r.seq {overdue("kept_events", "received_at")} AND r.type LIKE ANY(:kinds) LIMIT :limit))
    """  # noqa: S608 - our own words
).bindparams(bindparam("kinds", type_=ARRAY(Text)))
# What of an event is personal becomes null, of a map every value: just what `Event.redacted` makes of it. Of a type
# that this process does not know everything is personal.
_BARE: Final = """
    (SELECT coalesce(jsonb_object_agg(field, CASE
        WHEN NOT chosen.personal ? field THEN value
        WHEN jsonb_typeof(value) = 'object'
        THEN (SELECT coalesce(jsonb_object_agg(name, 'null'::jsonb), '{}') FROM jsonb_object_keys(value) AS t (name))
        ELSE 'null'::jsonb END), '{}') FROM jsonb_each(e.data) AS t (field, value))
"""


def _erase(table: str, *key: str) -> TextClause:
    """Erases the next `:limit` events of a player that were received until `:before`, behind a place among them.

    Types of `:kept`, patterns as LIKE reads them, stay without what is personal in them, which `:personal` says by
    type; the others are deleted. Answers with how many were looked at, deleted and overwritten, and the last place.
    """
    # By the player's own index, however many rows the table has.
    theirs = "e.brand = :brand AND e.player_id = :player AND e.occurred_at = chosen.occurred_at"
    on = " AND ".join([theirs, *(f"e.{name} = chosen.{name}" for name in key)])
    return text(
        f"""
        WITH chosen AS MATERIALIZED (
            SELECT {", ".join(key)}, occurred_at, type LIKE ANY(:kept) AS stays,
                   CAST(:personal AS jsonb) -> type AS personal, CAST(:personal AS jsonb) ? type AS is_known
            FROM {table}
            WHERE brand = :brand AND player_id = :player AND received_at <= :before
              AND occurred_at >= :at AND (occurred_at, seq) > (:at, :seq)
            ORDER BY occurred_at, seq LIMIT :limit
        ), deleted AS (
            DELETE FROM {table} e USING chosen WHERE {on} AND NOT chosen.stays RETURNING e.seq
        ), overwritten AS (
            UPDATE {table} e SET data = CASE WHEN chosen.is_known THEN {_BARE} ELSE '{{}}' END FROM chosen
            WHERE {on} AND chosen.stays AND e.data <> '{{}}'
              AND (NOT chosen.is_known OR e.data ?| ARRAY(SELECT jsonb_array_elements_text(chosen.personal)))
            RETURNING e.seq
        )
        SELECT count(*) AS looked_at, (SELECT count(*) FROM deleted) AS deleted,
               (SELECT count(*) FROM overwritten) AS overwritten, max(occurred_at) AS at,
               (SELECT seq FROM chosen ORDER BY occurred_at DESC, seq DESC LIMIT 1) AS seq
        FROM chosen
        """  # noqa: S608 - our own words
    ).bindparams(bindparam("kept", type_=ARRAY(Text)))


#: Where erasing begins.
FIRST_PLACE: Final = ("1970-01-01T00:00:00+00:00", 0)
ERASE: Final = _erase("events", "received_at", "seq")
ERASE_RECORDS: Final = _erase("kept_events", "seq")


def personal_fields() -> dict[str, list[str]]:
    """By type of event: the keys of its data that are personal."""
    return {kind.type: [kind.model_fields[name].alias or name for name in kind.pii] for kind in CATALOGUE.values()}
