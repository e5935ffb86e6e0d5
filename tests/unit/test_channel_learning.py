"""Channels learned of all players: floors, regret in a simulated casino, and judged before they are used."""

import math
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.channel_learning import (
    COUNTS,
    LearnedChannels,
    PastChoice,
    PastMessage,
    heard_before,
    house_rates,
    learn_channels,
)
from learning.differences import NoNumber
from learning.off_policy import JudgedChoice, clustered, judge_policy, self_normalised
from tests.support.channel_casino import BEGAN, WEEK, ChannelCasino
from tests.support.examples import THOROUGH, examples
from workflows.channels import Channel
from workflows.gate.channel_rates import UNKNOWN, ChannelRates, HouseRate, chances
from workflows.gate.send_choice import CHANNEL_FLOOR, Heard, own_chances

HOUR = timedelta(hours=1)
CHANNELS: list[Channel] = ["email", "push", "sms"]
RATES = st.builds(HouseRate, mean=st.floats(-0.5, 0.6), spread=st.floats(0.0, 0.2))
OWN = st.tuples(st.integers(0, 200), st.floats(-40, 100))


# ---- chances -------------------------------------------------------------------------------------


@settings(max_examples=examples(100))
@given(st.fixed_dictionaries(dict.fromkeys(CHANNELS, RATES)), st.fixed_dictionaries(dict.fromkeys(CHANNELS, OWN)))
def test_chances_are_whole_keep_their_floor_and_do_not_hang_on_the_order(rates: Any, own: Any) -> None:
    known = ChannelRates(rates=rates)
    found = chances(CHANNELS, own, known, CHANNEL_FLOOR)
    assert math.isclose(sum(found.values()), 1, abs_tol=1e-9)
    assert min(found.values()) >= CHANNEL_FLOOR - 1e-9
    assert chances([*reversed(CHANNELS)], own, known, CHANNEL_FLOOR) == pytest.approx(found)


def test_a_chance_is_how_often_a_channel_would_win_a_draw() -> None:
    rates: dict[Channel, HouseRate] = {
        "email": HouseRate(mean=0.06, spread=0.01),
        "push": HouseRate(mean=0.07, spread=0.02),
        "sms": UNKNOWN,
    }
    own: dict[Channel, tuple[int, float]] = {"email": (40, 4.0), "push": (3, 0.0)}
    known = ChannelRates(rates=rates)
    random, wins, draws = Random(4), dict.fromkeys(CHANNELS, 0), 40_000
    for _ in range(draws):
        values = {}
        for one in CHANNELS:
            sent, worth = own.get(one, (0, 0.0))
            rate = known.of(one)
            values[one] = (30 * random.gauss(rate.mean, rate.spread) + worth) / (30 + sent)
        wins[max(CHANNELS, key=lambda one: values[one])] += 1
    found = chances(CHANNELS, own, known, 0.0)
    assert {one: count / draws for one, count in wins.items()} == pytest.approx(found, abs=0.01)


def test_the_floor_holds_where_one_is_far_better_and_where_none_is_ever_the_best() -> None:
    sure = ChannelRates(rates={"email": HouseRate(mean=0.5, spread=0.0), "push": HouseRate(mean=0.01, spread=0.0)})
    assert chances(["email", "push"], {}, sure, CHANNEL_FLOOR) == pytest.approx({"email": 0.95, "push": 0.05})
    same = ChannelRates(rates={one: HouseRate(mean=0.1, spread=0.0) for one in CHANNELS})
    assert chances(CHANNELS, {}, same, CHANNEL_FLOOR) == pytest.approx(dict.fromkeys(CHANNELS, 1 / 3))


# ---- the simulated casino ------------------------------------------------------------------------


def regret_after(casino: ChannelCasino, usual: int, learned: int) -> float:
    """The regret against the best channel for all, beside that of an even split, since learned rates choose."""
    for _ in range(usual):
        casino.week()
    casino.made = casino.best = casino.even = 0.0
    for _ in range(learned):
        casino.week(casino.rates_so_far())
    return (casino.best - casino.made) / (casino.best - casino.even)


