"""A synthetic casino: made-up players with lives of realistic shape, the same for the same seed.

Everything is marked: the source of every event is `/synthetic-casino`, every player id begins with `syn-`, every
address is one that nobody can own. Shapes follow a published log of real deposits: of a hundred depositors 63 come to
a second deposit, 32 to a tenth, 13 to a fiftieth and 7.5 to a hundredth, and gaps between visits are heavy-tailed.
"""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, TypeVar

from local.demo.player_profiles import InventedPerson, person
from workflows.channels import CHANNELS
from workflows.events import (
    Category,
    ConsentChanged,
    DepositApproved,
    DepositFailed,
    Event,
    ExclusionSet,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    TierChanged,
)

CloudEvent = dict[str, Any]
E = TypeVar("E", bound=Event)

SOURCE = "/synthetic-casino"
PAST = timedelta(days=180)
LIVE = timedelta(minutes=1)
GOLD = 50

#: The share of depositors who reach at least so many deposits.
SURVIVAL = ((1, 1.0), (2, 0.63), (10, 0.32), (50, 0.13), (100, 0.075), (1000, 0.002))
MOST_DEPOSITS = 400
#: Minor units of a currency that buy what one US cent buys, roughly.
WORTH = {"USD": 1.0, "EUR": 0.9, "GBP": 0.8, "CAD": 1.4, "NZD": 1.7, "PLN": 4.0, "UAH": 40.0, "KZT": 500.0}
GAMES: tuple[tuple[str, Category], ...] = (
    ("book-of-samples", "slot"),
    ("fruit-fixture", "slot"),
    ("blackjack-classic", "table"),
    ("roulette-demo", "table"),
    ("live-baccarat", "live"),
    ("rocket-test", "crash"),
)
METHODS = ("card", "bank", "wallet", "crypto")
DECLINES: tuple[Literal["declined", "3ds", "expired_card", "technical"], ...] = (
    "declined",
    "3ds",
    "expired_card",
    "technical",
)


@dataclass(frozen=True)
class Casino:
    """What happened before `now`, and what happens in the minute after it, both in order of time."""

    history: list[CloudEvent]
    live: list[CloudEvent]


