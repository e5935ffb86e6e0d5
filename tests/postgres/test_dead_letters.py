"""What was refused for good and is tried again goes no sooner and no later than it would have gone from intake."""

from collections.abc import AsyncIterator, Iterable

import pytest

from activities.run_delivery import dead_letters as letters
from activities.run_delivery.deliveries import BULK, ENROLMENT, NORMAL, PROTECTION, claim, remove
from activities.tables import dead_letters, deliveries
from tests.support.engine import BRAND, Effects, effects, rows, run_of
from workflows import DepositFailed, ExclusionSet
from workflows.player_state.decisions import Decision
from workflows.player_state.state import PlayerState

JOURNEY = "failed_deposit"  # a shipped journey without a control arm


@pytest.fixture
async def parts(postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(postgres_url) as built:
        yield built


async def priorities(parts: Effects) -> dict[tuple[str, str], int]:
    """How soon each delivery is to be heard, by run and kind."""
    return {(row["run_id"], row["kind"]): row["priority"] for row in await rows(parts.database, deliveries)}


async def decided(parts: Effects, player: str, decisions: Iterable[Decision], state: PlayerState) -> None:
    """Have decisions about a player carried out, as intake carries them out."""
    now = parts.casino.clock.now
    async with (
        parts.database.transaction() as connection,
        parts.casino.intake.locked(connection, BRAND, [player], now) as players,
    ):
        players.states[player] = state
        players.record(player, decisions)


async def state_of(parts: Effects, player: str) -> PlayerState:
    async with (
        parts.database.transaction() as connection,
        parts.casino.intake.locked(connection, BRAND, [player], parts.casino.clock.now) as players,
    ):
        return players.states[player]


async def refused_for_good(parts: Effects) -> None:
    async with parts.database.transaction() as connection:
        for run_id, due in (await claim(connection, parts.casino.intake.rules.journeys)).by_run.items():
            await letters.bury(connection, run_id, [row.seq for row in due], "Temporal refused it.")
            await remove(connection, due)


async def tried_again(parts: Effects) -> int:
    async with parts.database.transaction() as connection:
        untried = await letters.lock_untried(connection, BRAND, 100, run=None, reason=None)
        return len(await letters.retry(connection, parts.casino.intake, untried, parts.casino.clock.now))


async def test_a_dead_letter_tried_again_has_the_priority_intake_gave_it(parts: Effects) -> None:
    casino, now = parts.casino, parts.casino.clock.now
    journey = casino.intake.rules.journeys[JOURNEY]
    excluded, stopped, enrolled = (casino.player(name) for name in ("excluded", "stopped", "enrolled"))
    for player in (excluded, stopped, enrolled):
        await casino.registers(player)
    for player in (excluded, stopped):
        await casino.happens(player, *[DepositFailed] * 3, failure="technical")
    await casino.happens(excluded, ExclusionSet, kind="self_exclusion", until=None)
    state = await state_of(parts, stopped)
    await decided(
        parts, stopped, state.stop(await run_of(parts.database, stopped, JOURNEY), "stopped_by_hand", now), state
    )
    state = await state_of(parts, enrolled)
    cause = {"type": ENROLMENT, "id": "e-1", "source": "crm"}
    await decided(parts, enrolled, state.enter(journey, None, now, cause), state)

    given = await priorities(parts)
    by_name = {(run_id.split(":")[2].partition("-")[0], kind): priority for (run_id, kind), priority in given.items()}
    assert by_name == {
        ("excluded", "start"): NORMAL,
        ("excluded", "stop"): PROTECTION,
        ("stopped", "start"): NORMAL,
        ("stopped", "stop"): NORMAL,
        ("enrolled", "start"): BULK,
    }
    await refused_for_good(parts)
    assert await priorities(parts) == {}
    assert await tried_again(parts) == len(given) == len(await rows(parts.database, dead_letters))
    assert await priorities(parts) == given
    assert await tried_again(parts) == 0
