"""The table `stray_refusals`: a No from an address, for whoever has that address later.

Only this module writes it. Who texts STOP, or has a mail program unsubscribe them, speaks for an address and not for a
player. A player who has it today is told apart; of the others, in each brand, a keyed digest of the address is kept,
and the No is theirs when their profile gets that address.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, Text

from activities.identity_digests import IdentityDigests
from activities.tables import players as player_rows
from workflows.channels import CHANNELS, Channel
from workflows.events import ConsentChanged, Event
from workflows.json_object import JsonObject

SOURCE: Final = "engine:stray"
#: How long a No waits for its player: longer than a number rests before somebody else gets it.
KEPT_FOR: Final = timedelta(days=1_100)
_ADDRESSES: Final = ("email", "phone")
#: Who registers waits for a No about an address of the same lot, and no registration takes more locks than these.
_LOTS: Final = 64


@dataclass(frozen=True, slots=True)
class StrayRefusal:
    """No more on a channel, said by whoever has an address."""

    channel: Channel
    address: str = field(repr=False)


async def hold(connection: AsyncConnection, digests: IdentityDigests, refusal: StrayRefusal, now: datetime) -> None:
    """Hold a No for who gets the address from now on, in every brand; without a secret nothing can be held.

    To be called before it is asked who has the address: who is not found then finds the No.
    """
    kind = CHANNELS[refusal.channel].address_field
    if kind is None or not digests.is_ready:
        return
    await connection.execute(_BE_PATIENT)
    for digest in digests.of({kind: refusal.address}).values():
        await connection.execute(_LOCK, {"lot": _lot(digest)})
        await connection.execute(_HOLD, {"digest": digest, "channel": refusal.channel, "at": now})


async def due(
    connection: AsyncConnection,
    digests: IdentityDigests,
    brand: str,
    profiles: Mapping[str, JsonObject],
    now: datetime,
) -> list[tuple[str, Event]]:
    """The refusals that become those of players who get an address by `profiles`, what changes of them, by id.

    Costs nothing unless an address is among it. Who had the address before has said since what they wanted.
    """
    sought: dict[str, list[str]] = {}
    for player_id, profile in profiles.items():
        for digest in digests.sought({name: profile.get(name) for name in _ADDRESSES}):
            sought.setdefault(digest, []).append(player_id)
    if not sought:
        return []
    await connection.execute(_LOCK_SHARED, {"lots": sorted({_lot(digest) for digest in sought})})
    found = (await connection.execute(_FIND, {"brand": brand, "digests": [*sought]})).all()
    if not found:
        return []
    had = await _had(connection, digests, brand, {one for row in found for one in sought[row.digest]})
    return [
        (player_id, _refused(player_id, row.channel, row.digest, now))
        for row in found
        for player_id in sorted(sought[row.digest])
        if row.digest not in had.get(player_id, ())
    ]


async def forget(
    connection: AsyncConnection, digests: IdentityDigests, brand: str, profile: Mapping[str, object]
) -> None:
    """Forget what is held for the addresses of a player who is erased."""
    if held := [*digests.sought({name: profile.get(name) for name in _ADDRESSES})]:
        await connection.execute(_ERASE, {"brand": brand, "digests": held})


async def _had(
    connection: AsyncConnection, digests: IdentityDigests, brand: str, ids: set[str]
) -> dict[str, frozenset[str]]:
    """By player: the digests of the addresses in their row, which nothing has changed yet."""
    mine = (player_rows.c.brand == brand, player_rows.c.id.in_(ids))
    kept = await connection.execute(select(player_rows.c.id, player_rows.c.profile).where(*mine))
    return {
        row.id: frozenset(digests.sought({name: (row.profile or {}).get(name) for name in _ADDRESSES})) for row in kept
    }


def _refused(player_id: str, channel: str, digest: str, now: datetime) -> ConsentChanged:
    said = f"{player_id}\n{channel}\n{digest}\n{now.isoformat()}"
    return ConsentChanged.model_validate(
        {
            "event_id": f"refused-before/{hashlib.blake2b(said.encode(), digest_size=12).hexdigest()}",
            "event_source": SOURCE,
            "occurred_at": now,
            "channel": channel,
            "opted_in": False,
            "source": "refused_before",
        }
    )


def _lot(digest: str) -> int:
    return int(digest[:8], 16) % _LOTS


# A large batch of registrations may hold a lot for a while, and who sent the No does not send it again.
_BE_PATIENT: Final = text("SET LOCAL lock_timeout = '5s'")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtext('stray_refusals'), CAST(:lot AS integer))")
_LOCK_SHARED: Final = text(
    "SELECT pg_advisory_xact_lock_shared(hashtext('stray_refusals'), lot) FROM unnest(CAST(:lots AS integer[])) t (lot)"
).bindparams(bindparam("lots", type_=ARRAY(Integer)))
# Every brand that somebody has a key of writes to the address.
_HOLD: Final = text(
    """
    INSERT INTO stray_refusals (brand, digest, channel, said_at)
    SELECT DISTINCT brand, :digest, :channel, CAST(:at AS timestamptz) FROM api_keys ORDER BY brand
    ON CONFLICT (brand, digest, channel) DO UPDATE SET said_at = greatest(stray_refusals.said_at, excluded.said_at)
    """
)
_FIND: Final = text(
    "SELECT digest, channel FROM stray_refusals WHERE brand = :brand AND digest = ANY(:digests) ORDER BY 1, 2"
).bindparams(bindparam("digests", type_=ARRAY(Text)))
_ERASE: Final = text("DELETE FROM stray_refusals WHERE brand = :brand AND digest = ANY(:digests)").bindparams(
    bindparam("digests", type_=ARRAY(Text))
)
FORGET: Final = text(
    "DELETE FROM stray_refusals WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM stray_refusals WHERE said_at < :before LIMIT :limit))"
)
