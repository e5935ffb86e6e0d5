"""After a merge it is as if one account had had both histories, in whatever order accounts, events and merges come."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import BRAND, NO_FAILURES, NOON, declared, only, stored
from workflows import (
    DepositApproved,
    Event,
    PlayerMerged,
    RoundCompleted,
    SessionLogin,
    Statistics,
    count,
    days,
    distinct,
    month,
    on,
    segment,
    streak,
    total,
    typical,
)
from workflows.events import ConsentChanged, DepositFailed, ExclusionEnded, ExclusionSet, PaymentReversed, RoundVoided
from workflows.player_state.decisions import Decision, Moved, Start, Stop, Wake
from workflows.player_state.merging import accounts_needed, is_shared, merge, share
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

SECOND = timedelta(seconds=1)
MONEY = total(DepositApproved, "amount_minor")
VISITS = count(SessionLogin, per=month)
GAMES = distinct(RoundCompleted, "game_id")
USUAL = typical(DepositApproved, "amount_minor")
RECENT = count(DepositApproved, last=days(30))


@segment
def spender(player: Statistics) -> bool:
    return player[MONEY] >= 10_000 and player[VISITS] >= 0 and player[GAMES] >= 0 and player[USUAL] >= 0


@segment
def recent(player: Statistics) -> bool:
    return player[RECENT] >= 5


JOURNEYS = {
    one.name: one
    for one in (
        declared("help", streak(DepositFailed, 3, broken_by=DepositApproved), ends_after=days(30)),
        declared("thanks", on(DepositApproved), ends_after=days(30)),
    )
}
RULES = RuleIndex(JOURNEYS, {one.name: one for one in (spender, recent)})
#: What both ways must agree on.
PARTS = ("counts", "first", "last", "hours", "stakes", "deposited_minor", "net_deposits", "series", "streaks")


class Books:
    """The players of a brand, told one event after another as intake does it."""

    def __init__(self, *accounts: str) -> None:
        self.states = {one: PlayerState(BRAND, one) for one in accounts}
        self.told = 0
        self.now = NOON

    def tells(self, account: str, kind: type[Event], /, **data: Any) -> list[tuple[str, Decision]]:
        self.told += 1
        self.now += SECOND
        given: dict[str, Any] = {"event_id": f"e-{self.told}", "event_source": "/t", "occurred_at": self.now}
        return self.takes(account, kind(**given | dict(kind.example_data) | data))

    def merges(self, into: str, gone: str) -> list[tuple[str, Decision]]:
        return self.tells(into, PlayerMerged, survivor_id=into, absorbed_id=gone)

    def takes(self, account: str, event: Event) -> list[tuple[str, Decision]]:
        states, decisions = self.states, list[tuple[str, Decision]]()
        assert not accounts_needed([(account, event)], states)
        if isinstance(event, PlayerMerged):
            decisions += merge(event, states, RULES, self.now, NO_FAILURES, mode="live")
        account = states[account].counts_for(event)
        state = states[account]
        decisions += [(account, one) for one in state.advance(event, RULES, self.now, NO_FAILURES)]
        if state.accounts and is_shared(event):
            decisions += [
                (other, one)
                for other in state.accounts
                for one in share(event, state, states[other], self.now, mode="live")
            ]
        self.states = {one: stored(state) for one, state in states.items()}
        return decisions


KINDS = st.sampled_from((DepositApproved, DepositFailed, SessionLogin, RoundCompleted))
#: Account, kind, seconds ago, and a number that makes it differ.
TOLD = st.tuples(st.sampled_from("abc"), KINDS, st.integers(1, 5_000_000), st.integers(1, 9))
CHAINS = st.sampled_from([("ab", "bc"), ("ba", "ac"), ("ab", "cb"), ("bc", "ab"), ("ca", "cb"), ("ab", "ba", "bc")])


@settings(max_examples=examples(100))
@given(st.lists(TOLD, max_size=40, unique_by=lambda one: one[2]), CHAINS, st.data())
def test_it_is_as_if_one_account_had_had_all_of_it(
    told: list[tuple[str, type[Event], int, int]], chain: tuple[str, ...], data: st.DataObject
) -> None:
    """Told before, between and after the merges, of whichever account."""
    several, one = Books(*"abc"), Books("x")
    places = sorted(data.draw(st.lists(st.integers(0, len(told)), min_size=len(chain), max_size=len(chain))))
    for number in range(len(told) + 1):
        for merging in (chain[at] for at, place in enumerate(places) if place == number):
            several.merges(*merging)
        for account, kind, ago, mark in told[number : number + 1]:
            about: dict[type[Event], dict[str, Any]] = {
                DepositApproved: {"amount_minor": mark * 1_000, "payment_id": f"d-{number}"},
                RoundCompleted: {"game_id": f"g-{mark}", "round_id": f"r-{number}"},
            }
            for books, who in ((several, account), (one, "x")):
                books.now = NOON + number * SECOND
                books.tells(who, kind, occurred_at=NOON - timedelta(seconds=ago), **about.get(kind, {}))
    (stays,) = [state for state in several.states.values() if state.merged_into is None]
    expected = one.states["x"]
    for part in PARTS:
        found = getattr(stays, part)
        if part in {"counts", "first", "last"}:
            found = {kind: known for kind, known in found.items() if kind != PlayerMerged.type}
        if part == "series":
            found, wanted = (
                {key: held for key, held in of.items() if not key.endswith(":d")} for of in (found, expected.series)
            )
            assert found == wanted
            continue
        assert found == getattr(expected, part), part
    assert ("spender" in stays.segments) == ("spender" in expected.segments)
    gone = [state for state in several.states.values() if state is not stays]
    assert {state.merged_into for state in gone} == {stays.player_id}
    assert all(not state.counts or state.counts.keys() == {PlayerMerged.type} for state in gone)


def test_a_window_is_joined_to_within_a_slice() -> None:
    books = Books("a", "b")
    for account in "ab":
        for ago in (1, 10, 29):
            books.tells(account, DepositApproved, occurred_at=books.now - days(ago))
    books.merges("a", "b")
    (held,) = (held for key, held in books.states["a"].series.items() if key.endswith(":d"))
    assert sum(held.values()) == 6
    assert "recent" in books.states["a"].segments
    assert books.states["b"].segments == {}


@pytest.mark.parametrize("order", [*permutations(["a<b", "b<c", "c<a"])])
def test_in_a_circle_the_merge_that_came_first_counts_and_somebody_stays(order: tuple[str, ...]) -> None:
    books = Books(*"abc")
    for account in "abc":
        books.tells(account, DepositApproved)
    for one in order:
        books.merges(one[0], one[2])
    stays = [state for state in books.states.values() if state.merged_into is None]
    assert len(stays) == 1
    assert stays[0].counts[DepositApproved.type] == 3


def test_told_twice_and_of_both_accounts_it_is_one_merge() -> None:
    books = Books("a", "b")
    books.tells("b", DepositApproved)
    for told_of in ("a", "b", "a"):
        books.tells(told_of, PlayerMerged, survivor_id="a", absorbed_id="b")
    assert books.states["a"].counts[DepositApproved.type] == 1
    assert (books.states["a"].merged_into, books.states["b"].merged_into) == (None, "a")


def test_runs_of_the_account_that_goes_end_and_the_others_go_on_and_hear() -> None:
    books = Books("a", "b")
    for account in "ab":
        books.tells(account, DepositApproved)
    decisions = books.merges("a", "b")
    assert [(who, one.reason) for who, one in decisions if isinstance(one, Stop)] == [("b", "merged")]
    told = books.tells("b", DepositApproved)
    assert [who for who, one in told if isinstance(one, Start | Wake)] in ([], ["a"])
    assert {who for who, _ in told} <= {"a"}
    assert books.states["a"].entries["thanks"].count >= 2


def test_nobody_enters_or_hears_because_of_a_merge_and_segments_are_asked_anew() -> None:
    books = Books("a", "b")
    for account in "ab":
        books.tells(account, DepositApproved, amount_minor=6_000)
    decisions = books.merges("a", "b")
    assert not only(Start, [one for _, one in decisions])
    assert [(who, one.segment, one.entered) for who, one in decisions if isinstance(one, Moved)] == [
        ("a", "spender", True)
    ]


def test_what_lifts_is_told_for_each_account_after_a_merge_too() -> None:
    books = Books("a", "b")
    for account in "ab":
        books.tells(account, ConsentChanged, channel="email", opted_in=True)
    books.tells("b", ExclusionSet, kind="self_exclusion", until=None)
    books.merges("a", "b")
    books.tells("b", ExclusionEnded, kind="self_exclusion")
    assert books.states["a"].protected(books.now) == "self_excluded"
    books.tells("b", ConsentChanged, channel="email", opted_in=False)
    books.tells("b", ConsentChanged, channel="email", opted_in=True)
    assert books.states["a"].consents["email"][0] is False


def test_who_was_merged_away_enters_nothing_any_more() -> None:
    books = Books("a", "b")
    books.merges("a", "b")
    gone = books.states["b"]
    (start,) = only(Start, gone.enter(JOURNEYS["thanks"], None, books.now, {"type": "manual", "id": "1"}))
    assert start.refused == "account_not_active"


def test_what_takes_back_something_of_before_stays_where_that_was() -> None:
    books = Books("a", "b")
    books.merges("a", "b")
    for ago, account in ((days(1), "b"), (-SECOND, "a")):
        told = RoundVoided.example().model_copy(update={"played_at": books.now - ago})
        assert books.states["b"].counts_for(told) == account
    assert books.states["b"].counts_for(PaymentReversed.example()) == "b"
