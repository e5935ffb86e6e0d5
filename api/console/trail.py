"""Who did what and who looked, as a page."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from api import audit
from api.console.pages import ConsoleRoute
from api.console.rendering import render
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

Given = Annotated[str | None, Query(max_length=255)]


@router.get("/audit")
async def trail(
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    player: Given = None,
    actor: Given = None,
    kind: Literal["change", "read", ""] = "",
    page: Annotated[str | None, Query(max_length=1_000)] = None,
) -> Response:
    """What people and keys did and looked at in the brand, the newest first."""
    visitor.needs("audit:read")
    query = audit.AuditQuery(player=player or None, actor=actor or None, kind=kind or None, page_token=page)
    listed = await audit.list_audit(engine, visitor.key, query)
    given: dict[str, Any] = {"player_id": player or "", "actor_id": actor or "", "kind": kind}
    return render(request, visitor, "audit.html", listed=listed, **given)
