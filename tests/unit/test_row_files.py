"""Files people have, at both entrances: read rightly, or one sentence with the line and what to write."""

import csv
import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.importing.event_sender import EventItem, Unreadable
from activities.importing.file_import import SourceFile
from content.row_files import FileError, Row, RowFile, UnreadableRow
from content.row_mapping import MappingError, RowMapping, mapping_of
from stage.backtest.event_log import play_back, read_log
from stage.errors import StageError
from workflows.errors import JourneysError
from workflows.events import DepositApproved

HEADER = "player,paid_at,amount,note"
ROWS = [f"p-{day},2026-03-{day:02}T10:00:00Z,{day}.00,ok" for day in range(1, 21)]
TEXT = "\n".join([HEADER, *ROWS]) + "\n"
Entrance = Callable[..., list[tuple[str, int]]]


def mapping(**options: Any) -> RowMapping:
    maps = ["subject=player", "time=paid_at", "data.amount_minor=amount:minor", "data.payment_id=@id"]
    made = mapping_of([*maps, "data.method=note"], ["data.currency=EUR"], kind="payment.deposit_approved", **options)
    assert made is not None
    return made


def by_import(path: Path, encoding: str | None = None, **options: Any) -> list[tuple[str, int]]:
    """Player and amount of each row that would be sent."""
    file = SourceFile(path, mapping(**options), encoding)
    items = list(file.items())
    assert len(items) == file.rows
    assert file.read == file.size
    assert [item for item in items if isinstance(item, Unreadable)] == []
    return [
        (item.subject, json.loads(item.body)["data"]["amount_minor"]) for item in items if isinstance(item, EventItem)
    ]


def by_rehearsal(path: Path, encoding: str | None = None, **options: Any) -> list[tuple[str, int]]:
    log = read_log(path, mapping(**options), encoding)
    assert log.unreadable == 0
    told = [(player, event) for player, event in play_back(log.events) if isinstance(event, DepositApproved)]
    return [(player, event.amount_minor) for player, event in told]


ENTRANCES: dict[str, Entrance] = {"import": by_import, "rehearse": by_rehearsal}
ALL = [(f"p-{day}", day * 100) for day in range(1, 21)]


def stray_quote(row: int, cell: str = '"open') -> bytes:
    rows = [*ROWS]
    rows[row] = rows[row].removesuffix("ok") + cell
    return "\n".join([HEADER, *rows, ""]).encode()


