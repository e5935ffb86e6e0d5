"""how people work, and when they are away"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0037"
down_revision = "0036"

NOW = sa.func.now()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "work_profiles",
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", name="fk_work_profiles_person_id"), nullable=False),
        sa.Column("languages", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("minutes_a_day", sa.SmallInteger),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("brand", "person_id", name=op.f("pk_work_profiles")),
    )
    op.create_table(
        "absences",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id", name="fk_absences_person_id"), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("stand_in", sa.Text, sa.ForeignKey("people.id", name="fk_absences_stand_in")),
        sa.Column("given_by", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("ended_at", TIME),
        sa.CheckConstraint("stand_in <> person_id", name=op.f("ck_absences_by_another")),
    )
    op.create_index("ix_absences_until", "absences", ["brand", "until"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    op.drop_table("absences")
    op.drop_table("work_profiles")
