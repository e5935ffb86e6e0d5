"""The tables of erasure: what was erased and when, and whom an exclusion outlives. `activities.tables` has them too."""

from sqlalchemy import Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from activities.table_columns import instant, metadata, texts

# Erasures of players: asked for by the API, done in pieces by the owner of the tables, and kept as certificates.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    *texts("brand", "player_id", "ground", "reference", "asked_by"),
    # From this moment on the player is protected; what was received until then is erased.
    instant("asked_at", nullable=False),
    # How many exclusions are kept beside the player, as digests of the person's addresses.
    Column("suppressed", Integer, nullable=False, server_default=text("0")),
    # How far each table is: a cursor, or `done`.
    Column("progress", JSONB, nullable=False, server_default=text("'{}'")),
    # By table: rows that were deleted, and rows whose personal data was overwritten.
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    instant("done_at"),
    # SHA-256 of the certificate's text.
    Column("hash", Text),
    Index("ix_erasures_player", "brand", "player_id", "asked_at"),
    Index("ix_erasures_open", "asked_at", "id", postgresql_where=text("done_at IS NULL")),
)

# Exclusions of people who were erased, by a keyed digest of an address: who comes back is excluded still.
suppressions = Table(
    "suppressions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("brand", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    instant("until"),
    instant("since", nullable=False),
    # The jurisdictions the player had when it was set.
    Column("places", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Index("ix_suppressions_until", "until", postgresql_where=text("until IS NOT NULL")),
)
