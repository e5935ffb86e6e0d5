"""draws of raffles say who was drawn and passed over"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0056"
down_revision = "0055"


def upgrade() -> None:
    # A column without a value is an entry of the catalogue alone, however many rows there are.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("raffle_draws", sa.Column("passed_over", JSONB))


def downgrade() -> None:
    op.drop_column("raffle_draws", "passed_over")
