"""four eyes: who may answer a task, who approved its answer, and who acted whatever name they went by"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("tasks", sa.Column("approvals", sa.SmallInteger, nullable=False, server_default=sa.text("1")))
    op.add_column("tasks", sa.Column("not_by", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("tasks", sa.Column("proposal", JSONB))
    op.add_column("tasks", sa.Column("round", sa.SmallInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("task_history", sa.Column("actor_id", sa.Text))
    op.add_column("task_history", sa.Column("key_id", sa.Text))
    op.create_table(
        "task_signatures",
        sa.Column("task_id", sa.Text, sa.ForeignKey("tasks.id", name="fk_task_signatures_task_id"), primary_key=True),
        sa.Column("round", sa.SmallInteger, primary_key=True),
        sa.Column("signer_id", sa.Text, primary_key=True),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("step", sa.Text),
        sa.Column("key_id", sa.Text),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("task_signatures")
    op.drop_column("task_history", "key_id")
    op.drop_column("task_history", "actor_id")
    for column in ("round", "proposal", "not_by", "approvals"):
        op.drop_column("tasks", column)
