"""The tables of scores. `activities.tables` has it too."""

from sqlalchemy import Column, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import instant, metadata, texts

# What was learned, what it was worth, and which model scores players now.
score_models = Table(
    "score_models",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name")),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("artifact", JSONB, nullable=False),
    Column("why", Text, nullable=False),
    instant("learned_at", nullable=False),
    # How far the players of last night were from those it was judged on, and when they were scored.
    Column("drift", JSONB, nullable=False, server_default=text("'{}'")),
    instant("scored_at"),
)

# When a score was learned last and what became of it; `version` is the model that came of it, if one did.
score_trainings = Table(
    "score_trainings",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name")),
    instant("tried_at", nullable=False),
    *texts("became", "says"),
    Column("version", Integer),
    # The model that stayed in use, and how it did on the newest windows that were over then.
    Column("looked_at", Integer),
    Column("windows", JSONB, nullable=False, server_default=text("'[]'")),
)
