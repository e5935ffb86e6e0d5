"""Every rule of every journey, found by the type of event that can fire it."""

from collections.abc import Iterable, Iterator, Mapping

from workflows.events import Event, LossStreak, RoundCompleted, WinStreak
from workflows.journey import Journey
from workflows.rules import InactiveRule, MilestoneRule, On, Streak


def lost(event: RoundCompleted) -> bool:
    """Whether the player got less out of a round than went in, real and bonus money together."""
    return event.win_minor + event.bonus_win_minor < event.stake_minor + event.bonus_stake_minor


def won(event: RoundCompleted) -> bool:
    """Whether the player got more out of a round than went in, real and bonus money together."""
    return event.win_minor + event.bonus_win_minor > event.stake_minor + event.bonus_stake_minor


LOSS_STREAK = Streak(RoundCompleted, 3, where=lost, name="engine.loss")
"""Three losing rounds in a row, told to journeys as `LossStreak`."""

WIN_STREAK = Streak(RoundCompleted, 3, where=won, name="engine.win")
"""Three winning rounds in a row, told to journeys as `WinStreak`."""

TOLD: Mapping[str, type[LossStreak | WinStreak]] = {LOSS_STREAK.key: LossStreak, WIN_STREAK.key: WinStreak}
"""The streaks that are events of their own. A round that gave back its stake breaks both."""


class Rules:
    """The rules of a deployment. Built once a process.

    Give the same journeys to every process that takes events in: two processes with different
    rules would let the same event start different things.
    """

    def __init__(self, journeys: Mapping[str, Journey]) -> None:
        self.journeys = dict(sorted(journeys.items()))
        self.triggers: dict[str, list[tuple[Journey, On]]] = {}
        self.milestones: dict[str, list[MilestoneRule]] = {}
        self.streaks: dict[str, list[Streak]] = {}
        self.inactive: dict[str, list[InactiveRule]] = {}
        self.by_key: dict[str, list[Journey]] = {}
        counted: dict[str, MilestoneRule | Streak | InactiveRule] = {s.key: s for s in (LOSS_STREAK, WIN_STREAK)}
        for journey in self.journeys.values():
            for trigger in journey.triggers:
                if isinstance(trigger, On):
                    self.triggers.setdefault(trigger.kind.type, []).append((journey, trigger))
                else:
                    counted[trigger.key] = trigger
                    self.by_key.setdefault(trigger.key, []).append(journey)
        for rule in counted.values():
            match rule:
                case MilestoneRule():
                    self.milestones.setdefault(rule.kind.type, []).append(rule)
                case Streak():
                    for kind in {rule.kind.type} | ({rule.broken_by.type} if rule.broken_by else set()):
                        self.streaks.setdefault(kind, []).append(rule)
                case InactiveRule():
                    self.inactive.setdefault(rule.kind.type, []).append(rule)

    def triggered_by(self, event: Event) -> Iterator[Journey]:
        """Journeys whose `on(...)` matches `event`, by name."""
        for journey, trigger in self.triggers.get(event.type, ()):
            if trigger.matches(event):
                yield journey


def clashes(journeys: Iterable[Journey]) -> Iterator[str]:
    """A sentence for each streak that two journeys count differently under one key."""
    known: dict[str, tuple[Streak, str]] = {s.key: (s, "the engine") for s in (LOSS_STREAK, WIN_STREAK)}
    for journey in journeys:
        owner = f"journey {journey.name}"
        for trigger in journey.triggers:
            if isinstance(trigger, Streak):
                first, counter = known.setdefault(trigger.key, (trigger, owner))
                if first != trigger:
                    yield (
                        f"{counter.capitalize()} and {owner} count {trigger.key} in different ways; give the streak "
                        "of one of them a name= of its own, or share one declaration."
                    )
