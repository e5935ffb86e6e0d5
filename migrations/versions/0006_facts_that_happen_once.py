"""facts that happen once"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # What was kept before has no value, so it may hold such a fact twice and the index holds nothing of it.
    op.add_column("events", sa.Column("unique_value", sa.Text(), nullable=True))
    op.create_index(
        "ix_events_unique",
        "events",
        ["brand", "player_id", "type", "unique_value"],
        unique=True,
        postgresql_where=sa.text("unique_value IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_events_unique", table_name="events", postgresql_where=sa.text("unique_value IS NOT NULL"))
    op.drop_column("events", "unique_value")
