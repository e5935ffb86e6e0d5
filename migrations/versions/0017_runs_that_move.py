"""runs that move to another release"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("runs", sa.Column("moving_from", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "moving_from")
