"""erasure: who was erased and how far it is, and exclusions that outlive the data of a person"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"

JSONB = postgresql.JSONB(astext_type=sa.Text())
TEXTS = postgresql.ARRAY(sa.Text())
EMPTY = sa.text("'{}'")


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text(), primary_key=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("brand", "player_id", "ground", "reference", "asked_by")
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suppressed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress", JSONB, server_default=EMPTY, nullable=False),
        sa.Column("counts", JSONB, server_default=EMPTY, nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("hash", sa.Text()),
    )
    op.create_index("ix_erasures_player", "erasures", ["brand", "player_id", "asked_at"])
    op.create_index("ix_erasures_open", "erasures", ["asked_at", "id"], postgresql_where=sa.text("done_at IS NULL"))
    op.create_table(
        "suppressions",
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("digest", "brand", "kind", "scope")),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("places", TEXTS, server_default=EMPTY, nullable=False),
    )
    op.create_index("ix_suppressions_until", "suppressions", ["until"], postgresql_where=sa.text("until IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("suppressions")
    op.drop_table("erasures")
