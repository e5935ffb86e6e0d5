"""figures: what players do by day, what happens to runs in an order, the lives of messages and grants

Nobody waits: indexes are built beside the work, a trigger notes what happens to runs from here on, and runs of before
are noted in batches, each under the locks of its rows. It can be begun again wherever it was cut off.
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"

#: Runs of before that are noted in one transaction.
BATCH = 20_000
COUNTS = ("registered", "logins", "deposits", "rounds", "bets", "reward_ends", "harm_signals")
AMOUNTS = ("deposited", "fees", "reversed", "withdrawn", "staked", "won", "bet_staked", "bet_paid", "bonus_cost")
MESSAGE_TIMES = ("arrived", "opened", "clicked", "bounced", "unsubscribed", "complained", "machine_opened")
GRANT_TIMES = ("claimed_at", "activated_at", "expires_at", "ended_at")

# They run as the owner: nobody else writes the table.
NOTED = (
    """
    CREATE OR REPLACE FUNCTION note_new_runs() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
    BEGIN
        INSERT INTO run_changes (brand, run_id, kind, version, at)
        SELECT brand, id, CASE WHEN state = 'ended' THEN 'refused' ELSE 'entered' END, version, entered_at
        FROM entered ORDER BY entered_at, id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION note_changed_run() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
    BEGIN
        IF OLD.version <> NEW.version THEN
            INSERT INTO run_changes (brand, run_id, kind, version, at)
            VALUES (NEW.brand, NEW.id, 'moved_from', OLD.version, now()),
                   (NEW.brand, NEW.id, 'moved_to', NEW.version, now());
        END IF;
        IF OLD.goal_at IS NULL AND NEW.goal_at IS NOT NULL THEN
            INSERT INTO run_changes (brand, run_id, kind, version, at)
            VALUES (NEW.brand, NEW.id, 'goal', NEW.version, NEW.goal_at);
        END IF;
        IF OLD.state = 'active' AND NEW.state = 'ended' THEN
            INSERT INTO run_changes (brand, run_id, kind, version, at)
            VALUES (NEW.brand, NEW.id, 'ended', NEW.version, coalesce(NEW.ended_at, now()));
        END IF;
        RETURN NULL;
    END $$
    """,
)
TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER note_new_runs AFTER INSERT ON runs REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION note_new_runs()
    """,
    """
    CREATE OR REPLACE TRIGGER note_changed_run AFTER UPDATE OF version, goal_at, state ON runs FOR EACH ROW
    WHEN (OLD.version <> NEW.version OR OLD.goal_at IS NULL AND NEW.goal_at IS NOT NULL
          OR OLD.state = 'active' AND NEW.state = 'ended') EXECUTE FUNCTION note_changed_run()
    """,
)
LOCK_BATCH = sa.text("SELECT id FROM runs WHERE id > :after ORDER BY id LIMIT :batch FOR SHARE")
NOTE_BATCH = sa.text(
    """
    INSERT INTO run_changes (brand, run_id, kind, version, at)
    SELECT brand, id, kind, version, at FROM (
        SELECT brand, id, 1 AS place, version, entered_at AS at,
               CASE WHEN outcome LIKE 'refused:%' THEN 'refused' ELSE 'entered' END AS kind
        FROM runs WHERE id = ANY(:ids)
        UNION ALL SELECT brand, id, 2, version, goal_at, 'goal' FROM runs WHERE id = ANY(:ids) AND goal_at IS NOT NULL
        UNION ALL SELECT brand, id, 3, version, coalesce(ended_at, now()), 'ended' FROM runs
                  WHERE id = ANY(:ids) AND state = 'ended' AND outcome NOT LIKE 'refused:%'
    ) AS past
    WHERE NOT EXISTS (
        SELECT FROM run_changes c WHERE c.run_id = past.id AND (c.kind = past.kind AND c.kind <> 'ended'
            OR c.kind IN ('entered', 'refused')))
    ORDER BY at, id, place
    """
).bindparams(sa.bindparam("ids", type_=sa.ARRAY(sa.Text)))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    make_tables()
    add_columns()
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX IF EXISTS ix_steps_order")
        op.execute("CREATE INDEX CONCURRENTLY ix_steps_order ON steps (seq)")
        op.execute("CREATE INDEX IF NOT EXISTS run_changes_past ON run_changes (run_id)")
        for statement in (*NOTED, *TRIGGERS):
            op.execute(statement)
        note_past_runs()
        op.execute("DROP INDEX run_changes_past")
        for partition in partitions():
            op.execute(f"DROP INDEX IF EXISTS {partition}_order")
            op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {partition}_order ON {partition} (seq, received_at)")
    order_events()


