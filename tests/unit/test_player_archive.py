"""The archive of what is kept of a player: one ZIP, in pieces, readable by machines and by people."""

import io
import json
import zipfile
from datetime import UTC, datetime

from content.player_archive import MOST_SHOWN, PlayerArchive

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
TABLES: dict[str, list[dict[str, object]]] = {
    "players": [{"id": "p-1", "profile": {"first_name": "<b>Anna</b>"}, "created_at": AT}],
    "messages": [],
    "steps": [{"step": "send:welcome#1", "detail": {"n": number}} for number in range(MOST_SHOWN + 5)],
}


def written() -> tuple[list[bytes], zipfile.ZipFile]:
    archive = PlayerArchive("p-1", AT)
    pieces = [archive.begin_document()]
    for begin in (None, archive.begin_page):
        if begin is not None:
            pieces.append(begin())
        for name, rows in TABLES.items():
            pieces += [archive.table(name), *(archive.row(row) for row in rows)]
    pieces.append(archive.end())
    return pieces, zipfile.ZipFile(io.BytesIO(b"".join(pieces)))


def test_the_document_has_every_row_of_every_table() -> None:
    _, whole = written()
    assert whole.testzip() is None
    document = json.loads(whole.read("player.json"))
    assert (document["player_id"], document["exported_at"]) == ("p-1", "2026-03-10T12:00:00+00:00")
    assert {name: len(rows) for name, rows in document["tables"].items()} == {
        "players": 1,
        "messages": 0,
        "steps": MOST_SHOWN + 5,
    }
    assert document["tables"]["players"][0]["profile"] == {"first_name": "<b>Anna</b>"}


def test_the_page_says_it_to_people_and_runs_nothing_that_a_player_wrote() -> None:
    _, whole = written()
    page = whole.read("index.html").decode()
    assert "&lt;b&gt;Anna&lt;/b&gt;" in page
    assert "<b>Anna" not in page
    assert "default-src 'none'" in page
    assert "Who you are" in page
    assert page.count("<td>send:welcome#1</td>") == MOST_SHOWN
    assert f"The first {MOST_SHOWN:,} of {MOST_SHOWN + 5:,}" in page


def test_it_comes_in_pieces_and_none_is_kept() -> None:
    pieces, _ = written()
    assert max(map(len, pieces)) < 100_000
    assert sum(1 for piece in pieces if piece) > 2
