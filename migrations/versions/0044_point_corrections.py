"""points that a person gives or takes, and the second person where there are many"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    op.create_table(
        "point_corrections",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "brand", "player_id", "currency")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("reason", "state", "asked_by", "asked_by_id")),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_by_id", sa.Text()),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("decided_by_id <> asked_by_id", name=op.f("ck_point_corrections_two_people")),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_point_corrections_moves")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_point_corrections")),
    )
    op.create_index("ix_point_corrections_player", "point_corrections", ["brand", "player_id", "asked_at"])


def downgrade() -> None:
    op.drop_table("point_corrections")
