"""the audit trail: chained entries that nobody changes, and where each chain ends"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("brand", sa.Text, primary_key=True),
        sa.Column("lane", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text),
        sa.Column("player_id", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "actor_kind", "actor_id")),
        sa.Column("key_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("detail", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("prev", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_audit_entries_newest", "audit_entries", ["brand", "at"])
    op.create_index(
        "ix_audit_entries_player",
        "audit_entries",
        ["brand", "player_id", "at"],
        postgresql_where=sa.text("player_id IS NOT NULL"),
    )
    op.create_index("ix_audit_entries_actor", "audit_entries", ["brand", "actor_id", "at"])
    op.create_table(
        "audit_heads",
        sa.Column("brand", sa.Text, primary_key=True),
        sa.Column("lane", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    # The application has no right to either. This keeps the owner from it too, who would have to take it away first.
    op.execute(
        """
        CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'Entries of the audit are added, never changed and never taken back.'; END$$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries "
        "FOR EACH ROW EXECUTE FUNCTION audit_entries_stay()"
    )


def downgrade() -> None:
    op.drop_table("audit_heads")
    op.drop_table("audit_entries")
    op.execute("DROP FUNCTION audit_entries_stay()")
