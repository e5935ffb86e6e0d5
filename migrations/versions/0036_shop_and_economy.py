"""the shop: what players bought, and what became of it; the journal of points by month"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    texts = ("brand", "player_id", "item", "version", "currency", "state")
    op.create_table(
        "shop_purchases",
        sa.Column("id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("slices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("gives", postgresql.JSONB(astext_type=sa.Text())),
        sa.Column("run_id", sa.Text()),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_purchases")),
    )
    op.create_index("ix_shop_purchases_player", "shop_purchases", ["brand", "player_id", "at", "id"])
    op.create_index(
        "ix_shop_purchases_due", "shop_purchases", ["due_at"], postgresql_where=sa.text("state = 'reserved'")
    )
    op.create_table(
        "point_months",
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("amount", "transfers", "players")),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brand", "currency", "month", "debit", "credit", name=op.f("pk_point_months")),
    )


def downgrade() -> None:
    op.drop_table("point_months")
    op.drop_table("shop_purchases")
