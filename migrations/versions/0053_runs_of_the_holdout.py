"""runs say whether their player was in the brand's holdout when they entered"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"


def upgrade() -> None:
    # A column without a value is an entry of the catalogue alone, however many rows there are.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("runs", sa.Column("held_out", sa.Boolean))


def downgrade() -> None:
    op.drop_column("runs", "held_out")