DAMAGED = {
    "a quote nobody closes": (stray_quote(2), "line 4, is not CSV: a quote that opens in the row beginning there is"),
    "a quote in the last row": (stray_quote(19), "line 21, is not CSV: a quote that opens"),
    "cut off within a quoted cell": (stray_quote(19)[:-1], "line 21, is not CSV: a quote that opens"),
    "a quote that another row closes": (
        stray_quote(2).replace(b"2026-03-09T10:00:00Z,9.00,ok", b'2026-03-09T10:00:00Z,9.00,ok"'),
        "line 4: a cell in quotes that begins there holds whole rows; close its quote",
    ),
    "a quote that the next row closes": (
        stray_quote(2).replace(b"2026-03-04T10:00:00Z,4.00,ok", b'2026-03-04T10:00:00Z,4.00,ok"'),
        "line 4: a cell in quotes that begins there holds whole rows",
    ),
    "a quote within a quoted cell": (stray_quote(2, '"the "best" one"'), "line 4, is not CSV: a cell in quotes"),
    "a very long cell": (TEXT.encode() + b'p,2026-03-01T10:00:00Z,1,"' + b"x" * 200_000, "line 22, is not CSV: a cell"),
    "two mapped columns of one name": (TEXT.replace("note", "amount", 1).encode(), "'amount' more than once ("),
    "no such column": (TEXT.replace("amount", "sum", 1).encode(), "The file has no column 'amount'"),
    "cut off within a letter": ((TEXT + "p-é,x").encode() + b"\xc3", "ends within a character: it was cut off"),
    "UTF-16 cut off": (TEXT.encode("utf-16")[:-1], "ends within a character: it was cut off"),
    "Cyrillic of Windows": (TEXT.replace("ok", "Олена").encode("cp1251"), "line 2, is not UTF-8; say what it is with"),
    "one bad letter in UTF-8": (TEXT.replace("ok", "schön").encode() + b"p,x,1,\xff\n", "line 22, is not UTF-8"),
    "a workbook": (b"PK\x03\x04" + bytes(100), "is a workbook or an archive; save its sheet as CSV"),
    "an old workbook": (b"\xd0\xcf\x11\xe0" + bytes(100), "is a workbook; save its sheet as CSV"),
    "gzip": (gzip.compress(TEXT.encode()), "is compressed; unpack it first"),
    "nothing": (b"", "The file has no column 'player'"),
    "a JSON array": (b"[{}]", "one JSON array; write one object a line"),
}
SPOKEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "as it is": (TEXT.encode(), {}),
    "carriage returns": (TEXT.replace("\n", "\r").encode(), {}),
    "carriage returns and line feeds": (TEXT.replace("\n", "\r\n").encode(), {}),
    "no end of the last line": (TEXT.rstrip("\n").encode(), {}),
    "blank lines": (("\n\n" + TEXT.replace("\n", "\n\n") + "   \n").replace("   \n", ",,,\n").encode(), {}),
    "a byte order mark": (TEXT.encode("utf-8-sig"), {}),
    "UTF-16": (TEXT.encode("utf-16"), {}),
    "UTF-16, big end first": (b"\xfe\xff" + TEXT.encode("utf-16-be"), {}),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), {}),
    "UTF-32": (TEXT.encode("utf-32"), {}),
    "Windows-1252": (TEXT.replace("ok", "Käufer").encode("cp1252"), {}),
    "Windows-1251, named": (TEXT.replace("ok", "Олена").encode("cp1251"), {"encoding": "windows-1251"}),
    "UTF-8, named": (TEXT.encode("utf-8-sig"), {"encoding": "UTF-8"}),
    "semicolons": (TEXT.replace(",", ";").encode(), {}),
    "tabs": (TEXT.replace(",", "\t").encode(), {}),
    "what a spreadsheet is told": (b"sep=;\r\n" + TEXT.replace(",", ";").encode(), {}),
    "spaces in the header": (TEXT.replace(HEADER, " player , paid_at,amount ,note").encode(), {}),
    "quotes around everything": (
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in TEXT.splitlines()).encode(),
        {},
    ),
    "line breaks in quotes": (TEXT.replace("ok", '"ok,\nsaid ""she""\r\nof it"').encode(), {}),
    "two other columns of one name": (TEXT.replace("note\n", "note,x,x\n").replace("ok\n", "ok,1,2\n").encode(), {}),
    "NA for nothing": (TEXT.replace("ok", "NA").encode(), {}),
    "a word of its own for nothing": (TEXT.replace("ok", "?").encode(), {"nulls": ["?"]}),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_file_is_one_sentence_and_nothing_of_it_is_taken(fault: str, entrance: str, tmp_path: Path) -> None:
    content, sentence = DAMAGED[fault]
    (tmp_path / "in.csv").write_bytes(content)
    with pytest.raises((FileError, MappingError, StageError)) as told:
        ENTRANCES[entrance](tmp_path / "in.csv")
    assert sentence in str(told.value)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("kind", SPOKEN)
def test_a_file_of_any_making_is_read_whole(kind: str, entrance: str, tmp_path: Path) -> None:
    content, options = SPOKEN[kind]
    (tmp_path / "in.csv").write_bytes(content)
    assert ENTRANCES[entrance](tmp_path / "in.csv", **options) == ALL


