"""Edges of how policies are joined and found that only a small change of the code would move."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.support.gate import DAY, FREE, NOON
from workflows.errors import DesignError
from workflows.gate import policy_book
from workflows.gate.facts import GateFacts
from workflows.gate.policy import NUMBERS, Policy, complete, policy, strictest
from workflows.gate.policy_book import PolicyBook, of_deployment
from workflows.player_state.brand_groups import BrandGroups

LATER = date(2030, 1, 1)
#: The wording of 1 May 2025 begins in Great Britain; its day begins first at 10:00 UTC on the eve.
EVE = datetime(2025, 4, 30, tzinfo=UTC)


@pytest.fixture(params=["UTC", "Asia/Kathmandu"])
def machine_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("number", "one", "other", "together"),
    [
        ("wager_cap", None, None, None),
        ("wager_cap", None, 7, 7),
        ("wager_cap", 0, 7, 0),
        ("min_age", None, None, None),
        ("min_age", None, 21, 21),
        ("min_age", 0, 21, 21),
        ("consent_given_in", None, None, None),
        ("consent_given_in", None, {"GB"}, {"GB"}),
        ("consent_given_in", {"GB", "SE"}, {"SE", "MT"}, {"SE"}),
        ("channel_per_week", {"sms": 1, "push": 3}, {"sms": 2, "email": 0}, {"sms": 1, "push": 3, "email": 0}),
        ("harm_pauses", {"weak": DAY, "medium": 3 * DAY}, {"medium": DAY}, {"weak": DAY, "medium": 3 * DAY}),
        ("bonus_ceiling", {}, {}, {}),
        ("bonus_ceiling", {}, {"EUR": 5}, {"EUR": 5}),
        ("bonus_ceiling", {"EUR": 5}, {"EUR": 9, "USD": 7}, {"EUR": 5, "USD": 0}),
        ("bonus_ceiling", {"EUR": 5}, {"USD": 7}, {"EUR": 0, "USD": 0}),
    ],
)
def test_of_two_words_on_a_number_the_stricter_holds_whichever_comes_first(
    number: str, one: Any, other: Any, together: Any
) -> None:
    said = Policy.model_validate({"name": "a", number: one}), Policy.model_validate({"name": "b", number: other})
    for both in (said, said[::-1]):
        joined = strictest(both)
        assert (joined.name, getattr(joined, number)) == ("a+b", together)


def test_a_name_that_was_joined_already_is_told_once() -> None:
    a, b, c = (Policy(name=name) for name in "abc")
    assert strictest([strictest([a, b]), strictest([b, c])]).name == "a+b+c"


def test_a_complete_policy_is_the_same_and_has_a_word_on_every_number() -> None:
    whole = complete(Policy(name="ours", since=LATER, jurisdiction="GB", brand="acme", per_day=0))
    assert (whole.name, whole.since, whole.jurisdiction, whole.brand, whole.per_day) == (
        "ours", LATER, "GB", "acme", 0,
    )  # fmt: skip
    assert set(whole.numbers) == set(NUMBERS)


def test_all_that_is_wrong_with_a_policy_is_told_in_one_sentence() -> None:
    with pytest.raises(DesignError) as wrong:
        policy("mine", since=LATER, per_day=-1, channel_per_week={"sms": -1})
    least = "Input should be greater than or equal to 0"
    assert str(wrong.value) == (
        f"policy('mine', …) cannot be meant: per_day: {least}; channel_per_week.sms: {least}. "
        f"It knows {', '.join(NUMBERS)}."
    )
    with pytest.raises(DesignError) as joined:
        policy("GB+house", since=LATER)
    assert str(joined.value) == (
        "policy('GB+house', …): the + joins names of policies that apply together; choose another name."
    )


def test_all_that_is_wrong_with_a_deployments_policies_is_told_a_line_each() -> None:
    with pytest.raises(DesignError) as wrong:
        PolicyBook(
            own=(
                policy("GB", since=LATER),
                policy("house", since=LATER),
                policy("mine", since=LATER, brand="acme"),
                policy("mine", since=LATER, brand="other"),
            )
        )
    assert str(wrong.value) == (
        "policy('GB', …): the engine ships one of that name; name yours differently.\n"
        "policy('house', …): the engine ships one of that name; name yours differently.\n"
        "policy('mine', since=2030-01-01): there are two of that day; remove one.\n"
        "policy('mine', since=2030-01-01): another of that name is for another brand or jurisdiction, "
        "and the later one would take its place; name them differently."
    )


@pytest.mark.usefixtures("machine_zone")
def test_what_a_book_has_at_hand_is_what_it_would_say_anew_wherever_its_machine_stands() -> None:
    book = PolicyBook()
    for quarter in range(2 * 96):
        now = EVE + quarter * timedelta(minutes=15)
        assert book.at("acme", "GB", now) == strictest(book.applying("acme", "GB", now)), now
    assert len(book._joined) == 24, "one for every two hours"
    assert "email" not in book.at("acme", "GB", EVE.replace(hour=9, minute=59)).product_consent
    assert "email" in book.at("acme", "GB", EVE.replace(hour=10)).product_consent


@pytest.mark.usefixtures("machine_zone")
def test_a_register_is_asked_for_from_the_day_on_that_has_begun_anywhere() -> None:
    book = PolicyBook(own=(policy("ours", since=EVE.date() + DAY, registers={"cruks": DAY}),))
    assert "cruks" not in book.registers(EVE.replace(hour=9, minute=59))
    assert book.registers(EVE.replace(hour=10))["cruks"] == ["ours"]


def test_a_book_has_so_many_at_hand_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_book, "REMEMBERED", 2)
    book, held = PolicyBook(), []
    for brand in ("a", "b", "b", "c", "d", "e"):
        book.at(brand, None, NOON)
        held.append(len(book._joined))
    assert held == [1, 2, 2, 1, 2, 1]


@pytest.mark.parametrize(
    ("where", "excluded_in", "elsewhere"),
    [("UA", ("GB",), True), ("UA", ("UA", "MT"), False), ("UA", (), False), ("GB", ("DE",), False), ("GB", (), False)],
)
def test_the_law_of_elsewhere_is_named_where_it_adds_something(
    where: str, excluded_in: tuple[str, ...], *, elsewhere: bool
) -> None:
    book = PolicyBook()
    joined = book.of("acme", GateFacts(jurisdiction=where, excluded_in=excluded_in), NOON)
    assert ("set-elsewhere" in joined.name) is elsewhere
    assert elsewhere or joined == book.at("acme", where, NOON)


def test_a_deployments_book_has_its_groups_and_its_own_policies() -> None:
    groups, own = BrandGroups({"one": ["acme", "bolt"]}), (policy("ours", since=date(2020, 1, 1), per_week=1),)
    book = of_deployment(own, adults_only=True, licences={"acme": "GB"}, groups=groups)
    assert (book.drawn_as("bolt"), book.drawn_as("other")) == ("acme", "other")
    assert of_deployment(own, adults_only=True, licences={}).drawn_as("bolt") == "bolt"
    assert [one.name for one in book.applying("bolt", None, NOON)] == ["house", "ours", "unknown-jurisdiction"]
    assert [one.name for one in book.applying("acme", None, NOON)] == ["house", "GB", "GDPR-GB", "ours"]
    assert book.of("acme", FREE, NOON).per_week == 1


def test_a_house_that_is_brief_has_the_usual_word_on_every_other_number() -> None:
    house = PolicyBook(house=Policy(per_day=3)).house
    assert (house.per_day, house.per_week, set(house.numbers)) == (3, 4, set(NUMBERS))


def test_wordings_may_be_written_in_any_order() -> None:
    old, new = policy("ours", since=date(2025, 1, 1)), policy("ours", since=date(2025, 5, 1))
    for own in ((old, new), (new, old)):
        assert PolicyBook(own=own).applying("acme", None, NOON)[1:] == (new,)
