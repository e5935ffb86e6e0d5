"""tasks that wait are listed and counted without their rows being read"""

from alembic import op

revision = "0060"
down_revision = "0059"

INDEX = "ix_tasks_waiting"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {INDEX} ON tasks (brand, due_at, id) "
            "INCLUDE (state, team, assignee, follow_up_at, priority) WHERE state IN ('open', 'claimed')"
        )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"DROP INDEX {INDEX}")
