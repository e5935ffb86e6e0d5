"""The tables of the audit trail. `activities.tables` has them too."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import instant, metadata, texts

# Who did what, and who looked: chains of entries, some a brand, so that nobody waits long for another's.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("brand", Text, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    instant("at", nullable=False),
    *texts("kind", "action"),
    Column("object", Text),
    Column("player_id", Text),
    *texts("actor", "actor_kind", "actor_id"),
    Column("key_id", Text),
    Column("request_id", Text),
    # Names of fields, never what stands in them: nothing here can be erased.
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    # The hash of the entry before, and of that with this one.
    Column("prev", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_audit_entries_newest", "brand", "at"),
    Index("ix_audit_entries_player", "brand", "player_id", "at", postgresql_where=text("player_id IS NOT NULL")),
    Index("ix_audit_entries_actor", "brand", "actor_id", "at"),
)

# Where each chain ends. The row is locked from an entry's insert until its commit, and by nothing else.
audit_heads = Table(
    "audit_heads",
    metadata,
    Column("brand", Text, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
