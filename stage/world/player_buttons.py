"""What players do with a button, in memory: the same questions in the same order as `activities/player_commands.py`."""

from typing import Literal

from stage.world.state import WorldState
from workflows.channels import CHANNELS
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GrantFacts, facts_of
from workflows.loyalty.missions import PlayerMission


def press(
    world: WorldState, player_id: str, button: Literal["opt_in", "claim", "register"], mission_name: str
) -> str | None:
    """Press a button now; why it was not done, None if it was."""
    if button == "register":
        return world.boards.register(world.player(player_id), mission_name)
    mission = world.rules.loyalty.missions.get(mission_name)
    if mission is None:
        return "unknown"
    state, now, program = world.player(player_id), world.now, world.rules.loyalty
    if button == "opt_in":
        reason = state.mission_refusal(mission, program, now, []) or _refused(world, player_id, mission)
        reason = reason or state.begin_mission(mission, now)
        return None if reason == "already_opted_in" else reason
    reason = state.claim_refusal(mission, now) or _refused(world, player_id, mission)
    if reason is not None:
        return reason
    year, week, _ = now.isocalendar()
    limit = f"mission:{mission.name}:{year}-W{week:02}"
    used = world.limits.get(limit, 0) + mission.points
    if used > mission.budget and mission.points:
        return "budget_spent"
    world.limits[limit] = used
    world.carry_out(state, state.claim_mission(mission, f"mission {mission.name}", now))
    return None


def _refused(world: WorldState, player_id: str, mission: PlayerMission) -> str | None:
    """What the gate says against the prize of a mission."""
    return refused_by_gate(world, player_id, GrantFacts(kind=mission.prize_kind, journey_product=mission.product))


def refused_by_gate(world: WorldState, player_id: str, asked: GrantFacts) -> str | None:
    """What the gate says against it; a player of whom contacts and earlier bonuses are not read, as in production."""
    facts = facts_of(
        world.player(player_id),
        addresses=world.addresses.get(player_id, frozenset(CHANNELS)),
        contacts=(),
        now=world.now,
        birth_date=world.birth_dates.get(player_id),
    )
    decision = may_grant(facts, asked, world.policies.of(world.brand, facts, world.now), world.now)
    return str(decision.reason) if isinstance(decision, Refusal) else None
