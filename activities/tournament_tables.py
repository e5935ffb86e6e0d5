"""The tables of tournaments. `activities.tables` has them too."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import metadata

# One row an instance of a tournament, with the terms it opened under. `board` is a hash of brand and instance.
tournaments = Table(
    "tournaments",
    metadata,
    Column("board", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in ("brand", "name", "instance")),
    *(Column(name, DateTime(timezone=True), nullable=False) for name in ("opens_at", "closes_at", "cut_at")),
    Column("terms", JSONB, nullable=False),
    # open: scores are taken · closing: no more of them · paying · done · cancelled
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("closed_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("entries", Integer),
    Column("reason", Text),
    Index("ix_tournaments_name", "brand", "name", "opens_at"),
    Index("ix_tournaments_under_way", "cut_at", postgresql_where=text("ended_at IS NULL")),
)

# One row a player and board, what the player's row says of it. An update moves the row in the order of its board, so no
# page is filled to the brim (migration 0033). `place`, `points` and `badge` are written once, when the board is closed.
standings = Table(
    "standings",
    metadata,
    *(Column(name, Text, nullable=False) for name in ("brand", "player_id")),
    *(Column(name, BigInteger, nullable=False) for name in ("board", "neg_score")),
    Column("reached_at", DateTime(timezone=True), nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("draw", BigInteger, nullable=False),
    # 0: ranked · 1: the place is lost, and the name is in no list
    Column("state", SmallInteger, nullable=False, server_default=text("0")),
    Column("named", Boolean, nullable=False),
    Column("place", Integer),
    Column("points", BigInteger),
    Column("badge", Text),
    # due · paid · withheld:reason
    Column("outcome", Text),
    # How many events came, or were taken back, when the board was closed.
    Column("late", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("brand", "player_id", "board"),
    Index(
        "ix_standings_order",
        "board",
        "state",
        "neg_score",
        "reached_at",
        "rounds",
        "draw",
        postgresql_include=["player_id", "named"],
    ),
    Index("ix_standings_place", "board", "place", postgresql_where=text("place IS NOT NULL")),
    Index("ix_standings_due", "board", "place", postgresql_where=text("outcome = 'due'")),
)
