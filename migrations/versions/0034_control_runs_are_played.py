"""control runs are played: whether a workflow plays a run is noted with it"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

_BEFORE = "state = 'active' AND arm = 'treated'"
_SINCE = "state = 'active' AND (arm = 'treated' OR played)"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Processes of the release before say nothing of it: their control runs have no workflow, and the others do.
    op.add_column("runs", sa.Column("played", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_index("ix_runs_ends", table_name="runs")
    op.create_index("ix_runs_ends", "runs", ["brand", "ends_at"], postgresql_where=sa.text(_SINCE))


def downgrade() -> None:
    op.drop_index("ix_runs_ends", table_name="runs")
    op.create_index("ix_runs_ends", "runs", ["brand", "ends_at"], postgresql_where=sa.text(_BEFORE))
    op.drop_column("runs", "played")
