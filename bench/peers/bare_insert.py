"""The least that keeping events can cost: rows into one table by psycopg, a transaction a batch, and nothing decided.

The table has the columns, the key and the indexes of the engine's own `events`. Everything a row needs is ready
before the clock starts, and so is the text of the statement.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
import psycopg

Row = tuple[Any, ...]
Way = Literal["values", "executemany", "copy"]
COLUMNS = ("brand", "source", "id", "type", "player_id", "occurred_at", "history", "data")
INTO = f"bare_events ({', '.join(COLUMNS)})"
ONE = f"({', '.join(['%s'] * len(COLUMNS))})"


def row(brand: str, event: dict[str, Any]) -> Row:
    """The row of one CloudEvent."""
    at = datetime.fromisoformat(event["time"])
    kind = event["type"].removeprefix("igaming.").removesuffix(".v1")
    data = orjson.dumps(event["data"]).decode()
    return brand, event["source"], event["id"], kind, event["subject"], at, False, data


class BareInsert:
    """Keeps rows of events, `batch` at a time, on one connection."""

    def __init__(self, url: str, batch: int) -> None:
        self.batch = batch
        self.connection = psycopg.connect(url)
        self.connection.execute("CREATE TABLE IF NOT EXISTS bare_events (LIKE events INCLUDING ALL)")
        self.connection.commit()
        self.statement = self._statement(batch)

    def empty(self) -> None:
        """Forget every row."""
        self.connection.execute("TRUNCATE bare_events")
        self.connection.commit()

    def insert(self, rows: Sequence[Row], way: Way = "values") -> None:
        """Keep the rows; each batch is committed before the next begins.

        `values` is one INSERT with all rows of a batch, `executemany` what psycopg advises for many rows: an INSERT a
        row, all of a batch sent in one pipeline. `copy` is the fastest, but cannot skip a row that is there already.
        """
        for start in range(0, len(rows), self.batch):
            some = rows[start : start + self.batch]
            with self.connection.cursor() as cursor:
                if way == "copy":
                    with cursor.copy(f"COPY {INTO} FROM STDIN".encode()) as copy:
                        for one in some:
                            copy.write_row(one)
                elif way == "executemany":
                    cursor.executemany(self._statement(1), some)
                else:
                    whole = len(some) == self.batch
                    values = [value for one in some for value in one]
                    cursor.execute(self.statement if whole else self._statement(len(some)), values)
            self.connection.commit()

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()

    @staticmethod
    def _statement(rows: int) -> bytes:
        return f"INSERT INTO {INTO} VALUES {', '.join([ONE] * rows)} ON CONFLICT DO NOTHING".encode()  # noqa: S608 - our own words