def test_learned_channels_lose_at_most_half_of_what_an_even_split_loses() -> None:
    casino = ChannelCasino(900)
    assert regret_after(casino, usual=5, learned=4) <= 0.5
    assert casino.least >= CHANNEL_FLOOR - 1e-9


@pytest.mark.slow  # 10,000 players for 11 weeks
@pytest.mark.parametrize("unlike", [0.0, 0.5, 1.0])
def test_ten_thousand_players_lose_at_most_half_of_what_an_even_split_loses(unlike: float) -> None:
    casino = ChannelCasino(10_000, unlike=unlike)
    assert regret_after(casino, usual=5, learned=6) <= 0.5
    assert casino.least >= CHANNEL_FLOOR - 1e-9


def test_a_house_rate_is_that_of_all_players_although_channels_were_chosen_for_who_likes_them() -> None:
    """Half follow push always and e-mail never, half the other way round; each gets what they like, mostly."""
    random, choices, worth = Random(2), list[PastChoice](), {"email": 0.0, "push": 0.0}
    for number in range(6_000):
        likes: Channel = "email" if number % 2 else "push"
        options: dict[Channel, float] = {one: 0.95 if one == likes else 0.05 for one in ("email", "push")}
        (chosen,) = random.choices(list(options), [*options.values()])
        followed = BEGAN + HOUR if chosen == likes else None
        worth[chosen] += followed is not None
        choices.append(PastChoice(f"p-{number}", BEGAN, chosen, options, by_house=False, followed_at=followed))
    raw = {one: count / sum(each.chosen == one for each in choices) for one, count in worth.items()}
    assert min(raw.values()) > 0.9
    assert {one: rate.mean for one, rate in house_rates(choices).items()} == pytest.approx(
        {"email": 0.5, "push": 0.5}, abs=0.06
    )


@pytest.mark.parametrize(("unlike", "least", "most"), [(0.0, 100, COUNTS[-1]), (1.5, COUNTS[0], 20)])
def test_the_more_alike_players_are_the_more_counts_what_all_did(unlike: float, least: float, most: float) -> None:
    casino = ChannelCasino(1_200, unlike=unlike, rates={"email": 0.2, "push": 0.25})
    for _ in range(8):
        casino.week()
    assert least <= casino.rates_so_far().counts <= most


# ---- judged before it is used --------------------------------------------------------------------

CLEAR: Mapping[Channel, float] = {"email": 0.05, "push": 0.25}


def learned_in(casino: ChannelCasino, weeks: int = 7) -> LearnedChannels:
    for _ in range(weeks):
        casino.week()
    found = casino.learn()
    assert isinstance(found, LearnedChannels)
    return found


def test_where_one_channel_is_better_the_log_shows_it_before_anybody_is_chosen_by_it() -> None:
    found = learned_in(ChannelCasino(1_600, CLEAR))
    assert found.worth.passes
    # Who has had five messages is chosen for by their own history already, so less than the whole 18 points is left.
    assert 0 < found.worth.gain_from < found.worth.gain < 0.18
    assert found.worth.in_use < found.worth.worth


def test_where_channels_are_alike_the_rule_in_use_stays() -> None:
    casinos = 60 if THOROUGH > 1 else 6
    learned = [learned_in(ChannelCasino(400, {"email": 0.1, "push": 0.1}, seed=seed)) for seed in range(casinos)]
    assert sum(one.worth.gain_from > 0 for one in learned) <= 0.05 * casinos
    assert not any(one.worth.passes for one in learned)


