"""The scenarios whose point is that somebody reacts at once, on real Postgres and a Temporal whose clock is ours.

What the journeys do in them is proven in `test_scenarios.py`; this measures how long it takes from the event to the
message.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.engine import worker_engine
from activities.settings import settings_from
from activities.temporal_client import connect
from tests.support.machine import eventually, promised
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, Theatre
from tests.support.workers import all_workers
from workflows import BigWin, DepositAbandoned, DepositApproved, DepositFailed, Event
from workflows.player_state.control_arms import arm_of

#: From the event to the message at its provider, in seconds of a usual machine, which takes a tenth of one.
AT_ONCE: Final = 5
#: The first player of a journey has as long as it takes a worker to load it, which has nothing to do with players.
LIMITS: Final = (None, AT_ONCE)
JOURNEYS: Final = ("tier_up", "failed_deposit", "abandoned_cashier", "win_celebration")


@pytest.fixture(scope="module")
async def house(
    temporal_address: str, module_postgres_url: str, bonus_engine_server: LocalBonusEngine, catch_all: LocalCatchAll
) -> AsyncIterator[Theatre]:
    """The engine at work with these journeys, under a name of its own."""
    variables = {
        "DATABASE_URL": module_postgres_url,
        "BONUS_ENGINE_URL": bonus_engine_server.url,
        "SHIPPED_JOURNEYS": ",".join(JOURNEYS),
        "DEPLOYMENT_NAME": "seeds",
        **catch_all.environment,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", temporal_address)
        settings = settings_from(variables)
        client = await connect(settings)
    theatre = Theatre(WorkflowEnvironment.from_client(client), "", datetime.now(UTC))
    async with worker_engine(settings, lambda: datetime.now(UTC)) as built:
        theatre.attach(built)
        async with all_workers(client, built):
            yield theatre


async def someone(house: Theatre, name: str, deposits: int = 0) -> None:
    """A player who is treated in every journey, for whom it is about noon, so that nothing waits for the morning."""
    names = (f"{name}-{number}" for number in range(1000))
    house.player_id = next(one for one in names if arm_of(BRAND, one, "tier_up", 10) == "treated")
    house.now = datetime.now(UTC)
    await house.registers(mode="history", timezone=f"Etc/GMT{house.now.hour - 12:+d}")
    if deposits:
        await house.happens(DepositApproved, mode="history", times=deposits, amount_minor=5_000, currency="EUR")
    house.now = datetime.now(UTC)


async def all_of(wanted: list[str], seen: Callable[[], Awaitable[list[str]]]) -> None:
    """Wait until everything that is wanted is seen."""

    async def there() -> bool:
        return {*wanted} <= {*await seen()}

    await eventually(there)


async def test_the_fiftieth_deposit_is_gold_with_its_perks_before_anybody_has_logged_out(house: Theatre) -> None:
    for number, limit in enumerate(LIMITS):
        await someone(house, f"fiftieth-{number}", deposits=49)
        async with asyncio.timeout(limit and promised(limit)):
            await house.happens(DepositApproved, amount_minor=5_000, currency="EUR")
            await all_of(["tier_upgrade", "free_spins"], house.granted)
            await all_of(["tier-gold/in_app", "tier-gold/push", "tier-gold/email"], house.sent)


@pytest.mark.parametrize(
    ("name", "kind", "times", "message"),
    [
        ("three-failed", DepositFailed, 3, "deposit-help/in_app"),
        ("left-the-cashier", DepositAbandoned, 1, "cashier-help/in_app"),
        ("won", BigWin, 1, "big-win/in_app"),
    ],
)
async def test_help_and_congratulation_come_while_the_player_is_still_looking(
    house: Theatre, name: str, kind: type[Event], times: int, message: str
) -> None:
    data = {field: value for field, value in kind.example_data.items() if field != kind.unique_field}
    for number, limit in enumerate(LIMITS):
        await someone(house, f"{name}-{number}")
        async with asyncio.timeout(limit and promised(limit)):
            await house.happens(kind, times=times, **data)
            await all_of([message], house.sent)
