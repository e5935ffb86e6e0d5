"""`journeys import`: a file of rows to events to the API, so that it can be stopped and repeated.

Identities come from what the rows say, so whatever is sent twice is kept once.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from activities.importing.event_sender import (
    EVENTS_A_REQUEST,
    EventItem,
    Events,
    ImportStopped,
    Mode,
    Receipt,
    Unreadable,
    feed,
)
from content.row_files import Row, RowFile, UnreadableRow
from content.row_mapping import DEPOSITS, ROW_ID, MappingError, RowIds, RowMapping, RowRefused, column_name


@dataclass
class Report:
    """What has become of a file so far."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    #: True when it was stopped before its end.
    stopped: bool = False

    @property
    def sent(self) -> int:
        """Rows of which we know what became."""
        return self.accepted + self.duplicate + self.rejected


@dataclass
class Importer:
    """One file on its way to the API."""

    file: "SourceFile"
    events: Events
    mode: Mode
    rejections: Path
    report: Report = field(default_factory=Report)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    batch: int = EVENTS_A_REQUEST
    _refused: IO[bytes] | None = None

    async def run(self) -> Report:
        """Send the file; `report` grows meanwhile. Rejected rows go to a file of their own, one JSON line each."""
        try:
            await feed(self.file.items(), self.events, self.mode, self._done, stop=self.stop, batch=self.batch)
        finally:
            if self._refused is not None:
                self._refused.close()
        self.report.stopped = self.stop.is_set()
        return self.report

    def _done(self, item: EventItem | Unreadable, receipt: Receipt) -> None:
        match receipt.status:
            case "accepted":
                self.report.accepted += 1
            case "duplicate":
                self.report.duplicate += 1
            case "rejected":
                refused = {"line": item.line, "reason": receipt.reason, "row": item.row}
                self._refused_rows().write(orjson.dumps(refused, default=str) + b"\n")
                self.report.rejected += 1

    def _refused_rows(self) -> IO[bytes]:
        if self._refused is None:
            try:
                self._refused = self.rejections.open("wb")
            except OSError as error:
                raise ImportStopped(
                    f"{self.rejections} cannot be written: {error.strerror}. A row was rejected; name another file for "
                    "such rows with --rejected."
                ) from None
        return self._refused


class SourceFile:
    """A CSV or NDJSON file, and how its rows become events.

    It is read to its end when it is made, so that a damaged file is told before any row of it is sent. Raises
    MappingError or FileError with a sentence: no such file, no such column, no such format, a quote nobody closes.
    """

    def __init__(self, path: Path, mapping: RowMapping | None, encoding: str | None = None) -> None:
        self.path = path
        self._file = RowFile(path, encoding)
        self._mapping = mapping
        if self._file.header is not None:
            self._mapping = self._fitted(self._file.header, mapping)
        elif mapping is not None:
            mapping.check(None)
        #: Rows of the file, those that cannot be read among them; a summary adds up to it.
        self.rows = sum(1 for _ in self._file.rows())

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    @property
    def read(self) -> int:
        """How many bytes of the file have been taken."""
        return self._file.read

    @property
    def notices(self) -> tuple[str, ...]:
        """What was found out about the file and should be said."""
        return self._file.notices

    def items(self) -> Iterator[EventItem | Unreadable]:
        """Every row, in order. `read` tells how many bytes of the file have been taken."""
        ids = RowIds()
        for row in self._file.rows():
            if isinstance(row, UnreadableRow):
                yield Unreadable(row.line, row.row, row.reason)
            elif self._mapping is not None:
                yield _mapped(row, self._mapping, ids)
            elif "specversion" in row.values:
                # A CloudEvent goes as it is, so that what was exported comes back byte for byte.
                yield EventItem(row.text.encode(), str(row.values.get("subject", "")), row.line, row.values)
            else:
                reason = "The object is not a CloudEvent; give it specversion 1.0, or map its fields with --map."
                yield Unreadable(row.line, row.values, reason)

    def _fitted(self, header: list[str], mapping: RowMapping | None) -> RowMapping:
        names = [column_name(raw) for raw in header]
        if mapping is None and not {column.name for column in DEPOSITS.columns.values()} <= {*names, ROW_ID}:
            raise MappingError(
                f"Nothing says what the columns of {self.path} mean ({', '.join(names) or 'it is empty'}); add --type "
                "and --map, such as --type payment.deposit_approved --map subject=PLAYER_COLUMN."
            )
        return (mapping or DEPOSITS).fitted(header)


def _mapped(row: Row, mapping: RowMapping, ids: RowIds) -> EventItem | Unreadable:
    row_id = ids.of(row.values, str(mapping.constants.get("type", "")))
    try:
        event = mapping.event(row.values, row_id)
    except RowRefused as refused:
        return Unreadable(row.line, row.values, str(refused))
    return EventItem(orjson.dumps(event), event["subject"], row.line, row.values)
