"""Fixtures of the tests that break the engine in one place and hear the crash test's judge."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.engine import WorkerEngine, worker_engine
from activities.settings import settings_from
from stage.virtual_temporal.server import VirtualTemporal
from tests.crash.checker import check
from tests.crash.small_house import EMPTIED, SmallHouse, performing
from tests.crash.stories import Judge
from tests.support.servers import LocalBonusEngine, LocalCatchAll

HERE = Path(__file__).parent
HOUSES: dict[str, SmallHouse] = {}


def _now() -> datetime:
    return HOUSES["this"].temporal.now


@pytest.fixture(scope="module")
async def built(
    module_postgres_url: str, bonus_engine_server: LocalBonusEngine, catch_all: LocalCatchAll
) -> AsyncIterator[WorkerEngine]:
    variables = {
        **catch_all.environment,
        "DATABASE_URL": module_postgres_url,
        "BONUS_ENGINE_URL": bonus_engine_server.url,
        "JOURNEYS": f"{__package__}.journeys",
        "TEMPLATES": str(HERE / "templates"),
    }
    async with worker_engine(settings_from(variables), _now) as engine:
        yield engine


@pytest.fixture
async def house(built: WorkerEngine) -> AsyncIterator[SmallHouse]:
    perform = performing(asyncio.get_running_loop(), HOUSES)
    with VirtualTemporal(built.registry.workflows, perform, datetime.now(UTC)) as temporal:
        made = HOUSES["this"] = SmallHouse(built, temporal, secrets.token_hex(3))
        await made.execute(f"TRUNCATE {EMPTIED} CASCADE")
        yield made


@pytest.fixture
def judge(house: SmallHouse, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll, session_folder: Path) -> Judge:
    """What the crash test's judge says of the house."""
    assert catch_all.url

    async def judged() -> list[str]:
        return check(await house.evidence(bonus_engine, session_folder / "messages"))

    return judged
