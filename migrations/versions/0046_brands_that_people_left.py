"""brands that somebody had people leave"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    op.add_column("people", sa.Column("left_brands", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    op.drop_column("people", "left_brands")
