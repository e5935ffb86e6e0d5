"""what is told of rewards is followed by a cursor of its own, which begins where days of players stand"""

from alembic import op

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    op.execute(
        "INSERT INTO followers (name, seq, as_of) SELECT 'rewards', seq, as_of FROM followers WHERE name = 'events'"
        " ON CONFLICT DO NOTHING"
    )


def downgrade() -> None:
    op.execute("DELETE FROM followers WHERE name = 'rewards'")
