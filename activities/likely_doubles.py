"""Finds accounts of a brand that are likely one person: the same mail address, phone, or name and date of birth.

What is compared are digests under a key that is made for one look and forgotten with it; nothing of it is kept.
Profiles are read twice: first to see which digests occur more than once, then to see whose they are.
"""

import asyncio
import secrets
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from activities.identity_digests import IdentityDigests
from workflows.player_state.identity_keys import IdentityKind

#: How sure each makes it, in basis points as `player.merged` has them; of several the surest counts.
SCORES: Final[Mapping[IdentityKind, int]] = {"email": 9_500, "phone": 9_000, "person": 6_000}
#: More accounts than this with one address are a shop's or a test's, and no person's.
MOST_OF_A_PERSON: Final = 10
FETCH: Final = 2_000
#: Parts in which digests are sorted, so that nothing else in the process waits long for it.
PARTS: Final = 256


@dataclass(frozen=True)
class LikelyDouble:
    """Two accounts that are likely one person's, and by what."""

    one: str
    other: str
    by: tuple[IdentityKind, ...]

    @property
    def score(self) -> int:
        """How sure it is, in basis points."""
        return max(SCORES[kind] for kind in self.by)


async def find_doubles(database: Database, brand: str) -> list[LikelyDouble]:
    """The likely doubles of a brand, the surest first. Accounts that were joined already are none.

    Takes 8 bytes a digest, of which a player has up to three: 24 MB for a million players.
    """
    digests = IdentityDigests((secrets.token_hex(32),))
    seen = [array("Q") for _ in range(PARTS)]
    async with database.reading() as connection:
        async for _, _, mine in _digests(connection, digests, brand):
            for digest in mine.values():
                seen[digest % PARTS].append(digest)
    several = set[int]()
    for part in seen:
        several.update(_repeated(part))
        await asyncio.sleep(0)
    whose: dict[tuple[IdentityKind, int], list[str]] = defaultdict(list)
    joined: dict[str, frozenset[str]] = {}
    async with database.reading() as connection:
        async for player_id, accounts, mine in _digests(connection, digests, brand):
            for kind, digest in mine.items():
                if digest in several:
                    whose[kind, digest].append(player_id)
                    joined[player_id] = accounts
    by: dict[tuple[str, str], set[IdentityKind]] = defaultdict(set)
    for (kind, _), ids in whose.items():
        for place, one in enumerate(ids if len(ids) <= MOST_OF_A_PERSON else ()):
            for other in ids[place + 1 :]:
                if other not in joined[one]:
                    by[one, other].add(kind)
    found = [LikelyDouble(one, other, tuple(sorted(kinds))) for (one, other), kinds in by.items()]
    return sorted(found, key=lambda double: (-double.score, -len(double.by), double.one, double.other))


def _repeated(seen: "array[int]") -> frozenset[int]:
    ordered = array("Q", sorted(seen))
    return frozenset(one for one, after in pairwise(ordered) if one == after)


async def _digests(
    connection: AsyncConnection, digests: IdentityDigests, brand: str
) -> AsyncIterator[tuple[str, frozenset[str], dict[IdentityKind, int]]]:
    """By player, in the order of ids: their other accounts, and the digests of what identifies them."""
    async with connection.stream(_PROFILES, {"brand": brand}, execution_options={"yield_per": FETCH}) as stream:
        async for row in stream:
            mine = {kind: int(digest[:16], 16) for kind, digest in digests.of(row.profile).items()}
            if mine:
                yield row.id, frozenset(row.accounts or ()), mine


_PROFILES: Final = text(
    """
    SELECT id, profile, state -> 'accounts' AS accounts FROM players
    WHERE brand = :brand AND profile <> '{}' AND state ->> 'merged_into' IS NULL ORDER BY id
    """
)
