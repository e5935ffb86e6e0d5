"""versions of journeys"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # A constant default is no rewrite of the table; 0 says that the run is from before there were releases.
    op.add_column("runs", sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index("ix_runs_version", "runs", ["journey", "version"], postgresql_where=sa.text("state = 'active'"))


def downgrade() -> None:
    op.drop_index("ix_runs_version", table_name="runs", postgresql_where=sa.text("state = 'active'"))
    op.drop_column("runs", "version")
