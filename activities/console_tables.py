"""The tables behind the console: who signs in, who is signed in, and answers that are half written."""

from sqlalchemy import Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from activities.table_columns import instant, metadata, now_by_default, texts

# A sign-in under way, from the moment somebody is sent to the identity provider until they come back.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", Text, primary_key=True),
    # The browser that began it: nobody else may finish it.
    *texts("browser_hash", "verifier", "nonce", "return_to"),
    now_by_default("created_at"),
    Index("ix_sign_ins_created_at", "created_at"),
)

# Who is signed in. The browser holds the secret, this table its hash.
sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    *texts("issuer", "subject"),
    # How the provider calls this session, for back-channel logout.
    Column("sid", Text),
    instant("authenticated_at", nullable=False),
    now_by_default("created_at"),
    now_by_default("seen_at"),
    instant("ended_at"),
    Index("ix_sessions_subject", "issuer", "subject"),
    Index("ix_sessions_created_at", "created_at"),
)

# What somebody has typed into the form of a task and not sent yet. It is personal data, like the answer.
task_drafts = Table(
    "task_drafts",
    metadata,
    *texts("brand", "task_id", "person", "player_id"),
    Column("fields", JSONB, nullable=False),
    # The version of the task that was on the screen.
    Column("task_version", Integer, nullable=False),
    instant("saved_at", nullable=False),
    PrimaryKeyConstraint("brand", "task_id", "person"),
    Index("ix_task_drafts_player", "brand", "player_id"),
    Index("ix_task_drafts_saved_at", "saved_at"),
)
