"""Our rewards beside the bonus engine's own list: what differs is told, and nothing is settled by it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.grant_comparison import EDGE, GrantComparison, compare_grants
from activities.providers.bonus_engine import BonusEngine, OutcomeUnknown
from tests.support.engine import Effects, done, effects, execute
from tests.support.loopback_server import answer, scripted
from tests.support.servers import LocalBonusEngine
from workflows import free_spins
from workflows.effects import Give

STEP = "grant:free_spins#1"


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, bonus_engine_url=bonus_engine_server.url) as parts:
        yield parts


class Compared:
    """A player with a reward that both know, and the comparison of today."""

    def __init__(self, parts: Effects, run: str) -> None:
        self.parts, self.run, self.key = parts, run, f"{run}/{STEP}"
        self.began = datetime.now(UTC) - timedelta(seconds=5)

    async def gives(self) -> None:
        given = done(await self.parts.grants.give(self.parts.given(Give, self.run, STEP, reward=free_spins(10))))
        assert given.status == "confirmed"

    async def found(self, engine: BonusEngine | None = None) -> list[tuple[str, str | None]]:
        now = datetime.now(UTC) + EDGE
        # Ours are dated by the clock of the test, which is long past; what is given is looked for by that.
        found = await compare_grants(
            self.parts.database, engine or self.parts.grants.engine, self.parts.casino.clock.now - EDGE * 2, now
        )
        assert isinstance(found, GrantComparison)
        return [(one.how, one.status) for one in found.shown if one.grant_id == self.key]


@pytest.fixture
async def compared(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Compared]:
    with shared.for_one_test():
        await execute(shared.database, "DELETE FROM grants")
        player = shared.casino.player()
        await shared.casino.registers(player)
        one = Compared(shared, await shared.enters(player))
        await one.gives()
        yield one
    bonus_engine.process.start()


async def test_what_both_know_agrees(compared: Compared) -> None:
    assert await compared.found() == []


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ("DELETE FROM grants", ("only_theirs", None)),
        ("UPDATE grants SET status = 'refused'", ("credited_there", "refused")),
        ("UPDATE grants SET status = 'revoked'", ("credited_there", "revoked")),
    ],
)
async def test_what_they_credited_and_we_say_otherwise_is_told(
    compared: Compared, change: str, how: tuple[str, Any]
) -> None:
    await execute(compared.parts.database, change)
    assert await compared.found() == [how]


async def test_what_they_voided_and_we_say_is_given_is_told(compared: Compared) -> None:
    assert await compared.parts.grants.engine.void(compared.key)
    assert await compared.found() == [("voided_there", "confirmed")]


async def test_what_is_in_doubt_is_passed_by(compared: Compared) -> None:
    await execute(compared.parts.database, "UPDATE grants SET status = 'unknown'")
    assert await compared.found() == []


async def test_what_they_never_heard_of_is_told(compared: Compared) -> None:
    empty: dict[str, Any] = {"items": []}
    async with scripted(answer(200, empty), answer(404)) as engine:
        silent = BonusEngine(engine.url, compared.parts.grants.engine._client)
        assert await compared.found(silent) == [("only_ours", "confirmed")]


async def test_a_list_of_many_pages_is_read_to_its_end(compared: Compared) -> None:
    line = {"grant_id": compared.key, "player_id": "p", "status": "credited"}
    async with scripted(answer(200, {"items": [], "next": "1"}), answer(200, {"items": [line]})) as engine:
        assert await compared.found(BonusEngine(engine.url, compared.parts.grants.engine._client)) == []
    assert "after=1" in engine.asked[1].target


async def test_an_engine_without_a_list_is_no_disagreement(compared: Compared) -> None:
    async with scripted(answer(404)) as engine:
        client = compared.parts.grants.engine._client
        now = datetime.now(UTC)
        found = await compare_grants(compared.parts.database, BonusEngine(engine.url, client), now, now)
    assert (found.listed, found.agrees, found.shown) == (False, False, [])


async def test_a_list_that_cannot_be_read_is_asked_for_again(compared: Compared) -> None:
    async with scripted(answer(200, {"items": "many"})) as engine:
        with pytest.raises(OutcomeUnknown):
            await compared.found(BonusEngine(engine.url, compared.parts.grants.engine._client))