def make_tables() -> None:
    """Make the tables that are new."""
    op.create_table(
        "followers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("beside", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("closed", sa.Date()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_followers")),
        if_not_exists=True,
    )
    op.create_table(
        "player_days",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "player_id")),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False) for name in AMOUNTS),
        sa.Column("nps", sa.Integer()),
        sa.PrimaryKeyConstraint("brand", "player_id", "day", "currency", "known_on", name=op.f("pk_player_days")),
        if_not_exists=True,
    )
    op.create_index("ix_player_days_day", "player_days", ["brand", "day"], if_not_exists=True)
    op.create_table(
        "run_changes",
        sa.Column("seq", sa.BigInteger(), sa.Identity(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "run_id", "kind")),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_run_changes")),
        if_not_exists=True,
    )
    op.create_table(
        "run_places",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_places")),
        if_not_exists=True,
    )
    make_counts()


def make_counts() -> None:
    """Make the tables of what is counted."""
    words = ("arm", "split_by", "part", "step", "what", "reason", "currency")
    op.create_table(
        "journey_days",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "journey")),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in words),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("brand", "journey", "day", "version", *words, name=op.f("pk_journey_days")),
        if_not_exists=True,
    )
    op.create_table(
        "journey_places",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "journey")),
        sa.Column("version", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("arm", "step")),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "journey", "version", "arm", "step", name=op.f("pk_journey_places")),
        if_not_exists=True,
    )
    key = ("split_by", "part", "currency")
    op.create_table(
        "figures",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("brand", "name", "period")),
        sa.Column("starts", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in key),
        sa.Column("as_of", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Float()) for name in ("value", "low", "high")),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("of", sa.BigInteger()),
        sa.Column("immature", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("brand", "name", "period", "starts", *key, "as_of", name=op.f("pk_figures")),
        if_not_exists=True,
    )
    op.create_index("ix_figures_newest", "figures", ["brand", "as_of", "period"], if_not_exists=True)


def add_columns() -> None:
    """Add what runs, messages and grants did not say."""
    added = {
        "runs": ["arm_share double precision", "segments text[]"],
        "messages": [f"{name}_at timestamptz" for name in MESSAGE_TIMES],
        "grants": [
            *(f"{name} timestamptz" for name in GRANT_TIMES),
            *("ended_as text", "cost_currency text", "cost_minor bigint"),
        ],
    }
    for table, columns in added.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in columns))


def note_past_runs() -> None:
    """Note what happened to runs before the trigger was there, once."""
    after: str | None = ""
    while after is not None:
        op.execute("BEGIN")
        ids = list(op.get_bind().scalars(LOCK_BATCH, {"after": after, "batch": BATCH}))
        op.get_bind().execute(NOTE_BATCH, {"ids": ids})
        op.execute("COMMIT")
        after = ids[-1] if ids else None


def partitions() -> list[str]:
    """The parts of `events` there are."""
    found = sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1")
    return list(op.get_bind().scalars(found))


def order_events() -> None:
    """Exchange the index by moment and number for one by number and moment."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE UNIQUE INDEX ix_events_order ON ONLY events (seq, received_at)")
    for partition in partitions():
        # A month that somebody made meanwhile has none yet, and next to nothing in it.
        op.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {partition}_order ON {partition} (seq, received_at)")
        op.execute(f"ALTER INDEX ix_events_order ATTACH PARTITION {partition}_order")
    op.execute("DROP INDEX ix_events_seq")


def downgrade() -> None:
    op.execute("CREATE UNIQUE INDEX ix_events_seq ON events (received_at, seq)")
    op.execute("DROP INDEX ix_events_order")
    op.execute("DROP INDEX ix_steps_order")
    for trigger, function in (("note_new_runs", "note_new_runs"), ("note_changed_run", "note_changed_run")):
        op.execute(f"DROP TRIGGER {trigger} ON runs")
        op.execute(f"DROP FUNCTION {function}()")
    for table in ("figures", "journey_places", "journey_days", "run_places", "run_changes", "player_days", "followers"):
        op.drop_table(table)
    for table, columns in {
        "runs": ("arm_share", "segments"),
        "messages": [f"{name}_at" for name in MESSAGE_TIMES],
        "grants": (*GRANT_TIMES, "ended_as", "cost_currency", "cost_minor"),
    }.items():
        for column in columns:
            op.drop_column(table, column)