def test_what_was_found_out_about_letters_is_said(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(TEXT.replace("ok", "Käufer").encode("cp1252"))
    [notice] = SourceFile(file, mapping()).notices
    assert "is not UTF-8 and is read as Windows-1252; if letters come out wrong, say what it is with" in notice
    assert read_log(file, mapping()).notices == (notice,)
    assert "Käufer" in str(next(RowFile(file).rows()))
    assert SourceFile(file, mapping(), "cp1252").notices == ()


def test_an_encoding_nobody_knows_and_one_that_does_not_fit_are_said(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(TEXT.replace("ok", "Käufer").encode("cp1252"))
    with pytest.raises(FileError, match="There is no encoding 'latin-99'; use utf-8, utf-16, windows-1252"):
        SourceFile(file, mapping(), "latin-99")
    with pytest.raises(FileError, match="There is no encoding 'zlib'"):
        SourceFile(file, mapping(), "zlib")
    with pytest.raises(FileError, match=r"is not UTF-16: .* Say what it is with --encoding, such as --encoding utf-16"):
        SourceFile(file, mapping(), "utf-16")
    with pytest.raises(FileError, match="line 2, is not UTF-8; say what it is with --encoding"):
        SourceFile(file, mapping(), "utf-8")


def test_a_row_that_cannot_be_used_is_still_a_row(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(TEXT + "p,2026-03-01T10:00:00Z\n" + 'p,46082,1,"a\nb"\n' + "p,2026-03-01T10:00:00Z,1.000,\n\n")
    source = SourceFile(file, mapping())
    items = list(source.items())
    assert source.rows == len(items) == 23
    told = {item.line: item.reason for item in items if isinstance(item, Unreadable)}
    assert set(told) == {22, 23, 25}
    assert "2 cells where the header has 4" in told[22]
    assert "number of a day" in told[23]
    assert "'1.000' is one or a thousand" in told[25]
    log = read_log(file, mapping())
    assert (log.events.height, log.unreadable) == (20, 3)
    assert [fault.partition(":")[0] for fault in log.faults] == ["Line 22", "Line 23", "Line 25"]


def test_a_plain_log_of_deposits_is_held_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    rows = ["a,2026-03-01,1.50", "b,2026-03-01,1.000", "c,2026-03-01", "d,46082,1", "e,2026-03-01,1e3"]
    rows += ["f,2026-03-01,NA", "g,0007-03-01,1"]
    file.write_text("\r".join(["player_id,ts_utc,amount_usd", *rows]))
    source = SourceFile(file, None)
    assert (source.rows, sum(isinstance(item, EventItem) for item in source.items())) == (7, 3)
    log = read_log(file)
    assert (log.events.height, log.unreadable) == (1, 6)
    assert log.faults[0].startswith("Line 4: The row has 2 cells")
    file.write_text('player_id,ts_utc,amount_usd,x\na,2026-03-01,1.50,"open\nb,2026-03-01,2,\n')
    with pytest.raises(StageError, match="line 2, is not CSV: a quote that opens"):
        read_log(file)


def test_identities_of_rows_do_not_depend_on_how_the_file_is_written(tmp_path: Path) -> None:
    ways = [TEXT.encode(), TEXT.replace("\n", "\r").encode(), TEXT.encode("utf-16"), TEXT.replace(",", ";").encode()]
    made: list[list[bytes]] = []
    for number, content in enumerate(ways):
        file = tmp_path / str(number)
        file.write_bytes(content)
        made.append([item.body for item in SourceFile(file, mapping()).items() if isinstance(item, EventItem)])
    assert len(made[0]) == 20
    assert all(bodies == made[0] for bodies in made)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_as_csv_is_read_back_or_refused_and_never_shortened(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]], end: str
) -> None:
    file = tmp_path_factory.mktemp("csv") / "in.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *table])
    rows = list(RowFile(file).rows())
    assert all(isinstance(row, Row) for row in rows)
    said = [tuple(row.values.values()) for row in rows if isinstance(row, Row)]
    assert said == [row for row in table if any(row)]


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_there_are_rows_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("bytes") / "in.csv"
    file.write_bytes(b"player,paid_at,amount,note\n" + content)
    with suppress(JourneysError):
        assert all(isinstance(row, Row | UnreadableRow) for row in RowFile(file).rows())
