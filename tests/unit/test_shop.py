"""Purchases of a player's row against a model of a few lines: points, held points, limits and what comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.outside_packages import Write, mistakes
from workflows import PlayerRegistered, currency, days, free_spins, gift, item, multiplier, points, shop, week
from workflows.errors import DesignError
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.point_lots import end_of_lot
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.postings import Postings, recomputed
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.shop_items import ShopItem
from workflows.player_state.purchases import (
    MOST_OPEN_ORDERS,
    buy,
    purchase_refusal,
    redeem,
    refund,
    times_bought,
)
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

#: A Thursday.
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
POINTS, GEMS = currency("points", expires=days(90)), currency("gems")
MARKET = shop(
    "market",
    item("spins", free_spins(5, max_win=100), price=30),
    item("weekly", gift("mug", value=800), price=20, each=2, per=week),
    item("gems", points(1), price=7, into=GEMS),
    item("betting", points(1), price=5, into=GEMS, product="betting"),
    item("double", multiplier(2, timedelta(hours=2)), price=11, into=POINTS, product="casino"),
    paid_in=POINTS,
)
ITEMS = {one.name: one for one in MARKET.items}
RULES = RuleIndex({**load().journeys}, {}, LoyaltyProgram.of([MARKET]))


@dataclass
class Shopper:
    """One player, what is open, and the journal."""

    state: PlayerState = field(default_factory=lambda: PlayerState("acme", "p"))
    now: datetime = NOON
    orders: dict[str, tuple[ShopItem, dict[str, int]]] = field(default_factory=dict)
    transfers: list[PointTransfer] = field(default_factory=list)
    bought: int = 0
    bought_at: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = PlayerRegistered(event_id="r", event_source="/t", occurred_at=NOON, timezone="Europe/Kyiv")
        self.state.advance(told, RULES, NOON, [], mode="history")

    def is_given(self, amount: int, lot: str) -> None:
        self.state.loyalty = self.state.loyalty or LoyaltyState()
        postings = Postings(self.state.loyalty, self.now)
        postings.credit("points", amount, lot, "issued:award", "journey", "test")
        self.transfers += postings.transfers

    def buys(self, name: str) -> str | None:
        sold = ITEMS[name]
        if (reason := purchase_refusal(self.state, sold, RULES, self.now, [])) is not None:
            return reason
        self.bought += 1
        made = buy(self.state, sold, f"o-{self.bought}", RULES, self.now, [])
        self.transfers += [one for one in made.decisions if isinstance(one, PointTransfer)]
        if not sold.settles_here:
            assert made.run_id is not None
            self.orders[f"o-{self.bought}"] = (sold, dict(made.slices))
            self.bought_at[f"o-{self.bought}"] = self.now
            self.state.end(made.run_id, self.now)
        return None

    def settles(self, order: str, *, delivered: bool, cancelled: bool = False) -> None:
        sold, slices = self.orders.pop(order)
        if delivered:
            self.transfers += redeem(self.state, "points", sold.price, order, self.now)
        else:
            mine, at = self.state, self.bought_at[order]
            moved = refund(mine, mine, sold.name, "points", slices, order, self.now, at=at, cancelled=cancelled)
            self.transfers += [one for _, one in moved]

    @property
    def account(self) -> Any:
        assert self.state.loyalty is not None
        return self.state.loyalty.account("points")

    def proves(self) -> None:
        told = recomputed(self.transfers).account("points")
        assert (told.lots, told.held, told.debt) == (self.account.lots, self.account.held, self.account.debt)


FOREVER, CASINO, BETTING = "@never", "casino@never", "betting@never"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("given"), st.integers(1, 60), st.sampled_from([FOREVER, CASINO, BETTING])),
        st.tuples(st.just("buys"), st.sampled_from(sorted(ITEMS)), st.none()),
        st.tuples(st.just("settles"), st.booleans(), st.integers(0, 5)),
        st.tuples(st.just("passes"), st.integers(1, 10), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=examples(200), deadline=None)
@given(STEPS)
def test_i1_i5_i22_whatever_is_bought_settled_and_given_back_the_journal_proves_the_row(steps: list[Any]) -> None:
    shopper, given_in_all, spent = Shopper(), 0, 0
    shopper.is_given(10, FOREVER)
    for what, first, second in steps:
        match what:
            case "given":
                shopper.is_given(first, second)
                given_in_all += first
            case "buys":
                before = times_bought(shopper.state, ITEMS[first], shopper.now)
                if shopper.buys(first) is None and ITEMS[first].settles_here:
                    spent += ITEMS[first].price
                assert times_bought(shopper.state, ITEMS[first], shopper.now) <= max(before, 2)
            case "settles" if shopper.orders:
                order = sorted(shopper.orders)[second % len(shopper.orders)]
                spent += shopper.orders[order][0].price if first else 0
                shopper.settles(order, delivered=first)
            case "passes":
                shopper.now += timedelta(days=first)
        shopper.proves()
        held = sum(sold.price for sold, _ in shopper.orders.values())
        assert shopper.account.held == held
        assert shopper.account.available == 10 + given_in_all - spent - held


@settings(max_examples=examples(100), deadline=None)
@given(st.dictionaries(st.sampled_from([FOREVER, CASINO, BETTING]), st.integers(1, 40), min_size=1))
def test_i14_a_refund_restores_amount_and_product(lots: dict[str, int]) -> None:
    shopper = Shopper()
    for lot, amount in lots.items():
        shopper.is_given(amount, lot)
    before = dict(shopper.account.lots)
    if shopper.buys("spins") is None:
        (order,) = shopper.orders
        shopper.settles(order, delivered=False)
    assert shopper.account.lots == before


@pytest.mark.parametrize(
    ("lot", "name", "reason"),
    [
        (CASINO, "betting", "not_enough_points"),
        (BETTING, "betting", None),
        (FOREVER, "betting", None),
        (BETTING, "spins", "not_enough_points"),
        (BETTING, "weekly", None),
    ],
)
def test_points_of_one_product_buy_nothing_of_another_and_a_thing_is_no_gambling(
    lot: str, name: str, reason: str | None
) -> None:
    shopper = Shopper()
    shopper.is_given(100, lot)
    assert shopper.buys(name) == reason


def test_i22_so_many_a_week_and_a_new_week_begins_on_the_players_monday() -> None:
    shopper = Shopper()
    shopper.is_given(1_000, FOREVER)
    assert [shopper.buys("weekly") for _ in range(3)] == [None, None, "limit_reached"]
    shopper.now = datetime(2026, 1, 18, 21, 59, tzinfo=UTC)
    assert shopper.buys("weekly") == "limit_reached"
    shopper.now += timedelta(minutes=1)
    assert shopper.buys("weekly") is None


def test_case_3_who_moves_westward_over_midnight_gains_no_second_week() -> None:
    shopper = Shopper()
    shopper.is_given(1_000, FOREVER)
    shopper.now = datetime(2026, 1, 18, 22, 30, tzinfo=UTC)
    assert [shopper.buys("weekly") for _ in range(3)] == [None, None, "limit_reached"]
    shopper.state.facts["timezone"] = "America/New_York"
    assert shopper.buys("weekly") == "limit_reached"
    shopper.now += timedelta(hours=8)
    assert shopper.buys("weekly") == "limit_reached"


def test_case_24_what_ended_in_checkout_comes_back_for_a_week_and_keeps_its_product() -> None:
    shopper = Shopper()
    end = int((NOON + timedelta(days=1)).timestamp())
    shopper.is_given(50, f"casino@{end}")
    assert shopper.buys("spins") is None
    shopper.now += timedelta(days=3)
    shopper.settles("o-1", delivered=False)
    late = {key: points for key, points in shopper.account.lots.items() if key != f"casino@{end}"}
    ((lot, amount),) = late.items()
    assert (lot.partition("@")[0], amount) == ("casino", 30)
    over = end_of_lot(lot)
    assert over is not None
    assert timedelta(days=7) <= over - shopper.now <= timedelta(days=8)
    shopper.proves()


def test_what_ended_in_checkout_expires_where_the_player_cancelled_so_no_order_keeps_points_alive() -> None:
    shopper = Shopper()
    end = int((NOON + timedelta(days=1)).timestamp())
    shopper.is_given(50, f"casino@{end}")
    assert shopper.buys("spins") is None
    shopper.now += timedelta(days=3)
    shopper.settles("o-1", delivered=False, cancelled=True)
    assert shopper.buys("spins") == "not_enough_points"
    shopper.transfers += shopper.state.tick_points(shopper.now)
    assert (shopper.account.lots, shopper.account.held) == ({}, 0)
    assert shopper.transfers[-1].credit == "expired"
    shopper.proves()


def test_what_has_not_ended_comes_back_whole_to_who_cancels() -> None:
    shopper = Shopper()
    shopper.is_given(50, CASINO)
    assert shopper.buys("spins") is None
    shopper.settles("o-1", delivered=False, cancelled=True)
    assert shopper.account.lots == {CASINO: 50}


def test_what_comes_back_of_an_earlier_period_leaves_the_limit_of_this_one() -> None:
    shopper = Shopper()
    shopper.is_given(1_000, FOREVER)
    assert shopper.buys("weekly") is None
    shopper.now += timedelta(days=7)
    assert [shopper.buys("weekly") for _ in range(3)] == [None, None, "limit_reached"]
    shopper.settles("o-1", delivered=False)
    assert shopper.buys("weekly") == "limit_reached", "it was bought a week ago"
    shopper.settles("o-2", delivered=False)
    assert [shopper.buys("weekly") for _ in range(2)] == [None, "limit_reached"]


def test_a_player_has_so_many_orders_under_way_and_no_more() -> None:
    shopper, spins = Shopper(), ITEMS["spins"]
    shopper.is_given(1_000, FOREVER)
    runs = [buy(shopper.state, spins, f"u-{number}", RULES, NOON, []).run_id for number in range(MOST_OPEN_ORDERS)]
    assert purchase_refusal(shopper.state, spins, RULES, NOON, []) == "too_many_orders"
    assert purchase_refusal(shopper.state, ITEMS["gems"], RULES, NOON, []) is None, "nothing of it is under way"
    shopper.state.end(str(runs[0]), NOON)
    assert purchase_refusal(shopper.state, spins, RULES, NOON, []) is None


def test_what_is_bought_for_one_product_counts_for_no_other() -> None:
    shopper = Shopper()
    shopper.is_given(100, CASINO)
    assert shopper.buys("double") is None
    (window,) = shopper.account.windows
    assert [window.holds(NOON, None, one) for one in ("casino", "betting", None)] == [True, False, True]
    shopper.is_given(100, BETTING)
    assert shopper.buys("betting") is None
    assert shopper.state.loyalty is not None
    assert [*shopper.state.loyalty.account("gems").lots] == [BETTING]


def test_debt_is_paid_first_when_points_come_back() -> None:
    shopper = Shopper()
    shopper.is_given(30, FOREVER)
    assert shopper.buys("spins") is None
    assert shopper.state.loyalty is not None
    postings = Postings(shopper.state.loyalty, NOON)
    postings.take_back("points", 12, None, "void")
    shopper.transfers += postings.transfers
    assert shopper.account.debt == 12
    shopper.settles("o-1", delivered=False)
    assert (shopper.account.available, shopper.account.debt) == (18, 0)
    shopper.proves()


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: item("A mug", gift("mug", value=1), price=1), "needs a name of small letters"),
        (lambda: item("mug", gift("mug", value=1), price=0), "costs 0; ask for 1 to"),
        (lambda: item("mug", gift("mug", value=1), price=1, stock=0), "needs a stock= of 1 or more"),
        (lambda: item("mug", gift("mug", value=1), price=1, per=week), "says per=week and not how many"),
        (lambda: item("mug", gift("mug", value=1), price=1, since=datetime(2026, 1, 1)), "say the zone"),  # noqa: DTZ001
        (lambda: item("mug", gift("mug", value=1), price=1, since=NOON, until=NOON), "is over before it is sold"),
        (lambda: item("gems", points(1), price=1), "say into which currency"),
        (lambda: item("double", multiplier(2, timedelta(hours=1)), price=1, into=POINTS), "say of which kind of gambl"),
        (lambda: item("spins", free_spins(5, max_win=100), price=1, product="betting"), "is for casino by its reward"),
        (lambda: shop("s", paid_in=POINTS), "needs 1 to 200 items"),
        (
            lambda: shop("s", item("more", points(2), price=1, into=POINTS), paid_in=POINTS),
            "sells points for points: more",
        ),
    ],
)
def test_what_could_not_be_fair_is_refused_with_a_sentence(declare: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        declare()


HEAD = "from workflows import currency, gift, item, points, shop\ncoins, gems = currency('coins'), currency('gems')\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            (
                "a = shop('a', item('x', points(1), price=1, into=gems), paid_in=coins)\n"
                "b = shop('b', item('y', points(1), price=1, into=coins), paid_in=gems)\n"
            ),
            "The item x sells gems, which a shop is paid in: players would turn them round.",
        ),
        (
            "a = shop('a', item('x', gift('x', value=1), price=1), paid_in=coins)\n",
            "The shop a sells x, which the journey shop_order brings and nobody plays; name it in SHIPPED_JOURNEYS.",
        ),
        ("shop('a', item('x', points(1), price=1, into=gems), paid_in=coins)\n", "shop(...) stands alone"),
    ],
)
def test_shops_that_cannot_stand_together_are_told_at_start_up(package: Write, source: str, sentence: str) -> None:
    assert any(sentence in one for one in mistakes(package({"house": HEAD + source})))
