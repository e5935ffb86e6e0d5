"""Segments of players: what is deployed, how many are in each, who, and all of them as a file.

Segment, the company whose client libraries send events here, is in `integrations.segment`.
"""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, func, select

from activities.tables import memberships
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON, documented, undeclared
from workflows.rules.measures import Measure
from workflows.rules.segments import Segment
from workflows.source.segment_dependencies import reads

router = APIRouter(prefix="/v1/segments", tags=["segments"])

Reading = Annotated[Key, needs("players:read", "journeys:manage")]
#: Members fetched at a time for a file, whatever its length.
FILE_BATCH: Final = 2_000

_NDJSON, _CSV = "application/x-ndjson", "text/csv"


class Read(BaseModel):
    """Something a segment looks at: a measure by its key, or a type of event."""

    kind: Literal["measure", "event"]
    name: str
    words: str


class SegmentView(BaseModel):
    """A deployed segment and its size in the key's brand."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "high_roller",
                    "description": "Deposited 5,000.00 or more in the last 30 days.",
                    "members": 1_204,
                    "reads": [
                        {
                            "kind": "measure",
                            "name": "total:payment.deposit_approved:amount_minor:d:2592000",
                            "words": "total amount_minor of DepositApproved in the last 30 days",
                        }
                    ],
                }
            ]
        }
    )

    name: str
    description: str
    members: int = Field(description="Players in it now.")
    reads: list[Read] = Field(
        description="What it looks at, as far as its code names it. Profile and tier are not listed."
    )


class SegmentList(BaseModel):
    """Every segment that is deployed; there are few enough for one page."""

    items: list[SegmentView]


class Member(BaseModel):
    """A player in a segment, and since when."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [{"player_id": "p-1001", "entered_at": "2026-01-15T12:00:00Z"}]},
    )

    player_id: str
    entered_at: datetime


class MemberRow(NamedTuple):
    """A member as the database knows one."""

    player_id: str
    entered_at: datetime


class MemberQuery(PageQuery):
    """Which members."""


