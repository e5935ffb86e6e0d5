"""The tables of human tasks. `activities.tables` has them too."""

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from activities.table_columns import instant, metadata, now_by_default, texts

# ask: human tasks. `version` is the ETag; every change adds one.
tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    *texts("brand", "player_id"),
    # None where the engine itself asks.
    *(Column(name, Text, nullable=name in {"run_id", "journey"}) for name in ("run_id", "step", "journey")),
    *texts("form", "question"),
    Column("form_schema", JSONB, nullable=False),
    Column("team", Text, nullable=False),
    Column("skill", Text),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("forbidden", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("snapshot", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("assignee", Text),
    Column("priority", SmallInteger, nullable=False),
    instant("due_at", nullable=False),
    instant("follow_up_at"),
    instant("reminded_at"),
    instant("escalated_at"),
    Column("escalate_to", Text),
    Column("answer", JSONB),
    Column("answered_by", Text),
    instant("closed_at"),
    Column("version", Integer, nullable=False, server_default=text("1")),
    now_by_default("created_at"),
    # How many people must give the same answer, the answer that some have given, and how often that was another one.
    Column("approvals", SmallInteger, nullable=False, server_default=text("1")),
    Column("not_by", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("proposal", JSONB),
    Column("round", SmallInteger, nullable=False, server_default=text("0")),
    # What people were told of it, and when it is to be looked at whether they have to be told more; None: not again.
    Column("told", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("tell_at", DateTime(timezone=True), server_default=func.now()),
    UniqueConstraint("run_id", "step"),
    Index("ix_tasks_inbox", "brand", "state", "team", "due_at"),
    Index("ix_tasks_player", "brand", "player_id", "created_at"),
    # What waits, in the order of an inbox, with all that its tabs are chosen and counted by.
    Index(
        "ix_tasks_waiting",
        "brand",
        "due_at",
        "id",
        postgresql_include=["state", "team", "assignee", "follow_up_at", "priority"],
        postgresql_where=text("state IN ('open', 'claimed')"),
    ),
    Index("ix_tasks_tell", "tell_at", postgresql_where=text("tell_at IS NOT NULL AND state IN ('open', 'claimed')")),
)

# Tasks API and ask: who did what to a task, comments among it.
task_history = Table(
    "task_history",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.id"), nullable=False, index=True),
    Column("brand", Text, nullable=False),
    now_by_default("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("text", Text),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    # Who acted, whatever name they went by, and by means of which key.
    Column("actor_id", Text),
    Column("key_id", Text),
)

# ask: who approved an answer, and, with the `step` they answered before, who may not. One pair of eyes, one row.
task_signatures = Table(
    "task_signatures",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True),
    Column("round", SmallInteger, primary_key=True),
    Column("signer_id", Text, primary_key=True),
    *texts("brand", "signer"),
    Column("step", Text),
    Column("key_id", Text),
    instant("at", nullable=False),
)

# What somebody is told of a task, or of their morning: once for each occasion and person.
notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("brand", Text, nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    # None: a digest.
    Column("task_id", Text),
    Column("occasion", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    instant("due_at", nullable=False),
    # Until then a process is telling it; a process that died is waited for no longer.
    instant("claimed_until"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    now_by_default("created_at"),
    instant("ended_at"),
    Index("ix_notices_due", "due_at", postgresql_where=text("state = 'pending'")),
    Index("ix_notices_created_at", "created_at"),
)


def in_states(*states: str) -> ColumnElement[bool]:
    """Tasks that are in one of these states.

    The states stand in the statement itself: a plan that is kept for any values could not use `ix_tasks_waiting`.
    """
    return tasks.c.state.in_(bindparam("states", states, expanding=True, literal_execute=True))