def casino(seed: int, now: datetime, *, players: int = 300, newcomers: int = 100) -> Casino:
    """The past of `players` and a live minute in which `newcomers` register; pure.

    The live part holds at least: two players who reach Gold, two promoted to Platinum, three failed deposits in a
    row, three losses in a row, and in its middle a newcomer's self-exclusion. It takes 12 players and 10 newcomers.
    """
    if players < 12 or newcomers < 10:
        raise ValueError("A synthetic casino needs at least 12 players and 10 newcomers.")
    lives = [_Life(seed, number, now) for number in range(1, players + newcomers + 1)]
    old, new = lives[:players], lives[players:]
    few = max(2, players // 60)
    almost_gold, gone_quiet, others = old[:few], old[few : 2 * few], old[2 * few :]
    for life in almost_gold:
        life.play(GOLD - 1, until=now - timedelta(hours=2))
    for life in gone_quiet:
        # Their fortnight without a login ended within the last hours.
        life.play(life.heavy_tailed(), until=now - timedelta(days=14, minutes=life.rng.uniform(10, 600)), stay=True)
    for life in others:
        life.play(life.heavy_tailed(), until=now - timedelta(minutes=life.rng.uniform(1, 600)))
    history = _in_order(lives)
    for life in lives:
        life.events.clear()
    _go_live(random.Random(f"{seed}:live"), now, almost_gold, others, new, few)
    return Casino(history, _in_order(lives))


def _go_live(
    rng: random.Random, now: datetime, almost_gold: list["_Life"], others: list["_Life"], new: list["_Life"], few: int
) -> None:
    for life in almost_gold:
        life.visit(now + LIVE * rng.uniform(0.05, 0.9), deposits=1)
    by_value = sorted(others, key=lambda life: (-life.deposits, life.player_id))
    for life in by_value[:few]:
        life.promote(now + LIVE * rng.uniform(0.1, 0.8), "gold", "platinum")
    rest = by_value[few:]
    for life in rest[: len(rest) // 4]:
        life.visit(now + LIVE * rng.uniform(0.0, 0.9), deposits=rng.choice((0, 1, 1)))
    for life in rng.sample(rest, max(1, len(rest) // 40)):
        life.change_consent(now + LIVE * rng.random())
    for place, life in enumerate(new):
        life.arrive(now + LIVE * (0.8 * place / len(new)), place)
    leaver = new[len(new) // 4]
    leaver.exclude(now + LIVE / 2)
    leaver.visit(now + LIVE * 0.8, deposits=1)  # the platform is late in locking the account; we must not be


class _Life:
    """One player's events, made one after the other from the player's own stream of chance."""

    def __init__(self, seed: int, number: int, now: datetime) -> None:
        self.player_id = f"syn-{number:05d}"
        self.person: InventedPerson = person(self.player_id)
        self.rng = random.Random(f"{seed}:{number}")
        self.now = now
        self.events: list[tuple[datetime, CloudEvent]] = []
        self.event_count = 0
        self.deposits = 0
        self.mean_minor = math.exp(self.rng.gauss(8.2, 0.9)) * WORTH[self.person.currency]

    def heavy_tailed(self) -> int:
        """How many deposits this life holds: straight lines between the points of SURVIVAL, both axes in logarithms."""
        chance = self.rng.random()
        for (n, p), (m, q) in pairwise(SURVIVAL):
            if chance > q:
                share = (math.log(p) - math.log(chance)) / (math.log(p) - math.log(q))
                return min(MOST_DEPOSITS, int(math.exp(math.log(n) + share * (math.log(m) - math.log(n)))))
        return MOST_DEPOSITS

    def play(self, deposits: int, *, until: datetime, stay: bool = False) -> None:
        """Register within the past and visit until so many deposits are made; `stay` puts the last visit at `until`."""
        began = self.now - PAST * self.rng.uniform(0.15, 1.0)
        self.register(began)
        visits: list[int] = []
        while sum(visits) < deposits:
            visits.append(min(1 + int(self.rng.expovariate(1.4)), deposits - sum(visits)))
            if self.rng.random() < 0.3:
                visits.append(0)
        gaps = [self.rng.paretovariate(1.2) for _ in visits]
        # Whoever deposits seldom left early more often than not; the others are spread over all their time.
        end = until if stay or deposits > 10 or self.rng.random() < 0.3 else began + (until - began) * self.rng.random()
        at, scale = began, (end - began) / sum(gaps)
        for gap, made in zip(gaps, visits, strict=True):
            at += gap * scale
            self.visit(min(at, end), deposits=made)
        if self.rng.random() < 0.05:
            self.change_consent(began + (end - began) * self.rng.random())

    def arrive(self, at: datetime, place: int) -> None:
        """A newcomer's live minute. The first few bring what must not be missing; the others what chance brings."""
        self.register(at)
        chance = self.rng.random()
        step = timedelta(seconds=self.rng.uniform(0.5, 2))
        if place % 10 == 3:
            for attempt in range(1, 4):
                self.fail(at + step * attempt, attempt)
        elif place == 1 or chance < 0.6:
            self.visit(at + step, deposits=1 if chance < 0.4 else 2, losses=3 if place == 1 else 0)
        elif chance < 0.85:
            self.visit(at + step, deposits=0)

    def visit(self, at: datetime, *, deposits: int, losses: int = 0) -> None:
        """Log in, deposit, play a few rounds: some minutes, or seconds where it must fit into the live part."""
        live = at >= self.now
        pause = timedelta(seconds=self.rng.uniform(0.2, 0.6) if live else self.rng.uniform(20, 200))
        latest = self.now + LIVE if live else self.now - timedelta(seconds=1)
        self.add(at, SessionLogin, method="password", device=self.rng.choice(("mobile", "mobile", "desktop")))
        for _ in range(deposits):
            at = min(at + pause, latest)
            if self.rng.random() < 0.04:
                self.fail(at, 1)
                at = min(at + pause, latest)
            self.deposit(at)
        for number in range(losses or self.rng.randint(0, 2)):
            at = min(at + pause, latest)
            self.round(at, lost=number < losses or self.rng.random() < 0.7)

    def register(self, at: datetime) -> None:
        who = self.person
        self.add(
            at,
            PlayerRegistered,
            username=who.username,
            email=who.email,
            phone=who.phone,
            first_name=who.first_name,
            birth_date=who.birth_date,
            country=who.country,
            language=who.language,
            timezone=who.timezone,
            currency=who.currency,
            opted_in=who.opted_in,
            opted_in_for=("casino",),
        )

    def deposit(self, at: datetime) -> None:
        self.deposits += 1
        self.add(at, DepositApproved, **self._payment())
        if self.deposits in {10, GOLD}:
            self.promote(at, *(("bronze", "silver") if self.deposits == 10 else ("silver", "gold")))

    def fail(self, at: datetime, in_a_row: int) -> None:
        failure = self.rng.choice(DECLINES)
        self.add(at, DepositFailed, **self._payment(), failure=failure, consecutive_failures=in_a_row)

    def round(self, at: datetime, *, lost: bool) -> None:
        game, category = self.rng.choice(GAMES)
        stake = max(10, int(self.mean_minor * self.rng.uniform(0.01, 0.05)))
        win = int(stake * self.rng.uniform(0, 0.5)) if lost else int(stake * (1 + self.rng.expovariate(1)))
        self.add(
            at,
            RoundCompleted,
            round_id=f"{self.player_id}-round-{self.event_count}",
            game_id=game,
            category=category,
            provider="synthetic-games",
            stake_minor=stake,
            win_minor=win,
            currency=self.person.currency,
            duration=timedelta(seconds=self.rng.randint(2, 40)),
        )

    def promote(self, at: datetime, below: str, above: str) -> None:
        self.add(at, TierChanged, **{"from": below}, to=above, direction="up", basis="deposits")

    def change_consent(self, at: datetime) -> None:
        channel = self.rng.choice([name for name, spec in CHANNELS.items() if spec.external])
        opted_in = channel not in self.person.opted_in
        product = "casino" if opted_in else "all"
        self.add(at, ConsentChanged, channel=channel, product=product, opted_in=opted_in, source="preference_centre")

    def exclude(self, at: datetime) -> None:
        self.add(at, ExclusionSet, kind="self_exclusion", scope="brand", until=self.now + timedelta(days=183))

    def add(self, at: datetime, fact: type[Event], /, **data: Any) -> None:
        """Add an event, validated by its own class."""
        self.event_count += 1
        event = fact(event_id=f"{self.player_id}-{self.event_count:05d}", event_source=SOURCE, occurred_at=at, **data)
        self.events.append((at, cloud_event(self.player_id, event)))

    def _payment(self) -> dict[str, Any]:
        return {
            "payment_id": f"{self.player_id}-pay-{self.event_count + 1}",
            "amount_minor": max(500, round(self.mean_minor * math.exp(self.rng.gauss(0, 0.6)), -2)),
            "currency": self.person.currency,
            "method": self.rng.choice(METHODS),
            "provider": "synthetic-pay",
        }


def cloud_event(player_id: str, event: Event) -> CloudEvent:
    """An event about a player as it travels: CloudEvents 1.0, structured."""
    return {"specversion": "1.0", **event.to_wire(), "subject": player_id, "datacontenttype": "application/json"}


def _in_order(lives: list[_Life]) -> list[CloudEvent]:
    timed = [(at, life.player_id, number, event) for life in lives for number, (at, event) in enumerate(life.events)]
    return [event for *_, event in sorted(timed, key=lambda one: one[:3])]
