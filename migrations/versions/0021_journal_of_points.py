"""the journal of points: a row a transfer, in a partition a month, that nobody may change"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"

#: Partitions made ahead, after the present month.
AHEAD = 3
TEXTS = ("currency", "debit", "credit", "cause", "ref")


def upgrade() -> None:
    op.create_table(
        "point_transfers",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("slices", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=True),
        sa.Column("units", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("amount > 0 AND debit <> credit", name=op.f("ck_point_transfers_moves")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_point_transfers_number", "point_transfers", ["brand", "player_id", "number", "at"], unique=True)
    op.create_index(
        "ix_point_transfers_bucket",
        "point_transfers",
        ["brand", "player_id", "bucket", "number"],
        postgresql_where=sa.text("bucket IS NOT NULL"),
    )
    op.execute("CREATE TABLE point_transfers_default PARTITION OF point_transfers DEFAULT")
    now = datetime.now(UTC)
    begin = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(AHEAD + 1):
        end = month_after(begin)
        name = f"point_transfers_{begin:%Y_%m}"
        op.execute(f"CREATE TABLE {name} PARTITION OF point_transfers FOR VALUES FROM ('{begin}') TO ('{end}')")
        begin = end
    op.execute(
        """
        CREATE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a row of % is never changed or taken away: write another that corrects it', TG_TABLE_NAME;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON point_transfers
        FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite()
        """
    )


def month_after(day: datetime) -> datetime:
    return datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)


def downgrade() -> None:
    op.drop_table("point_transfers")
    op.execute("DROP FUNCTION refuse_to_rewrite()")
