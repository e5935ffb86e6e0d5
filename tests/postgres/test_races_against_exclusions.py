"""Sends and grants that race exclusions on Postgres: what was handed over by the acknowledgement is all there is.

The pure races are a million (`tests/unit/test_exclusions_in_any_order.py`); these go through the functions that
production calls, with as many connections as a worker has. `make prove` plays them all, `make test` a few.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import pytest
import sqlalchemy as sa

from activities.tables import grants, messages
from tests.support.engine import BRAND, Effects, begin_run, effects
from tests.support.servers import LocalBonusEngine
from workflows import ExclusionSet, HarmSignal, PlayerRegistered, StatusChanged, free_spins
from workflows.effects import Give, Send
from workflows.events import Event, parse_event
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook

#: Players of a round, each of whom is excluded once while sends and grants to them are under way.
AT_ONCE: Final = 40
#: Of each, to each player of a round.
SENDS, GRANTS = 4, 2
#: In `make prove`: of 40 players each, so 4,000 sends and 2,000 grants against 1,000 exclusions.
ROUNDS: Final = 25
#: The words that shut a player out, as they may come.
WORDS: Final[Sequence[tuple[type[Event], dict[str, Any]]]] = (
    (ExclusionSet, {"kind": "self_exclusion", "scope": "brand"}),
    (ExclusionSet, {"kind": "time_out", "scope": "brand"}),
    (ExclusionSet, {"kind": "register", "scope": "national"}),
    (StatusChanged, {"to": "self_excluded"}),
    (StatusChanged, {"to": "closed"}),
    (HarmSignal, {"indicator": "chasing", "strength": "strong"}),
)
_HANDED_OVER: Final = (
    sa.select(messages.c.player_id).where(messages.c.handed_over_at.is_not(None)),
    sa.select(grants.c.player_id).where(grants.c.asked_at.is_not(None)),
)


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, bonus_engine_url=bonus_engine_server.url, worker_pool_size=16) as built:
        # Without caps, so that nothing but the exclusion stands against any of them.
        free = Policy(per_day=1_000, per_week=1_000, channel_per_week={"in_app": 1_000})
        built.messages.policies = built.grants.policies = PolicyBook(house=free)
        yield built


@dataclass
class Race:
    """One draw of chance against all these players; what was handed over when each exclusion was acknowledged."""

    parts: Effects
    chance: Random
    number: int
    size: int = AT_ONCE
    acknowledged: dict[str, int] = field(default_factory=dict)

    @property
    def players(self) -> list[str]:
        return [f"race-{self.number}-{one}" for one in range(self.size)]

    async def handed_over(self, *player_ids: str) -> Counter[str]:
        async with self.parts.database.reading() as connection:
            found: Counter[str] = Counter()
            for query in _HANDED_OVER:
                of_these = query.where(sa.column("brand") == BRAND, sa.column("player_id").in_(player_ids))
                found.update((await connection.execute(of_these)).scalars())
        return found

    async def begins(self) -> dict[str, str]:
        casino = self.parts.casino
        registered = {"language": "en", "timezone": "Europe/Kyiv", "opted_in": ("email", "in_app"), "currency": "EUR"}
        told = [(one, self.said(PlayerRegistered, one, registered)) for one in self.players]
        assert set(await casino.intake.ingest(BRAND, told, casino.clock.now)) == {"accepted"}
        runs = {one: f"tested:{BRAND}:{one}:1" for one in self.players}
        for run in runs.values():
            await begin_run(self.parts.database, run)
        return runs

    def said(self, kind: type[Event], player: str, data: dict[str, Any]) -> Event:
        at, identity = self.parts.casino.clock.now, f"{kind.type}-{player}"
        return parse_event(kind.wire_type, data, event_id=identity, event_source="/races", occurred_at=at)

    async def excludes(self, player: str) -> None:
        await asyncio.sleep(self.chance.random() / 2)
        kind, data = self.chance.choice(WORDS)
        casino = self.parts.casino
        told = await casino.intake.ingest(BRAND, [(player, self.said(kind, player, data))], casino.clock.now)
        assert told == ["accepted"]
        self.acknowledged[player] = (await self.handed_over(player))[player]

    async def sends(self, run: str, number: int) -> None:
        await asyncio.sleep(self.chance.random() / 2)
        news = self.parts.given(Send, run, f"send:tip#{number}", template="favourite-tip", via=["in_app"])
        await self.parts.messages.send(news)

    async def grants(self, run: str, number: int) -> None:
        await asyncio.sleep(self.chance.random() / 2)
        spins = self.parts.given(Give, run, f"grant:free_spins#{number}", reward=free_spins(5))
        await self.parts.grants.give(spins)

    async def run(self) -> tuple[int, int]:
        """How many of the sends and grants were handed over, and how many were not; none after its exclusion."""
        runs = await self.begins()
        racing = [self.sends(run, number) for run in runs.values() for number in range(SENDS)]
        racing += [self.grants(run, number) for run in runs.values() for number in range(GRANTS)]
        racing += [self.excludes(player) for player in runs]
        self.chance.shuffle(racing)
        await asyncio.gather(*racing)
        at_the_end = await self.handed_over(*runs)
        after = {one: at_the_end[one] - self.acknowledged[one] for one in runs}
        assert not any(after.values()), {one: late for one, late in after.items() if late}
        return at_the_end.total(), self.size * (SENDS + GRANTS) - at_the_end.total()


async def test_of_sends_and_grants_under_way_none_is_handed_over_after_the_acknowledgement(parts: Effects) -> None:
    passed, refused = await Race(parts, Random(13), 0, size=12).run()
    assert passed
    assert refused


@pytest.mark.slow  # minutes of real transactions
@pytest.mark.timeout(900)
async def test_of_thousands_none_is(parts: Effects) -> None:
    chance, passed, refused = Random(13), 0, 0
    for number in range(1, 1 + ROUNDS):
        handed_over, held = await Race(parts, chance, number).run()
        passed, refused = passed + handed_over, refused + held
    assert passed + refused == ROUNDS * AT_ONCE * (SENDS + GRANTS)
    assert min(passed, refused) > ROUNDS * AT_ONCE / 2
