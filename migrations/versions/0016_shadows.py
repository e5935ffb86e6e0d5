"""shadows: releases played beside live ones, with nothing done"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "shadows",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Float(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
    )
    op.create_index(
        "ix_shadows_running",
        "shadows",
        ["brand", "journey"],
        unique=True,
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_table(
        "shadow_runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shadow_id", sa.BigInteger(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("beside", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["shadow_id"], ["shadows.id"], name=op.f("fk_shadow_runs_shadow_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_runs")),
    )
    op.create_index("ix_shadow_runs_shadow", "shadow_runs", ["shadow_id", "id"])
    op.create_index("ix_shadow_runs_ends", "shadow_runs", ["ends_at", "id"])
    op.create_table(
        "shadow_steps",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["shadow_runs.id"], name=op.f("fk_shadow_steps_run_id")),
        sa.PrimaryKeyConstraint("run_id", "step", "line", "outcome", name=op.f("pk_shadow_steps")),
    )


def downgrade() -> None:
    op.drop_table("shadow_steps")
    op.drop_table("shadow_runs")
    op.drop_table("shadows")
