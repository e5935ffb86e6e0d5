"""journey controls"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "journey_controls",
        sa.Column("brand", sa.Text(), primary_key=True),
        sa.Column("journey", sa.Text(), primary_key=True),
        sa.Column("closed", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.create_table(
        "journey_control_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text()),
        sa.Column("request", sa.Text()),
    )
    op.create_index("ix_journey_control_history_journey", "journey_control_history", ["brand", "journey", "id"])
    op.create_index(
        "ix_journey_control_history_request",
        "journey_control_history",
        ["brand", "request"],
        unique=True,
        postgresql_where=sa.text("request IS NOT NULL"),
    )
    op.create_table(
        "held_runs",
        sa.Column("run_id", sa.Text(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_held_runs_journey", "held_runs", ["brand", "journey", "since", "run_id"])


def downgrade() -> None:
    op.drop_table("held_runs")
    op.drop_table("journey_control_history")
    op.drop_table("journey_controls")