class ExportQuery(BaseModel):
    """How the file is written."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["ndjson", "csv"] | None = Field(None, description="Without it, as Accept says; else NDJSON.")


@router.get("", responses=COMMON)
async def list_segments(engine: EngineOf, key: Reading) -> SegmentList:
    """Every deployed segment: who is in it, how many that are now, and what it looks at."""
    counting = (
        select(memberships.c.segment, func.count().label("members"))
        .where(memberships.c.brand == key.brand, memberships.c.left_at.is_(None))
        .group_by(memberships.c.segment)
    )
    async with engine.database.reading() as connection:
        counted = {row.segment: row.members for row in await connection.execute(counting)}
    deployed = engine.intake.rules.segments
    return SegmentList(items=[_view(one, counted.get(name, 0)) for name, one in deployed.items()])


@router.get("/{segment}", responses={**COMMON, **documented(404)})
async def get_segment(segment: str, engine: EngineOf, key: Reading) -> SegmentView:
    """One deployed segment."""
    one = _deployed(engine, segment)
    counting = select(func.count()).select_from(_members(key.brand, one.name).subquery())
    async with engine.database.reading() as connection:
        return _view(one, (await connection.execute(counting)).scalar_one())


@router.get("/{segment}/players", responses={**COMMON, **documented(404)})
async def list_members(
    segment: str, engine: EngineOf, key: Reading, query: Annotated[MemberQuery, Query()]
) -> Page[Member]:
    """The players in a segment now, by id."""
    one = _deployed(engine, segment)
    whose = f"{key.brand} {one.name}"
    after = query.after(whose, str)
    chosen = _members(key.brand, one.name, after[0] if after else None).limit(query.size + 1)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(whose, rows, lambda row: (row.player_id,))
    return Page(items=[Member.model_validate(row) for row in page], next_page_token=token)


@router.get(
    "/{segment}/export",
    response_class=StreamingResponse,
    responses={
        **COMMON,
        **documented(404),
        200: {
            "description": "One line a player, by id.",
            "content": {
                _NDJSON: {
                    "schema": {"type": "string"},
                    "example": '{"player_id":"p-1001","entered_at":"2026-01-15T12:00:00Z"}\n',
                },
                _CSV: {
                    "schema": {"type": "string"},
                    "example": "player_id,entered_at\r\np-1001,2026-01-15T12:00:00Z\r\n",
                },
            },
        },
    },
)
async def export_members(
    segment: str, engine: EngineOf, key: Reading, query: Annotated[ExportQuery, Query()], request: Request
) -> StreamingResponse:
    """Every player in a segment as a file, however many, without personal data.

    It is read in pieces, so that a slow reader holds nothing up: who comes or leaves meanwhile may be in it or not,
    everybody else is in it once. A file that ends without its last chunk is not whole.
    """
    one = _deployed(engine, segment)
    accepted = request.headers.get("accept", "")
    wants_csv = query.format == "csv" or (query.format is None and _CSV in accepted and "ndjson" not in accepted)
    # The first piece is read before the answer begins, so that Postgres away is still a 503.
    first = await piece_of(engine, key.brand, one.name, None)
    return StreamingResponse(
        file_of(engine, key.brand, one.name, first, as_csv=wants_csv),
        media_type=f"{_CSV}; charset=utf-8; header=present" if wants_csv else _NDJSON,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(one.name)}.{'csv' if wants_csv else 'ndjson'}",
            "Vary": "Accept",
        },
    )


async def file_of(
    engine: ApiEngine, brand: str, segment: str, rows: Sequence[MemberRow], *, as_csv: bool
) -> AsyncIterator[bytes]:
    """The file in pieces, beginning with `rows`; the next is read when the one before was sent."""
    if as_csv:
        yield b"player_id,entered_at\r\n"
    while rows:
        yield _csv(rows) if as_csv else b"".join(orjson.dumps(row._asdict(), option=_OPTIONS) for row in rows)
        if len(rows) < FILE_BATCH:
            break
        rows = await piece_of(engine, brand, segment, rows[-1].player_id)


_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


def _csv(rows: Sequence[MemberRow]) -> bytes:
    # A player's id begins with a letter or a digit, so no spreadsheet takes it for a formula.
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows((row.player_id, f"{row.entered_at:%Y-%m-%dT%H:%M:%S.%fZ}") for row in rows)
    return text.getvalue().encode()


async def piece_of(engine: ApiEngine, brand: str, segment: str, after: str | None) -> Sequence[MemberRow]:
    """The next members by id, at most `FILE_BATCH`."""
    async with engine.database.reading() as connection:
        members = await connection.execute(_members(brand, segment, after).limit(FILE_BATCH))
        return [MemberRow(*row) for row in members]


def _members(brand: str, segment: str, after: str | None = None) -> Select[Any]:
    """Who is in a segment now, by id."""
    at = memberships.c
    chosen = select(at.player_id, at.entered_at).where(at.brand == brand, at.segment == segment, at.left_at.is_(None))
    if after is not None:
        chosen = chosen.where(at.player_id > after)
    return chosen.order_by(at.player_id)


def _deployed(engine: ApiEngine, name: str) -> Segment:
    one = engine.intake.rules.segments.get(name)
    if one is None:
        raise undeclared("segment", name, engine.intake.rules.segments)
    return one


def _view(one: Segment, members: int) -> SegmentView:
    looks_at = [
        Read(kind="measure", name=read.key, words=read.words)
        if isinstance(read, Measure)
        else Read(kind="event", name=read.type, words=(read.__doc__ or read.type).partition("\n")[0])
        for read in reads(one)
    ]
    return SegmentView(
        name=one.name,
        description=one.description,
        members=members,
        reads=sorted(looks_at, key=lambda read: (read.kind, read.name)),
    )
