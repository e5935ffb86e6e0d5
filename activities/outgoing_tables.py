"""The tables of what others hear: what happened, who wants to know, and who has yet to be told."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from activities.table_columns import instant, metadata, now_by_default, texts

# Who wants to hear what, and how the receiver does. `secrets` says which keys its secrets are made of, and no secret.
webhook_subscriptions = Table(
    "webhook_subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    *texts("brand", "url"),
    Column("types", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("state", Text, nullable=False),
    # Why it is disabled.
    Column("reason", Text),
    Column("secrets", JSONB, nullable=False),
    # Attempts in a row that reached nobody, since when nothing was taken, and when the next attempt is due.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    instant("failing_since"),
    Column("last_error", Text),
    now_by_default("due_at"),
    Column("created_by", Text, nullable=False, server_default=text("''")),
    now_by_default("created_at"),
    now_by_default("updated_at"),
    # How it is told, and of which teams' tasks; none means all.
    Column("format", Text, nullable=False, server_default=text("'cloudevents'")),
    Column("teams", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Index("ix_webhook_subscriptions_newest", "brand", "created_at", "id"),
)

# What happened that somebody subscribed to. `seq` orders what concerns one player.
outgoing_events = Table(
    "outgoing_events",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    *texts("brand", "player_id", "type"),
    instant("at", nullable=False),
    Column("data", JSONB, nullable=False),
    now_by_default("created_at"),
    Index("ix_outgoing_events_created", "created_at", postgresql_using="brin"),
    Index("ix_outgoing_events_said", "brand", "player_id", postgresql_where=text("data ? 'given'")),
)

# Who has yet to be told of what, and who was. An event that is told `again` keeps no later one waiting.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("event_seq", BigInteger, primary_key=True),
    *texts("brand", "player_id"),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("again", Boolean, nullable=False, server_default=text("false")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_status", Integer),
    Column("last_error", Text),
    now_by_default("due_at"),
    # Until then a process is telling it; a process that died is waited for no longer.
    instant("claimed_until"),
    now_by_default("created_at"),
    instant("ended_at"),
    Index(
        "ix_webhook_deliveries_due",
        "subscription_id",
        "due_at",
        "event_seq",
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_webhook_deliveries_order",
        "subscription_id",
        "player_id",
        "event_seq",
        postgresql_where=text("state = 'pending' AND NOT again"),
    ),
    Index("ix_webhook_deliveries_event", "event_seq"),
)
