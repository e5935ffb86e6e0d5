"""people are told of tasks"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0037"

NOW = sa.func.now()
TIME = sa.DateTime(timezone=True)
OPEN = "state IN ('open', 'claimed')"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("told", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("tasks", sa.Column("tell_at", TIME))
    # What is open already was opened for whoever looks; that its time is over is told.
    op.execute(
        "UPDATE tasks SET told = '{opened}', tell_at = greatest(due_at, now()) WHERE state IN ('open', 'claimed')"
    )
    op.alter_column("tasks", "tell_at", server_default=NOW)
    op.create_index("ix_tasks_tell", "tasks", ["tell_at"], postgresql_where=sa.text(f"tell_at IS NOT NULL AND {OPEN}"))
    told_as = sa.Column("format", sa.Text, nullable=False, server_default=sa.text("'cloudevents'"))
    empty = sa.text("'{}'")
    teams: sa.Column[object] = sa.Column("teams", postgresql.ARRAY(sa.Text), nullable=False, server_default=empty)
    for column in (told_as, teams):
        op.add_column("webhook_subscriptions", column)
    op.add_column("work_profiles", sa.Column("told_of", postgresql.ARRAY(sa.Text)))
    for name in ("quiet_from", "quiet_until", "digest_at"):
        op.add_column("work_profiles", sa.Column(name, sa.Text))
    op.create_table(
        "notices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", name="fk_notices_person_id"), nullable=False),
        sa.Column("task_id", sa.Text),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'pending'")),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("claimed_until", TIME),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("ended_at", TIME),
    )
    op.create_index("ix_notices_due", "notices", ["due_at"], postgresql_where=sa.text("state = 'pending'"))
    op.create_index("ix_notices_created_at", "notices", ["created_at"])


def downgrade() -> None:
    op.drop_table("notices")
    for name in ("teams", "format"):
        op.drop_column("webhook_subscriptions", name)
    for name in ("digest_at", "quiet_until", "quiet_from", "told_of"):
        op.drop_column("work_profiles", name)
    op.drop_index("ix_tasks_tell", "tasks")
    op.drop_column("tasks", "tell_at")
    op.drop_column("tasks", "told")
