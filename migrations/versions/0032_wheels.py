"""wheels: the seed of each day, and what every spin came to"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.create_table(
        "wheel_days",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("wheel", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "wheel", "day", name=op.f("pk_wheel_days")),
    )
    texts = ("brand", "player_id", "wheel", "day", "version", "client_seed")
    op.create_table(
        "spins",
        sa.Column("id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("nonce", sa.Integer(), nullable=False),
        sa.Column("weights", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.Column("instead", sa.Boolean(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spins")),
    )
    op.create_index("ix_spins_player", "spins", ["brand", "player_id", "wheel", "day", "nonce"], unique=True)


def downgrade() -> None:
    op.drop_table("spins")
    op.drop_table("wheel_days")
