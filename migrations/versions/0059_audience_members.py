"""what ad networks were told of whom"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    op.create_table(
        "audience_members",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "audience", "player_id", "email", "phone")),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("checked_at", "due_at")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in ("asked_at", "told_at")),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("brand", "audience", "player_id", "email", "phone", name=op.f("pk_audience_members")),
    )
    op.create_index(
        "ix_audience_members_due",
        "audience_members",
        ["brand", "audience", "due_at"],
        postgresql_where=sa.text("NOT wanted OR told_at IS NULL"),
    )
    op.create_table(
        "audience_syncs",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "audience")),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("brand", "audience", name=op.f("pk_audience_syncs")),
    )


def downgrade() -> None:
    op.drop_table("audience_syncs")
    op.drop_table("audience_members")