def test_the_true_worth_lies_in_its_interval() -> None:
    """Players are asked five times each and are unlike, so their answers belong together."""
    random, runs, held, held_of_gain, bias = Random(8), 400, 0, 0, 0.0
    rates, logged, new = {"a": 0.1, "b": 0.3}, {"a": 0.8, "b": 0.2}, {"a": 0.3, "b": 0.7}
    worth, in_use = (sum(policy[one] * rates[one] for one in rates) for policy in (new, logged))
    for _ in range(runs):
        choices = []
        for player in range(120):
            own = random.choice((0.5, 1.5))
            for _ in range(5):
                (chosen,) = random.choices([*logged], [*logged.values()])
                followed = float(random.random() < own * rates[chosen])
                weight = new[chosen] / logged[chosen]
                one = JudgedChoice(f"p{player}", followed, weight, 1.0, 0.2, 0.2, 0.2)
                choices.append(one)
        found, interval = self_normalised(choices, [one.weight for one in choices])
        held += worth in interval
        judged = judge_policy(choices)
        held_of_gain += judged.gain_from <= worth - in_use <= judged.gain_to
        bias += (found - worth) / runs
    assert held / runs >= 0.9
    assert held_of_gain / runs >= 0.96
    assert abs(bias) < 0.01


def test_too_few_choices_or_one_that_decides_alone_do_not_pass() -> None:
    few = [JudgedChoice(f"p{number}", 1.0, 1.0, 0.5) for number in range(400)]
    assert judge_policy(few).gain_from > 0
    assert not judge_policy(few).passes
    many = [JudgedChoice(f"p{number}", 1.0, 1.0, 0.5) for number in range(800)]
    assert judge_policy(many).passes
    assert not judge_policy([*many, JudgedChoice("whale", 1.0, 25.0, 0.5)]).passes
    assert clustered(["p", "p"], [1.0, 2.0], 0.95).high == math.inf, "One player says nothing of others."


def test_nothing_is_learned_from_few_and_nothing_of_what_is_not_over() -> None:
    casino = ChannelCasino(100, CLEAR)
    casino.week()
    found = casino.learn()
    assert isinstance(found, NoNumber)
    assert "are needed" in found.reason
    full = ChannelCasino(500, CLEAR)
    for _ in range(7):
        full.week()
    before = learn_channels(full.choices, full.messages, full.now)
    today = [PastChoice("late", full.now - HOUR, "email", {"email": 0.5, "push": 0.5}, by_house=False)] * 5_000
    assert learn_channels([*full.choices, *today], full.messages, full.now) == before


def test_who_leaves_costs_more_than_who_follows_brings_and_a_late_click_is_none() -> None:
    options: dict[Channel, float] = {"email": 0.5, "push": 0.5}
    given: dict[str, Any] = {"player_id": "p", "at": BEGAN, "chosen": "email", "chances": options, "by_house": False}
    assert PastChoice(**given, followed_at=BEGAN + HOUR).worth == 1
    assert PastChoice(**given, followed_at=BEGAN + 25 * HOUR).worth == 0
    assert PastChoice(**given, followed_at=BEGAN + HOUR, left_at=BEGAN + 2 * HOUR).worth == -19


def test_what_was_known_at_a_moment_has_nothing_of_what_came_after() -> None:
    sent = [
        PastMessage("email", BEGAN, followed_at=BEGAN + 3 * WEEK),
        PastMessage("email", BEGAN + WEEK, followed_at=BEGAN + WEEK + HOUR),
        PastMessage("push", BEGAN + 2 * WEEK - HOUR, left_at=BEGAN + 2 * WEEK - HOUR / 2),
        PastMessage("push", BEGAN + 5 * WEEK, followed_at=BEGAN + 5 * WEEK + HOUR),
    ]
    times = [one.at for one in sent]
    assert heard_before(sent, BEGAN + 2 * WEEK, times) == {"email": Heard(2, 1, 1)}
    assert heard_before(sent, BEGAN + 4 * WEEK, times) == {"email": Heard(2, 2, 2), "push": Heard(1, 0, 0, 1)}
    assert heard_before(sent, BEGAN + 60 * WEEK, times) == {}


def test_the_rule_in_use_is_read_from_the_log_and_reckoned_where_the_house_chose() -> None:
    heard: dict[Channel, Heard] = {"email": Heard(8, 0, 0), "push": Heard(6, 3, 3)}
    assert own_chances(["email", "push"], heard) == {"email": 0.05, "push": 0.95}
    assert own_chances(["email", "push"], {}) == {"email": 0.95, "push": 0.05}
