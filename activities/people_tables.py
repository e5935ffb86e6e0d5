"""The tables of who may act: API keys, people, and what people were given. `activities.tables` has them too."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from activities.table_columns import instant, metadata, now_by_default, texts

# Keys are hashed; the secret is shown once.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("brand", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    # Under which sources it may speak; none means any.
    Column("sources", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    now_by_default("created_at"),
    instant("expires_at"),
    instant("revoked_at"),
    # Whose tasks it may work on; none means any team's. Skills it must be given.
    Column("teams", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("skills", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("created_by", Text),
    Column("revoked_by", Text),
    # Within a minute or so.
    instant("last_used_at"),
)

# People who work here, of one brand or several. `issuer` and `subject` are how a provider of sign-in names them.
people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("brands", ARRAY(Text), nullable=False),
    # Brands that somebody had them leave: no group of a provider brings them back.
    Column("left_brands", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("issuer", Text),
    Column("subject", Text),
    *texts("email", "name", "locale", "zone"),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    now_by_default("created_at"),
    now_by_default("updated_at"),
    Index("ix_people_email", text("lower(email)"), unique=True),
    Index("ix_people_identity", "issuer", "subject", unique=True, postgresql_where=text("subject IS NOT NULL")),
    Index("ix_people_brands", "brands", postgresql_using="gin"),
)

# What people were given in a brand: a role, a team, a skill; until when, by whom, and who took it back.
person_grants = Table(
    "person_grants",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    *texts("brand", "kind", "name"),
    instant("until"),
    Column("reason", Text),
    now_by_default("granted_at"),
    *texts("granted_by", "granted_by_id"),
    instant("revoked_at"),
    Column("revoked_by", Text),
    # Whatever the code does: nobody gives anything to themselves.
    CheckConstraint("granted_by_id <> person_id", name="by_another"),
    CheckConstraint("kind IN ('role', 'team', 'skill')", name="kind"),
    Index(
        "ix_person_grants_now",
        "person_id",
        "brand",
        "kind",
        "name",
        unique=True,
        postgresql_where=text("revoked_at IS NULL"),
    ),
    Index("ix_person_grants_name", "brand", "kind", "name", postgresql_where=text("revoked_at IS NULL")),
)

# How somebody works in a brand: what they speak, and how much of their day tasks may take; None: they are given none.
work_profiles = Table(
    "work_profiles",
    metadata,
    Column("brand", Text, nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("languages", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("minutes_a_day", SmallInteger),
    # What they are told by mail; None: what is usual. When on their clock they want quiet, and their digest.
    Column("told_of", ARRAY(Text)),
    *(Column(name, Text) for name in ("quiet_from", "quiet_until", "digest_at")),
    now_by_default("updated_at"),
    PrimaryKeyConstraint("brand", "person_id"),
)

# When somebody is not here, and who looks after their players meanwhile.
absences = Table(
    "absences",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("brand", Text, nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    instant("since", nullable=False),
    instant("until", nullable=False),
    Column("stand_in", Text, ForeignKey("people.id")),
    Column("given_by", Text, nullable=False),
    now_by_default("created_at"),
    instant("ended_at"),
    CheckConstraint("stand_in <> person_id", name="by_another"),
    Index("ix_absences_until", "brand", "until", postgresql_where=text("ended_at IS NULL")),
)
