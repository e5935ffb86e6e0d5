"""what is stuck"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("runs", sa.Column("problem_step", sa.Text(), nullable=True))
    op.create_index(
        "ix_runs_ends",
        "runs",
        ["brand", "ends_at"],
        postgresql_where=sa.text("state = 'active' AND arm = 'treated'"),
    )
    op.create_index("ix_runs_lost", "runs", ["brand", "ended_at"], postgresql_where=sa.text("outcome = 'lost'"))


def downgrade() -> None:
    op.drop_index("ix_runs_lost", table_name="runs", postgresql_where=sa.text("outcome = 'lost'"))
    op.drop_index("ix_runs_ends", table_name="runs", postgresql_where=sa.text("state = 'active' AND arm = 'treated'"))
    op.drop_column("runs", "problem_step")
