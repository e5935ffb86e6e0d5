"""Whose a task is when it opens: the host's, else somebody's who has the language and the time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows.task_routing import Colleague, OutOfOffice, assignee

OLENA = Colleague("1", "olena@x", frozenset({"uk", "en"}), 300, 60)
IVAN = Colleague("2", "ivan@x", frozenset({"en"}), 300, 0)
MARTA = Colleague("3", "marta@x")


def test_it_is_the_hosts_whatever_they_have_in_hand() -> None:
    busy = Colleague("1", "olena@x", frozenset(), 60, 60)
    assert assignee([busy, IVAN], "1", {}, language="en", minutes=15) == busy


def test_who_is_away_is_stood_in_for_and_that_one_too() -> None:
    away = {"1": OutOfOffice("2"), "2": OutOfOffice("3")}
    assert assignee([OLENA, IVAN, MARTA], "1", away, language="en", minutes=15) == MARTA


def test_two_who_stand_in_for_each_other_and_are_both_away_are_nobody() -> None:
    away = {"1": OutOfOffice("2"), "2": OutOfOffice("1")}
    assert assignee([OLENA, IVAN, MARTA], "1", away, language="en", minutes=15) is None


def test_a_host_who_may_not_work_on_it_is_passed_by() -> None:
    assert assignee([IVAN], "1", {}, language="en", minutes=15) == IVAN


def test_who_speaks_the_language_comes_before_who_has_less_to_do() -> None:
    assert assignee([OLENA, IVAN], None, {}, language="uk-UA", minutes=15) == OLENA
    assert assignee([OLENA, IVAN], None, {}, language="en", minutes=15) == IVAN


def test_where_nobody_speaks_it_it_is_left_to_the_team() -> None:
    assert assignee([OLENA, IVAN], None, {}, language="fr", minutes=15) is None


def test_who_says_nothing_of_their_time_is_given_nothing() -> None:
    assert assignee([MARTA], None, {}, language="en", minutes=15) is None


people = st.builds(
    Colleague,
    id=st.sampled_from("abcdef"),
    name=st.sampled_from(["a@x", "b@x", "c@x", "d@x"]),
    languages=st.frozensets(st.sampled_from(["en", "uk", "ru"])),
    minutes=st.none() | st.integers(0, 600),
    taken=st.integers(0, 600),
)


@given(
    able=st.lists(people, max_size=6, unique_by=lambda one: one.id),
    host=st.none() | st.sampled_from("abcdef"),
    away=st.dictionaries(st.sampled_from("abcdef"), st.builds(OutOfOffice, st.none() | st.sampled_from("abcdef"))),
    language=st.none() | st.sampled_from(["en", "uk-UA", "fr"]),
    minutes=st.integers(1, 120),
)
@settings(max_examples=examples(200))
def test_nobody_is_given_what_they_may_not_do_or_while_they_are_away(
    able: list[Colleague], host: str | None, away: dict[str, OutOfOffice], language: str | None, minutes: int
) -> None:
    chosen = assignee(able, host, away, language=language, minutes=minutes)
    if chosen is None:
        return
    assert chosen in able
    assert chosen.id not in away
    stands_in = host is not None and (chosen.id == host or host in away)
    assert stands_in or (chosen.minutes is not None and chosen.taken + minutes <= chosen.minutes)
