"""What is kept of a player as one archive, piece by piece: a JSON document for machines and a page for people."""

import html
import io
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import orjson

from workflows.json_object import JsonObject

#: Rows of a table that the page shows; the document has all of them.
MOST_SHOWN: Final = 1_000
#: What people call the tables; the others go by their own names.
TITLES: Final = {
    "players": "Who you are, and what we have worked out about you",
    "events": "What happened",
    "kept_events": "What happened, of former times",
    "messages": "Messages to you",
    "gate_decisions": "Why something was sent or given, or was not",
    "grants": "Rewards",
    "tasks": "Questions to our people about you",
    "task_history": "What they did and wrote",
    "runs": "Journeys you were in",
    "steps": "What these journeys did",
    "memberships": "Groups you were in",
    "point_transfers": "Points",
    "erasures": "Erasures you asked for",
}
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;font-size:14px}"
    "th,td{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "summary{font-weight:600;padding:.5rem 0;cursor:pointer}"
)


class _Pieces(io.RawIOBase):
    """What a ZIP file is written into: it cannot be gone back in, and is taken away as it comes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: object) -> int:
        data = bytes(piece)  # type: ignore[call-overload]  # whatever has bytes
        self._pieces.append(data)
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class PlayerArchive:
    """A ZIP of `player.json` and `index.html`. Each method answers with the bytes that are ready.

    Call `begin_document`, `table` and `row` for all of them, then `begin_page` and the same again, then `end`.
    """

    def __init__(self, player_id: str, at: datetime) -> None:
        self._pieces = _Pieces()
        self._zip = zipfile.ZipFile(self._pieces, "w", zipfile.ZIP_DEFLATED)
        self._player_id, self._at = player_id, at
        self._member: io.BufferedIOBase | None = None
        self._is_page = False
        self._rows = 0
        self._tables = 0

    def begin_document(self) -> bytes:
        """Begin `player.json`."""
        self._open("player.json")
        head = {"player_id": self._player_id, "exported_at": self._at.isoformat()}
        return self._write(orjson.dumps(head)[:-1] + b',"tables":{')

    def begin_page(self) -> bytes:
        """End `player.json` and begin `index.html`."""
        self._put(b"]}}\n")
        self._open("index.html")
        self._is_page, self._tables = True, 0
        whose, at = html.escape(self._player_id), f"{self._at:%Y-%m-%d %H:%M} UTC"
        return self._write(
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            f"<title>Data about {whose}</title><style>{_STYLE}</style><h1>Data about {whose}</h1>"
            f"<p>Everything that the player journeys engine kept about this account at {at}. The file player.json "
            "holds the same for machines. Times are in UTC; amounts are in minor units, such as cents.</p>".encode()
        )

    def table(self, name: str) -> bytes:
        """Begin a table."""
        ended = self._end_table()
        self._tables += 1
        self._rows = 0
        if not self._is_page:
            return self._write(ended + (b"," if self._tables > 1 else b"") + orjson.dumps(name) + b":[")
        title = html.escape(TITLES.get(name, name))
        return self._write(ended + f"<details open><summary>{title}</summary><table>".encode())

    def row(self, row: JsonObject) -> bytes:
        """A row of the table."""
        self._rows += 1
        if not self._is_page:
            return self._write(
                (b"," if self._rows > 1 else b"") + orjson.dumps(row, option=orjson.OPT_UTC_Z, default=str)
            )
        if self._rows > MOST_SHOWN:
            return b""
        return self._write("".join(self._cells(row)).encode())

    def end(self) -> bytes:
        """The rest."""
        self._put(self._end_table() + b"</html>\n")
        self.give_up()
        return self._pieces.take()

    def give_up(self) -> None:
        """Let go of an archive that nobody reads to its end."""
        if self._member is not None:
            self._member.close()
        self._zip.close()

    def _cells(self, row: JsonObject) -> Iterator[str]:
        if self._rows == 1:
            yield "<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in row)
        yield "<tr>" + "".join(f"<td>{html.escape(_shown(value))}</td>" for value in row.values())

    def _end_table(self) -> bytes:
        if not self._tables:
            return b""
        if not self._is_page:
            return b"]"
        more = (
            f"<p>The first {MOST_SHOWN:,} of {self._rows:,}; player.json has all.</p>"
            if self._rows > MOST_SHOWN
            else ""
        )
        nothing = "<p>Nothing.</p>" if not self._rows else ""
        return f"</table>{more}{nothing}</details>".encode()

    def _open(self, name: str) -> None:
        if self._member is not None:
            self._member.close()
        self._member = self._zip.open(zipfile.ZipInfo(name, self._at.timetuple()[:6]), "w")  # type: ignore[assignment]

    def _write(self, text: bytes) -> bytes:
        self._put(text)
        return self._pieces.take()

    def _put(self, text: bytes) -> None:
        assert self._member is not None
        self._member.write(text)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
