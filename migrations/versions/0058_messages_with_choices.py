"""messages that a channel or an hour was chosen for are found, to be learned from"""

from alembic import op

revision = "0058"
down_revision = "0057"

INDEX = "ix_messages_chosen"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(f"CREATE INDEX CONCURRENTLY {INDEX} ON messages (brand, created_at) WHERE decision ? 'choice'")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
