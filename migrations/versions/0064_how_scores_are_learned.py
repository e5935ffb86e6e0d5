"""when a score was learned last, what became of that, and whether the model in use was off"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0064"
down_revision = "0062"


def upgrade() -> None:
    op.create_table(
        "score_trainings",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "name")),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("became", "says")),
        *(sa.Column(name, sa.Integer()) for name in ("version", "looked_at")),
        sa.Column("windows", JSONB(), nullable=False, server_default=sa.text("'[]'")),
        sa.PrimaryKeyConstraint("brand", "name", name=op.f("pk_score_trainings")),
    )


def downgrade() -> None:
    op.drop_table("score_trainings")
