"""The table `deliveries`: what Temporal must still hear of each run, in which order and how soon.

Only this module writes it. A row's `seq` numbers the deliveries of its run; a row leaves when Temporal has taken it
or has refused it for good.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from math import ceil
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, Text

from activities.database import insert_rows
from activities.notifications import notify_after_commit
from activities.rolling_release import RELEASE
from activities.tables import deliveries
from workflows.events import Event
from workflows.json_object import JsonObject
from workflows.player_state.identities import delivery_id_of
from workflows.player_state.state import PROTECTION as PROTECTIVE_REASONS
from workflows.run_protocol import RunInput
from workflows.shadows import is_shadow_run

#: What Postgres notifies the dispatcher on.
CHANNEL: Final = "deliveries"
#: What Temporal hears first; shadow runs, and many who are enrolled at once, wait behind everybody else.
PROTECTION, NORMAL, BULK = 0, 5, 7
#: The `type` of the cause of a run that an enrolment began.
ENROLMENT: Final = "enrolment"
#: Runs claimed at a time, and what one signal may carry at most.
CLAIM: Final = 64
#: Runs that are claimed besides, however many stops wait.
LEAST_OTHERS: Final = 8
MOST_AT_ONCE, MOST_BYTES = 500, 1_000_000
# The longest pause between two attempts, in seconds; what protects a player never waits long.
LONGEST_PAUSE, LONGEST_URGENT_PAUSE = 60, 1


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One thing a run is to hear. Made by the class methods, which know how soon it is to be heard."""

    run_id: str
    seq: int
    kind: str
    payload: JsonObject
    priority: int
    #: By which the run knows it again; None: it is told apart from every other.
    id: str | None = None

    @classmethod
    def start(cls, run: RunInput, cause: Mapping[str, str] | None) -> "DeliveryRow":
        """That the run begins; `cause` is what let the player in."""
        payload = run.model_dump(mode="json", exclude_defaults=True)
        priority = BULK if run.beside is not None else priority_of("start", payload, cause)
        return cls(run.run_id, 0, "start", payload, priority)

    @classmethod
    def event(cls, run_id: str, seq: int, event: Event) -> "DeliveryRow":
        """That something happened to the player; personal data in the event stays behind.

        However often the event is sent, also after Postgres was set back, the run hears it once.
        """
        payload = {"event": event.redacted().to_wire()}
        priority = BULK if is_shadow_run(run_id) else NORMAL
        return cls(run_id, seq, "event", payload, priority, delivery_id_of(run_id, event))

    @classmethod
    def answer(cls, run_id: str, seq: int, step: str, answer: Mapping[str, Any]) -> "DeliveryRow":
        """What a person answered to the task that `step` opened."""
        return cls(run_id, seq, "answer", {"step": step, "answer": answer}, NORMAL)

    @classmethod
    def resume(cls, run_id: str, seq: int) -> "DeliveryRow":
        """That a hold is over."""
        return cls(run_id, seq, "resume", {}, BULK)

    @classmethod
    def migrate(cls, run_id: str, seq: int, version: int, do: Sequence[str]) -> "DeliveryRow":
        """That the run is to move to another release."""
        return cls(run_id, seq, "migrate", {"version": version, "do": [*do]}, BULK)

    @classmethod
    def stop(cls, run_id: str, seq: int, reason: str) -> "DeliveryRow":
        """That the run is to end."""
        payload = {"reason": reason}
        priority = priority_of("stop", payload, None)
        return cls(run_id, seq, "stop", payload, BULK if priority == NORMAL and is_shadow_run(run_id) else priority)


def priority_of(kind: str, payload: Mapping[str, Any], cause: Mapping[str, str] | None) -> int:
    """How soon Temporal hears of a delivery. `cause` is what began its run; only a start is judged by it."""
    if kind == "stop" and payload.get("reason") in PROTECTIVE_REASONS:
        return PROTECTION
    if kind == "start" and cause is not None and cause.get("type") == ENROLMENT:
        return BULK
    return NORMAL


class DueDelivery(NamedTuple):
    """A delivery that was claimed; `age` is how many seconds ago it was written.

    `seq` is its number within its run and `id` whose number that is; None for what an older release wrote.
    """

    run_id: str
    seq: int
    id: str | None
    kind: str
    payload: JsonObject
    priority: int
    age: float


class Claimed(NamedTuple):
    """Runs that were claimed, each with its deliveries in their order.

    `all_due` says that besides these nothing was due that could be claimed. What came since is announced; what a limit
    left behind is not, and has to be claimed again.
    """

    by_run: dict[str, list[DueDelivery]]
    all_due: bool


