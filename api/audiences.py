"""Audiences for ad networks: a segment as a seed or a suppression list, hashed, by a key or by a signed link."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from activities.audience_links import LASTS, AudienceLinks
from activities.audiences import Audience, AudienceKind, AudiencePiece, piece_of
from activities.seeds import list_seeds
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing, undeclared
from content.ad_identifiers import HEADERS, Network
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/audiences", tags=["audiences"])
files = APIRouter(prefix="/v1/audience-files", tags=["audiences"])

Reading = Annotated[Key, needs("audiences:read")]
_FILE: Final[JsonObject] = {
    "description": "A line a person: SHA-256 of the mail address and of the number, in the network's own columns.",
    "content": {"text/csv": {"schema": {"type": "string"}, "example": "Email,Phone\r\n31c5543c…,7df7e024…\r\n"}},
}


class AudienceQuery(BaseModel):
    """For which network."""

    model_config = ConfigDict(extra="forbid")

    network: Network = Field("google", description="It says how addresses are written before they are hashed.")


class LinkBody(BaseModel):
    """For which network."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"network": "google"}]})

    network: Network = "google"


class AudienceLink(BaseModel):
    """Where the network fetches the file, without a key: whoever has the link has the file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://casino.example/v1/audience-files/WyJhY21l…",
                    "expires_at": "2026-01-15T13:00:00Z",
                }
            ]
        }
    )

    url: str
    expires_at: datetime


class SeedView(BaseModel):
    """What a seed of the best players was made of in one currency, the last time it was taken."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "top_decile",
                    "currency": "EUR",
                    "taken_on": "2026-01-15",
                    "ranked_by": "deposits",
                    "why": "no rounds or bets are told, so nobody knows what was won and lost; deposits stand beside",
                    "ranked": 4180,
                    "players": 212,
                }
            ]
        },
    )

    name: str
    currency: str
    taken_on: date
    ranked_by: Literal["ngr", "deposits"]
    why: str | None = Field(description="Why it is ranked by deposits, or why nobody is in it.")
    ranked: int = Field(description="Players who agreed to be profiled and were worth something in 90 days.")
    players: int = Field(description="Of the best tenth of them, those who may be in a seed.")


class SeedList(BaseModel):
    """The seeds of the brand."""

    items: list[SeedView]


@router.get("/seeds", responses=COMMON)
async def list_audience_seeds(engine: EngineOf, key: Reading) -> SeedList:
    """The seeds that are ranked by what players are worth, as they were taken last; one line a currency."""
    async with engine.database.reading() as connection:
        found = await list_seeds(connection, key.brand)
    return SeedList(items=[SeedView.model_validate(one) for one in found])


@router.get("/{use}/{segment}", response_class=StreamingResponse, responses={**COMMON, **documented(404), 200: _FILE})
async def get_audience(
    use: AudienceKind,
    segment: str,
    engine: EngineOf,
    key: Reading,
    query: Annotated[AudienceQuery, Query()],
) -> StreamingResponse:
    """A segment as a file for an ad network, as it is at this moment.

    A `seed` holds members who agreed to `ads` and whom nothing protects. A `suppression` list holds members who have
    not refused `ads` and everybody to whom nothing may be sold, and does not say why anybody is in it. As a seed there
    is `top_decile` too, no segment but the best tenth of last night. Upload it in the place of the one before, so that
    who left is gone. A file that ends without its last chunk is not whole.
    """
    return await _file(engine, _asked(engine, key, use, segment, query.network))


@router.post("/{use}/{segment}/links", status_code=201, responses={**COMMON, **documented(404)})
async def link_audience(
    use: AudienceKind, segment: str, body: LinkBody, engine: EngineOf, key: Reading
) -> AudienceLink:
    """A link to such a file that is good for an hour, for a network that fetches it by itself."""
    now = engine.clock()
    token = AudienceLinks(engine.settings.link_secrets).token(_asked(engine, key, use, segment, body.network), now)
    url = f"{engine.settings.public_url.rstrip('/')}{files.prefix}/{token}"
    # Nothing is stored; the trail has who made it, for whoever fetches the file says no name.
    async with engine.database.transaction():
        pass
    return AudienceLink(url=url, expires_at=now + LASTS)


@files.get("/{link}", response_class=StreamingResponse, responses={**documented(400, 404, 413, 422, 503), 200: _FILE})
async def fetch_audience(link: str, engine: EngineOf) -> StreamingResponse:
    """The file of a link, as it is when it is fetched. It needs no key: the token is signed."""
    asked = AudienceLinks(engine.settings.link_secrets).read(link, engine.clock())
    if asked is None or not (asked.is_ranked or asked.segment in engine.intake.rules.segments):
        raise missing("link")
    return await _file(engine, asked)


def _asked(engine: ApiEngine, key: Key, kind: AudienceKind, segment: str, network: Network) -> Audience:
    asked = Audience(key.brand, kind, segment, network, engine.settings.product)
    if not asked.is_ranked and segment not in engine.intake.rules.segments:
        raise undeclared("segment", segment, engine.intake.rules.segments)
    return asked


async def _file(engine: ApiEngine, asked: Audience) -> StreamingResponse:
    # The first piece is read before the answer begins, so that Postgres away is still a 503.
    first = await _piece(engine, asked, None)
    return StreamingResponse(
        _lines(engine, asked, first),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{asked.kind}.csv"'},
    )


async def _piece(engine: ApiEngine, asked: Audience, after: str | None) -> AudiencePiece:
    async with engine.database.reading() as connection:
        return await piece_of(connection, engine.policies, asked, after, engine.clock())


async def _lines(engine: ApiEngine, asked: Audience, piece: AudiencePiece) -> AsyncIterator[bytes]:
    yield _csv([HEADERS[asked.network]])
    while True:
        yield _csv(piece.lines)
        if piece.after is None:
            return
        piece = await _piece(engine, asked, piece.after)


def _csv(lines: Iterable[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
