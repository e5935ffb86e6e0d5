"""brands take turns at dispatch"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Dispatchers of the release before go on reading by the index without the brand.
    op.create_index("ix_deliveries_brand_due", "deliveries", ["brand", "priority", "due_at"])


def downgrade() -> None:
    op.drop_index("ix_deliveries_brand_due", table_name="deliveries")
