"""What designers have written besides journeys: message templates as players read them, and segments."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from api import segments, templates
from api.console.pages import ConsoleRoute
from api.console.rendering import render
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf
from workflows.channels import Channel

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

READERS: Final = ("journeys:manage", "players:read")
#: What a page of a mail may do in its frame: be read, with the colours it brings along.
MAIL_POLICY: Final = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
Token = Annotated[str | None, Query(max_length=1_000)]
Language = Annotated[str, Query(max_length=35, pattern="^[A-Za-z-]+$")]


@router.get("/templates")
async def listed(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Every message template, with its channels and languages."""
    visitor.needs(*READERS)
    found = await templates.list_templates(request, engine, visitor.key)
    return render(request, visitor, "templates.html", templates=found.items)


@router.get("/templates/{template}")
async def template(
    template: str,
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    channel: Channel | None = None,
    language: Language = "en",
) -> Response:
    """What a template says on a channel and in a language, with the values of its own example."""
    visitor.needs(*READERS)
    found = await templates.list_templates(request, engine, visitor.key)
    known = {one.name: one for one in found.items}
    query = templates.PreviewQuery(channel=channel, language=language)
    shown = await templates.preview_template(template, request, engine, visitor.key, query)
    one = known[template]
    given: dict[str, Any] = {"template": one, "shown": shown, "channel": channel or one.channels[0], "wanted": language}
    return render(request, visitor, "template.html", **given)


@router.get("/templates/{template}/page.html")
async def mail(
    template: str, request: Request, engine: EngineOf, visitor: VisitorOf, language: Language = "en"
) -> Response:
    """The page of a mail, alone in its frame: nothing in it runs, leads anywhere or is fetched."""
    visitor.needs(*READERS)
    query = templates.PreviewQuery(channel="email", language=language)
    shown = await templates.preview_template(template, request, engine, visitor.key, query)
    page = shown.html or ""
    headers = {"Content-Security-Policy": MAIL_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(page, media_type="text/html", headers=headers)


@router.get("/segments")
async def segment_list(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Every segment, with how many are in it."""
    visitor.needs(*READERS)
    found = await segments.list_segments(engine, visitor.key)
    return render(request, visitor, "segments.html", segments=found.items)


@router.get("/segments/{segment}")
async def segment(segment: str, request: Request, engine: EngineOf, visitor: VisitorOf, page: Token = None) -> Response:
    """A segment: who is in it by its rule, what it looks at, and its members."""
    visitor.needs(*READERS)
    shown = await segments.get_segment(segment, engine, visitor.key)
    members = await segments.list_members(
        segment, engine, visitor.key, segments.MemberQuery(page_size=50, page_token=page)
    )
    return render(request, visitor, "segment.html", segment=shown, members=members)
