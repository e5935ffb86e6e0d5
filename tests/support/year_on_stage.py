# ruff: noqa: T201 - its output is what is compared
"""A year of an invented casino, told byte by byte: run in two processes, it must be the same year.

python -m tests.support.year_on_stage SEED PLAYERS
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.testing.answer_policies import Share
from stage.testing.players import make
from stage.virtual_temporal.runs import Call
from stage.world.faults import Away, Declines
from stage.world.world import World
from workflows import (
    ContactVerified,
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    TierChanged,
)
from workflows.effects import EffectInput
from workflows.source.journey_loading import load

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
ANSWERS: dict[str, dict[str, Any]] = {
    "Affordability": {"outcome": "approve"},
    "SourceOfFunds": {"outcome": "proven"},
    "SignOff": {"approved": True},
    "HostAssignment": {"host_name": "Sarah", "host_contact": "sarah@casino.example"},
    "HostCall": {"outcome": "no_answer"},
    "PersonalNote": {"outcome": "written"},
    "Review": {"outcome": "keep"},
    "WinBackCall": {"outcome": "reached"},
    "LiveHelp": {"outcome": "solved"},
    "LossCheckin": {"outcome": "reached"},
    "SaferPlayReview": {"outcome": "calmer"},
    "GreetingCall": {"outcome": "no_answer"},
    "InactivityCall": {"outcome": "reached"},
    "KycHelp": {"outcome": "will_send"},
}
CHANCES: list[tuple[type[Any], dict[str, Any], int]] = [
    (DepositApproved, {"amount_minor": 5000}, 30),
    (SessionLogin, {}, 30),
    (RoundCompleted, {"stake_minor": 100, "win_minor": 0, "category": "slot"}, 60),
    (DepositFailed, {"failure": "technical"}, 12),
    (ContactVerified, {"channel": "email"}, 3),
    (TierChanged, {"to": "platinum", "direction": "up"}, 1),
    (ExclusionSet, {"kind": "self_exclusion", "scope": "brand"}, 1),
]


def faults(call: Call, given: EffectInput) -> None:
    """Every seventh first attempt meets a channel that is away, every eleventh one that says no."""
    chance = sum(map(ord, given.key)) + call.attempt
    if chance % 7 == 0:
        raise Away("email", "bonus_engine")
    if chance % 11 == 0:
        raise Declines("sms", "push")


def tell(seed: int, players: int) -> None:
    """Print everything that happened in the year, in the order in which it did."""
    chance = random.Random(seed)
    events = []
    for number in range(players):
        registered = BEGIN + timedelta(seconds=chance.randrange(90 * 86_400))
        zone = chance.choice(["Europe/Kyiv", "Europe/London", "America/New_York"])
        facts = {"timezone": zone, "opted_in": ["email", "sms", "push", "in_app"]}
        events.append((registered, number, PlayerRegistered, facts))
        for _ in range(120):
            kind, data, _weight = chance.choices(CHANCES, [weight for *_, weight in CHANCES])[0]
            events.append((registered + timedelta(seconds=chance.randrange(270 * 86_400)), number, kind, data))

    def hear(at: datetime, name: str, given: EffectInput, result: BaseModel) -> None:
        print(at.isoformat(), name, given.model_dump_json(), result.model_dump_json())

    def answers(task: Any, asked: Any) -> Any:
        return Share(0.8, after=timedelta(hours=5), answer=ANSWERS[task.form])(task, asked)

    with World(
        load(),
        read_template_facts([SHIPPED_TEMPLATES]),
        BEGIN,
        answers=answers,
        faults=faults,
        latency=lambda call: timedelta(milliseconds=len(call.name)),
        seed=seed,
        on_effect=hear,
    ) as world:
        for index, (at, number, kind, data) in enumerate(sorted(events, key=lambda event: event[:2])):
            world.advance_to(at)
            world.happen(f"p{number}", make(kind, data, event_id=f"e{index}", occurred_at=at))
        world.advance_to(BEGIN + timedelta(days=365))
        for part in (world.runs.values(), world.messages, world.grants, world.tasks.values(), world.story):
            for record in part:
                print(record)


if __name__ == "__main__":
    tell(int(sys.argv[1]), int(sys.argv[2]))
