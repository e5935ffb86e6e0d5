"""what others hear: subscriptions, outgoing events and who has yet to be told of them"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"

NOW = sa.text("now()")
EMPTY = sa.text("''")


def _instant(name: str, *, nullable: bool = True, default: sa.TextClause | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def upgrade() -> None:
    op.create_table(
        "webhook_subscriptions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=EMPTY),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("secrets", postgresql.JSONB, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        _instant("failing_since"),
        sa.Column("last_error", sa.Text),
        _instant("due_at", nullable=False, default=NOW),
        sa.Column("created_by", sa.Text, nullable=False, server_default=EMPTY),
        _instant("created_at", nullable=False, default=NOW),
        _instant("updated_at", nullable=False, default=NOW),
    )
    op.create_index("ix_webhook_subscriptions_newest", "webhook_subscriptions", ["brand", "created_at", "id"])
    op.create_table(
        "outgoing_events",
        sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        _instant("at", nullable=False),
        sa.Column("data", postgresql.JSONB, nullable=False),
        _instant("created_at", nullable=False, default=NOW),
        sa.UniqueConstraint("id", name="uq_outgoing_events_id"),
    )
    op.create_index("ix_outgoing_events_created", "outgoing_events", ["created_at"], postgresql_using="brin")
    op.create_table(
        "webhook_deliveries",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("event_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'pending'")),
        sa.Column("again", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        _instant("due_at", nullable=False, default=NOW),
        _instant("claimed_until"),
        _instant("created_at", nullable=False, default=NOW),
        _instant("ended_at"),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["subscription_id", "due_at", "event_seq"],
        postgresql_where=pending,
    )
    op.create_index(
        "ix_webhook_deliveries_order",
        "webhook_deliveries",
        ["subscription_id", "player_id", "event_seq"],
        postgresql_where=sa.text("state = 'pending' AND NOT again"),
    )
    op.create_index("ix_webhook_deliveries_event", "webhook_deliveries", ["event_seq"])


def downgrade() -> None:
    for table in ("webhook_deliveries", "outgoing_events", "webhook_subscriptions"):
        op.drop_table(table)
