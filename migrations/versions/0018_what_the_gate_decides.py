"""what the gate decides: a row an answer, in a partition a month"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"

#: Partitions made ahead, after the present month.
AHEAD = 3


def upgrade() -> None:
    op.create_table(
        "gate_decisions",
        sa.Column("id", sa.Text(), server_default=sa.text("(gen_random_uuid())::text"), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("rules", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("seen", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_gate_decisions_player", "gate_decisions", ["brand", "player_id", "at"])
    op.create_index("ix_gate_decisions_newest", "gate_decisions", ["brand", "at", "id"])
    op.create_index("ix_gate_decisions_effect", "gate_decisions", ["brand", "effect_id"])
    op.execute("CREATE TABLE gate_decisions_default PARTITION OF gate_decisions DEFAULT")
    now = datetime.now(UTC)
    begin = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(AHEAD + 1):
        end = month_after(begin)
        name = f"gate_decisions_{begin:%Y_%m}"
        op.execute(f"CREATE TABLE {name} PARTITION OF gate_decisions FOR VALUES FROM ('{begin}') TO ('{end}')")
        begin = end


def month_after(day: datetime) -> datetime:
    return datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)


def downgrade() -> None:
    op.drop_table("gate_decisions")
