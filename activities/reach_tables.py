"""The tables of how people are reached: what was said to us from addresses that no player has."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, Table, Text, text

from activities.table_columns import instant, metadata, texts

# A text to our number from one that no player of any brand has. Its id is the provider's.
stray_texts = Table(
    "stray_texts",
    metadata,
    Column("id", Text, primary_key=True),
    *texts("channel", "number", "text"),
    # Whether it asks for no more messages.
    Column("stops", Boolean, nullable=False),
    instant("received_at", nullable=False),
    Index("ix_stray_texts_received_at", "received_at"),
)

# A No from an address, for whoever has it later: by a keyed digest of the address, in each brand.
stray_refusals = Table(
    "stray_refusals",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "digest", "channel")),
    instant("said_at", nullable=False),
    Index("ix_stray_refusals_said_at", "said_at"),
)

# Whose a device is that push messages go to, by the name that profiles have for its token.
device_owners = Table(
    "device_owners",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "device")),
    Column("player_id", Text, nullable=False),
    instant("since", nullable=False),
    Index("ix_device_owners_player", "brand", "player_id"),
)

# What a seed was made of, by currency. `why` it is ranked by deposits, or holds nobody.
seeds = Table(
    "seeds",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name", "currency")),
    Column("taken_on", Date, nullable=False),
    Column("ranked_by", Text, nullable=False),
    Column("why", Text),
    Column("ranked", BigInteger, nullable=False),
    Column("players", BigInteger, nullable=False),
)

# Who is in a seed.
seed_players = Table(
    "seed_players",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name", "player_id")),
    Column("taken_on", Date, nullable=False),
    Index("ix_seed_players_player", "brand", "player_id"),
)

# What an ad network was told of whom: `asked_at` before it is told to add them, `told_at` when it has said that it did.
# Who is not wanted any more stays until it has taken them out.
audience_members = Table(
    "audience_members",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "audience", "player_id", "email", "phone")),
    Column("wanted", Boolean, nullable=False),
    instant("checked_at", nullable=False),
    instant("due_at", nullable=False),
    instant("asked_at"),
    instant("told_at"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Index(
        "ix_audience_members_due",
        "brand",
        "audience",
        "due_at",
        postgresql_where=text("NOT wanted OR told_at IS NULL"),
    ),
)

# How far the comparison of each audience with what its network was told has come.
audience_syncs = Table(
    "audience_syncs",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "audience")),
    Column("after", Text),
    instant("compared_at"),
)