async def claim(connection: AsyncConnection, journeys: Collection[str], most: int = CLAIM + LEAST_OTHERS) -> Claimed:
    """Lock runs that have deliveries due and that nobody else delivers to.

    At most `most` runs are given. Those that a stop protects come first, and fill nearly all of it while there are
    many. Of the rest brands take turns: each has its share, whatever the others have waiting. A start of none of these
    `journeys` is left to whoever knows it; once it is so old that perhaps nobody does, anybody takes it.
    """
    urgent: dict[str, list[DueDelivery]] = {}
    others: dict[str, list[DueDelivery]] = {}
    stored: dict[str, int] = {}
    rows = (await connection.execute(_CLAIM, {"journeys": [*journeys], "release": RELEASE.total_seconds()})).all()
    for row in rows:
        (urgent if row.urgent else others).setdefault(row.run_id, []).append(DueDelivery(*row[:7]))
        stored[row.run_id] = row.stored
    kept = min(len(others), max(most - len(urgent), ceil(most * LEAST_OTHERS / CLAIM) if most > 1 else 0))
    by_run = dict([*islice(urgent.items(), most - kept), *islice(others.items(), kept)])
    # No limit has held back a run where fewer were found than the tightest of them lets through. What was found is
    # counted before it is put together: a stop that protects is found twice, and takes the place of another run.
    all_runs = not rows or (len(by_run) == len(stored) and rows[0].found < min(CLAIM, rows[0].share))
    return Claimed(by_run, all_runs and all(len(due) == stored[run_id] for run_id, due in by_run.items()))


async def remove(connection: AsyncConnection, done: Sequence[DueDelivery]) -> None:
    """Let go of deliveries that Temporal has taken, or that stand among the dead letters."""
    if done:
        await connection.execute(_DELETE, {"runs": [row.run_id for row in done], "seqs": [row.seq for row in done]})


async def postpone(connection: AsyncConnection, newest: Mapping[str, int], errors: Mapping[str, str]) -> None:
    """Have runs' deliveries tried again later: of each run those up to `newest`, and why it failed."""
    if errors:
        tried = {"runs": [*errors], "newest": [newest[run_id] for run_id in errors], "errors": [*errors.values()]}
        await connection.execute(_POSTPONE, tried)


def wake_dispatchers(connection: AsyncConnection) -> None:
    """Have the dispatchers look for deliveries once this transaction is committed."""
    notify_after_commit(connection, CHANNEL)


async def is_start_waiting(connection: AsyncConnection, run_id: str) -> bool:
    """Whether Temporal has yet to hear that a run begins."""
    waiting = select(deliveries.c.seq).where(deliveries.c.run_id == run_id, deliveries.c.kind == "start")
    return (await connection.execute(waiting)).first() is not None


async def begin_again(connection: AsyncConnection, brand: str, run_input: JsonObject, now: datetime) -> None:
    """Have Temporal told once more that a run begins, behind everybody who enters now."""
    row = DeliveryRow(str(run_input["run_id"]), 0, "start", run_input, BULK)
    await deliver_again(connection, brand, [row], now)


async def deliver_again(connection: AsyncConnection, brand: str, rows: Sequence[DeliveryRow], now: datetime) -> None:
    """Write deliveries that were given up before, due at once; the dispatchers are woken when they are committed."""
    values = [
        {
            "run_id": row.run_id,
            "seq": row.seq,
            "brand": brand,
            "kind": row.kind,
            "payload": row.payload,
            "priority": row.priority,
            "due_at": now,
            "created_at": now,
        }
        for row in rows
    ]
    if values:
        await insert_rows(connection, insert(deliveries).on_conflict_do_nothing(), values)
    wake_dispatchers(connection)


#: `DeliveryRow`s as the JSON document `:rows`; as text, because intake writes players in the same round trip. Whoever
#: runs it also calls `wake_dispatchers`.
WRITE: Final = """
    INSERT INTO deliveries (run_id, seq, brand, kind, payload, priority, id)
    SELECT run_id, seq, :brand, kind, payload, priority, coalesce(id, gen_random_uuid())
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (run_id text, seq integer, kind text, payload jsonb, priority smallint, id uuid)
    """
