"""whose each device is"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"


def upgrade() -> None:
    op.create_table(
        "device_owners",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "device", "player_id")),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brand", "device", name=op.f("pk_device_owners")),
    )
    op.create_index("ix_device_owners_player", "device_owners", ["brand", "player_id"])
    # Of players who share one, it is that of whom it was told of last; the others let it go.
    op.execute(
        """
        CREATE TEMPORARY TABLE devices_before ON COMMIT DROP AS
        SELECT brand, id AS player_id, device, row_number() OVER (
                   PARTITION BY brand, device ORDER BY coalesce(abs((state->'told'->>device)::bigint), 0) DESC, id
               ) AS place, coalesce(abs((state->'told'->>device)::bigint), 0) AS told
        FROM players, jsonb_each_text(profile) AS t (device, token)
        WHERE device LIKE 'push/%' AND token IS NOT NULL
        """
    )
    op.execute(
        """
        INSERT INTO device_owners (brand, device, player_id, since)
        SELECT brand, device, player_id, to_timestamp(told / 1000000.0) FROM devices_before WHERE place = 1
        """
    )
    # In the order in which everybody locks players, so that no batch and this wait for each other.
    op.execute(
        """
        SELECT FROM players p WHERE EXISTS (
            SELECT FROM devices_before d WHERE d.brand = p.brand AND d.player_id = p.id AND d.place > 1
        ) ORDER BY brand, id FOR UPDATE
        """
    )
    op.execute(
        """
        UPDATE players SET profile = profile - lost.devices
        FROM (SELECT brand, player_id, array_agg(device) AS devices FROM devices_before WHERE place > 1
              GROUP BY brand, player_id) AS lost
        WHERE players.brand = lost.brand AND players.id = lost.player_id
        """
    )


def downgrade() -> None:
    op.drop_table("device_owners")
