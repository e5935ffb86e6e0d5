"""seeds: whom ad networks are to find more of"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"


def upgrade() -> None:
    op.create_table(
        "seeds",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "name", "currency")),
        sa.Column("taken_on", sa.Date(), nullable=False),
        sa.Column("ranked_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("ranked", sa.BigInteger(), nullable=False),
        sa.Column("players", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "name", "currency", name=op.f("pk_seeds")),
    )
    op.create_table(
        "seed_players",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "name", "player_id")),
        sa.Column("taken_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "name", "player_id", name=op.f("pk_seed_players")),
    )
    op.create_index("ix_seed_players_player", "seed_players", ["brand", "player_id"])


def downgrade() -> None:
    op.drop_table("seed_players")
    op.drop_table("seeds")
