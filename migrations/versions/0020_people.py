"""people and what they were given; teams and skills of keys, and who made, used and took them back"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0020"
down_revision = "0019"

NOW = sa.func.now()
TIME = sa.DateTime(timezone=True)
HOLDS = sa.text("revoked_at IS NULL")


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("teams", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("api_keys", sa.Column("skills", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("api_keys", sa.Column("created_by", sa.Text))
    op.add_column("api_keys", sa.Column("revoked_by", sa.Text))
    op.add_column("api_keys", sa.Column("last_used_at", TIME))
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("brands", ARRAY(sa.Text), nullable=False),
        sa.Column("issuer", sa.Text),
        sa.Column("subject", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("email", "name", "locale", "zone")),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
    )
    op.create_index("ix_people_email", "people", [sa.text("lower(email)")], unique=True)
    op.create_index(
        "ix_people_identity",
        "people",
        ["issuer", "subject"],
        unique=True,
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_index("ix_people_brands", "people", ["brands"], postgresql_using="gin")
    op.create_table(
        "person_grants",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", name="fk_person_grants_person_id"), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("brand", "kind", "name")),
        sa.Column("until", TIME),
        sa.Column("reason", sa.Text),
        sa.Column("granted_at", TIME, nullable=False, server_default=NOW),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("granted_by", "granted_by_id")),
        sa.Column("revoked_at", TIME),
        sa.Column("revoked_by", sa.Text),
        sa.CheckConstraint("granted_by_id <> person_id", name="ck_person_grants_by_another"),
        sa.CheckConstraint("kind IN ('role', 'team', 'skill')", name="ck_person_grants_kind"),
    )
    now = ["person_id", "brand", "kind", "name"]
    op.create_index("ix_person_grants_now", "person_grants", now, unique=True, postgresql_where=HOLDS)
    op.create_index("ix_person_grants_name", "person_grants", ["brand", "kind", "name"], postgresql_where=HOLDS)


def downgrade() -> None:
    op.drop_table("person_grants")
    op.drop_table("people")
    for column in ("teams", "skills", "created_by", "revoked_by", "last_used_at"):
        op.drop_column("api_keys", column)
