"""events name the API key that posted them"""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"

TABLES = ("events", "kept_events", "failed_events")


def upgrade() -> None:
    # A column without a value is an entry of the catalogue alone, however many rows there are.
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.add_column(table, sa.Column("key_id", sa.Text))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "key_id")
