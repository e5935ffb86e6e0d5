"""Synthetic casinos whose true effects are known: for whom a journey brings more, and with which reward."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from random import Random

import pytest

from activities.figures.effect_parts import ComparedEntry, by_kind, by_segment
from learning.differences import Conversion, Estimate, NoNumber, difference_over
from learning.shrinkage import segments_that_differ
from workflows.figures.definitions import Taken

WEEK = date(2026, 1, 5)
#: How many of ten players are in each segment. A player may be in several.
SEGMENTS = {"new": 4, "vip": 2, "evening": 5, "slots": 7, "sports": 3, "mobile": 6}


def casino(
    random: Random, gains: Mapping[str, float], *, players: int = 4_000, common: float = 0.05, kinds: str = "cash"
) -> list[ComparedEntry]:
    """Entries of which 25 of 100 reach the goal; treated players more often by `common`, and by their segments."""
    entries = []
    for _ in range(players):
        segments = frozenset(name for name, tenths in SEGMENTS.items() if random.randrange(10) < tenths)
        treated = random.random() < 0.6
        chance = 0.25 + treated * (common + sum(gains.get(name, 0.0) for name in segments))
        given = frozenset(kinds.split()) if treated else frozenset[str]()
        entries.append(ComparedEntry(treated=treated, reached=random.random() < chance, segments=segments, kinds=given))
    return entries


def bounds(one: Taken) -> tuple[float, float]:
    assert one.low is not None
    assert one.high is not None
    return one.low, one.high


# ---- segments ------------------------------------------------------------------------------------


def test_the_segment_in_which_a_journey_brings_more_is_found_with_the_truth_in_its_interval() -> None:
    (one,) = by_segment(WEEK, "welcome", casino(Random(4), {"new": 0.20}))
    assert (one.part, one.split_by) == ("welcome / new", "journey_segment")
    low, high = bounds(one)
    assert 0.05 < low < 0.25 < high
    assert 1_500 < one.n < 1_700


def test_who_is_in_a_segment_is_held_against_whoever_is_not_however_many_there_are() -> None:
    """By a second way: from the entries that a segment parts."""
    entries = casino(Random(4), {"new": 0.20})
    (one,) = by_segment(WEEK, "welcome", entries)

    def arms(*, inside: bool) -> tuple[Conversion, Conversion]:
        mine = [each for each in entries if ("new" in (each.segments or ())) is inside]
        treated, control = ([each.reached for each in mine if each.treated is arm] for arm in (True, False))
        return Conversion(sum(treated), len(treated)), Conversion(sum(control), len(control))

    direct = segments_that_differ({"new": (arms(inside=True), arms(inside=False))})["new"]
    assert isinstance(direct, Estimate)
    assert one.value == pytest.approx(direct.estimate)
    assert one.n == sum(each.players for each in arms(inside=True))


def test_a_segment_that_gains_less_is_found_as_well() -> None:
    found = by_segment(WEEK, "welcome", casino(Random(4), {"vip": -0.25}, common=0.2))
    (one,) = [each for each in found if each.part == "welcome / vip"]
    assert one.value is not None
    assert one.value < 0.1


def test_where_it_brings_the_same_to_all_no_segment_is_told() -> None:
    (one,) = by_segment(WEEK, "welcome", casino(Random(3), {}))
    assert (one.part, one.value) == ("welcome", None)
    assert "no difference is shown between 6 segments and the other players" in (one.reason or "")


@pytest.mark.parametrize(("gains", "most"), [({}, 0.1), ({"new": 0.15}, 0.1)])
def test_of_many_casinos_few_are_told_a_segment_that_is_like_the_others(
    gains: Mapping[str, float], most: float
) -> None:
    random, runs, false, found = Random(11), 30, 0, 0
    for _ in range(runs):
        told = {
            one.part for one in by_segment(WEEK, "j", casino(random, gains, players=1_500)) if one.value is not None
        }
        false += bool(told - {f"j / {name}" for name in gains})
        found += bool(told)
    assert false / runs <= most
    assert not gains or found / runs > 0.3


@pytest.mark.slow  # 2,000 casinos of ten segments
@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_of_what_is_told_the_truth_lies_in_the_interval_at_least_94_of_100_times(spread: float) -> None:
    random, shown, missed, casinos, players = Random(5), 0, 0, 0, 900
    for _ in range(2_000):
        gains = [random.gauss(0.05, spread) for _ in range(10)]
        parts = [(_drawn(random, 0.3 + gain, players), _drawn(random, 0.3, players // 3)) for gain in gains]
        everybody = [_sum([part[arm] for part in parts]) for arm in (0, 1)]
        given = {}
        for number, part in enumerate(parts):
            others = tuple(_less(everybody[arm], part[arm]) for arm in (0, 1))
            given[str(number)] = (part, (others[0], others[1]))
        told = {int(name): one for name, one in segments_that_differ(given).items() if isinstance(one, Estimate)}
        shown, casinos = shown + len(told), casinos + bool(told)
        missed += sum(gains[number] not in one.interval for number, one in told.items())
    if spread:
        assert missed / shown <= 0.06
    else:
        assert casinos / 2_000 <= 0.06, "Where all are alike, one is told in one of twenty casinos."


def _drawn(random: Random, chance: float, players: int) -> Conversion:
    successes = round(random.gauss(players * chance, (players * chance * (1 - chance)) ** 0.5))
    return Conversion(min(players, max(0, successes)), players)


def _sum(shares: list[Conversion]) -> Conversion:
    return Conversion(sum(one.successes for one in shares), sum(one.players for one in shares))


def _less(whole: Conversion, part: Conversion) -> Conversion:
    return Conversion(whole.successes - part.successes, whole.players - part.players)


def test_too_few_players_and_segments_that_were_not_kept_are_said() -> None:
    (few,) = by_segment(WEEK, "j", casino(Random(1), {}, players=150))
    assert few.reason == "none of 6 segments has enough players in both groups, in it and outside"
    old = [
        ComparedEntry(treated=number % 2 == 0, reached=True, segments=None, kinds=frozenset()) for number in range(50)
    ]
    (unknown,) = by_segment(WEEK, "j", old)
    assert unknown.reason == "nobody entered whose segments are known"
    nobody = [
        ComparedEntry(treated=number % 2 == 0, reached=True, segments=frozenset(), kinds=frozenset())
        for number in (1, 2)
    ]
    (none,) = by_segment(WEEK, "j", nobody)
    assert none.reason == "its players were in no segment"


# ---- kinds of reward -----------------------------------------------------------------------------


def kinds_of(journeys: Mapping[str, list[ComparedEntry]]) -> dict[str, Taken]:
    return {one.part: one for one in by_kind(WEEK, journeys)}


def test_a_kind_brings_what_the_journeys_bring_that_give_it_alone() -> None:
    random = Random(9)
    found = kinds_of(
        {
            "spins": casino(random, {}, common=0.15, kinds="free_spins"),
            "back": casino(random, {}, common=0.0, kinds="cash"),
            "again": casino(random, {}, common=0.0, kinds="cash", players=2_000),
            "mixed": casino(random, {}, common=0.4, kinds="cash tickets"),
            "words": casino(random, {}, kinds=""),
        }
    )
    assert found.keys() == {"cash", "free_spins", "tickets"}
    low, high = bounds(found["free_spins"])
    assert 0.1 < low < 0.15 < high
    low, high = bounds(found["cash"])
    assert low < 0 < high
    assert found["cash"].n == 6_000
    assert "gives others too" in (found["tickets"].reason or "")


def test_a_kind_given_to_few_has_no_number() -> None:
    found = kinds_of({"spins": casino(Random(2), {}, players=120, kinds="free_spins")})
    assert found["free_spins"].value is None
    assert "100 players in its control group" in (found["free_spins"].reason or "")


def test_journeys_whose_players_differ_anyway_make_no_effect_together() -> None:
    """Among all together 47 of 100 treated and 23 of the others reach it, for half are in a journey that all reach."""
    easy, hard = (Conversion(810, 900), Conversion(90, 100)), (Conversion(10, 100), Conversion(90, 900))
    found = difference_over({"easy": easy, "hard": hard})
    assert isinstance(found, Estimate)
    assert found.estimate == pytest.approx(0)
    assert found.interval.low < 0 < found.interval.high
    assert isinstance(difference_over({"hard": (Conversion(5, 100), Conversion(40, 100))}), NoNumber)
    assert isinstance(difference_over({"easy": easy, "none": (Conversion(0, 100), Conversion(40, 100))}), NoNumber)


@pytest.mark.parametrize(
    ("hard", "why"),
    [
        ((Conversion(0, 100), Conversion(40, 100)), "of 100 treated players of hard nobody did"),
        ((Conversion(40, 100), Conversion(90, 90)), "of 90 control players of hard everybody did"),
        ((Conversion(0, 0), Conversion(40, 100)), "of 0 treated players of hard nobody did"),
    ],
)
def test_a_group_in_which_nobody_or_everybody_did_says_so(hard: tuple[Conversion, Conversion], why: str) -> None:
    found = difference_over({"easy": (Conversion(810, 900), Conversion(90, 100)), "hard": hard})
    assert isinstance(found, NoNumber)
    assert found.reason.startswith(why)


def test_of_a_kind_the_journey_is_named_that_keeps_it_from_a_number() -> None:
    spins = frozenset({"free_spins"})
    easy = [ComparedEntry(treated=n % 2 == 0, reached=n % 3 == 0, segments=None, kinds=spins) for n in range(300)]
    hard = [replace(one, reached=one.reached and not one.treated) for one in easy]
    (found,) = by_kind(WEEK, {"easy": easy, "wheel_week": hard})
    assert (found.reason or "").startswith("of 150 treated players of wheel_week nobody did")


def test_too_few_who_did_are_told_with_their_numbers() -> None:
    found = difference_over({"hard": (Conversion(5, 100), Conversion(40, 100))})
    assert isinstance(found, NoNumber)
    assert found.reason.endswith("treated are 5 who did and 95 who did not")
