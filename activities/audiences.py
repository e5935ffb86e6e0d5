"""Who belongs into an audience of an ad network at this moment: read from the players' rows.

A seed holds members of a segment who agreed to ads and whom nothing protects. A suppression list holds members of a
segment who have not refused, and besides everybody to whom nothing may be sold. It does not say who is there for which
reason: no line of it does, and there is none for the protected alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_facts, seeds
from activities.tables import memberships, players, seed_players
from content.ad_identifiers import Network, identifiers
from workflows.field_types import Product
from workflows.gate.decide import is_left_alone, may_target
from workflows.gate.facts import ACTIVE, MERGED, GateFacts
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.gate.send_choice import is_profiled
from workflows.player_state.consents import said

AudienceKind = Literal["seed", "suppression"]
#: Players that are looked at in one piece; each row is read whole.
AT_ONCE: Final = 200


@dataclass(frozen=True)
class Audience:
    """A segment of a brand, or as a seed its best players, as a network wants it."""

    brand: str
    kind: AudienceKind
    segment: str
    network: Network
    product: Product | None = None

    @property
    def is_ranked(self) -> bool:
        """Whether it is no segment but players ranked by worth, of last night."""
        return self.kind == "seed" and self.segment == seeds.TOP_DECILE


#: A person's two hashes, as the columns of the network's files have them.
Line = tuple[str, str]


@dataclass(frozen=True)
class AudiencePage:
    """A part of an audience: lines by player, and the player to go on after; None: it was the last."""

    inside: Mapping[str, Line]
    after: str | None


@dataclass(frozen=True)
class AudiencePiece:
    """A part of an audience: lines of two hashes each, and the player to go on after; None: it was the last."""

    lines: Sequence[Line]
    after: str | None


async def piece_of(
    connection: AsyncConnection, policies: PolicyBook, asked: Audience, after: str | None, now: datetime
) -> AudiencePiece:
    """The next part as a file has it, without ids of ours."""
    page = await page_of(connection, policies, asked, after, now)
    return AudiencePiece([*page.inside.values()], page.after)


async def page_of(
    connection: AsyncConnection, policies: PolicyBook, asked: Audience, after: str | None, now: datetime
) -> AudiencePage:
    """The next part, by players' ids. Each player is judged as they are now: a moment ago says nothing."""
    ids = [*(await connection.execute(_candidates(asked, after, now).limit(AT_ONCE))).scalars()]
    inside = await inside_of(connection, policies, asked, ids, now)
    return AudiencePage(inside, ids[-1] if len(ids) == AT_ONCE else None)


async def inside_of(
    connection: AsyncConnection, policies: PolicyBook, asked: Audience, ids: Sequence[str], now: datetime
) -> dict[str, Line]:
    """Those of some players who are in an audience at this moment, and can be found by the network, in their order."""
    facts = await gate_facts.read_page_to_show(connection, asked.brand, ids, now)
    some = (players.c.brand == asked.brand, players.c.id.in_(ids))
    read = await connection.execute(select(players.c.id, players.c.profile).where(*some))
    profiles = {row.id: row.profile for row in read}
    members = await _members(connection, asked, ids, now)
    inside = [one for one in ids if _belongs(asked, facts.get(one), policies, now, member=one in members)]
    lines = {one: identifiers(profiles.get(one, {}), asked.network) for one in inside}
    return {one: line for one, line in lines.items() if any(line)}


def may_be_seed(facts: GateFacts | None, product: Product | None, policy: Policy, now: datetime) -> bool:
    """Whether a player may be in a seed that was ranked by worth: as in any, and they may be profiled too."""
    return may_target(facts, product, policy, now) and is_profiled(facts, policy, now)


def _belongs(asked: Audience, facts: GateFacts | None, policies: PolicyBook, now: datetime, *, member: bool) -> bool:
    policy = policies.of(asked.brand, facts, now)
    if asked.is_ranked:
        return member and may_be_seed(facts, asked.product, policy, now)
    if asked.kind == "seed":
        return member and may_target(facts, asked.product, policy, now)
    if facts is None or facts.is_test:
        return False
    if facts.status == MERGED:
        # It is the person's who has the account that stayed: what protects them protects it too.
        facts = replace(facts, status=ACTIVE)
    return is_left_alone(facts, policy, now) or (member and said(facts.consents or {}, "ads") is not False)


def _candidates(asked: Audience, after: str | None, now: datetime) -> Select[Any]:
    """Of a seed the members; of a suppression list everybody, for anybody may be protected."""
    if asked.is_ranked:
        best, player = seeds.members(asked.brand, asked.segment, now), seed_players.c.player_id
        return (best if after is None else best.where(player > after)).order_by(player)
    if asked.kind == "seed":
        at = memberships.c
        chosen = select(at.player_id).where(at.brand == asked.brand, at.segment == asked.segment, at.left_at.is_(None))
        return (chosen if after is None else chosen.where(at.player_id > after)).order_by(at.player_id)
    everybody = select(players.c.id).where(players.c.brand == asked.brand)
    return (everybody if after is None else everybody.where(players.c.id > after)).order_by(players.c.id)


async def _members(connection: AsyncConnection, asked: Audience, ids: Sequence[str], now: datetime) -> frozenset[str]:
    if asked.is_ranked:
        best = seeds.members(asked.brand, asked.segment, now).where(seed_players.c.player_id.in_(ids))
        return frozenset((await connection.execute(best)).scalars())
    at = memberships.c
    mine = (at.brand == asked.brand, at.segment == asked.segment, at.left_at.is_(None), at.player_id.in_(ids))
    return frozenset((await connection.execute(select(at.player_id).where(*mine))).scalars())
