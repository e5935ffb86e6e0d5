"""what players do with a button: each answer, and what all of them share"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.create_table(
        "player_commands",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brand", "player_id", "key", name=op.f("pk_player_commands")),
    )
    op.create_index("ix_player_commands_at", "player_commands", ["at"], postgresql_using="brin")
    op.create_table(
        "loyalty_limits",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "name", name=op.f("pk_loyalty_limits")),
    )


def downgrade() -> None:
    op.drop_table("loyalty_limits")
    op.drop_table("player_commands")
