"""The rows of a CSV or NDJSON file as people have them: whatever its encoding, its line ends and what parts its cells.

`journeys import` and `journeys rehearse` read with it. What is damaged is never read as something shorter: a quote that
nobody closes, or a file that was cut off, is an error with its line, and a row that cannot be used is still a row.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from content.duplicate_json_names import mark_repeated_names
from workflows.errors import JourneysError

#: The longest byte order marks first: that of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What other programs write, by how it begins, and what to do with it.
_NO_TEXT: Final = (
    (b"PK\x03\x04", "is a workbook or an archive; save its sheet as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "is a workbook; save its sheet as CSV"),
    (b"\x1f\x8b", "is compressed; unpack it first, for example with gunzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed; unpack it first, for example with unzstd"),
    (b"PAR1", "is Parquet; write it as CSV or NDJSON first"),
)
#: Bytes that show what a file is.
_START: Final = 4096
#: Lines between two looks at how far a file is read.
_LOOK: Final = 512
_USUAL: Final = "utf-8-sig"
_WESTERN: Final = "cp1252"
#: Rows of fewer columns look like lines of prose with a comma in them.
_FEWEST_COLUMNS: Final = 3
_CUT_OFF: Final = frozenset({"unexpected end of data", "truncated data"})
_HIGH: Final = re.compile(rb"[\x80-\xff]+")
_SEPARATOR: Final = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class FileError(JourneysError):
    """The file cannot be read to its end; the message says where, and what to do."""


class Row(NamedTuple):
    """A row: the line it begins in, its cells by the names of their columns, and of NDJSON the line itself."""

    line: int
    values: dict[str, Any]
    text: str = ""


class UnreadableRow(NamedTuple):
    """A row that is no record, the line it begins in, and why."""

    line: int
    row: Any
    reason: str


class RowFile:
    """A file of rows. Made, it knows what the file is; each walk over `rows` reads it anew.

    Raises FileError when it is made, and from `rows`: then what was read before the fault is not all of the file.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        #: What was found out about the file and not said by anybody, as sentences.
        self.notices: tuple[str, ...] = ()
        #: Bytes of the file, and how many of them the walk under way has taken.
        self.size = self.read = 0
        #: The columns of a CSV file as its header writes them; None of NDJSON.
        self.header: list[str] | None = None
        try:
            self.size = path.stat().st_size
            with path.open("rb") as content:
                start = content.read(_START)
        except OSError as error:
            raise _unreadable(path, error) from None
        for mark, what in _NO_TEXT:
            if start.startswith(mark):
                raise FileError(f"{path} {what}.")
        self._encoding = self._encoding_of(start) if encoding is None else _named(encoding)
        first = next((line for line in self._lines() if line.strip()), "").lstrip()
        if first.startswith("["):
            raise FileError(f"{path} is one JSON array; write one object a line, for example with `jq -c '.[]'`.")
        self.is_json = first.startswith("{")
        self._delimiter = ","
        #: Lines before the header: blank ones, and the one that tells a spreadsheet what parts the columns.
        self._before = 0
        if not self.is_json:
            self._read_header()

    def rows(self) -> Iterator[Row | UnreadableRow]:
        """Every row in the order of the file; lines and rows that are blank are none."""
        return self._objects() if self.is_json else self._table()

    def _read_header(self) -> None:
        said = None
        first = ""
        for line in self._lines():
            separator = _SEPARATOR.fullmatch(line)
            if line.strip() and separator is None:
                first = line
                break
            self._before += 1
            said = separator[1] if separator is not None else said
        self._delimiter = said or _delimiter_of(first)
        self.header = next((list(cells) for _, cells in self._cells()), [])

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """The cells of each row, the header's too, with the line they begin in."""
        lines = self._lines()
        for _ in range(self._before):
            next(lines, None)
        # Strict: a quote that stands where none may is told, instead of being guessed away with what follows it.
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        end = 0
        while True:
            begin = self._before + end + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise FileError(f"{self.path}, line {begin}, is not CSV: {_csv_fault(str(error))}.") from None
            if cells is None:
                return
            if reader.line_num > end + 1:
                self._check_line_ends(begin, cells)
            end = reader.line_num
            yield begin, cells

    def _check_line_ends(self, line: int, cells: list[str]) -> None:
        """A stray quote ends where the next one stands, and takes the rows between them into one cell."""
        most = len(self.header or cells) - 1
        if most + 1 < _FEWEST_COLUMNS:
            return
        for cell in cells:
            if any(part.count(self._delimiter) == most for part in _LINE_END.split(cell)[1:]):
                raise FileError(
                    f"{self.path}, line {line}: a cell in quotes that begins there holds whole rows; close its quote, "
                    "or take the line breaks out of the cell."
                )

    def _table(self) -> Iterator[Row | UnreadableRow]:
        header = self.header or []
        rows = self._cells()
        next(rows, None)
        for line, cells in rows:
            if not any(cells):
                continue
            if len(cells) != len(header):
                reason = f"The row has {len(cells)} cells where the header has {len(header)}; correct it."
                yield UnreadableRow(line, cells, reason)
            else:
                yield Row(line, dict(zip(header, cells, strict=True)))

    def _objects(self) -> Iterator[Row | UnreadableRow]:
        for number, line in enumerate(self._lines(), 1):
            text = line.strip()
            if not text:
                continue
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                yield UnreadableRow(number, line.rstrip("\r\n"), f"The line is not JSON: {error}.")
                continue
            if mark_repeated_names(text.encode(), row) is not None:
                yield UnreadableRow(number, line.rstrip("\r\n"), "The line has a name twice; write each name once.")
            elif isinstance(row, dict):
                yield Row(number, row, text)
            else:
                yield UnreadableRow(number, row, "The line is not a JSON object; write one object a line.")

    def _lines(self) -> Iterator[str]:
        """The lines with their ends, which may be those of any system."""
        number = 0
        try:
            # No translation of line ends: within quotes they belong to the cell.
            with self.path.open("rb") as content, io.TextIOWrapper(content, self._encoding, newline="") as lines:
                for number, line in enumerate(lines, 1):
                    if number % _LOOK == 0:
                        self.read = content.tell()
                    yield line.removeprefix("\ufeff") if number == 1 else line
                self.read = self.size
        except UnicodeDecodeError as error:
            if error.reason in _CUT_OFF:
                raise _cut_off(self.path) from None
            where = _undecodable_line(self.path, self._encoding) or number + 1
            raise FileError(
                f"{self.path}, line {where}, is not {error.encoding.upper()}; say what it is with --encoding, such as "
                "--encoding windows-1252, or convert it, for example with iconv."
            ) from None
        except UnicodeError as error:
            # Of UTF-16 and UTF-32 without the mark that says which half of a character comes first.
            raise FileError(
                f"{self.path} is not {self._encoding.upper()}: {error}. Say what it is with --encoding, such as "
                "--encoding utf-16-le."
            ) from None
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def _encoding_of(self, start: bytes) -> str:
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        # Text in UTF-16 has a zero byte beside every Latin letter and digit.
        if start[1::2].count(0) * 4 > len(start):
            return "utf-16-le"
        if start[0::2].count(0) * 4 > len(start):
            return "utf-16-be"
        return self._eight_bits()

    def _eight_bits(self) -> str:
        """UTF-8, or Windows-1252 where it can be nothing else that is common. Raises FileError when neither is sure."""
        bad = good = high = beside = 0
        with self.path.open("rb") as content:
            for number, line in enumerate(content, 1):
                if line.isascii():
                    continue
                try:
                    line.decode()
                    good += 1
                    continue
                except UnicodeDecodeError as error:
                    before = line[: error.start]
                    good += not before.isascii()
                    if error.reason in _CUT_OFF and not line.endswith(b"\n") and good and not bad:
                        raise _cut_off(self.path) from None
                    bad = bad or number + before.count(b"\r")
                runs = [len(run) for run in _HIGH.findall(line)]
                high += sum(runs)
                beside += sum(run for run in runs if run > 1)
        if not bad:
            return _USUAL
        # Letters with accents stand alone in Western languages; in Cyrillic or Greek one follows the other.
        if good or beside * 2 > high or _undecodable_line(self.path, _WESTERN):
            raise FileError(
                f"{self.path}, line {bad}, is not UTF-8; say what it is with --encoding, such as --encoding "
                "windows-1251, or convert it, for example with iconv."
            )
        notice = "is not UTF-8 and is read as Windows-1252; if letters come out wrong, say what it is with --encoding."
        self.notices = (f"{self.path} {notice}",)
        return _WESTERN


