"""The tables of loyalty. `activities.tables` has them too."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import metadata

# Every movement of points, both sides in a row, in a partition a month; never changed and never taken back. `number`
# counts the player's transfers without a gap. House accounts are names: a stored balance of the house would be one hot
# row.
point_transfers = Table(
    "point_transfers",
    metadata,
    *(Column(name, Text, nullable=False) for name in ("brand", "player_id")),
    Column("number", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    *(Column(name, Text, nullable=False) for name in ("currency", "debit", "credit", "cause", "ref")),
    Column("amount", BigInteger, nullable=False),
    # By slice: how much of it left `available` or came to it.
    Column("slices", JSONB, nullable=False, server_default=text("'{}'")),
    # Of an accrual: the day it belongs to, and the sums that this is made of.
    Column("bucket", Text),
    Column("units", JSONB),
    CheckConstraint("amount > 0 AND debit <> credit", name="moves"),
    Index("ix_point_transfers_number", "brand", "player_id", "number", "at", unique=True),
    Index(
        "ix_point_transfers_bucket",
        "brand",
        "player_id",
        "bucket",
        "number",
        postgresql_where=text("bucket IS NOT NULL"),
    ),
    Index("ix_point_transfers_at", "at", postgresql_using="brin"),
    postgresql_partition_by="RANGE (at)",
)

# opt-in, claim: what each press of a button was answered, so that it is done once.
player_commands = Table(
    "player_commands",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "player_id", "key")),
    Column("digest", Text, nullable=False),
    Column("answer", JSONB, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_player_commands_at", "at", postgresql_using="brin"),
)

# What all players share, by name and time: how much of a budget or a stock is used.
loyalty_limits = Table(
    "loyalty_limits",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "name")),
    Column("used", BigInteger, nullable=False),
)

# spin: the seed of each day of a wheel, drawn before anybody spins, and what every spin came to.
wheel_days = Table(
    "wheel_days",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "wheel", "day")),
    Column("seed", LargeBinary, nullable=False),
)
spins = Table(
    "spins",
    metadata,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("brand", "player_id", "wheel", "day", "version", "client_seed")),
    Column("nonce", Integer, nullable=False),
    Column("weights", JSONB, nullable=False),
    Column("drawn", Integer, nullable=False),
    Column("instead", Boolean, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    # Why it is not what the sector says, blanks in a row before it, the prize, and the effect that gave the spin.
    Column("reason", Text),
    Column("blanks", Integer, nullable=False, server_default=text("0")),
    Column("prize", JSONB),
    Column("given_by", Text),
    Index("ix_spins_given", "given_by", postgresql_where=text("given_by IS NOT NULL")),
    Index("ix_spins_player", "brand", "player_id", "wheel", "day", "nonce", unique=True),
)

# buy: reserved until what was bought is delivered, or its points go back.
shop_purchases = Table(
    "shop_purchases",
    metadata,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("brand", "player_id", "item", "version", "currency", "state")),
    Column("price", BigInteger, nullable=False),
    # By slice, where its points come from and would go back to.
    Column("slices", JSONB, nullable=False),
    # What was sold, as it was in that moment; a badge or a piece has none.
    Column("gives", JSONB),
    # The run that delivers it, and when somebody looks at how it ended.
    Column("run_id", Text),
    Column("due_at", DateTime(timezone=True)),
    Column("reason", Text),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Index("ix_shop_purchases_player", "brand", "player_id", "at", "id"),
    Index("ix_shop_purchases_due", "due_at", postgresql_where=text("state = 'reserved'")),
)

# The journal added up by day, and by month from its days: what moved between which accounts, of how many players.
point_days = Table(
    "point_days",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "currency")),
    Column("day", Date, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("debit", "credit")),
    *(Column(name, BigInteger, nullable=False) for name in ("amount", "transfers", "players")),
    Column("counted_at", DateTime(timezone=True), nullable=False),
)
point_months = Table(
    "point_months",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "currency")),
    Column("month", Date, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("debit", "credit")),
    *(Column(name, BigInteger, nullable=False) for name in ("amount", "transfers", "players")),
    Column("counted_at", DateTime(timezone=True), nullable=False),
)

# raffle: tickets that were given together, and who won what in a draw. A draw has a seed from the first ticket on.
raffle_tickets = Table(
    "raffle_tickets",
    metadata,
    Column("ticket", BigInteger, Identity(always=True), primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("brand", "raffle", "period", "player_id", "ref")),
    Column("count", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_raffle_tickets_period", "brand", "raffle", "period", "ticket"),
    Index("ix_raffle_tickets_player", "brand", "player_id", "raffle", "period"),
)
raffle_draws = Table(
    "raffle_draws",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "raffle", "period")),
    Column("seed", LargeBinary, nullable=False),
    Column("drawn_at", DateTime(timezone=True)),
    # What was drawn from: each bundle with its holder under another name, and how many places there were.
    Column("tickets", JSONB),
    Column("places", Integer),
    # Who was drawn for a place and may not have it: place, ticket, and the name of the holder in the draw.
    Column("passed_over", JSONB),
    # What was promised, and the secret that the names of holders are made with, which is never told.
    Column("terms", JSONB),
    Column("alias_key", LargeBinary),
    Index("ix_raffle_draws_open", "brand", "raffle", "period", postgresql_where=text("drawn_at IS NULL")),
)
raffle_winners = Table(
    "raffle_winners",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "raffle", "period")),
    Column("place", Integer, primary_key=True),
    Column("player_id", Text, nullable=False),
    Column("ticket", BigInteger, nullable=False),
    Column("prize", JSONB, nullable=False),
    # Given, or why not; neither: still to be given.
    Column("settled_at", DateTime(timezone=True)),
    Column("withheld", Text),
    # When it is tried again, and how often it failed.
    Column("due_at", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Index("ix_raffle_winners_due", "brand", "raffle", "period", "place", postgresql_where=text("settled_at IS NULL")),
)

# By hand: points that a person gives or takes, and who else said yes.
point_corrections = Table(
    "point_corrections",
    metadata,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("brand", "player_id", "currency")),
    Column("amount", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("reason", "state", "asked_by", "asked_by_id")),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_by_id", Text),
    Column("decided_at", DateTime(timezone=True)),
    CheckConstraint("decided_by_id <> asked_by_id", name="two_people"),
    CheckConstraint("amount <> 0", name="moves"),
    Index("ix_point_corrections_player", "brand", "player_id", "asked_at"),
)
