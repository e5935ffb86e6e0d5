"""Audiences for ad networks: a segment as a seed or a suppression list, hashed, by a key or by a signed link."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from activities.audience_links import LASTS, AudienceLinks
from activities.audiences import Audience, AudienceKind, AudiencePiece, piece_of
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
    not refused `ads` and everybody to whom nothing may be sold, and does not say why anybody is in it. Upload it in the
    place of the one before, so that who left is gone. A file that ends without its last chunk is not whole.
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
    if asked is None or asked.segment not in engine.intake.rules.segments:
        raise missing("link")
    return await _file(engine, asked)


def _asked(engine: ApiEngine, key: Key, kind: AudienceKind, segment: str, network: Network) -> Audience:
    if segment not in engine.intake.rules.segments:
        raise undeclared("segment", segment, engine.intake.rules.segments)
    return Audience(key.brand, kind, segment, network, engine.settings.product)


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
