"""Liveness, readiness and metrics, for supervisors and Prometheus."""

import asyncio
import math
from datetime import timedelta
from functools import cache
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import exc, text
from temporalio.service import RPCError

from activities.database import MIGRATIONS
from activities.intake.backpressure import BACKLOG, OLDEST
from api.database import AWAY, in_time
from api.dependencies import ApiEngine, EngineOf
from api.problems import RETRY, Problem, documented

# When a series began is a line of each, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]  # annotated nowhere in the library

router = APIRouter(tags=["health"])

TEMPORAL_LIMIT = timedelta(seconds=0.5)
#: How long a scrape waits for Postgres.
SCRAPE_TIMEOUT = timedelta(seconds=1)


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """What the process can reach. Without Temporal it is ready all the same: events are taken and wait."""

    status: Literal["ready"] = "ready"
    postgres: Literal["ok"] = "ok"
    migrations: Annotated[str, Field(description="Revision of the schema.", examples=["0001"])]
    temporal: Literal["ok", "away"]


@router.get("/livez")
async def live() -> Live:
    """Whether the process answers at all; restart it when it does not."""
    return Live()


@router.get("/readyz", responses=documented(503))
async def ready(engine: EngineOf) -> Ready:
    """Whether to send requests here: Postgres answers and its schema is the one this code knows."""
    migrations, temporal = await asyncio.gather(_revision(engine), _temporal(engine))
    if migrations is None:
        raise _unready("Postgres does not answer.", temporal, postgres="away")
    if migrations != head():
        detail = f"The schema is at revision {migrations or 'none'}, this code needs {head()}: run `journeys migrate`."
        raise _unready(detail, temporal, postgres="ok", migrations=migrations)
    return Ready(migrations=migrations, temporal=temporal)


@router.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}})
async def metrics(engine: EngineOf) -> Response:
    """Prometheus metrics of this process. No series names a player or a brand.

    The backlog is looked at anew, once a second at most; it is NaN while Postgres does not tell.
    """
    try:
        await in_time(engine.pressure.is_high(), SCRAPE_TIMEOUT)
    except (*AWAY, exc.ProgrammingError):
        # The last number would be believed for as long as Postgres is away.
        BACKLOG.set(math.nan)
        OLDEST.set(math.nan)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@cache
def head() -> str:
    """The revision of the schema this code was written for: migrations are files that begin with their number."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))


async def _revision(engine: ApiEngine) -> str | None:
    try:
        async with engine.pools.keys.reading() as connection:
            version = await connection.execute(text("SELECT version_num FROM alembic_version"))
            return version.scalar_one_or_none() or ""
    except exc.ProgrammingError:
        return ""
    except AWAY:
        return None


async def _temporal(engine: ApiEngine) -> Literal["ok", "away"]:
    limit = TEMPORAL_LIMIT.total_seconds()
    try:
        await asyncio.wait_for(engine.temporal.service_client.check_health(timeout=TEMPORAL_LIMIT), limit)
    except (RPCError, RuntimeError, TimeoutError):
        return "away"
    return "ok"


def _unready(detail: str, temporal: str, **checks: str) -> Problem:
    return Problem("away", detail, headers=RETRY, members={"checks": {**checks, "temporal": temporal}})
