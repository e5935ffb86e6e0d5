"""The tables of experiments. `activities.tables` has them too."""

from sqlalchemy import Column, Float, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import instant, metadata, texts

# An experiment of a brand since its first player: the shares it began with, which arms were stopped, whether anybody is
# drawn, and when somebody looked last.
experiments = Table(
    "experiments",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name")),
    Column("version", Integer, primary_key=True),
    Column("arms", JSONB, nullable=False),
    Column("stopped", JSONB, nullable=False, server_default=text("'{}'")),
    Column("closed", Text),
    instant("started_at", nullable=False),
    instant("looked_at", nullable=False),
)

# Who was drawn into which arm, with which chance: a fact for ever, or no result could be checked.
assignments = Table(
    "assignments",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "experiment")),
    Column("version", Integer, primary_key=True),
    Column("player_id", Text, primary_key=True),
    *texts("arm", "run_id"),
    Column("chance", Float, nullable=False),
    # Of every arm when the player was drawn, in percent.
    Column("shares", JSONB, nullable=False),
    Column("why", Text),
    instant("at", nullable=False),
    Index("ix_assignments_player", "brand", "player_id"),
)

# What was found at each planned look at the goal; it stays as it was found.
experiment_looks = Table(
    "experiment_looks",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "experiment")),
    Column("version", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    instant("at", nullable=False),
    Column("counted", Float, nullable=False),
    Column("findings", JSONB, nullable=False),
)
