"""spins: prizes of every kind, given by journeys; raffles: tickets, draws, winners

An index is built beside the work, after all else is committed: it can be begun again wherever it was cut off.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0040"
down_revision = "0039"

OF_A_DRAW = ("brand", "raffle", "period")


def upgrade() -> None:
    op.add_column("spins", sa.Column("reason", sa.Text()), if_not_exists=True)
    op.add_column(
        "spins", sa.Column("blanks", sa.Integer(), nullable=False, server_default=sa.text("0")), if_not_exists=True
    )
    op.add_column("spins", sa.Column("prize", postgresql.JSONB(astext_type=sa.Text())), if_not_exists=True)
    op.add_column("spins", sa.Column("given_by", sa.Text()), if_not_exists=True)
    _create_tickets()
    op.create_table(
        "raffle_draws",
        *(sa.Column(name, sa.Text(), nullable=False) for name in OF_A_DRAW),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True)),
        sa.Column("tickets", postgresql.JSONB(astext_type=sa.Text())),
        sa.Column("places", sa.Integer()),
        sa.PrimaryKeyConstraint(*OF_A_DRAW, name=op.f("pk_raffle_draws")),
        if_not_exists=True,
    )
    open_ones = sa.text("drawn_at IS NULL")
    op.create_index(
        "ix_raffle_draws_open", "raffle_draws", [*OF_A_DRAW], postgresql_where=open_ones, if_not_exists=True
    )
    op.create_table(
        "raffle_winners",
        *(sa.Column(name, sa.Text(), nullable=False) for name in OF_A_DRAW),
        sa.Column("place", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("prize", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("withheld", sa.Text()),
        sa.PrimaryKeyConstraint(*OF_A_DRAW, "place", name=op.f("pk_raffle_winners")),
        if_not_exists=True,
    )
    due = sa.text("settled_at IS NULL")
    op.create_index(
        "ix_raffle_winners_due", "raffle_winners", [*OF_A_DRAW, "place"], postgresql_where=due, if_not_exists=True
    )
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX IF EXISTS ix_spins_given")
        op.execute("CREATE INDEX CONCURRENTLY ix_spins_given ON spins (given_by) WHERE given_by IS NOT NULL")


def _create_tickets() -> None:
    op.create_table(
        "raffle_tickets",
        sa.Column("ticket", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in (*OF_A_DRAW, "player_id", "ref")),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ticket", name=op.f("pk_raffle_tickets")),
        if_not_exists=True,
    )
    op.create_index("ix_raffle_tickets_period", "raffle_tickets", [*OF_A_DRAW, "ticket"], if_not_exists=True)
    op.create_index(
        "ix_raffle_tickets_player", "raffle_tickets", ["brand", "player_id", "raffle", "period"], if_not_exists=True
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_spins_given")
    for table in ("raffle_winners", "raffle_draws", "raffle_tickets"):
        op.drop_table(table)
    for column in ("given_by", "prize", "blanks", "reason"):
        op.drop_column("spins", column)
