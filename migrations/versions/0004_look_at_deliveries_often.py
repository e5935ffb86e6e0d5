"""look at deliveries often"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # The table is empty most of the time and holds tens of thousands of rows minutes later: with the house's defaults
    # its statistics would tell of the one while the planner meets the other.
    op.execute(
        "ALTER TABLE deliveries SET (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000, "
        "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE deliveries RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold, "
        "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"
    )
