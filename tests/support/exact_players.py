"""Drawn lives of a few players, and drawn ways to send them: in batches, again, side by side, over a failing line."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tests.support.engine import NOON
from workflows import (
    DepositApproved,
    DepositFailed,
    Event,
    ExclusionEnded,
    ExclusionSet,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
    TierChanged,
    WithdrawalRequested,
    days,
    hours,
    minutes,
)
from workflows.player_state.state import Mode

Thing = tuple[type[Event], dict[str, Any]]
Sent = tuple[str, Event]

PLAY: st.SearchStrategy[Thing] = st.sampled_from(
    [
        (PlayerRegistered, {}),
        (SessionLogin, {}),
        # One payment that comes again and again under other ids, and payments of their own.
        (DepositApproved, {"payment_id": "d-1"}),
        (DepositApproved, {}),
        (DepositApproved, {}),
        (DepositFailed, {"failure": "technical"}),
        (DepositFailed, {"failure": "declined"}),
        (WithdrawalRequested, {}),
        (RoundCompleted, {"stake_minor": 100, "win_minor": 0, "category": "slot"}),
        (RoundCompleted, {"stake_minor": 100, "win_minor": 0, "category": "table"}),
        (RoundCompleted, {"stake_minor": 100, "win_minor": 300}),
        (TierChanged, {}),
    ]
)
PROTECT: st.SearchStrategy[Thing] = st.sampled_from(
    [
        (ExclusionSet, {"kind": "time_out", "until": NOON + hours(6)}),
        (ExclusionSet, {"kind": "self_exclusion", "until": None}),
        (ExclusionEnded, {"kind": "self_exclusion"}),
        (ProfileUpdated, {"changed": {"timezone": "Europe/Kyiv", "email": "new@synthetic.example"}}),
    ]
)
# Mostly play: in a life full of exclusions nothing begins.
THINGS = st.sampled_from([PROTECT, *[PLAY] * 6]).flatmap(lambda kind: kind)
# A moment that came in the longest of them is not too late for a journey.
PAUSES = st.sampled_from([minutes(1), hours(7), hours(53)])


@dataclass(frozen=True)
class Stretch:
    """What players did until `now`, each in the order in which the casino tells it."""

    now: datetime
    mode: Mode
    told: dict[str, list[Event]]


@dataclass(frozen=True)
class Life:
    """Some players' time; `seed` decides how it is sent."""

    stretches: list[Stretch]
    seed: int

    def one_by_one(self) -> Iterator[tuple[Stretch, str, Event]]:
        """Every event, player by player."""
        for stretch in self.stretches:
            for player in sorted(stretch.told):
                for event in stretch.told[player]:
                    yield stretch, player, event


@st.composite
def lives(draw: st.DrawFn, names: int = 4) -> Life:
    """Players whose streams meet in the same batches."""
    now, number = NOON, 0
    stretches = []
    for _ in range(draw(st.integers(2, 4))):
        now += draw(PAUSES)
        told: dict[str, list[Event]] = {}
        for player in range(names):
            things = draw(st.lists(st.tuples(THINGS, st.integers(0, 600)), max_size=7))
            told[f"p{player}"] = []
            for (kind, data), ago in things:
                number += 1
                own = {
                    "event_id": f"e-{number}",
                    "event_source": f"/test/{number % 2}",
                    "occurred_at": now - minutes(ago),
                }
                once = {kind.unique_field: f"once-{number}"} if kind.unique_field else {}
                given = dict(kind.example_data) | once | data | own
                told[f"p{player}"].append(kind.model_validate(given))
        stretches.append(Stretch(now, draw(st.sampled_from(["live", "live", "live", "history"])), told))
    return Life(stretches, draw(st.integers(0, 2**32)))


def silent_payer() -> Life:
    """Somebody who deposits and then only logs in: quiet for longer than most drawn lives last."""
    kinds: list[type[Event]] = [DepositApproved, SessionLogin, SessionLogin]
    told = [
        kind.model_validate(
            dict(kind.example_data)
            | {"event_id": f"s-{number}", "event_source": "/test/0", "occurred_at": NOON + hours(53 * number)}
        )
        for number, kind in enumerate(kinds)
    ]
    return Life([Stretch(event.occurred_at, "live", {"p0": [event]}) for event in told], seed=1)


def excluded_payers() -> Life:
    """Some who exclude themselves and deposit all the same: whatever would begin is refused, in both arms."""
    told: dict[str, list[Event]] = {}
    for player in range(10):
        gone, paid = (f"{what}-{player}" for what in ("x", "d"))
        common: dict[str, Any] = {"event_source": "/test/0", "occurred_at": NOON}
        told[f"p{player}"] = [
            ExclusionSet(event_id=gone, kind="self_exclusion", **common),
            DepositApproved(event_id=paid, payment_id=paid, amount_minor=5_000, currency="EUR", **common),
        ]
    return Life([Stretch(NOON, "live", told)], seed=1)


def ways(stretch: Stretch, before: list[Sent], chance: random.Random) -> Iterator[list[list[Sent]]]:
    """The stretch, cut into steps; each step is some batches to be taken in at the same time.

    In each batch every player's events come in order and none is left out before one that is there, so that whichever
    batch wins, the player's order is the casino's. Everything known already may come again anywhere.
    """
    steps = chance.randint(1, 3)
    cuts = {
        player: [0, *sorted(chance.randint(0, len(told)) for _ in range(steps - 1)), len(told)]
        for player, told in stretch.told.items()
    }
    sent = list(before)
    for step in range(steps):
        parts = {player: told[slice(*list(pairwise(cuts[player]))[step])] for player, told in stretch.told.items()}
        count = chance.randint(1, 3)
        whole = {player: chance.randrange(count) for player in parts}
        yield [
            _batch(
                {
                    player: part if whole[player] == number else part[: chance.randint(0, len(part))]
                    for player, part in parts.items()
                },
                sent,
                chance,
            )
            for number in range(count)
        ]
        sent += [(player, event) for player, part in parts.items() for event in part]


def _batch(parts: dict[str, list[Event]], known: list[Sent], chance: random.Random) -> list[Sent]:
    order = [player for player, part in parts.items() for _ in part]
    chance.shuffle(order)
    waiting = {player: iter(part) for player, part in parts.items()}
    batch = [(player, next(waiting[player])) for player in order]
    for again in chance.choices(batch, k=chance.randint(0, 3)) if batch else ():
        batch.insert(chance.randint(batch.index(again) + 1, len(batch)), again)
    for again in chance.choices(known, k=chance.randint(0, 4)) if known else ():
        batch.insert(chance.randint(0, len(batch)), again)
    return batch


def soon(duration: timedelta) -> datetime:
    """A moment after all drawn lives."""
    return NOON + days(30) + duration
