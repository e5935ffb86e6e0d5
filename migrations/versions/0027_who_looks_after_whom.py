"""hosts of players, and what people noted about them"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

NOW = sa.func.now()
TIME = sa.DateTime(timezone=True)
THEIRS = sa.text("until IS NULL")


def upgrade() -> None:
    op.create_table(
        "player_hosts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("brand", "player_id")),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", name="fk_player_hosts_person_id"), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("given_by", sa.Text, nullable=False),
        sa.Column("until", TIME),
    )
    op.create_index("ix_player_hosts_now", "player_hosts", ["brand", "player_id"], unique=True, postgresql_where=THEIRS)
    op.create_index(
        "ix_player_hosts_person", "player_hosts", ["brand", "person_id", "player_id"], postgresql_where=THEIRS
    )
    op.create_index("ix_player_hosts_player", "player_hosts", ["brand", "player_id", "id"])
    op.create_table(
        "player_notes",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("brand", "player_id", "author", "kind", "text")),
        sa.Column("source", sa.Text),
        sa.Column("at", TIME, nullable=False, server_default=NOW),
    )
    op.create_index("ix_player_notes_player", "player_notes", ["brand", "player_id", "id"])


def downgrade() -> None:
    for table in ("player_notes", "player_hosts"):
        op.drop_table(table)
