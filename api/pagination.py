"""Pagination after AIP-158: an opaque token goes back in to get the next page."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Column, Select, literal, tuple_

from api.json_types import NO_NUL
from api.problems import Problem

T = TypeVar("T")
RowT = TypeVar("RowT")

#: A value a list is filtered by.
Filter = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
Keys = tuple[Any, ...]
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _within_the_calendar(moment: datetime) -> datetime:
    # Before anything else: at both ends of the calendar another zone is an error.
    return _FIRST if moment.year < _FIRST.year else _LAST if moment.year >= _LAST.year else moment


#: A moment that a list begins or ends at; one beyond all that is kept is as good as any.
Moment = Annotated[AwareDatetime, AfterValidator(_within_the_calendar)]


class Page(BaseModel, Generic[T]):
    """A part of a list, in its order."""

    items: list[T]
    next_page_token: str | None = Field(None, description="Absent on the last page.")


class PageQuery(BaseModel):
    """The parameters every list has; a list's own model adds its filters.

    An unknown parameter is refused, because a misspelt filter would show everything.
    """

    model_config = ConfigDict(extra="forbid")
    DEFAULT: ClassVar[int] = 50
    MOST: ClassVar[int] = 200

    page_size: Annotated[
        int, Field(ge=0, le=2**31 - 1, description="Rows wanted; 0 means 50, more than 200 means 200.")
    ] = 0
    page_token: Annotated[
        str | None, Field(max_length=1_000, description="`next_page_token` of the page before, same filters.")
    ] = None

    @property
    def size(self) -> int:
        """Rows on a page. Ask the database for one more, which tells whether there is another page."""
        return min(self.page_size or self.DEFAULT, self.MOST)

    def after(self, whose: str, *kinds: type) -> Keys | None:
        """The sort keys of the last row of the page before; None for the first page.

        `whose` is what the list is about beyond its filters. Raises `Problem` 400 for a token that is not ours or
        belongs to another list or other filters.
        """
        if self.page_token is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(self.page_token.encode("ascii") + b"==")
            mark, *values = orjson.loads(raw)
            keys = tuple(_read(kind, value) for kind, value in zip(kinds, values, strict=True))
        except (binascii.Error, ValueError, TypeError):
            mark, keys = None, ()
        if mark != self._mark(whose):
            detail = "Use next_page_token as it was given, with the same filters; or leave it out to begin again."
            raise Problem("page-token", detail)
        return keys

    def newest_first(self, chosen: Select[Any], whose: str, at: Column[Any], row_id: Column[Any]) -> Select[Any]:
        """`chosen`, cut to this page of a list that runs from the newest to the oldest."""
        after = self.after(whose, datetime, str)
        if after is not None:
            chosen = chosen.where(tuple_(at, row_id) < tuple_(*map(literal, after)))
        return chosen.order_by(at.desc(), row_id.desc()).limit(self.size + 1)

    def page(self, whose: str, rows: Sequence[RowT], keys: Callable[[RowT], Keys]) -> tuple[Sequence[RowT], str | None]:
        """The rows of this page and the token of the next one."""
        if len(rows) <= self.size:
            return rows, None
        page = rows[: self.size]
        raw = orjson.dumps([self._mark(whose), *keys(page[-1])])
        return page, base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def _mark(self, whose: str) -> str:
        filters = self.model_dump_json(exclude={"page_size", "page_token"})
        return hashlib.sha256(f"{type(self).__name__} {whose} {filters}".encode()).hexdigest()[:12]


def where_given(chosen: Select[Any], *filters: tuple[Column[Any], object]) -> Select[Any]:
    """`chosen`, where each column has its value; a value of None asks for nothing."""
    for column, value in filters:
        if value is not None:
            chosen = chosen.where(column == value)
    return chosen


def _read(kind: type, value: object) -> Any:
    if kind is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or not 1970 <= moment.year <= 9000:
            raise ValueError
        return moment
    # bool is an int to Python and nothing we ever put into a token.
    if type(value) is not kind or "\x00" in str(value):
        raise ValueError
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError
    return value
