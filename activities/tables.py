"""Every table, in one place, as SQLAlchemy Core; who may act, and erasure, have files beside this one.

One module writes each table: tests/support/table_owners.py names it. Amounts are
integer minor units, instants are `timestamptz`, and every row carries its brand.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from activities import (
    audit_tables,
    change_tables,
    console_tables,
    experiment_tables,
    figure_tables,
    loyalty_tables,
    outgoing_tables,
    people_tables,
    portfolio_tables,
    privacy_tables,
    reach_tables,
    score_tables,
    shadow_tables,
    table_columns,
    task_tables,
    tournament_tables,
)
from activities.shared_events import SCORED_EVENTS, SHARED_EVENTS
from activities.table_columns import instant as _instant
from activities.table_columns import now_by_default as _now
from activities.table_columns import texts as _texts

metadata = table_columns.metadata
sign_ins, sessions = console_tables.sign_ins, console_tables.sessions
task_drafts = console_tables.task_drafts
experiments, assignments = experiment_tables.experiments, experiment_tables.assignments
changes = change_tables.changes
score_trainings = score_tables.score_trainings
experiment_looks, score_models = experiment_tables.experiment_looks, score_tables.score_models
point_transfers, player_commands = loyalty_tables.point_transfers, loyalty_tables.player_commands
player_hosts, player_notes = portfolio_tables.player_hosts, portfolio_tables.player_notes
audit_entries, audit_heads = audit_tables.audit_entries, audit_tables.audit_heads
api_keys, people, person_grants = people_tables.api_keys, people_tables.people, people_tables.person_grants
work_profiles, absences = people_tables.work_profiles, people_tables.absences
erasures, suppressions = privacy_tables.erasures, privacy_tables.suppressions
stray_texts = reach_tables.stray_texts
stray_refusals = reach_tables.stray_refusals
device_owners = reach_tables.device_owners
audience_members = reach_tables.audience_members
audience_syncs = reach_tables.audience_syncs
seeds = reach_tables.seeds
seed_players = reach_tables.seed_players
webhook_subscriptions = outgoing_tables.webhook_subscriptions
outgoing_events = outgoing_tables.outgoing_events
webhook_deliveries = outgoing_tables.webhook_deliveries
tournaments, standings = tournament_tables.tournaments, tournament_tables.standings
shadows, shadow_runs, shadow_steps = shadow_tables.shadows, shadow_tables.shadow_runs, shadow_tables.shadow_steps
followers, figures, player_days = figure_tables.followers, figure_tables.figures, figure_tables.player_days
run_changes, run_places = figure_tables.run_changes, figure_tables.run_places
journey_days, journey_places = figure_tables.journey_days, figure_tables.journey_places
tasks, task_history, task_signatures = task_tables.tasks, task_tables.task_history, task_tables.task_signatures
notices = task_tables.notices

# Intake: which events are known. `identity` is a digest of brand, source and id; `fact` one of the field its class
# declares unique, of which a player has one of each. `received_at` and `seq` find the event itself.
event_ids = Table(
    "event_ids",
    metadata,
    Column("identity", Uuid(as_uuid=False), primary_key=True),
    Column("fact", Uuid(as_uuid=False)),
    Column("seq", BigInteger, Identity(), nullable=False),
    _now("received_at"),
    Index("ix_event_ids_fact", "fact", unique=True, postgresql_where=text("fact IS NOT NULL")),
    Index("ix_event_ids_received", "received_at", postgresql_using="brin"),
)

# Intake: every acknowledged fact, in a partition a month. Its identity stands in `event_ids`.
events = Table(
    "events",
    metadata,
    Column("brand", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    _instant("occurred_at", nullable=False),
    _now("received_at"),
    Column("history", Boolean, nullable=False, server_default=text("false")),
    Column("data", JSONB, nullable=False),
    # Of the field its class declares unique.
    Column("unique_value", Text),
    # The API key that posted it; none where the engine itself tells it, or somebody who is signed in.
    Column("key_id", Text),
    Index("ix_events_player", "brand", "player_id", "occurred_at"),
    # In the order of their numbers, for who counts them; with the moment it is what a known identity leads to.
    Index("ix_events_order", "seq", "received_at", unique=True),
    Index("ix_events_shared", "brand", "player_id", postgresql_where=text(SHARED_EVENTS)),
    Index("ix_events_scored", "brand", "player_id", "occurred_at", postgresql_where=text(SCORED_EVENTS)),
    Index("ix_events_parts", "brand", "source", postgresql_where=text("type = 'fasttrack.round_part'")),
    postgresql_partition_by="RANGE (received_at)",
)

# Intake: of events whose month is dropped, those that a regulator may ask for.
kept_events = Table(
    "kept_events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("brand", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    _instant("occurred_at", nullable=False),
    _instant("received_at", nullable=False),
    Column("history", Boolean, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("key_id", Text),
    Index("ix_kept_events_player", "brand", "player_id", "occurred_at"),
)

# Intake: one row a player, one lock. `state` is PlayerState, `profile` holds personal data.
players = Table(
    "players",
    metadata,
    Column("brand", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("state", JSONB, nullable=False, server_default=text("'{}'")),
    Column("profile", JSONB, nullable=False, server_default=text("'{}'")),
    _instant("next_moment"),
    _now("created_at"),
    _now("updated_at"),
    Index("ix_players_next_moment", "next_moment", postgresql_where=text("next_moment IS NOT NULL")),
)

# What people look players up by, written one way: small letters, and of a number its digits from the end.
FIRST_NAME_KEY, USERNAME_KEY, EMAIL_KEY = (
    func.lower(players.c.profile[name].astext) for name in ("first_name", "username", "email")
)
PHONE_KEY = func.reverse(func.regexp_replace(players.c.profile["phone"].astext, r"\D", "", "g"))
for _name, _key in (
    ("first_name", FIRST_NAME_KEY),
    ("username", USERNAME_KEY),
    ("email", EMAIL_KEY),
    ("phone", PHONE_KEY),
):
    Index(
        f"ix_players_{_name}",
        players.c.brand,
        _key.label("key"),
        postgresql_ops={"key": "text_pattern_ops"},
        postgresql_where=players.c.profile[_name].astext.is_not(None),
    )

#: In SQL, of a row of `runs`: whether a workflow plays it.
HAS_WORKFLOW: Final = "(arm = 'treated' OR played)"

# Runs of both arms. A refused entry is ended from the start.
runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("brand", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("journey", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("state", Text, nullable=False),
    _instant("entered_at", nullable=False),
    _instant("ends_at", nullable=False),
    Column("trigger", JSONB),
    _instant("ended_at"),
    Column("outcome", Text),
    _instant("goal_until"),
    _instant("goal_at"),
    # Against Temporal: what the run was begun with, when it is looked at next, and what was wrong with it then.
    Column("input", JSONB),
    _instant("check_at"),
    Column("problem", Text),
    _instant("problem_since"),
    Column("problem_detail", Text),
    Column("problem_step", Text),
    # The release of the journey that the run plays; 0 for runs from before there were any.
    Column("version", Integer, nullable=False, server_default=text("0")),
    # The release it plays still, after it was told to move to `version`.
    Column("moving_from", Integer),
    # Whether a workflow plays it. Rows from before this column say no: of those the treated were played.
    Column("played", Boolean, nullable=False, server_default=text("false")),
    # At entry: the probability with which the player came into the arm, the segments they were in, whether they were in
    # the brand's holdout; None for runs from before each was kept.
    Column("arm_share", Float),
    Column("segments", ARRAY(Text)),
    Column("held_out", Boolean),
    Index("ix_runs_player", "brand", "player_id", "entered_at"),
    Index("ix_runs_newest", "brand", "entered_at", "id"),
    Index("ix_runs_journey", "brand", "journey", "state", "entered_at"),
    Index("ix_runs_ended", "ended_at", "id", postgresql_where=text("ended_at IS NOT NULL")),
    Index("ix_runs_check", "check_at", postgresql_where=text("check_at IS NOT NULL")),
    Index("ix_runs_problem", "brand", "problem", "problem_since", postgresql_where=text("problem IS NOT NULL")),
    Index("ix_runs_ends", "brand", "ends_at", postgresql_where=text(f"state = 'active' AND {HAS_WORKFLOW}")),
    Index("ix_runs_lost", "brand", "ended_at", postgresql_where=text("outcome = 'lost'")),
    # Who plays which version now, of all brands.
    Index("ix_runs_version", "journey", "version", postgresql_where=text("state = 'active'")),
)

# Segments: who is in which, and who was. A player is in a segment while `left_at` is empty.
memberships = Table(
    "memberships",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    Column("brand", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    _instant("entered_at", nullable=False),
    _instant("left_at"),
    Index("ix_memberships_now", "brand", "segment", "player_id", unique=True, postgresql_where=text("left_at IS NULL")),
    Index("ix_memberships_player", "brand", "player_id", "entered_at"),
    Index("ix_memberships_left", "left_at", postgresql_where=text("left_at IS NOT NULL")),
)

# Long work over many players (enrolling, deriving): where it stands. Each batch moves `cursor` in its own transaction.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("brand", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("state", Text, nullable=False),
    Column("cursor", Text, nullable=False, server_default=text("''")),
    Column("total", BigInteger, nullable=False, server_default=text("0")),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_by", Text, nullable=False, server_default=text("''")),
    _now("created_at"),
    _now("updated_at"),
    _instant("ended_at"),
    Index("ix_jobs_newest", "brand", "created_at", "id"),
)

# Enrolments: whom one meant when it was asked for, whoever joins the segment later. Gone when it has ended.
enrolment_players = Table(
    "enrolment_players",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("player_id", Text, primary_key=True),
    Column("brand", Text, nullable=False),
)

# What people decided about a journey in a brand: whether anybody enters, and whether its runs go on. No row: both.
journey_controls = Table(
    "journey_controls",
    metadata,
    Column("brand", Text, primary_key=True),
    Column("journey", Text, primary_key=True),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    Column("held", Boolean, nullable=False, server_default=text("false")),
)

# Who closed, held or stopped which journey, when and why. `request` is the caller's idempotency key, hashed.
journey_control_history = Table(
    "journey_control_history",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("brand", Text, nullable=False),
    Column("journey", Text, nullable=False),
    _now("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("job_id", Text),
    Column("request", Text),
    Index("ix_journey_control_history_journey", "brand", "journey", "id"),
    Index(
        "ix_journey_control_history_request",
        "brand",
        "request",
        unique=True,
        postgresql_where=text("request IS NOT NULL"),
    ),
)

# Runs that met a hold and wait, until they are told to go on.
held_runs = Table(
    "held_runs",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("brand", Text, nullable=False),
    Column("journey", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("step", Text, nullable=False),
    _instant("since", nullable=False),
    Index("ix_held_runs_journey", "brand", "journey", "since", "run_id"),
)

# The story of a run: what each step did and why. Written by the step's own transaction. Line 0 is
# an effect's own outcome, of which there may be several; the other lines come from the run itself.
steps = Table(
    "steps",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("line", Integer, primary_key=True, server_default=text("0")),
    Column("outcome", Text, primary_key=True),
    Column("brand", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    _instant("at", nullable=False),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("seq", BigInteger, Identity(), nullable=False),
    Index("ix_steps_player", "brand", "player_id", "at"),
    Index("ix_steps_order", "seq"),
)

# Dispatch: what Temporal must still hear. Rows leave when it has.
deliveries = Table(
    "deliveries",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    # Whose number it is; empty for what was written before numbers had owners.
    Column("id", Uuid(as_uuid=False), server_default=text("gen_random_uuid()")),
    Column("brand", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("priority", SmallInteger, nullable=False, server_default=text("5")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    _now("due_at"),
    _now("created_at"),
    Index("ix_deliveries_due", "priority", "due_at"),
    Index("ix_deliveries_brand_due", "brand", "priority", "due_at"),
    Index("ix_deliveries_urgent", "due_at", "run_id", postgresql_where=text("priority = 0")),
)

# Dispatch: what Temporal refuses for good, with the reason.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("brand", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    _now("at"),
    _instant("retried_at"),
)

# Intake: events that could not be applied to their player, until a person has them tried again.
failed_events = Table(
    "failed_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("brand", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event", JSONB, nullable=False),
    Column("history", Boolean, nullable=False, server_default=text("false")),
    Column("error", Text, nullable=False),
    _now("at"),
    _instant("retried_at"),
    Column("key_id", Text),
    UniqueConstraint("brand", "source", "event_id"),
    Index("ix_failed_events_untried", "brand", "id", postgresql_where=text("retried_at IS NULL")),
)

# send: one row a channel that was tried. `contact` is the step: one step is one contact.
messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    *_texts("brand", "player_id", "run_id", "step", "journey", "channel", "template", "message_class"),
    Column("language", Text),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("decision", JSONB, nullable=False),
    Column("subject", Text),
    Column("body", Text),
    # Of a mail whose template has a twin in HTML; that of the others is made of the body.
    Column("html", Text),
    _instant("handed_over_at"),
    _instant("delivered_at"),
    _instant("read_at"),
    # How far it has come, as its provider told, and when that was.
    Column("delivery", Text),
    _instant("delivery_at"),
    # When each was told first. What a machine opened or followed, nobody did.
    *(_instant(f"{name}_at") for name in ("arrived", "opened", "clicked", "bounced", "unsubscribed", "complained")),
    _instant("machine_opened_at"),
    _now("created_at"),
    Index("ix_messages_player", "brand", "player_id", "created_at"),
    Index("ix_messages_newest", "brand", "created_at", "id"),
    Index("ix_messages_step", "run_id", "step"),
    # What the gate counts is a week of this, however long the player has been with us.
    Index("ix_messages_handed_over", "brand", "player_id", "handed_over_at"),
    Index("ix_messages_created", "created_at", postgresql_using="brin"),
    # What a channel or an hour was chosen for, to be learned from.
    Index("ix_messages_chosen", "brand", "created_at", postgresql_where=text("decision ? 'choice'")),
)

# send and grant: every answer of the gate, in a partition a month. `effect_id` is the message or grant it is about.
gate_decisions = Table(
    "gate_decisions",
    metadata,
    Column("id", Text, nullable=False, server_default=text("(gen_random_uuid())::text")),
    *_texts("brand", "player_id", "effect_id", "run_id", "journey", "subject", "outcome", "policy"),
    _instant("at", nullable=False),
    # The release of the journey that the run plays; 0 for runs from before there were any.
    Column("release", Integer, nullable=False),
    *(Column(name, Text) for name in ("reason", "rule", "detail")),
    # All that were asked, where it is allowed.
    Column("rules", ARRAY(Text), nullable=False),
    Column("seen", JSONB, nullable=False),
    Index("ix_gate_decisions_player", "brand", "player_id", "at"),
    Index("ix_gate_decisions_newest", "brand", "at", "id"),
    Index("ix_gate_decisions_effect", "brand", "effect_id"),
    postgresql_partition_by="RANGE (at)",
)

# grant: two-phase; `reserved` until the bonus engine has answered.
GRANT_FIGURES = ("worth_minor", "wager_required_minor", "wagered_minor", "converted_minor")
grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    *_texts("brand", "player_id", "run_id", "step", "journey", "kind"),
    Column("reward", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("decision", JSONB, nullable=False),
    Column("provider_ref", Text),
    # Due to be taken back then, and why; the why stays.
    *(_instant(name) for name in ("reserved_at", "asked_at", "resolved_at", "revoke_due")),
    Column("revoke_reason", Text),
    # What budgets count of it, and in which currency; rows from before this say nothing and count nothing.
    Column("value_minor", BigInteger),
    Column("currency", Text),
    # Its life as the bonus engine told it: when it was taken, until when it can be, its end, and what it cost.
    *(_instant(name) for name in ("claimed_at", "activated_at", "expires_at", "ended_at")),
    *(Column(name, Text) for name in ("ended_as", "cost_currency")),
    Column("cost_minor", BigInteger),
    # How far the reward has come since, and its figures, as the bonus engine told; in minor units of `told_currency`.
    *(Column(name, Text) for name in ("stage", "stage_reason", "told_currency")),
    _instant("stage_at"),
    *(Column(name, BigInteger) for name in GRANT_FIGURES),
    _now("created_at"),
    Index("ix_grants_player", "brand", "player_id", "created_at"),
    Index("ix_grants_newest", "brand", "created_at", "id"),
    Index("ix_grants_revoke_due", "revoke_due", postgresql_where=text("revoke_due IS NOT NULL")),
    Index("ix_grants_open", "status", "asked_at", postgresql_where=text("status IN ('reserved', 'unknown')")),
)

# What all players together may be given in a day: by a journey, and with an empty name by the brand.
budget_slices = Table(
    "budget_slices",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "journey", "currency")),
    Column("day", Date, primary_key=True),
    Column("slice", SmallInteger, primary_key=True),
    Column("quota", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    CheckConstraint("used BETWEEN 0 AND quota", name="within"),
)

# Who lives, of which build, and what each process can deal with. A row says so until it is silent.
processes = Table(
    "processes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("build", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("knows", JSONB, nullable=False),
    _now("started_at"),
    _now("seen_at"),
)
