"""A synthetic casino whose figures are known: its events, and every figure by a second way, in Python alone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import orjson

from activities.database import Database
from tests.support.engine import BRAND, execute

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """An event of the casino, as short as figures need it."""

    player: str
    type: str
    at: datetime
    received: datetime
    data: dict[str, Any]

    @property
    def day(self) -> date:
        return self.at.astimezone(UTC).date()


@dataclass
class FigureCasino:
    """Players who register, come, deposit, play and answer over some months until a day."""

    until: date
    days: int = 160
    players: int = 900
    seed: int = 11
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = Random(self.seed)
        for number in range(self.players):
            self._live(random, f"c-{number:04}", self.until - timedelta(days=random.randrange(self.days)))

    def _live(self, random: Random, player: str, born: date) -> None:
        self._tell(random, player, born, "player.registered", {})
        loyalty, day = random.random(), born
        while day <= self.until:
            if random.random() < 0.15 + 0.5 * loyalty:
                self._tell(random, player, day, "session.login", {})
                if random.random() < 0.2 + 0.4 * loyalty:
                    amount = int(random.paretovariate(1.4) * 1_000)
                    self._tell(
                        random, player, day, "payment.deposit_approved", {"amount_minor": amount, "fee_minor": 5}
                    )
                if random.random() < 0.5:
                    stake = random.randrange(100, 5_000)
                    won = int(stake * random.choice((0, 0, 0.5, 2)))
                    self._tell(random, player, day, "game.round_completed", {"stake_minor": stake, "win_minor": won})
                if random.random() < 0.02:
                    self._tell(random, player, day, "reward.completed", {"grant_id": "g", "cost_minor": 300})
                if random.random() < 0.05:
                    score = random.choice((3, 6, 8, 9, 10, 10))
                    self._tell(random, player, day, "feedback.answered", {"kind": "nps", "score": score})
            if random.random() < 0.02 * (1.2 - loyalty):
                return
            day += DAY

    def _tell(self, random: Random, player: str, day: date, kind: str, data: dict[str, Any]) -> None:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=random.randrange(86_400))
        late = timedelta(days=3) if random.random() < 0.02 else timedelta(seconds=1)
        if "minor" in "".join(data):
            data = data | {"currency": "EUR"}
        self.told.append(Told(player, kind, at, at + late, data))

    def known(self, as_of: date) -> list[Told]:
        """What was known at the end of a day."""
        return [one for one in self.told if one.received.date() <= as_of]

    async def store(self, database: Database) -> None:
        """Keep its events as intake would, in another order than they happened."""
        shuffled = sorted(self.told, key=lambda one: (one.received, one.player, one.type))
        rows = [
            {
                "id": f"f-{number}",
                "type": one.type,
                "player_id": one.player,
                "occurred_at": one.at.isoformat(),
                "received_at": one.received.isoformat(),
                "data": one.data,
            }
            for number, one in enumerate(shuffled)
        ]
        await execute(database, _STORE, rows=orjson.dumps(rows).decode(), brand=BRAND)


_STORE = """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, data)
    SELECT :brand, '/casino', id, nextval('event_ids_seq_seq'), type, player_id, occurred_at, received_at, data
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, type text, player_id text, occurred_at timestamptz,
         received_at timestamptz, data jsonb)
"""


def deposit_days(told: Iterable[Told]) -> dict[str, list[date]]:
    """The days on which each player deposited, once a deposit, in order."""
    found: dict[str, list[date]] = defaultdict(list)
    for one in told:
        if one.type == "payment.deposit_approved":
            found[one.player].append(one.day)
    return {player: sorted(days) for player, days in found.items()}


def churn(told: Sequence[Told], moment: date) -> tuple[int, int]:
    """How many had deposited in the 30 days before, and how many of them did not in the 30 from then on."""
    days = deposit_days(told)
    at_risk = [player for player, its in days.items() if any(moment - 30 * DAY <= day < moment for day in its)]
    gone = [player for player in at_risk if not any(moment <= day < moment + 30 * DAY for day in days[player])]
    return len(at_risk), len(gone)


def cohort(told: Sequence[Told], week: date) -> dict[str, date]:
    """Who registered in a week, and when."""
    born = {one.player: one.day for one in told if one.type == "player.registered"}
    return {player: day for player, day in born.items() if week <= day < week + 7 * DAY}


def retention(told: Sequence[Told], week: date, later: int) -> tuple[int, int]:
    """How many registered in a week, and how many of them came on that day after."""
    came = {(one.player, one.day) for one in told if one.type in CAME}
    born = cohort(told, week)
    return len(born), sum((player, day + later * DAY) in came for player, day in born.items())


CAME = {"session.login", "payment.deposit_approved", "game.round_completed"}


def repeat_deposits(told: Sequence[Told], week: date, later: int) -> tuple[int, int]:
    """How many deposited for the first time in a week, and how many of them did again within so many days."""
    firsts = [its for its in deposit_days(told).values() if week <= its[0] < week + 7 * DAY]
    again = [its for its in firsts if any(day <= its[0] + later * DAY for day in its[1:])]
    return len(firsts), len(again)


def revenue(one: Told) -> int:
    """What an event adds to net gaming revenue."""
    data = one.data
    match one.type:
        case "payment.deposit_approved":
            return -int(data["fee_minor"])
        case "game.round_completed":
            return int(data["stake_minor"] - data["win_minor"])
        case "reward.completed":
            return -int(data["cost_minor"])
    return 0


def value_of_cohort(told: Sequence[Told], week: date, window: int) -> tuple[int, float, float]:
    """Who registered in a week: how many, their deposits and their net gaming revenue a player in so many days."""
    born, deposited, ngr = cohort(told, week), 0, 0
    for one in told:
        begun = born.get(one.player)
        if begun is None or not begun <= one.day < begun + window * DAY:
            continue
        deposited += one.data["amount_minor"] if one.type == "payment.deposit_approved" else 0
        ngr += revenue(one)
    return len(born), deposited / len(born), ngr / len(born)


def recommendation(told: Sequence[Told], week: date) -> tuple[int, float]:
    """How many answered in the 90 days until a week's end, and promoters less detractors of 100 newest answers."""
    newest: dict[str, tuple[datetime, int]] = {}
    for one in told:
        if one.type == "feedback.answered" and week + 7 * DAY - 90 * DAY <= one.day < week + 7 * DAY:
            newest[one.player] = max(newest.get(one.player, (one.at, 0)), (one.at, one.data["score"]))
    scores = [score for _, score in newest.values()]
    net = sum(score >= 9 for score in scores) - sum(score <= 6 for score in scores)
    return len(scores), 100 * net / len(scores)
