"""what journeys said to others is found by its player, to be erased"""

from alembic import op

revision = "0047"
down_revision = "0046"

INDEX = "ix_outgoing_events_said"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(f"CREATE INDEX CONCURRENTLY {INDEX} ON outgoing_events (brand, player_id) WHERE data ? 'given'")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
