"""refusals from addresses that no player has yet"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    op.create_table(
        "stray_refusals",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "digest", "channel")),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brand", "digest", "channel", name=op.f("pk_stray_refusals")),
    )
    op.create_index("ix_stray_refusals_said_at", "stray_refusals", ["said_at"])


def downgrade() -> None:
    op.drop_table("stray_refusals")
