"""The tables of shadows. `activities.tables` has them too."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import instant, metadata

# Shadows: a release that is played beside the live one in a brand, for some players, with nothing done.
shadows = Table(
    "shadows",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("brand", Text, nullable=False),
    Column("journey", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("percent", Float, nullable=False),
    Column("started_by", Text, nullable=False),
    instant("started_at", nullable=False),
    Column("stopped_by", Text),
    instant("stopped_at"),
    Index("ix_shadows_running", "brand", "journey", unique=True, postgresql_where=text("stopped_at IS NULL")),
)

# Shadow runs, each beside a live one, which may be forgotten sooner. They stand in no other table.
shadow_runs = Table(
    "shadow_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("shadow_id", BigInteger, ForeignKey("shadows.id"), nullable=False),
    Column("brand", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("beside", Text, nullable=False),
    instant("ends_at", nullable=False),
    instant("ended_at"),
    Column("outcome", Text),
    Index("ix_shadow_runs_shadow", "shadow_id", "id"),
    Index("ix_shadow_runs_ends", "ends_at", "id"),
)

# What a shadow run would have done, as `steps` has it of a live one; `answer` is what the run was told of it.
shadow_steps = Table(
    "shadow_steps",
    metadata,
    Column("run_id", Text, ForeignKey("shadow_runs.id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("outcome", Text, primary_key=True),
    instant("at", nullable=False),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("answer", JSONB),
)
