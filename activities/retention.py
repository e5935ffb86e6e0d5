"""How long each table keeps what is in it, and who forgets the rest.

Every table has a word here, and a test holds that. Rows go in small transactions, events by dropping the month they are
in; what a regulator may ask for is copied out of it before.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import TextClause, text

from activities import (
    audience_members,
    bonus_budgets,
    bulk_jobs,
    console_sessions,
    found_changes,
    grant_rows,
    loyalty_limits,
    messages,
    month_partitions,
    notices,
    player_commands,
    processes,
    runs,
    seeds,
    shadows,
    standings,
    step_log,
    stray_texts,
    task_drafts,
    task_signatures,
    tasks,
)
from activities.database import Database
from activities.figures import figure_store, journey_days, player_days
from activities.intake import decision_writes, event_store, failed_events, stray_refusals, suppressions
from activities.outgoing import webhook_queue, webhook_subscriptions
from activities.overdue_records import as_due, due_places
from activities.run_delivery import dead_letters
from activities.settings import Settings
from workflows.record_keeping import EVENTS_OF, RECORD_CLASSES, RecordClass

#: Rows forgotten in one transaction.
AT_ONCE: Final = 2_000
#: Events that are records: what protects a player, who the player is, and money.
RECORDS: Final = ("compliance.%", "consent.%", "player.%", "payment.%")
#: And what is none of it: tokens of devices, which change every few weeks and prove nothing.
NO_RECORDS: Final = ("player.device_%",)
#: How long dropping a month may wait for who reads it; it is tried again the next night.
LOCK_TIMEOUT: Final = "2s"

#: The setting that says how long.
Period = Literal[
    "retain_identities",
    "retain_events",
    "retain_runs",
    "retain_messages",
    "retain_decisions",
    "retain_figures",
    "retain_records",
    "retain_webhooks",
]


@dataclass(frozen=True)
class Retention:
    """What becomes of the rows of a table.

    `forget` are statements that take `:before` and `:limit`, in the order in which they must go within a transaction;
    none where nothing is forgotten, or something else forgets it: records go by `RECORDS_OF`.
    """

    why: str
    period: Period | timedelta | None = None
    forget: Sequence[TextClause] = ()


#: In the order in which it is forgotten.
RETENTION: Final[Mapping[str, Retention]] = {
    "event_ids": Retention("the dedupe window", "retain_identities", (event_store.FORGET_IDENTITIES,)),
    "events": Retention("dropped by the month; records move to kept_events", "retain_events"),
    "kept_events": Retention("records", "retain_records"),
    "failed_events": Retention("once they were tried again", timedelta(days=90), (failed_events.FORGET,)),
    "players": Retention("one row a player, for as long as there is the player"),
    "steps": Retention("with their run"),
    "runs": Retention("after their end, with their steps", "retain_runs", (step_log.FORGET, runs.FORGET)),
    "memberships": Retention("stays that are over", "retain_runs", (decision_writes.FORGET_STAYS,)),
    "jobs": Retention("after their end", "retain_runs", (bulk_jobs.FORGET,)),
    "enrolment_players": Retention("gone when the enrolment has ended"),
    "journey_controls": Retention("one row a journey that is not as usual"),
    "journey_control_history": Retention("records of who did what to a journey, a handful a year"),
    "held_runs": Retention("gone when the run is released, or over"),
    "shadow_steps": Retention("with their shadow run"),
    "shadow_runs": Retention(
        "after they had to be over, with their steps", "retain_runs", (shadows.FORGET_STEPS, shadows.FORGET_RUNS)
    ),
    "shadows": Retention("records of who shadowed what, a handful a year"),
    "deliveries": Retention("gone when Temporal has them"),
    "dead_letters": Retention("once they were tried again", timedelta(days=90), (dead_letters.FORGET,)),
    "messages": Retention(
        "with their texts; those of the classes service, security and rg are records and stay",
        "retain_messages",
        (messages.FORGET,),
    ),
    "stray_texts": Retention("texts from numbers that no player has", timedelta(days=30), (stray_texts.FORGET,)),
    "seeds": Retention("a handful of rows a brand, taken anew every night"),
    "seed_players": Retention("who is in a seed that is not taken any more", timedelta(days=7), (seeds.FORGET,)),
    "audience_members": Retention(
        "of audiences that are told no more", audience_members.FORGOTTEN_AFTER, (audience_members.FORGET,)
    ),
    "audience_syncs": Retention("a row an audience"),
    "device_owners": Retention("a row a device, until it is removed"),
    "stray_refusals": Retention(
        "a No from an address that no player had", stray_refusals.KEPT_FOR, (stray_refusals.FORGET,)
    ),
    "gate_decisions": Retention("dropped by the month", "retain_decisions"),
    "point_transfers": Retention("the journal of points: what explains a balance goes when the balance does"),
    "experiments": Retention("a row an experiment"),
    "assignments": Retention("who was drawn into which arm: results are checked years later"),
    "experiment_looks": Retention("what was found at each look, a handful an experiment"),
    "score_models": Retention("what was learned each week: they say who scored whom, and what chose channels"),
    "score_trainings": Retention("a row a score: when it was learned last, and how the model in use did"),
    "wheel_days": Retention("a seed for each day of a wheel: what proves its spins"),
    "spins": Retention("what every spin came to"),
    "standings": Retention("when their tournament is long over", "retain_runs", (standings.FORGET,)),
    "tournaments": Retention("records of what was promised, one row an instance"),
    "shop_purchases": Retention("what points were paid for, as long as their journal"),
    "raffle_tickets": Retention("what a draw is made of"),
    "raffle_draws": Retention("a seed for each draw: what proves it"),
    "raffle_winners": Retention("who won what"),
    "player_commands": Retention("the answers to buttons", timedelta(days=90), (player_commands.FORGET,)),
    "point_corrections": Retention("who gave points by hand, as long as the journal says so"),
    "point_days": Retention("a handful of sums a day"),
    "point_months": Retention("a handful of sums a month"),
    "followers": Retention("a row for each follower"),
    "player_days": Retention("what figures of the past are made of", "retain_figures", (player_days.FORGET,)),
    "run_changes": Retention("once they are counted", timedelta(days=7), (journey_days.FORGET_CHANGES,)),
    "run_places": Retention("until the run is over"),
    "journey_days": Retention("counts of journeys, by day", "retain_figures", (journey_days.FORGET,)),
    "journey_places": Retention("counts of where runs stand"),
    "figures": Retention("figures as they were taken", "retain_figures", (figure_store.FORGET,)),
    "changes": Retention("what has changed, as it was found", "retain_figures", (found_changes.FORGET,)),
    "loyalty_limits": Retention(
        "budgets of days and weeks, and seats; stocks stay", timedelta(days=90), (loyalty_limits.FORGET,)
    ),
    "budget_slices": Retention("a few rows for each budget and its day", timedelta(days=90), (bonus_budgets.FORGET,)),
    "grants": Retention("records, once they are settled", "retain_records"),
    "task_history": Retention("with its task"),
    "task_signatures": Retention("with its task"),
    "tasks": Retention("records, once they are closed", "retain_records"),
    "erasures": Retention("certificates"),
    "suppressions": Retention("until the exclusion ends", timedelta(0), (suppressions.FORGET,)),
    "webhook_deliveries": Retention("with their event"),
    "outgoing_events": Retention(
        "with their deliveries, told or not",
        "retain_webhooks",
        (webhook_queue.FORGET_DELIVERIES, webhook_queue.FORGET),
    ),
    "webhook_subscriptions": Retention(
        "deleted ones, when nothing of theirs is left", "retain_webhooks", (webhook_subscriptions.FORGET,)
    ),
    "sign_ins": Retention("when nobody came back", timedelta(days=2), (console_sessions.FORGET_SIGN_INS,)),
    "sessions": Retention("who was signed in", timedelta(days=90), (console_sessions.FORGET_SESSIONS,)),
    "player_hosts": Retention("who looked after whom"),
    "player_notes": Retention("for as long as there is the player"),
    "task_drafts": Retention("when nobody went on with them", timedelta(days=30), (task_drafts.FORGET,)),
    "processes": Retention("when they have not been seen", timedelta(days=7), (processes.FORGET,)),
    "api_keys": Retention("revoked ones too: they say who did what"),
    "audit_entries": Retention("for good: a chain with a part cut off proves nothing"),
    "audit_heads": Retention("where each chain of the audit ends"),
    "people": Retention("also who left: they say who did what"),
    "notices": Retention("told or not", timedelta(days=30), (notices.FORGET,)),
    "work_profiles": Retention("one row a person and brand"),
    "absences": Retention("records of who was away when, a handful a year"),
    "person_grants": Retention("records of who might do what, and when"),
}


#: Records by class, each table with its statements in the order in which they must go within a transaction.
RECORDS_OF: Final[Mapping[RecordClass, Mapping[str, Sequence[TextClause]]]] = {
    "money": {"kept_events": (event_store.FORGET_RECORDS,), "grants": (grant_rows.FORGET,)},
    "protection": {
        "kept_events": (event_store.FORGET_RECORDS,),
        "tasks": (tasks.FORGET_HISTORY, task_signatures.FORGET, tasks.FORGET),
    },
}


@dataclass(frozen=True)
class Forgotten:
    """How many rows of a table are gone, or which month; of records their class, and where their players are."""

    table: str
    rows: int = 0
    partition: str | None = None
    record_class: RecordClass | None = None
    jurisdiction: str | None = None


def period_of(retention: Retention, settings: Settings) -> timedelta | None:
    """How long rows are kept; None for ever."""
    if isinstance(retention.period, str):
        given: timedelta | None = getattr(settings, retention.period)
        return given or None
    return retention.period


async def retain(database: Database, settings: Settings, now: datetime) -> AsyncIterator[Forgotten]:
    """Make the months to come and forget what is due, a transaction after the other; each is told when it is committed.

    Any number may run at once, and one that was cut off is simply begun again.
    """
    for table in month_partitions.MONTHLY:
        await _make_months(database, table, now)
    for table, retention in RETENTION.items():
        period = period_of(retention, settings)
        if period is None:
            continue
        if table in month_partitions.MONTHLY:
            async for dropped in _drop_months(database, table, now - period):
                yield dropped
            continue
        rows = AT_ONCE
        while retention.forget and rows:
            async with database.transaction() as connection:
                for statement in retention.forget:
                    rows = (await connection.execute(statement, {"before": now - period, "limit": AT_ONCE})).rowcount
            yield Forgotten(table, rows)
    for record_class in RECORD_CLASSES:
        async for forgotten in _forget_records(database, settings, record_class, now):
            yield forgotten


async def _forget_records(
    database: Database, settings: Settings, record_class: RecordClass, now: datetime
) -> AsyncIterator[Forgotten]:
    """Forget the records of a class that no law and no wish has kept any longer, one jurisdiction after the other."""
    async with database.reading() as connection:
        records, most = settings.retain_records or None, settings.retain_most
        places = await due_places(connection, record_class, records, most, now.astimezone(UTC).date())
    for place in places:
        for table, statements in RECORDS_OF[record_class].items():
            asked = {"due": as_due([place], now), "limit": AT_ONCE}
            if table == "kept_events":
                asked["kinds"] = [*EVENTS_OF[record_class]]
            rows = AT_ONCE
            while rows:
                async with database.transaction() as connection:
                    for statement in statements:
                        rows = (await connection.execute(statement, asked)).rowcount
                yield Forgotten(table, rows, None, record_class, place.jurisdiction)


async def _make_months(database: Database, table: str, now: datetime) -> None:
    """Make the months to come of a table, and put into them what came when there were none."""
    await _move_back(database, table)
    async with database.transaction() as connection:
        await connection.execute(_BE_BRIEF)
        await month_partitions.make_ahead(connection, now, table)
    await _move_back(database, table)


async def _move_back(database: Database, table: str) -> None:
    more = True
    while more:
        async with database.transaction() as connection:
            more = await month_partitions.move_back(connection, table)


async def _drop_months(database: Database, table: str, before: datetime) -> AsyncIterator[Forgotten]:
    """Months of a table of which everything is older than that."""
    async with database.reading() as connection:
        months = await month_partitions.partitions(connection, table)
    over = [partition for partition in months if partition.until <= before]
    for partition in over:
        async with database.transaction() as connection:
            await connection.execute(_BE_BRIEF)
            rows = 0
            if table == "events":
                which = {"before": partition.until, "kinds": [*RECORDS], "but": [*NO_RECORDS]}
                rows = (await connection.execute(event_store.KEEP_RECORDS, which)).rowcount
            await month_partitions.drop(connection, partition)
        yield Forgotten(table, rows, partition.name)


_BE_BRIEF: Final = text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
