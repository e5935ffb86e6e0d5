"""`journeys import`: a file of rows to events to the API, so that it can be stopped and repeated.

Identities come from what the rows say, so whatever is sent twice is kept once.
"""

import asyncio
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from activities.importing.event_sender import EVENTS_A_REQUEST, EventItem, Events, Mode, Receipt, Unreadable, feed
from content.row_mapping import DEPOSITS, ROW_ID, MappingError, RowIds, RowMapping, RowRefused
from workflows.json_object import JsonObject


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
                self.report.rejected += 1
                if self._refused is None:
                    self._refused = self.rejections.open("wb")
                refused = {"line": item.line, "reason": receipt.reason, "row": item.row}
                self._refused.write(orjson.dumps(refused, default=str) + b"\n")


class SourceFile:
    """A CSV or NDJSON file, and how its rows become events.

    Raises MappingError with a sentence when it is made or read: no such file, no such column, no such format.
    """

    def __init__(self, path: Path, mapping: RowMapping | None) -> None:
        self.path = path
        try:
            self.size = path.stat().st_size
            with path.open("rb") as content:
                start = content.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        except OSError as error:
            raise MappingError(f"{path} cannot be read: {error.strerror}.") from None
        if start.startswith(b"["):
            raise MappingError(f"{path} is one JSON array; write one object a line, for example with `jq -c '.[]'`.")
        self.is_json = start.startswith(b"{")
        self.read = 0
        self._ids = RowIds()
        self._mapping = mapping
        if self.is_json:
            if mapping is not None:
                mapping.check(None)
            return
        first = next(self._lines(), "")
        self._delimiter = _delimiter_of(first)
        header = next(csv.reader([first], delimiter=self._delimiter), [])
        if mapping is None and not {column.name for column in DEPOSITS.columns.values()} <= {*header, ROW_ID}:
            raise MappingError(
                f"Nothing says what the columns of {path} mean ({', '.join(header) or 'it is empty'}); add --type "
                "and --map, such as --type payment.deposit_approved --map subject=PLAYER_COLUMN."
            )
        self._mapping = mapping or DEPOSITS
        self._mapping.check(header)

    def items(self) -> Iterator[EventItem | Unreadable]:
        """Every row, in order. `read` tells how many bytes of the file have been taken."""
        self._ids, self.read = RowIds(), 0
        return self._objects() if self.is_json else self._table()

    def _table(self) -> Iterator[EventItem | Unreadable]:
        reader = csv.reader(self._lines(), delimiter=self._delimiter)
        try:
            header = next(reader, [])
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    reason = f"The row has {len(row)} cells where the header has {len(header)}; correct it."
                    yield Unreadable(reader.line_num, row, reason)
                    continue
                yield self._mapped(self._mapping or DEPOSITS, dict(zip(header, row, strict=True)), reader.line_num)
        except csv.Error as error:
            raise MappingError(f"{self.path}, line {reader.line_num}, is not CSV: {error}.") from None

    def _objects(self) -> Iterator[EventItem | Unreadable]:
        for number, line in enumerate(self._lines(), 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield Unreadable(number, line.rstrip("\n"), f"The line is not JSON: {error}.")
                continue
            if not isinstance(row, dict):
                yield Unreadable(number, row, "The line is not a JSON object; write one object a line.")
            elif self._mapping is not None:
                yield self._mapped(self._mapping, row, number)
            elif "specversion" in row:
                # A CloudEvent goes as it is, so that what was exported comes back byte for byte.
                yield EventItem(line.strip().encode(), str(row.get("subject", "")), number, row)
            else:
                reason = "The object is not a CloudEvent; give it specversion 1.0, or map its fields with --map."
                yield Unreadable(number, row, reason)

    def _mapped(self, mapping: RowMapping, row: JsonObject, number: int) -> EventItem | Unreadable:
        row_id = self._ids.of(row, str(mapping.constants.get("type", "")))
        try:
            event = mapping.event(row, row_id)
        except RowRefused as refused:
            return Unreadable(number, row, str(refused))
        return EventItem(orjson.dumps(event), event["subject"], number, row)

    def _lines(self) -> Iterator[str]:
        self.read = 0
        with self.path.open("rb") as content:
            for number, line in enumerate(content, 1):
                self.read += len(line)
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise MappingError(
                        f"{self.path}, line {number}, is not UTF-8; convert the file first, for example with iconv."
                    ) from None


def _delimiter_of(header: str) -> str:
    """What parts the columns of a header: the delimiter it holds most often outside of quotes."""
    return max(",;\t|", key=re.sub(r'"[^"]*"', "", header).count)
