"""sources of keys"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    texts = postgresql.ARRAY(sa.Text())
    op.add_column("api_keys", sa.Column("sources", texts, server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    op.drop_column("api_keys", "sources")
