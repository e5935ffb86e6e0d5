"""budgets of bonuses: what a grant is worth, and what all players together may be given in a day"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("grants", sa.Column("value_minor", sa.BigInteger(), nullable=True))
    op.add_column("grants", sa.Column("currency", sa.Text(), nullable=True))
    names = ("brand", "journey", "currency")
    op.create_table(
        "budget_slices",
        *(sa.Column(name, sa.Text(), nullable=False) for name in names),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("slice", sa.SmallInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used BETWEEN 0 AND quota", name=op.f("ck_budget_slices_within")),
        sa.PrimaryKeyConstraint(*names, "day", "slice", name=op.f("pk_budget_slices")),
    )


def downgrade() -> None:
    op.drop_table("budget_slices")
    op.drop_column("grants", "currency")
    op.drop_column("grants", "value_minor")
