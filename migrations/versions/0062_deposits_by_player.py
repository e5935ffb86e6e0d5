"""deposits and scores are found player by player without all that a player did"""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0060"

INDEX = "ix_events_scored"
ON = "(brand, player_id, occurred_at) WHERE type IN ('payment.deposit_approved', 'score.changed')"
#: The months that have not got it: all at first, and the rest when this was cut off.
MONTHS_LEFT = sa.text(
    """
    SELECT part.relname FROM pg_inherits i JOIN pg_class part ON part.oid = i.inhrelid
    WHERE i.inhparent = 'events'::regclass AND NOT EXISTS (
        SELECT FROM pg_index x JOIN pg_inherits of ON of.inhrelid = x.indexrelid
        WHERE x.indrelid = part.oid AND of.inhparent = CAST(:index AS regclass)
    ) ORDER BY part.relname
    """
)


def upgrade() -> None:
    # First the index of the whole, which is on no month yet: a month that is made meanwhile has it from the beginning.
    # Then month by month, beside the work.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '5s'")
        op.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} ON ONLY events {ON}")
        op.execute("RESET lock_timeout")
        for month in op.get_bind().scalars(MONTHS_LEFT, {"index": INDEX}).all():
            op.execute(f"DROP INDEX IF EXISTS {month}_scored")
            op.execute(f"CREATE INDEX CONCURRENTLY {month}_scored ON {month} {ON}")
            op.execute(f"ALTER INDEX {INDEX} ATTACH PARTITION {month}_scored")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
