"""reviews of harm: tasks without a run, and rewards that are to be taken back"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

INDEX = "ix_grants_revoke_due"


def upgrade() -> None:
    op.alter_column("tasks", "run_id", nullable=True)
    op.alter_column("tasks", "journey", nullable=True)
    op.add_column("grants", sa.Column("revoke_due", sa.DateTime(timezone=True)))
    op.add_column("grants", sa.Column("revoke_reason", sa.Text))
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX IF EXISTS {INDEX}")
        op.execute(f"CREATE INDEX CONCURRENTLY {INDEX} ON grants (revoke_due) WHERE revoke_due IS NOT NULL")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
    op.drop_column("grants", "revoke_reason")
    op.drop_column("grants", "revoke_due")
    # A task without a run means nothing to the release before.
    op.execute("DELETE FROM task_history WHERE task_id IN (SELECT id FROM tasks WHERE run_id IS NULL)")
    op.execute("DELETE FROM tasks WHERE run_id IS NULL")
    op.alter_column("tasks", "journey", nullable=False)
    op.alter_column("tasks", "run_id", nullable=False)
