"""the journal of points is added up by day"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"

INDEX = "ix_point_transfers_at"
#: The months of the journal that have not got the index yet.
MONTHS_LEFT = sa.text(
    """
    SELECT part.relname FROM pg_inherits i JOIN pg_class part ON part.oid = i.inhrelid
    WHERE i.inhparent = 'point_transfers'::regclass AND NOT EXISTS (
        SELECT FROM pg_index x JOIN pg_inherits xi ON xi.inhrelid = x.indexrelid
        WHERE x.indrelid = part.oid AND xi.inhparent = CAST(:index AS regclass)
    ) ORDER BY part.relname
    """
)


def upgrade() -> None:
    op.create_table(
        "point_days",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("amount", "transfers", "players")),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brand", "currency", "day", "debit", "credit", name=op.f("pk_point_days")),
        if_not_exists=True,
    )
    # A month that is made meanwhile has it from the beginning; the others get it beside the work.
    with op.get_context().autocommit_block():
        in_a_hurry(f"CREATE INDEX IF NOT EXISTS {INDEX} ON ONLY point_transfers USING brin (at)")
        for month in op.get_bind().scalars(MONTHS_LEFT, {"index": INDEX}).all():
            in_a_hurry(f"DROP INDEX IF EXISTS {month}_moments")
            op.execute(f"CREATE INDEX CONCURRENTLY {month}_moments ON {month} USING brin (at)")
            in_a_hurry(f"ALTER INDEX {INDEX} ATTACH PARTITION {month}_moments")


def in_a_hurry(statement: str) -> None:
    """Do it without waiting long for a lock: whoever comes after it would wait behind it."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(statement)
    op.execute("RESET lock_timeout")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
    op.drop_table("point_days")
