"""how far rewards come: their stage and figures, as the bonus engine tells"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"

TEXTS = ("stage", "stage_reason", "told_currency")
INSTANTS = ("stage_at",)
FIGURES = ("worth_minor", "wager_required_minor", "wagered_minor", "converted_minor")


def upgrade() -> None:
    for name in TEXTS:
        op.add_column("grants", sa.Column(name, sa.Text))
    for name in INSTANTS:
        op.add_column("grants", sa.Column(name, sa.DateTime(timezone=True)))
    for name in FIGURES:
        op.add_column("grants", sa.Column(name, sa.BigInteger))


def downgrade() -> None:
    for name in (*FIGURES, *INSTANTS, *TEXTS):
        op.drop_column("grants", name)
