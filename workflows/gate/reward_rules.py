"""What laws forbid about a reward itself, whoever gets it: how it is wagered, on what, when, and after what."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from workflows.gate.bonus_value import above_the_ceiling, unfitting
from workflows.gate.decision import Refusal, unread
from workflows.gate.facts import GateFacts, GrantFacts
from workflows.gate.harm_strength import harm_strength
from workflows.gate.policy import Policy
from workflows.gate.reasons import Reason

#: Kinds that are loyalty's, whoever gives them. Money is not, though a tournament may have brought it.
LOYALTY_KINDS: Final = frozenset(
    {"points", "multiplier", "mission", "badge", "piece", "raffle_ticket", "tier_upgrade", "mini_game"}
)
#: The deposit with which a player has come to stay.
DEPOSITS_OF_A_REGULAR: Final = 2


def forbidden_reward(
    facts: GateFacts, grant: GrantFacts, policy: Policy, now: datetime, asked: list[str]
) -> Refusal | None:
    """The first rule that forbids it, None if none does. Those that are on write their ids into `asked`."""
    spoken = policy.spoken
    for name, number, rule in _ASKED:
        if number not in spoken:
            continue
        if name not in asked:
            asked.append(name)
        if (refusal := rule(facts, grant, policy, now)) is not None:
            return refusal
    return None


def _wagered_too_often(_facts: GateFacts, grant: GrantFacts, policy: Policy, _now: datetime) -> Refusal | None:
    if policy.wager_cap is None or grant.wager_factor <= policy.wager_cap:
        return None
    times = f"{grant.wager_x} times"
    if grant.wager_factor != grant.wager_x:
        times = f"{times} with the deposit, which is {grant.wager_factor} times the bonus,"
    detail = f"The bonus must be wagered {times} and {policy.wager_cap} is the ceiling."
    return Refusal(Reason.WAGER_TOO_HIGH, "wager-cap", detail)


def _mixes_products(_facts: GateFacts, grant: GrantFacts, _policy: Policy, _now: datetime) -> Refusal | None:
    about, used_on = grant.journey_product, grant.product
    if about is not None and used_on in {None, about}:
        return None
    what = "nobody says what the journey is about" if about is None else f"the journey is about {about}"
    on = "anything" if used_on is None else used_on
    return Refusal(Reason.MIXED_PRODUCTS, "one-product", f"The reward is for {on}, and {what}; say product= there.")


def _is_not_the_first(facts: GateFacts, _grant: GrantFacts, _policy: Policy, _now: datetime) -> Refusal | None:
    if facts.had_bonus is None:
        return unread("earlier bonuses", "first-bonus")
    if facts.had_bonus:
        return Refusal(Reason.NOT_THE_FIRST_BONUS, "first-bonus", "The player had a bonus before, and one is the most.")
    return None


def _draws_in(facts: GateFacts, _grant: GrantFacts, _policy: Policy, _now: datetime) -> Refusal | None:
    if facts.deposits is None:
        return unread("deposits", "welcome-bonus")
    if facts.deposits < DEPOSITS_OF_A_REGULAR:
        counted = f"The player has {facts.deposits} approved deposits, and a bonus needs {DEPOSITS_OF_A_REGULAR}."
        return Refusal(Reason.WELCOME_BONUS, "welcome-bonus", counted)
    return None


def _interrupts_play(facts: GateFacts, _grant: GrantFacts, _policy: Policy, _now: datetime) -> Refusal | None:
    if facts.in_play is None:
        return unread("session", "bonus-in-play")
    if facts.in_play:
        return Refusal(Reason.IN_PLAY, "bonus-in-play", "The player has logged in and no end of the session is told.")
    return None


def _is_banned(_facts: GateFacts, grant: GrantFacts, policy: Policy, _now: datetime) -> Refusal | None:
    if grant.kind not in policy.banned_rewards:
        return None
    return Refusal(Reason.BANNED_REWARD, "banned-reward", f"Nobody may get a {grant.kind} where the player is.")


def _is_being_checked(facts: GateFacts, _grant: GrantFacts, _policy: Policy, _now: datetime) -> Refusal | None:
    if facts.open_checks is None:
        return unread("checks", "open-check")
    if facts.open_checks:
        return Refusal(Reason.OPEN_CHECK, "open-check", f"A check is open: {', '.join(facts.open_checks)}.")
    return None


def _lacks_what_a_vip_needs(facts: GateFacts, grant: GrantFacts, policy: Policy, now: datetime) -> Refusal | None:
    if not grant.vip:
        return None
    harm = harm_strength(facts, policy, now)
    if facts.open_checks is None or facts.passed_checks is None or harm is None:
        return unread("checks", "vip-check")
    known = {*facts.passed_checks, *(["no_harm"] if harm == "none" else [])}
    lacking = sorted(policy.vip_needs.difference(known))
    if not lacking and not facts.open_checks:
        return None
    what = f"open {', '.join(facts.open_checks)}" if facts.open_checks else f"without {', '.join(lacking)}"
    return Refusal(Reason.OPEN_CHECK, "vip-check", f"A VIP reward needs more to be known of the player: {what}.")


def _is_young_for_a_vip(facts: GateFacts, grant: GrantFacts, policy: Policy, _now: datetime) -> Refusal | None:
    if not grant.vip or policy.vip_min_age is None:
        return None
    if facts.age is None:
        what = f"The player's age is not known, and {policy.vip_min_age} is the least for a VIP reward."
        return Refusal(Reason.UNKNOWN_AGE, "vip-age", what)
    if facts.age < policy.vip_min_age:
        what = f"The player is {facts.age}, and {policy.vip_min_age} is the least for a VIP reward."
        return Refusal(Reason.TOO_YOUNG, "vip-age", what)
    return None


def _comes_too_soon(facts: GateFacts, _grant: GrantFacts, policy: Policy, now: datetime) -> Refusal | None:
    if facts.registered_at is None:
        return unread("registration", "new-customer")
    if policy.bonus_after is not None and now - facts.registered_at < policy.bonus_after:
        days = policy.bonus_after.days
        return Refusal(Reason.NEW_CUSTOMER, "new-customer", f"The account is younger than {days} days.")
    return None


#: By id of the rule: the number it goes by, and what it asks.
_ASKED: Final[tuple[tuple[str, str, Callable[[GateFacts, GrantFacts, Policy, datetime], Refusal | None]], ...]] = (
    ("wager-cap", "wager_cap", _wagered_too_often),
    ("one-product", "one_product", _mixes_products),
    ("first-bonus", "first_bonus_only", _is_not_the_first),
    ("welcome-bonus", "welcome_bonus", _draws_in),
    ("bonus-in-play", "bonus_in_play", _interrupts_play),
    ("banned-reward", "banned_rewards", _is_banned),
    ("open-check", "bonus_with_open_check", _is_being_checked),
    ("vip-check", "vip_needs", _lacks_what_a_vip_needs),
    ("vip-age", "vip_min_age", _is_young_for_a_vip),
    ("new-customer", "bonus_after", _comes_too_soon),
    ("bonus-value", "bonus_ceiling", above_the_ceiling),
    ("bonus-value", "bonus_fit", unfitting),
)
