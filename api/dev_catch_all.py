"""Development only: what players would have received, from the local catch-all."""

from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.dependencies import EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, away
from workflows.channels import WebhookChannel
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/dev", tags=["development"])


class Caught(BaseModel):
    """What the catch-all kept, the oldest first."""

    items: list[JsonObject]


@router.get("/{channel}", responses=COMMON)
async def list_caught(
    channel: Literal["mails", WebhookChannel],
    engine: EngineOf,
    _key: Annotated[Key, needs("admin")],
    to: Annotated[str | None, Query(max_length=320, description="Only mails to this address.")] = None,
    subject: Annotated[str | None, Query(max_length=200, description="Only mails with this in the subject.")] = None,
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100,
) -> Caught:
    """Mail, SMS and push messages of this development stack, of all brands."""
    wanted = {"to": to, "subject": subject, "limit": str(limit)}
    query = {name: value for name, value in wanted.items() if value is not None}
    try:
        answer = await engine.http.get(f"{engine.settings.catch_all_url}/{channel}", params=query)
        answer.raise_for_status()
    except httpx.HTTPError:
        raise away("The catch-all does not answer; is the local stack running?") from None
    return Caught(items=answer.json()["items"])
