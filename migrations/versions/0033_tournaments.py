"""tournaments: their instances, and who stands where on each board"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.create_table(
        "tournaments",
        sa.Column("board", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "name", "instance")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("opens_at", "closes_at", "cut_at")),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("closed_at", "ended_at")),
        sa.Column("entries", sa.Integer()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("board", name=op.f("pk_tournaments")),
    )
    op.create_index("ix_tournaments_name", "tournaments", ["brand", "name", "opens_at"])
    op.create_index("ix_tournaments_under_way", "tournaments", ["cut_at"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "standings",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "player_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("board", "neg_score")),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("draw", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("named", sa.Boolean(), nullable=False),
        sa.Column("place", sa.Integer()),
        sa.Column("points", sa.BigInteger()),
        *(sa.Column(name, sa.Text()) for name in ("badge", "outcome")),
        sa.Column("late", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("brand", "player_id", "board", name=op.f("pk_standings")),
    )
    op.create_index(
        "ix_standings_order",
        "standings",
        ["board", "state", "neg_score", "reached_at", "rounds", "draw"],
        postgresql_include=["player_id", "named"],
    )
    op.create_index(
        "ix_standings_place", "standings", ["board", "place"], postgresql_where=sa.text("place IS NOT NULL")
    )
    op.create_index("ix_standings_due", "standings", ["board", "place"], postgresql_where=sa.text("outcome = 'due'"))
    # A better score moves its row within the index of the board, so no update is in place: room and a busy vacuum.
    op.execute("ALTER TABLE standings SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)")


def downgrade() -> None:
    op.drop_table("standings")
    op.drop_table("tournaments")
