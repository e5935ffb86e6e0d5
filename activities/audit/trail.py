"""The audit trail: who did what and who looked, written in the transaction of the change and chained.

Whoever changes something on somebody's behalf has an `Act` around it (`acting`), which `Database.transaction` writes
right before its commit, last of all: so it is there exactly if the change is, nobody can forget it, and the one row
that others wait for, the end of a chain, is locked for no longer than the commit takes. A brand has several chains, and
each transaction takes any one of them.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import JsonValue
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.contextvars import get_contextvars

from activities.actors import Actor

ActKind = Literal["change", "read"]
#: Chains a brand has. As many transactions of people can be between their entry and their commit at once.
LANES: Final = 8
_AUDITED: Final = "audited"

#: An entry as it is hashed, over the columns of a row.
ENTRY_TEXT: Final = """
    json_build_array(brand, lane, n, (extract(epoch FROM at) * 1000000)::bigint, kind, action, object, player_id,
                     actor, actor_kind, actor_id, key_id, request_id, detail)::text
"""


@dataclass
class Act:
    """What somebody is doing. `object` is what it is done to, `detail` names of fields and never what is in them."""

    actor: Actor
    action: str
    kind: ActKind = "change"
    object: str | None = None
    player_id: str | None = None
    detail: dict[str, JsonValue] = field(default_factory=dict)
    #: Whether its transaction is committed: one act is one entry, however many transactions it takes.
    written: bool = False
    task: "asyncio.Task[Any] | None" = None
    #: Names the act when it is about to be written; False where it is none that is written.
    described_by: Callable[[], bool] = lambda: True


_ACT: Final[ContextVar[Act | None]] = ContextVar("act", default=None)


@contextmanager
def acting(act: Act, *, writes: bool = True) -> Iterator[Act]:
    """Have the next transaction that this task commits write the act. Transactions of other tasks leave it alone.

    Unless it `writes`, no transaction does, and the act is only there to be said more of.
    """
    act.task = asyncio.current_task() if writes else None
    token = _ACT.set(act)
    try:
        yield act
    finally:
        _ACT.reset(token)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Have transactions here leave the act alone: what they write is no part of what somebody does."""
    token = _ACT.set(None)
    try:
        yield
    finally:
        _ACT.reset(token)


def current_act() -> Act | None:
    """What is being done around here, to say more of it; None where nobody acts."""
    return _ACT.get()


def about(*, player_id: str | None = None, object: str | None = None, **detail: JsonValue) -> None:  # noqa: A002 - the column's name
    """Say more of what is being done, if anybody does anything: whom it is about, and which fields."""
    act = _ACT.get()
    if act is not None:
        act.player_id = player_id or act.player_id
        act.object = object or act.object
        act.detail |= detail


def audit(connection: AsyncConnection, *acts: Act) -> None:
    """Have the transaction write these acts too."""
    connection.info.setdefault(_AUDITED, []).extend(acts)


class AuditTrail:
    """Writes the acts of the transactions of one pool, each to a chain of its brand."""

    def __init__(self, lane: Callable[[], int] = lambda: secrets.randbelow(LANES)) -> None:
        self._lane = lane

    def begin(self, connection: AsyncConnection) -> None:
        """Forget what an earlier transaction of this connection did not commit."""
        connection.info.pop(_AUDITED, None)

    async def flush(self, connection: AsyncConnection) -> Act | None:
        """Write what the transaction did; the act around it, to be marked as written after the commit."""
        acts: list[Act] = connection.info.pop(_AUDITED, [])
        around = _ACT.get()
        if around is not None and (
            around.written or around.task is not asyncio.current_task() or not around.described_by()
        ):
            around = None
        by_brand: dict[str, list[Act]] = {}
        for act in [*acts, *([around] if around is not None else [])]:
            by_brand.setdefault(act.actor.brand, []).append(act)
        # In one order, so that of two transactions over several brands neither waits for the other in a circle.
        lane = self._lane() if by_brand else 0
        for brand in sorted(by_brand):
            await _write(connection, brand, lane, by_brand[brand])
        return around


async def _write(connection: AsyncConnection, brand: str, lane: int, acts: list[Act]) -> None:
    place: dict[str, Any] = {"brand": brand, "lane": lane}
    head = (await connection.execute(_LOCK, place)).one()
    number, last = head.n, bytes(head.hash)
    request_id = get_contextvars().get("request_id")
    for act in acts:
        number += 1
        row = place | {
            "n": number,
            "kind": act.kind,
            "action": act.action,
            "object": act.object,
            "player_id": act.player_id,
            "actor": act.actor.name,
            "actor_kind": act.actor.kind,
            "actor_id": act.actor.id,
            "key_id": act.actor.key_id,
            "request_id": request_id,
            "detail": act.detail,
            "prev": last,
        }
        last = bytes((await connection.execute(_APPEND, row)).scalar_one())
    await connection.execute(_MOVE_HEAD, place | {"n": number, "hash": last})


_LOCK: Final = text(
    """
    INSERT INTO audit_heads AS h (brand, lane, n, hash) VALUES (:brand, :lane, 0, '')
    ON CONFLICT (brand, lane) DO UPDATE SET n = h.n
    RETURNING n, hash
    """
)
_APPEND: Final = text(
    f"""
    INSERT INTO audit_entries (brand, lane, n, at, kind, action, object, player_id, actor, actor_kind, actor_id,
                               key_id, request_id, detail, prev, hash)
    SELECT *, sha256(prev || convert_to({ENTRY_TEXT}, 'UTF8'))
    FROM (SELECT CAST(:brand AS text) AS brand, CAST(:lane AS smallint) AS lane, CAST(:n AS bigint) AS n,
                 clock_timestamp() AS at, CAST(:kind AS text) AS kind, CAST(:action AS text) AS action,
                 CAST(:object AS text) AS object, CAST(:player_id AS text) AS player_id, CAST(:actor AS text) AS actor,
                 CAST(:actor_kind AS text) AS actor_kind, CAST(:actor_id AS text) AS actor_id,
                 CAST(:key_id AS text) AS key_id, CAST(:request_id AS text) AS request_id,
                 CAST(:detail AS jsonb) AS detail,
                 CAST(:prev AS bytea) AS prev) AS entry
    RETURNING hash
    """  # noqa: S608 - no input in it
).bindparams(bindparam("detail", type_=JSONB))
_MOVE_HEAD: Final = text(
    "UPDATE audit_heads SET n = :n, hash = CAST(:hash AS bytea) WHERE brand = :brand AND lane = :lane"
)