def _named(encoding: str) -> str:
    try:
        known = codecs.lookup(encoding).name
        "a".encode(known)
    except LookupError:
        raise FileError(
            f"There is no encoding {encoding!r}; use utf-8, utf-16, windows-1252, windows-1251 or another that Python "
            "knows."
        ) from None
    return _USUAL if known == "utf-8" else known


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """The first line that an encoding of single bytes or UTF-8 cannot read; None if there is none, or it has others."""
    if encoding.startswith(("utf-16", "utf-32")):
        return None
    with path.open("rb") as content:
        for number, line in enumerate(content, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                return number + line[: error.start].count(b"\r")
    return None


def _cut_off(path: Path) -> FileError:
    return FileError(f"{path} ends within a character: it was cut off; get all of it.")


def _unreadable(path: Path, error: OSError) -> FileError:
    return FileError(f"{path} cannot be read: {error.strerror}.")


def _delimiter_of(header: str) -> str:
    """What parts the columns of a header: the delimiter it holds most often outside of quotes."""
    return max(",;\t|", key=re.sub(r'"[^"]*"', "", header).count)


def _csv_fault(error: str) -> str:
    if error == "unexpected end of data":
        return "a quote that opens in the row beginning there is never closed; close it, or take it out"
    if "field larger" in error:
        return "a cell of the row beginning there is too long; a quote in it is likely never closed"
    if "expected after" in error:
        return "a cell in quotes goes on behind its closing quote; double a quote that is part of the text"
    return error
