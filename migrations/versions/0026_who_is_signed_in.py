"""sign-ins, sessions of the console, and answers that are half written"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"

NOW = sa.func.now()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("state_hash", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("browser_hash", "verifier", "nonce", "return_to")),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
    )
    op.create_index("ix_sign_ins_created_at", "sign_ins", ["created_at"])
    op.create_table(
        "sessions",
        sa.Column("id_hash", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", name="fk_sessions_person_id"), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("issuer", "subject")),
        sa.Column("sid", sa.Text),
        sa.Column("authenticated_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("seen_at", TIME, nullable=False, server_default=NOW),
        sa.Column("ended_at", TIME),
    )
    op.create_index("ix_sessions_subject", "sessions", ["issuer", "subject"])
    op.create_index("ix_sessions_created_at", "sessions", ["created_at"])
    op.create_table(
        "task_drafts",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("brand", "task_id", "person", "player_id")),
        sa.Column("fields", JSONB, nullable=False),
        sa.Column("task_version", sa.Integer, nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("brand", "task_id", "person", name="pk_task_drafts"),
    )
    op.create_index("ix_task_drafts_player", "task_drafts", ["brand", "player_id"])
    op.create_index("ix_task_drafts_saved_at", "task_drafts", ["saved_at"])


def downgrade() -> None:
    for table in ("task_drafts", "sessions", "sign_ins"):
        op.drop_table(table)
