"""Our rewards beside the bonus engine's own list of what it credited: where the two disagree, as a report.

It settles nothing: which of the two is right is for people to say. What is in doubt (`reserved`, `unknown`) is passed
by, because the engine is asked about each of those anyway.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from prometheus_client import Gauge
from pydantic import BaseModel
from sqlalchemy import select

from activities.database import Database
from activities.providers.bonus_engine import BonusEngine, Credited, ListedGrant
from activities.tables import grants

#: `only_theirs`: credited there, and none of ours. `only_ours`: we say it was given, they never heard of it.
#: `credited_there`: we say that it was refused or taken back. `voided_there`: we say that the player has it.
Disagreement = Literal["only_theirs", "only_ours", "credited_there", "voided_there"]
DISAGREEING: Final = Gauge("journeys_grants_disagreeing", "Grants on which the bonus engine and we disagree.", ["how"])
#: How far the clocks may be apart: of ours at the edge of the time nobody says that they are missing there.
EDGE: Final = timedelta(minutes=15)
MOST_SHOWN: Final = 1_000


class GrantDisagreement(BaseModel):
    """One reward on which the two disagree. `status` is ours, None where there is none."""

    how: Disagreement
    grant_id: str
    player_id: str
    status: str | None = None
    provider_ref: str | None = None


class GrantComparison(BaseModel):
    """What was compared in [since, until), and where it differs; of very many the first are shown."""

    since: datetime
    until: datetime
    theirs: int = 0
    ours: int = 0
    counts: dict[Disagreement, int] = {}
    shown: list[GrantDisagreement] = []
    #: Whether the engine has a list at all.
    listed: bool = True

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return self.listed and not self.counts


class _Ours(BaseModel):
    status: str
    player_id: str


async def compare_grants(database: Database, engine: BonusEngine, since: datetime, until: datetime) -> GrantComparison:
    """Compare what the engine credited in [since, until) with ours. Raises what `BonusEngine.listed` raises."""
    found = GrantComparison(since=since, until=until)
    counts, seen = Counter[Disagreement](), set[str]()
    async for page in _pages(engine, since, until):
        if page is None:
            return found.model_copy(update={"listed": False})
        known = await _known(database, [one.grant_id for one in page])
        seen.update(one.grant_id for one in page)
        found.theirs += len(page)
        for theirs in page:
            _note(found, counts, judge(theirs, known.get(theirs.grant_id)))
    for grant_id, ours in (await _given(database, since + EDGE, until - EDGE)).items():
        found.ours += 1
        if grant_id not in seen and not isinstance(await engine.look_up(grant_id), Credited):
            missing = GrantDisagreement(
                how="only_ours", grant_id=grant_id, player_id=ours.player_id, status=ours.status
            )
            _note(found, counts, missing)
    return found.model_copy(update={"counts": dict(counts)})


def judge(theirs: ListedGrant, ours: "_Ours | None") -> GrantDisagreement | None:
    """Where the two disagree about one reward of theirs, if they do."""
    credited = theirs.status == "credited"
    how: Disagreement | None = None
    if ours is None:
        how = "only_theirs" if credited else None
    elif ours.status in ("refused", "revoked") and credited:
        how = "credited_there"
    elif ours.status == "confirmed" and not credited:
        how = "voided_there"
    if how is None:
        return None
    return GrantDisagreement(
        how=how,
        grant_id=theirs.grant_id,
        player_id=theirs.player_id,
        status=None if ours is None else ours.status,
        provider_ref=theirs.provider_ref,
    )


def report(found: GrantComparison) -> None:
    """Show how many disagree, by how, where the numbers of this process are read."""
    for how in ("only_theirs", "only_ours", "credited_there", "voided_there"):
        DISAGREEING.labels(how).set(found.counts.get(how, 0))


def _note(found: GrantComparison, counts: Counter[Disagreement], one: GrantDisagreement | None) -> None:
    if one is not None:
        counts[one.how] += 1
        if len(found.shown) < MOST_SHOWN:
            found.shown.append(one)


async def _pages(engine: BonusEngine, since: datetime, until: datetime) -> AsyncIterator[Sequence[ListedGrant] | None]:
    """The engine's list, a page at a time; None where it has none."""
    after: str | None = None
    while True:
        page = await engine.listed(since, until, after)
        if page is None:
            yield None
            return
        yield page.items
        after = page.next
        if after is None:
            return


async def _known(database: Database, ids: Sequence[str]) -> Mapping[str, _Ours]:
    async with database.reading() as connection:
        rows = await connection.execute(
            select(grants.c.id, grants.c.status, grants.c.player_id).where(grants.c.id.in_(ids))
        )
        return {row.id: _Ours(status=row.status, player_id=row.player_id) for row in rows}


async def _given(database: Database, since: datetime, until: datetime) -> Mapping[str, _Ours]:
    """What we say was given then."""
    given = (grants.c.status == "confirmed", grants.c.resolved_at >= since, grants.c.resolved_at < until)
    async with database.reading() as connection:
        rows = await connection.execute(select(grants.c.id, grants.c.status, grants.c.player_id).where(*given))
        return {row.id: _Ours(status=row.status, player_id=row.player_id) for row in rows}