INSERT: Final = text(WRITE)
# First whose runs, then what of it: of each run the oldest, no more than one signal can carry, because Temporal refuses
# two megabytes for good. A stop that protects takes everything before it along, however long that was to wait, and
# many of them leave the others a place now and then. Limits are spelled out and lists materialized, because what is
# known of a queue's size is soon wrong: planned by that, a pass has read the whole backlog.
_CLAIM = text(
    f"""
    WITH RECURSIVE brands AS (
        (SELECT brand FROM deliveries ORDER BY brand LIMIT 1)
        UNION ALL
        SELECT (SELECT d.brand FROM deliveries d WHERE d.brand > b.brand ORDER BY d.brand LIMIT 1)
        FROM brands b WHERE b.brand IS NOT NULL
    ), shares AS MATERIALIZED (
        SELECT brand, greatest(1, {CLAIM} / count(*) OVER ()) AS share FROM brands WHERE brand IS NOT NULL
    ), first AS MATERIALIZED (
        SELECT d.run_id FROM (
            SELECT u.run_id FROM deliveries u WHERE u.priority = 0 AND u.due_at <= now() ORDER BY u.due_at, u.run_id
        ) urgent
        JOIN LATERAL (SELECT min(e.seq) AS seq FROM deliveries e WHERE e.run_id = urgent.run_id) oldest ON true
        JOIN deliveries d ON d.run_id = urgent.run_id AND d.seq = oldest.seq
        LIMIT {CLAIM}
        FOR UPDATE OF d SKIP LOCKED
    ), others AS MATERIALIZED (
        SELECT shares.brand, theirs.run_id FROM shares CROSS JOIN LATERAL (
            SELECT d.run_id FROM deliveries d
            WHERE d.brand = shares.brand AND d.due_at <= now()
              AND NOT EXISTS (SELECT FROM deliveries e WHERE e.run_id = d.run_id AND e.seq < d.seq)
              AND (d.kind <> 'start' OR d.payload->>'journey' = ANY(:journeys)
                   OR d.created_at < now() - interval '1 second' * :release)
            ORDER BY d.priority, d.due_at
            LIMIT shares.share
            FOR UPDATE OF d SKIP LOCKED
        ) theirs
    ), claimed AS MATERIALIZED (
        SELECT run_id, min(turn) AS turn FROM (
            SELECT run_id, 0 AS turn FROM first
            UNION ALL
            SELECT run_id, row_number() OVER (ORDER BY turn, lot) FROM (
                SELECT run_id, turn, random() AS lot
                FROM (SELECT run_id, row_number() OVER (PARTITION BY brand) AS turn FROM others) of_brand
                ORDER BY turn, lot
                LIMIT greatest({CLAIM} - (SELECT count(*) FROM first), {LEAST_OTHERS})
            ) in_turn
        ) either
        GROUP BY run_id
    )
    SELECT run_id, seq, id, kind, payload, priority, extract(epoch FROM now() - created_at)::float8 AS age,
           turn = 0 AS urgent, stored, (SELECT min(share) FROM shares) AS share,
           (SELECT count(*) FROM first) + (SELECT count(*) FROM others) AS found
    FROM claimed CROSS JOIN LATERAL (
        SELECT d.seq, d.id::text AS id, d.kind, d.payload, d.priority, d.created_at, row_number() OVER w AS place,
               sum(octet_length(d.payload::text)) OVER w AS bytes, count(*) OVER () AS stored
        FROM deliveries d WHERE d.run_id = claimed.run_id WINDOW w AS (ORDER BY d.seq)
    ) theirs
    WHERE place = 1 OR (place <= {MOST_AT_ONCE} AND bytes <= {MOST_BYTES})
    ORDER BY turn, run_id, seq
    """  # noqa: S608 - our own numbers
).bindparams(bindparam("journeys", type_=ARRAY(Text)))
_DELETE = text(
    """
    DELETE FROM deliveries d USING unnest(:runs, :seqs) AS t (run_id, seq)
    WHERE d.run_id = t.run_id AND d.seq = t.seq
    """
).bindparams(bindparam("runs", type_=ARRAY(Text)), bindparam("seqs", type_=ARRAY(Integer)))
# Only what was tried: a stop that came meanwhile is due at once. The pause begins when the attempt has ended,
# which now(), the transaction's beginning, would not know.
_POSTPONE = text(
    """
    UPDATE deliveries d
    SET attempts = attempts + 1, last_error = t.error,
        due_at = clock_timestamp() + interval '1 second' * least(
            CASE d.priority WHEN 0 THEN :urgent_pause ELSE :pause END, 0.25 * power(2, least(attempts, 10)))
    FROM unnest(:runs, :newest, :errors) AS t (run_id, newest, error)
    WHERE d.run_id = t.run_id AND d.seq <= t.newest
    """
).bindparams(
    bindparam("runs", type_=ARRAY(Text)),
    bindparam("newest", type_=ARRAY(Integer)),
    bindparam("errors", type_=ARRAY(Text)),
    pause=LONGEST_PAUSE,
    urgent_pause=LONGEST_URGENT_PAUSE,
)
