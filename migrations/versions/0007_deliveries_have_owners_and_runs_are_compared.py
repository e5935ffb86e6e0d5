"""deliveries have owners, and runs are compared with Temporal"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # What is there already keeps none: a process of the release before may have told its run of it without one.
    op.add_column("deliveries", sa.Column("id", sa.Uuid(as_uuid=False), nullable=True))
    op.alter_column("deliveries", "id", server_default=sa.text("gen_random_uuid()"))
    op.create_index(
        "ix_deliveries_urgent", "deliveries", ["due_at", "run_id"], postgresql_where=sa.text("priority = 0")
    )
    op.add_column("runs", sa.Column("input", postgresql.JSONB(), nullable=True))
    op.add_column("runs", sa.Column("check_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("problem", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("problem_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("problem_detail", sa.Text(), nullable=True))
    # Runs in flight are looked at within a day, spread over it.
    op.execute(
        "UPDATE runs SET check_at = now() + random() * interval '1 day' WHERE state = 'active' AND arm = 'treated'"
    )
    op.create_index("ix_runs_check", "runs", ["check_at"], postgresql_where=sa.text("check_at IS NOT NULL"))
    op.create_index(
        "ix_runs_problem",
        "runs",
        ["brand", "problem", "problem_since"],
        postgresql_where=sa.text("problem IS NOT NULL"),
    )


def downgrade() -> None:
    for name in ("ix_runs_problem", "ix_runs_check"):
        op.drop_index(name, table_name="runs")
    for column in ("problem_detail", "problem_since", "problem", "check_at", "input"):
        op.drop_column("runs", column)
    op.drop_index("ix_deliveries_urgent", table_name="deliveries")
    op.drop_column("deliveries", "id")
