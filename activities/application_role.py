"""What the application may do with each table where it logs in as a role of its own and owns nothing.

Migrations run as the owner of the tables. With APPLICATION_ROLE they grant that role what stands here and nothing else,
so that whoever takes over a process of ours can neither take a fact back nor rewrite one, forget anything, make a key
or change the schema: the database refuses it. What forgets runs as the owner, in a process of its own.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.errors import JourneysError


class WrongRole(JourneysError):
    """The role of APPLICATION_ROLE cannot be granted anything; the sentence says why."""


@dataclass(frozen=True)
class Rights:
    """What the application may do with the rows of a table, besides reading them.

    Of a row that it may change it can change all columns but those that are `fixed`: who it is about, and since when.
    """

    why: str
    insert: bool = True
    update: bool = False
    delete: bool = False
    fixed: Collection[str] = ()

    def words(self, columns: Collection[str]) -> str:
        """As a GRANT lists them, for a table with these columns."""
        changing = ", ".join(f'"{name}"' for name in sorted(set(columns) - set(self.fixed)))
        # Of a table that has not got its changing columns yet nothing is changed.
        given = {"INSERT": self.insert, "DELETE": self.delete, f"UPDATE ({changing})": self.update and changing}
        return ", ".join(["SELECT", *(right for right, is_given in given.items() if is_given)])


_APPENDED: Final = "facts: added, never changed and never taken back"
_OF_A_RUN: Final = ("id", "brand", "player_id", "run_id", "step", "journey", "created_at")
#: Every table of ours; a test holds it against the tables. A new column may be changed unless it is fixed here.
RIGHTS: Final[Mapping[str, Rights]] = {
    "event_ids": Rights(_APPENDED),
    "events": Rights(_APPENDED),
    "kept_events": Rights("records that outlive their month: the owner keeps them", insert=False),
    "players": Rights("one row a player, rewritten at every event", update=True, fixed=("brand", "id", "created_at")),
    "runs": Rights(
        "entered once, and moved on until their end",
        update=True,
        fixed=(
            *("id", "brand", "player_id", "journey", "arm", "played", "entered_at", "trigger"),
            *("arm_share", "segments", "held_out"),
        ),
    ),
    "memberships": Rights("stays that end", update=True, fixed=("seq", "brand", "segment", "player_id", "entered_at")),
    "jobs": Rights(
        "work that goes on", update=True, fixed=("id", "brand", "kind", "subject", "created_by", "created_at")
    ),
    "enrolment_players": Rights("gone when the enrolment ends", delete=True),
    "journey_controls": Rights("what holds now", update=True, fixed=("brand", "journey")),
    "journey_control_history": Rights(_APPENDED),
    "held_runs": Rights("gone when the run goes on", update=True, delete=True),
    "shadows": Rights(
        "started, and stopped", update=True, fixed=("id", "brand", "journey", "version", "started_by", "started_at")
    ),
    "shadow_runs": Rights("gone on with until their end", update=True, fixed=("id", "shadow_id", "brand", "player_id")),
    "shadow_steps": Rights("withheld, and told again", update=True, fixed=("run_id", "step", "line", "outcome")),
    "steps": Rights(_APPENDED),
    "deliveries": Rights("a queue", update=True, delete=True),
    "dead_letters": Rights(
        "tried again, and marked so", update=True, fixed=("id", "run_id", "seq", "brand", "kind", "payload", "at")
    ),
    "failed_events": Rights("tried again, and marked so", update=True, fixed=("id", "brand", "source", "event_id")),
    "messages": Rights(
        "decided, handed over, read", update=True, fixed=(*_OF_A_RUN, "channel", "template", "message_class")
    ),
    "stray_texts": Rights(_APPENDED),
    "seeds": Rights("taken anew every night", update=True, delete=True, fixed=("brand", "name", "currency")),
    "seed_players": Rights("taken anew every night", delete=True),
    "audience_members": Rights(
        "told, and gone when they are out",
        update=True,
        delete=True,
        fixed=("brand", "audience", "player_id", "email", "phone"),
    ),
    "audience_syncs": Rights("how far it is compared", update=True, fixed=("brand", "audience")),
    "device_owners": Rights("moved from player to player", update=True, delete=True, fixed=("brand", "device")),
    "stray_refusals": Rights(
        "said, said again, gone with the player", update=True, delete=True, fixed=("brand", "digest", "channel")
    ),
    "gate_decisions": Rights(_APPENDED),
    "point_transfers": Rights(_APPENDED),
    "wheel_days": Rights(_APPENDED),
    "experiments": Rights(
        "begun, looked at, stopped", update=True, fixed=("brand", "name", "version", "arms", "started_at")
    ),
    "assignments": Rights(_APPENDED),
    "experiment_looks": Rights(_APPENDED),
    "score_models": Rights(
        "learned, used, retired", update=True, fixed=("brand", "name", "version", "artifact", "learned_at")
    ),
    "score_trainings": Rights("the newest time of each score", update=True, fixed=("brand", "name")),
    "changes": Rights("found, told", update=True, fixed=("brand", "kind", "subject", "found_on", "says")),
    "spins": Rights(_APPENDED),
    "tournaments": Rights(
        "opened, closed, paid",
        update=True,
        fixed=("board", "brand", "name", "instance", "opens_at", "closes_at", "cut_at", "terms"),
    ),
    "standings": Rights("scores that go up and down", update=True, fixed=("brand", "player_id", "board", "draw")),
    "raffle_tickets": Rights(_APPENDED),
    "raffle_draws": Rights("drawn once", update=True, fixed=("brand", "raffle", "period", "seed")),
    "raffle_winners": Rights(
        "settled once", update=True, fixed=("brand", "raffle", "period", "place", "player_id", "ticket", "prize")
    ),
    "player_commands": Rights(_APPENDED),
    "shop_purchases": Rights(
        "reserved, delivered or given back",
        update=True,
        fixed=("id", "brand", "player_id", "item", "version", "currency", "price", "slices", "gives", "run_id", "at"),
    ),
    "point_corrections": Rights(
        "asked for, and decided by somebody else",
        update=True,
        fixed=("id", "brand", "player_id", "currency", "amount", "reason", "asked_by", "asked_by_id", "asked_at"),
    ),
    "point_days": Rights(
        "sums of the journal, counted again", update=True, fixed=("brand", "currency", "day", "debit", "credit")
    ),
    "point_months": Rights(
        "sums of the journal, counted again", update=True, fixed=("brand", "currency", "month", "debit", "credit")
    ),
    "loyalty_limits": Rights("counts of what is taken", update=True, fixed=("brand", "name")),
    "followers": Rights("how far is counted", update=True, fixed=("name",)),
    "player_days": Rights("sums that grow", update=True, fixed=("brand", "player_id", "day", "currency", "known_on")),
    "run_changes": Rights("noted by a trigger", insert=False),
    "run_places": Rights("where runs stand, gone when they are over", update=True, delete=True, fixed=("run_id",)),
    "journey_days": Rights(
        "counts that grow", update=True, fixed=("brand", "journey", "day", "arm", "split_by", "part", "step", "what")
    ),
    "journey_places": Rights("counts of where runs stand", update=True, fixed=("brand", "journey", "arm", "step")),
    "figures": Rights("taken once for a moment, and kept"),
    "budget_slices": Rights(
        "counts that go up", update=True, fixed=("brand", "journey", "currency", "day", "slice", "quota")
    ),
    "grants": Rights(
        "reserved, asked for, settled",
        update=True,
        fixed=(*_OF_A_RUN, "kind", "reward", "decision", "value_minor", "currency"),
    ),
    "tasks": Rights(
        "open until they are closed; a contest moves to the account that stays when accounts are merged",
        update=True,
        fixed=(
            *("id", "brand", "run_id", "step", "journey", "created_at"),
            *("form", "form_schema", "question", "reason", "snapshot", "forbidden", "approvals", "not_by"),
        ),
    ),
    "task_history": Rights(_APPENDED),
    "task_signatures": Rights(_APPENDED),
    "erasures": Rights("asked for here, done and certified by the owner"),
    "suppressions": Rights("kept, and made longer", update=True, fixed=("digest", "brand", "kind", "scope", "places")),
    "outgoing_events": Rights(_APPENDED),
    "webhook_deliveries": Rights(
        "a queue, kept to be told again", update=True, fixed=("subscription_id", "event_seq", "brand", "player_id")
    ),
    "webhook_subscriptions": Rights(
        "changed, failing, disabled", update=True, fixed=("id", "brand", "created_by", "created_at", "format")
    ),
    "sign_ins": Rights("gone when their person is back", delete=True),
    "sessions": Rights(
        "used, and over", update=True, fixed=("id_hash", "person_id", "issuer", "subject", "sid", "created_at")
    ),
    "player_hosts": Rights("given, and over", update=True, fixed=("id", "brand", "player_id", "person_id", "since")),
    "player_notes": Rights(_APPENDED),
    "task_drafts": Rights("written on, and gone when they are sent", update=True, delete=True),
    "processes": Rights("who lives", update=True, delete=True),
    "api_keys": Rights(
        "made and taken back by the owner; the API notes their last use",
        insert=False,
        update=True,
        fixed=(
            *("id", "brand", "name", "hash", "scopes", "sources", "teams", "skills"),
            *("created_at", "created_by", "expires_at", "revoked_at", "revoked_by"),
        ),
    ),
    "audit_entries": Rights(_APPENDED),
    "audit_heads": Rights("where the chains of the audit end", update=True, fixed=("brand", "lane")),
    "people": Rights("who works here, as long as they do", update=True, fixed=("id", "created_at")),
    "notices": Rights(
        "told, once", update=True, fixed=("id", "brand", "person_id", "task_id", "occasion", "created_at")
    ),
    "work_profiles": Rights("how who works here works", update=True, fixed=("brand", "person_id")),
    "absences": Rights(
        "told, and over",
        update=True,
        fixed=("id", "brand", "person_id", "since", "until", "stand_in", "given_by", "created_at"),
    ),
    "person_grants": Rights(
        "given, and taken back",
        update=True,
        fixed=(
            *("id", "person_id", "brand", "kind", "name", "until", "reason"),
            *("granted_at", "granted_by", "granted_by_id"),
        ),
    ),
    "alembic_version": Rights("read by /readyz", insert=False),
}


def grant_rights(connection: Connection, role: str) -> None:
    """Grant the role what `RIGHTS` says of the tables there are, and take everything else from it.

    Must run as the owner, inside a transaction: to others the old rights hold until it is committed. Raises WrongRole.
    """
    found = connection.execute(_ROLE, {"role": role}).one_or_none()
    if found is None:
        raise WrongRole(
            f"APPLICATION_ROLE names {role}, and there is no such role in this database: make it with "
            f"CREATE ROLE {role} LOGIN PASSWORD '…', and migrate again."
        )
    if found.is_master:
        raise WrongRole(
            f"APPLICATION_ROLE names {role}, which is a superuser or owns what it is to be kept from: name a role that "
            "is neither, nor a member of the owner."
        )
    statements = [f"GRANT USAGE ON SCHEMA {found.schema} TO {found.quoted}"]
    statements.append(f"REVOKE ALL ON ALL TABLES IN SCHEMA {found.schema} FROM {found.quoted}")
    statements += [
        f'GRANT {RIGHTS[table.name].words(table.columns)} ON "{table.name}" TO {found.quoted}'
        for table in connection.execute(_TABLES, {"tables": [*RIGHTS]})
    ]
    # Intake numbers events itself, in the order in which they were told.
    statements += [
        f'GRANT USAGE ON SEQUENCE "{name}" TO {found.quoted}' for name in connection.execute(_SEQUENCES).scalars()
    ]
    connection.exec_driver_sql("; ".join(statements))


async def owns_tables(connection: AsyncConnection) -> bool:
    """Whether this process logs in as the owner of the tables, and so may make and drop a month of events."""
    return bool(await connection.scalar(_OWNS))


_ROLE: Final = text(
    """
    SELECT quote_ident(rolname) AS quoted, quote_ident(current_schema()) AS schema,
           rolsuper OR pg_has_role(rolname, current_user, 'MEMBER') AS is_master
    FROM pg_roles WHERE rolname = :role
    """
)
_TABLES: Final = text(
    """
    SELECT c.relname AS name, array_agg(CAST(a.attname AS text)) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relname = ANY(:tables) AND c.relkind IN ('r', 'p')
    GROUP BY c.relname ORDER BY c.relname
    """
).bindparams(bindparam("tables", type_=ARRAY(Text)))
_SEQUENCES: Final = text("SELECT relname FROM pg_class WHERE oid = to_regclass('event_ids_seq_seq')")
_OWNS: Final = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'events'::regclass")
