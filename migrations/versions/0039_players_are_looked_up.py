"""players are looked up by name, address and number"""

from alembic import op

revision = "0039"
down_revision = "0038"

KEYS = {
    "first_name": "lower(profile ->> 'first_name')",
    "username": "lower(profile ->> 'username')",
    "email": "lower(profile ->> 'email')",
    "phone": r"reverse(regexp_replace(profile ->> 'phone', '\D', '', 'g'))",
}


def upgrade() -> None:
    # Beside the work: players are written at every event.
    with op.get_context().autocommit_block():
        for name, key in KEYS.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS ix_players_{name}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY ix_players_{name} ON players (brand, ({key}) text_pattern_ops) "
                f"WHERE (profile ->> '{name}') IS NOT NULL"
            )


def downgrade() -> None:
    for name in KEYS:
        op.drop_index(f"ix_players_{name}", "players")
