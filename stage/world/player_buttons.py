"""What players do with a button, in memory: the same questions in the same order as `activities/player_commands.py`."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from stage.errors import warn_of
from stage.world.house_points import house_gives
from stage.world.records import GrantRecord, SpinRecord
from stage.world.state import WorldState
from workflows.channels import CHANNELS
from workflows.gate.decision import Refusal
from workflows.gate.facts import GrantFacts, facts_of, had_bonus
from workflows.gate.prize_check import first_refusal, prize_facts
from workflows.gate.reasons import Reason
from workflows.gate.register_check import as_if_unlisted
from workflows.loyalty.fair_draws import draw
from workflows.loyalty.missions import PlayerMission
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
from workflows.loyalty.shared_limits import LimitShare
from workflows.loyalty.spin_proofs import spin_id_of, spin_words
from workflows.loyalty.wheels import TOO_SOON, Wheel
from workflows.player_state.prizes import PrizeGiving, give
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase
from workflows.rules.failures import RuleFailure

Button = Literal["opt_in", "claim", "register", "spin"]


def press(
    world: WorldState, player_id: str, button: Button, name: str, *, key: str = "", client_seed: str = ""
) -> str | None:
    """Press a button of a mission, a tournament or a wheel now; why it was not done, None if it was.

    `key` names the press of a spin, and `client_seed` is the player's own word.
    """
    if world.player(player_id).opted_out:
        return str(Reason.OPTED_OUT)
    match button:
        case "register":
            return world.boards.register(world.player(player_id), name)
        case "spin":
            return _spin(world, player_id, name, key or f"press-{len(world.spins) + 1}", client_seed)
        case "opt_in" | "claim":
            return _press_mission(world, player_id, button, name)


def _press_mission(world: WorldState, player_id: str, button: Literal["opt_in", "claim"], name: str) -> str | None:
    mission = world.rules.loyalty.missions.get(name)
    if mission is None:
        return "unknown"
    state, now, program = world.player(player_id), world.now, world.rules.loyalty
    if button == "opt_in":
        reason = state.mission_refusal(mission, program, now, []) or _refused_prize(world, player_id, mission)
        reason = reason or state.begin_mission(mission, now)
        return None if reason == "already_opted_in" else reason
    reason = state.claim_refusal(mission, now) or _refused_prize(world, player_id, mission)
    if reason is not None:
        return reason
    year, week, _ = now.isocalendar()
    share = LimitShare(f"mission:{mission.name}:{year}-W{week:02}", mission.points, mission.budget)
    if mission.points and not _take(world, [share]):
        return "budget_spent"
    if not house_gives(world, mission.into, player_id, mission.points):
        world.limits[share.limit] -= share.amount
        return HOUSE_GIVES_NO_MORE
    world.carry_out(state, state.claim_mission(mission, f"mission {mission.name}", now))
    return None


def _spin(world: WorldState, player_id: str, name: str, key: str, client_seed: str) -> str | None:
    wheel, state, now = world.rules.loyalty.wheels.get(name), world.player(player_id), world.now
    if wheel is None or state.is_control(wheel):
        return "unknown"
    if not state.spins_left(wheel, now):
        return "no_attempts"
    if state.may_spin_at(wheel, now) is not None:
        return TOO_SOON
    if (reason := refused_by_gate(world, player_id, *prize_facts(wheel))) is not None:
        return reason
    day = state.wheel_day(wheel, now)
    if not _take(world, [wheel.share_of_spin(day.day)]):
        return "budget_spent"
    words = spin_words(wheel.name, wheel.version, player_id, client_seed, day.spun + 1)
    drawn = draw(stage_seed(world.chance.seed, wheel.name, day.day), words, wheel.weights)
    prize, instead = wheel.prize(drawn, day.blanks)
    if not _take(world, wheel.shares_of_prize(day.day, drawn, prize)):
        prize, instead = wheel.otherwise, "used_up"
    given = state.use_spin(wheel, now, blank=wheel.sectors[drawn].gives is None and instead is None)
    record = SpinRecord(
        at=now,
        spin_id=spin_id_of(world.brand, player_id, key),
        player_id=player_id,
        wheel=wheel.name,
        nonce=day.spun + 1,
        drawn=drawn,
        prize=prize,
        instead=instead,
        given_by=None if given is None else given.key,
    )
    world.spins.append(record)
    if prize is not None:
        _settle(world, state, wheel, record, prize)
    if given is not None:
        world.answer_step(state, given.run_id, given.step, record.told)
    return None


def stage_seed(world_seed: int, wheel: str, day: str) -> bytes:
    """The seed of a day of a wheel: another one in a world of another seed."""
    return hashlib.sha256(f"{world_seed}:{wheel}:{day}".encode()).digest()


def _settle(world: WorldState, state: PlayerState, wheel: Wheel, spun: SpinRecord, prize: RewardBase) -> None:
    """Give the prize: here, or by the bonus engine, which never fails a prize on the stage."""
    failures: list[RuleFailure] = []
    if prize.settled_here:
        giving = PrizeGiving("issued:wheel", "wheel", spun.spin_id, wheel.into, wheel.product)
        world.carry_out(state, give(state, prize, giving, world.rules, world.now, failures))
        warn_of(failures)
        return
    won_in = f"wheel:{wheel.name}:{world.brand}:{state.player_id}"
    world.grants.append(
        GrantRecord(
            at=world.now,
            run_id=won_in,
            player_id=state.player_id,
            journey="",
            step=spun.spin_id,
            kind=prize.name,
            reward=prize,
            status="confirmed",
            reason=None,
        )
    )


def _take(world: WorldState, shares: Sequence[LimitShare]) -> bool:
    """Take all of what all players share, or nothing."""
    if any(world.limits.get(one.limit, 0) + one.amount > one.most for one in shares):
        return False
    for one in shares:
        world.limits[one.limit] = world.limits.get(one.limit, 0) + one.amount
    return True


def _refused_prize(world: WorldState, player_id: str, mission: PlayerMission) -> str | None:
    asked = GrantFacts(kind=mission.prize_kind, journey_product=mission.product, value=0, earned=True)
    return refused_by_gate(world, player_id, asked)


def refused_by_gate(world: WorldState, player_id: str, *asked: GrantFacts) -> str | None:
    """What the gate says against it; of contacts nothing is read, as in production, and no register lists anybody."""
    state = world.player(player_id)
    granted = any(one.player_id == player_id and one.status != "refused" for one in world.grants)
    facts = facts_of(
        state,
        addresses=world.addresses.get(player_id, frozenset(CHANNELS)),
        contacts=(),
        now=world.now,
        birth_date=world.birth_dates.get(player_id),
        had_bonus=had_bonus(state, granted_here=granted),
    )
    policy = world.policies.of(world.brand, facts, world.now)
    presumed = as_if_unlisted(facts, policy, world.now)
    _, decision = first_refusal(presumed, asked, policy, world.now)
    return str(decision.reason) if isinstance(decision, Refusal) else None
