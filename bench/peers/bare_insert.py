"""The least that keeping events can cost: a multi-row INSERT by psycopg, a transaction a batch, and nothing decided.

The table has the columns, the key and the indexes of the engine's own `events`. Everything a row needs is ready
before the clock starts. One statement with all rows of a batch is what psycopg does fastest short of COPY, which
cannot skip a row that is there already; being the same text each time, it is prepared by itself.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql

Row = tuple[Any, ...]
COLUMNS = ("brand", "source", "id", "type", "player_id", "occurred_at", "history", "data")


class BareInsert:
    """Inserts rows of events, `batch` at a time, on one connection."""

    def __init__(self, url: str, batch: int) -> None:
        self.batch = batch
        self.connection = psycopg.connect(url)
        self.statement = self._statement(batch)

    def prepare(self) -> None:
        """Make the table, with the key and the indexes of the engine's."""
        self.connection.execute("CREATE TABLE bare_events (LIKE events INCLUDING ALL)")
        self.connection.commit()

    def empty(self) -> None:
        """Forget every row."""
        self.connection.execute("TRUNCATE bare_events")
        self.connection.commit()

    @staticmethod
    def row(brand: str, event: dict[str, Any]) -> Row:
        """The row of one CloudEvent."""
        at = datetime.fromisoformat(event["time"])
        kind = event["type"].removeprefix("igaming.").removesuffix(".v1")
        data = orjson.dumps(event["data"]).decode()
        return brand, event["source"], event["id"], kind, event["subject"], at, False, data

    def insert(self, rows: Sequence[Row]) -> None:
        """Keep the rows; each batch is committed before the next begins."""
        for start in range(0, len(rows), self.batch):
            some = rows[start : start + self.batch]
            statement = self.statement if len(some) == self.batch else self._statement(len(some))
            self.connection.execute(statement, [value for row in some for value in row])
            self.connection.commit()

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()

    @staticmethod
    def _statement(rows: int) -> sql.Composed:
        row = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(COLUMNS)))
        return sql.SQL("INSERT INTO bare_events ({}) VALUES {} ON CONFLICT DO NOTHING").format(
            sql.SQL(", ").join(map(sql.Identifier, COLUMNS)), sql.SQL(", ").join([row] * rows)
        )
