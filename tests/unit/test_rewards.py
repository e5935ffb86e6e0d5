"""The rewards: what a designer can say, what is refused, what travels."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from workflows import rewards
from workflows.errors import DesignError, RewardDesignError
from workflows.events import RewardOffered
from workflows.rewards import (
    KINDS,
    USUAL_VALIDITY,
    Prize,
    Reward,
    RewardBase,
    bonus_money,
    cash,
    cashback,
    deposit_match,
    free_bet,
    free_spins,
    gift,
    mini_game,
    mission,
    multiplier,
    points,
    raffle_ticket,
    rakeback,
    reload,
    tier_upgrade,
    tournament_ticket,
)
from workflows.rewards.base import value_of

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
ANY: TypeAdapter[Any] = TypeAdapter(Reward)

SAID = {
    "free_spins": free_spins(10, max_win=500),
    "deposit_match": deposit_match(100, 10_000, contribution={"slot": 100, "table": 10}, excluded_methods=["voucher"]),
    "reload": reload(percent=50, cap=5000, valid=timedelta(hours=72), weekdays=["friday"]),
    "bonus_money": bonus_money(500, max_win=5000),
    "cashback": cashback(10, 50_000, min_loss=2000),
    "rakeback": rakeback(5),
    "free_bet": free_bet(1000, min_odds=1.5, sports=["football"]),
    "cash": cash(2000),
    "points": points(200),
    "multiplier": multiplier(2, timedelta(hours=2)),
    "mini_game": mini_game(
        "wheel",
        budget=100,
        prizes=[Prize(weight=9), Prize(weight=1, reward=cash(100)), Prize(weight=1, reward=points(5))],
    ),
    "tournament_ticket": tournament_ticket("t-1"),
    "raffle_ticket": raffle_ticket("r-1", 3),
    "mission": mission("three-games"),
    "tier_upgrade": tier_upgrade("gold"),
    "gift": gift("mug", value=1500),
}
#: The fields of each as they travel to the bonus engine.
FIELDS = {
    "free_spins": "terms valid kind count game_ids bet_value_minor max_win_minor wager_x provider_campaign_id",
    "deposit_match": (
        "terms valid kind match_pct cap_minor min_deposit_minor deposit_number wager_x wager_basis max_bet_minor "
        "max_win_minor contribution excluded_methods"
    ),
    "reload": "terms valid kind match_pct cap_minor min_deposit_minor wager_x max_bet_minor max_win_minor weekdays",
    "bonus_money": "terms valid kind amount_minor wager_x max_win_minor",
    "cashback": "terms valid kind pct cap_minor min_loss_minor period wager_x",
    "rakeback": "terms valid kind pct cap_minor period",
    "free_bet": "terms valid kind stake_minor min_odds_x1000 sports stake_returned",
    "cash": "terms valid kind amount_minor",
    "points": "terms valid kind points",
    "multiplier": "terms valid kind factor_x100 window game_ids",
    "mini_game": "terms valid kind game prizes budget_minor",
    "tournament_ticket": "terms valid kind entity_id",
    "raffle_ticket": "terms valid kind entity_id count",
    "mission": "terms valid kind entity_id",
    "tier_upgrade": "terms valid kind tier lasts",
    "gift": "terms valid kind sku value_minor ship_within",
}


def test_there_is_a_phrase_for_every_kind_and_every_kind_an_event_can_name() -> None:
    kinds = [reward.model_fields["kind"].default for reward in get_args(get_args(Reward)[0])]
    schema = RewardOffered.data_schema()["properties"]["kind"]["anyOf"][0]
    assert sorted(kinds) == sorted(SAID) == sorted(schema["enum"]) == sorted(KINDS)
    assert all(callable(getattr(rewards, kind)) for kind in kinds)


@pytest.mark.parametrize("kind", SAID)
def test_a_reward_survives_the_wire_as_its_own_kind(kind: str) -> None:
    reward = SAID[kind]
    assert reward.name == kind
    back = ANY.validate_json(ANY.dump_json(reward))
    assert back == reward
    assert type(back) is type(reward)


@pytest.mark.parametrize("kind", SAID)
def test_a_grant_that_is_retried_by_the_next_release_has_its_fields_in_the_same_order(kind: str) -> None:
    assert [*json.loads(ANY.dump_json(SAID[kind]))] == FIELDS[kind].split()


@pytest.mark.parametrize("kind", SAID)
def test_a_reward_always_names_its_terms_and_its_end(kind: str) -> None:
    reward = SAID[kind]
    assert reward.terms == f"terms-{kind}"
    assert timedelta(0) < reward.valid <= timedelta(days=366)


@pytest.mark.parametrize("kind", SAID)
def test_every_reward_says_what_it_may_cost(kind: str) -> None:
    cost = SAID[kind].cost(NOON, ([NOON + timedelta(hours=1)], [5000]))
    assert cost.how
    assert cost.most is None or cost.expected is None or cost.expected <= cost.most


def test_no_reward_is_expected_to_cost_more_than_may_be_won_with_it() -> None:
    for reward in (bonus_money(10_000, wager=0, max_win=500), free_spins(500, bet_value=100, max_win=500)):
        cost = reward.cost(NOON, ([], []))
        assert (cost.most, cost.expected, value_of(reward)) == (500, 500, 500)


def test_a_kind_that_says_no_cost_cannot_be_made() -> None:
    class Voucher(RewardBase):
        kind: str = "voucher"

    with pytest.raises(TypeError, match=r"abstract method .*cost"):
        Voucher.model_validate({})


def test_terms_and_validity_can_be_said() -> None:
    spins = free_spins(10, terms="spring-2026", valid=timedelta(days=2))
    assert (spins.terms, spins.valid) == ("spring-2026", timedelta(days=2))
    assert free_spins(10).valid == USUAL_VALIDITY
    assert spins.model_dump(mode="json")["valid"] == 172_800


def test_defaults_never_exceed_the_wagering_ceiling() -> None:
    assert {getattr(reward, "wager_x", 0) for reward in SAID.values()} == {0, 10}


def test_one_game_is_not_taken_for_its_letters() -> None:
    assert free_spins(5, games="book-of-tests").game_ids == ("book-of-tests",)
    assert free_spins(5, games=["a", "b"]).game_ids == ("a", "b")


def test_units_are_converted_as_the_phrase_reads() -> None:
    assert multiplier(1.5, timedelta(hours=2)).factor_x100 == 150
    assert free_bet(1000, min_odds=1.85).min_odds_x1000 == 1850


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (lambda: free_spins(0), r"^free_spins\(\.\.\.\) cannot be granted: count should be greater .* 1, not 0\.$"),
        (lambda: free_spins(5, max_win=0), r"max_win should be greater than or equal to 1, not 0\.$"),
        (lambda: free_spins(5, valid=timedelta(0)), r"valid should last between a minute and 366 days, not 0:00:00\.$"),
        (lambda: reload(0, 5000), r"percent should be greater than or equal to 1, not 0\.$"),
        (
            lambda: reload(50, -1, weekdays=["funday"]),
            r"cap should be .* not -1; weekdays should be 'monday', .*'funday'",
        ),
        (lambda: deposit_match(100, 5000, wager=101), r"wager should be less than or equal to 100, not 101\.$"),
        (lambda: deposit_match(100, 5000, contribution={"slot": 0}), r"the wagering could never be done\.$"),
        (lambda: cashback(101, 5000), r"percent should be less than or equal to 100, not 101\.$"),
        (lambda: free_bet(100, min_odds=0.5), r"min_odds times 1000 should be .* 1000, not 500\.$"),
        (lambda: multiplier(1, timedelta(hours=2)), r"factor times 100 should be greater than 100, not 100\.$"),
        (
            lambda: mini_game("wheel", budget=100, prizes=[Prize(weight=1, reward=cash(101))]),
            r"a prize of 101 is above the budget of 100 minor units\.$",
        ),
        (lambda: mission(""), r"the id should have at least 1 character, not ''\.$"),
        (lambda: cash(5, terms="Spring Terms"), r"terms should match pattern .*, not 'Spring Terms'\.$"),
    ],
)
def test_a_reward_no_player_could_be_given_is_refused_with_a_sentence(
    said: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(RewardDesignError, match=sentence) as error:
        said()
    assert isinstance(error.value, DesignError)
    assert isinstance(error.value.__cause__, ValidationError)


@pytest.mark.parametrize(
    "wire",
    [
        {"kind": "free_lunch"},
        {"count": 5},
        {"kind": "free_spins", "count": 5, "max_win_total": 1},
        {"kind": "cash", "amount_minor": 10.5},
    ],
)
def test_a_reward_from_outside_that_is_not_understood_whole_is_not_granted(wire: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python(wire)
