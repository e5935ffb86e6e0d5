"""Which module writes which table: the rule of the architecture test, and how writing is found in a source."""

import ast
import re
from collections.abc import Iterator

from tests.support.source_nodes import nodes

#: The one module that writes each table. Whoever else wants it written calls a function there.
OWNERS = {
    "events": "activities/intake/event_store.py",
    "failed_events": "activities/intake/failed_events.py",
    "event_ids": "activities/intake/event_store.py",
    "kept_events": "activities/intake/event_store.py",
    "players": "activities/player_rows.py",
    "runs": "activities/runs.py",
    "memberships": "activities/intake/decision_writes.py",
    "jobs": "activities/bulk_jobs.py",
    "enrolment_players": "activities/loops/enrolment.py",
    "steps": "activities/step_log.py",
    "journey_controls": "activities/journey_controls.py",
    "journey_control_history": "activities/journey_controls.py",
    "held_runs": "activities/journey_controls.py",
    "shadows": "activities/shadows.py",
    "shadow_runs": "activities/shadows.py",
    "shadow_steps": "activities/shadows.py",
    "deliveries": "activities/run_delivery/deliveries.py",
    "dead_letters": "activities/run_delivery/dead_letters.py",
    "messages": "activities/messages.py",
    "gate_decisions": "activities/gate_decisions.py",
    "point_transfers": "activities/point_transfers.py",
    "player_commands": "activities/player_commands.py",
    "loyalty_limits": "activities/loyalty_limits.py",
    "standings": "activities/standings.py",
    "tournaments": "activities/tournaments.py",
    "followers": "activities/figures/followers.py",
    "player_days": "activities/figures/player_days.py",
    "run_changes": "activities/figures/journey_days.py",
    "run_places": "activities/figures/journey_days.py",
    "journey_days": "activities/figures/journey_days.py",
    "journey_places": "activities/figures/journey_days.py",
    "figures": "activities/figures/figure_store.py",
    "changes": "activities/found_changes.py",
    "experiments": "activities/experiment_rows.py",
    "assignments": "activities/experiment_rows.py",
    "experiment_looks": "activities/experiment_rows.py",
    "score_models": "activities/score_models.py",
    "score_trainings": "activities/score_trainings.py",
    "wheel_days": "activities/wheel_spins.py",
    "point_corrections": "activities/point_corrections.py",
    "point_days": "activities/point_economy.py",
    "point_months": "activities/point_economy.py",
    "shop_purchases": "activities/shop_purchases.py",
    "spins": "activities/wheel_spins.py",
    "budget_slices": "activities/bonus_budgets.py",
    "raffle_tickets": "activities/raffle_draws.py",
    "raffle_draws": "activities/raffle_draws.py",
    "raffle_winners": "activities/raffle_draws.py",
    "grants": "activities/grant_rows.py",
    "tasks": "activities/tasks.py",
    "task_history": "activities/tasks.py",
    "task_signatures": "activities/task_signatures.py",
    "api_keys": "activities/api_keys.py",
    "audit_entries": "activities/audit/trail.py",
    "audit_heads": "activities/audit/trail.py",
    "people": "activities/people.py",
    "person_grants": "activities/people.py",
    "notices": "activities/notices.py",
    "work_profiles": "activities/work_profiles.py",
    "absences": "activities/work_profiles.py",
    "processes": "activities/processes.py",
    "erasures": "activities/erasures.py",
    "suppressions": "activities/intake/suppressions.py",
    "outgoing_events": "activities/outgoing/webhook_queue.py",
    "webhook_deliveries": "activities/outgoing/webhook_queue.py",
    "webhook_subscriptions": "activities/outgoing/webhook_subscriptions.py",
    "sign_ins": "activities/console_sessions.py",
    "sessions": "activities/console_sessions.py",
    "task_drafts": "activities/task_drafts.py",
    "stray_texts": "activities/stray_texts.py",
    "stray_refusals": "activities/intake/stray_refusals.py",
    "device_owners": "activities/intake/device_owners.py",
    "seeds": "activities/seeds.py",
    "seed_players": "activities/seeds.py",
    "audience_members": "activities/audience_members.py",
    "audience_syncs": "activities/audience_members.py",
    "player_hosts": "activities/player_hosts.py",
    "player_notes": "activities/player_notes.py",
}
#: Tests and measurements put rows where they want them; a migration moves what is there to where the code wants it.
FREE = {"tests", "bench", "migrations"}
VERBS = {"insert", "update", "delete"}
SQL = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?|COPY)\s+(?:ONLY\s+)?\"?([a-z_]+)")


def written_elsewhere(path: str, source: str) -> Iterator[str]:
    """A sentence for each statement that writes a table outside the module that owns it."""
    if path.partition("/")[0] in FREE:
        return
    for line, table in written(source):
        owner = OWNERS.get(table)
        if owner is None:
            yield (
                f"{path}:{line} writes {table}, which is no table of OWNERS in tests/support/table_owners.py. Name the "
                "table itself, and give a new one the module that writes it."
            )
        elif owner != path:
            yield (
                f"{path}:{line} writes {table}, which belongs to {owner}. A table that one module writes has one place "
                "where its rules stand: call a function there, and add it if there is none."
            )


def written(source: str) -> Iterator[tuple[int, str]]:
    """The tables that a source writes, by SQLAlchemy or as text, each with its line."""
    verbs, tables = set[str](), set[str]()
    for node in nodes(source):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.asname or alias.name: alias.name for alias in node.names}
            if node.module.partition(".")[0] == "sqlalchemy":
                verbs |= {name for name, what in names.items() if what in VERBS}
            elif node.module == "activities.tables":
                tables |= {*names}
    for node in nodes(source):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno, table) for table in SQL.findall(node.value))
        elif isinstance(node, ast.Call):
            match node.func:
                case ast.Name(verb) if verb in verbs and node.args:
                    yield node.lineno, _table(node.args[0])
                case ast.Attribute(ast.Name("sa" | "sqlalchemy"), verb) if verb in VERBS and node.args:
                    yield node.lineno, _table(node.args[0])
                case ast.Attribute(ast.Name(table), verb) if verb in VERBS and table in tables:
                    yield node.lineno, table
                case ast.Attribute(ast.Attribute(ast.Name("tables"), table), verb) if verb in VERBS:
                    yield node.lineno, table


def _table(node: ast.expr) -> str:
    """The table an expression names: `runs`, or `tables.runs`."""
    return node.attr if isinstance(node, ast.Attribute) else ast.unparse(node)
