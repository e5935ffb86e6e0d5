"""how far messages come, as their providers tell it"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("messages", sa.Column("delivery", sa.Text()))
    op.add_column("messages", sa.Column("delivery_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("messages", "delivery_at")
    op.drop_column("messages", "delivery")
