"""what has changed in a brand, as it was found, and when people were told"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    op.create_table(
        "changes",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "kind", "subject")),
        sa.Column("found_on", sa.Date(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("brand", "kind", "subject", "found_on", name=op.f("pk_changes")),
    )


def downgrade() -> None:
    op.drop_table("changes")
