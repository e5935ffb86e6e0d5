"""made for years: records that outlive their month, indexes for what is forgotten and counted, room in busy tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"

INDEXES = {
    "ix_messages_handed_over": "messages (brand, player_id, handed_over_at)",
    "ix_messages_created": "messages USING brin (created_at)",
    "ix_runs_ended": "runs (ended_at, id) WHERE ended_at IS NOT NULL",
    "ix_memberships_left": "memberships (left_at) WHERE left_at IS NOT NULL",
}
# A player's row is written at every event: room in its page, and a look at what is dead long before a fifth of all is.
ROOM = {
    "players": "fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02",
    "runs": "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05",
    "messages": "fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05",
    "grants": "fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05",
    "tasks": "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05",
}


def upgrade() -> None:
    op.create_table(
        "kept_events",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("history", sa.Boolean(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_kept_events")),
        if_not_exists=True,
    )
    op.create_index("ix_kept_events_player", "kept_events", ["brand", "player_id", "occurred_at"], if_not_exists=True)
    with op.get_context().autocommit_block():
        for name, where in INDEXES.items():
            op.execute(f"DROP INDEX IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {where}")
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table, options in ROOM.items():
        op.execute(f"ALTER TABLE {table} SET ({options})")


def downgrade() -> None:
    for table, options in ROOM.items():
        names = ", ".join(option.partition(" = ")[0] for option in options.split(", "))
        op.execute(f"ALTER TABLE {table} RESET ({names})")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.drop_table("kept_events")
