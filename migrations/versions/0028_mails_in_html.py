"""mails in HTML: the twin of a mail's text is kept until it has gone"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.add_column("messages", sa.Column("html", sa.Text))


def downgrade() -> None:
    op.drop_column("messages", "html")
