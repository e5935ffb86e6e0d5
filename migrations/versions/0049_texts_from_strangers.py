"""texts from numbers that no player has"""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    op.create_table(
        "stray_texts",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "channel", "number", "text")),
        sa.Column("stops", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stray_texts")),
    )
    op.create_index("ix_stray_texts_received_at", "stray_texts", ["received_at"])


def downgrade() -> None:
    op.drop_table("stray_texts")
