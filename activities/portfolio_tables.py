"""The tables of who looks after whom: hosts of players, and what people noted about them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Table, Text, text

from activities.table_columns import instant, metadata, now_by_default, texts

# Who looks after a player, and who did. A player has one host at a time.
player_hosts = Table(
    "player_hosts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    *texts("brand", "player_id"),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    instant("since", nullable=False),
    Column("given_by", Text, nullable=False),
    instant("until"),
    Index("ix_player_hosts_now", "brand", "player_id", unique=True, postgresql_where=text("until IS NULL")),
    Index("ix_player_hosts_person", "brand", "person_id", "player_id", postgresql_where=text("until IS NULL")),
    Index("ix_player_hosts_player", "brand", "player_id", "id"),
)

# What people noted about a player: personal data, whatever it says.
player_notes = Table(
    "player_notes",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    *texts("brand", "player_id", "author", "kind", "text"),
    # Where it is from: the player's own words, a letter, a colleague.
    Column("source", Text),
    now_by_default("at"),
    Index("ix_player_notes_player", "brand", "player_id", "id"),
)
