"""raffles: terms and the secret of a draw, prizes that are tried again"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0045"
down_revision = "0044"

OF_DRAWS = (("terms", postgresql.JSONB(astext_type=sa.Text())), ("alias_key", sa.LargeBinary()))


def upgrade() -> None:
    for name, kind in OF_DRAWS:
        op.add_column("raffle_draws", sa.Column(name, kind))
    op.add_column("raffle_winners", sa.Column("due_at", sa.DateTime(timezone=True)))
    op.add_column("raffle_winners", sa.Column("failures", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for name in ("failures", "due_at"):
        op.drop_column("raffle_winners", name)
    for name, _ in OF_DRAWS:
        op.drop_column("raffle_draws", name)
