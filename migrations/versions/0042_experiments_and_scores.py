"""experiments: who was drawn into which arm, and what was found; scores: what was learned"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    json, instant = postgresql.JSONB(astext_type=sa.Text()), sa.DateTime(timezone=True)
    op.create_table(
        "experiments",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("arms", json, nullable=False),
        sa.Column("stopped", json, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("closed", sa.Text(), nullable=True),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("looked_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("brand", "name", "version", name=op.f("pk_experiments")),
    )
    op.create_table(
        "assignments",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("chance", sa.Float(), nullable=False),
        sa.Column("shares", json, nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("brand", "experiment", "version", "player_id", name=op.f("pk_assignments")),
    )
    op.create_index("ix_assignments_player", "assignments", ["brand", "player_id"])
    op.create_table(
        "experiment_looks",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("counted", sa.Float(), nullable=False),
        sa.Column("findings", json, nullable=False),
        sa.PrimaryKeyConstraint("brand", "experiment", "version", "number", name=op.f("pk_experiment_looks")),
    )
    op.create_table(
        "score_models",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("artifact", json, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("learned_at", instant, nullable=False),
        sa.Column("drift", json, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("scored_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("brand", "name", "version", name=op.f("pk_score_models")),
    )


def downgrade() -> None:
    op.drop_table("score_models")
    op.drop_table("experiment_looks")
    op.drop_table("assignments")
    op.drop_table("experiments")
