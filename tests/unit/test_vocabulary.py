"""The designer's vocabulary: exactly these words, each of them explained."""

import ast
import inspect
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import workflows
from workflows import Event, Player
from workflows.events import CATALOGUE
from workflows.verb_table import VERBS

# Computed at run time, which a type checker does not see.
VOCABULARY: list[str] = vars(workflows)["__all__"]
EVENTS = [
    "AffordabilityChanged",
    "Anniversary",
    "BadgeAwarded",
    "BetPlaced",
    "BetSettled",
    "BigWin",
    "Birthday",
    "ConsentChanged",
    "ContactVerified",
    "ContentViewed",
    "DayStreak",
    "DepositAbandoned",
    "DepositApproved",
    "DepositFailed",
    "DepositInitiated",
    "DeviceRegistered",
    "DeviceRemoved",
    "Event",
    "ExclusionEnded",
    "ExclusionSet",
    "FeedbackAnswered",
    "GameFault",
    "GameSessionStarted",
    "HarmReviewed",
    "HarmSignal",
    "Inactive",
    "KycChanged",
    "LimitChanged",
    "LimitReached",
    "LossStreak",
    "MessageReceived",
    "MessageStatus",
    "MissionCompleted",
    "MissionProgress",
    "PasswordReset",
    "PaymentReversed",
    "PlayerMerged",
    "PlayerRegistered",
    "PointsChanged",
    "ProfileUpdated",
    "PromotionsPaused",
    "RealityCheck",
    "RewardActivated",
    "RewardCancelled",
    "RewardClaimed",
    "RewardCodeFailed",
    "RewardCompleted",
    "RewardExpired",
    "RewardFailed",
    "RewardForfeited",
    "RewardLost",
    "RewardOffered",
    "RewardWageringProgress",
    "RoundCompleted",
    "RoundVoided",
    "Scheduled",
    "ScoreChanged",
    "SegmentEntered",
    "SegmentLeft",
    "ItemPurchased",
    "SessionEnded",
    "SessionLogin",
    "StatusChanged",
    "SupportCaseClosed",
    "SupportCaseOpened",
    "TaskBreached",
    "TaskClaimed",
    "TaskCompleted",
    "TaskCreated",
    "TierAtRisk",
    "TierChanged",
    "TournamentResult",
    "WinStreak",
    "WithdrawalCancelledByPlayer",
    "WithdrawalCompleted",
    "WithdrawalRejected",
    "WithdrawalRequested",
]
WORDS = [
    "Again",
    "Amounts",
    "Answer",
    "Awarded",
    "BonusFit",
    "Form",
    "Grant",
    "LocalTime",
    "MovedRun",
    "Multiplied",
    "Night",
    "NoAnswer",
    "NotAwarded",
    "Player",
    "PlayerScore",
    "Revocation",
    "RunStarted",
    "Segment",
    "Sent",
    "Spun",
    "Statistics",
    "Suppressed",
    "Unplayed",
    "after",
    "again",
    "always",
    "amounts",
    "anniversary",
    "at_least",
    "badge",
    "best",
    "best_channel",
    "best_hour",
    "birthday",
    "bonus_money",
    "cash",
    "cashback",
    "choices",
    "collection",
    "count",
    "currency",
    "day",
    "days",
    "deposit_match",
    "distinct",
    "earn",
    "entered",
    "every",
    "experiment",
    "free_bet",
    "free_spins",
    "gift",
    "gap",
    "goal",
    "hours",
    "inactive",
    "item",
    "journey",
    "ladder",
    "left",
    "level",
    "local",
    "looks",
    "milestone",
    "mini_game",
    "minutes",
    "mission",
    "month",
    "multiplier",
    "no_more",
    "on",
    "once",
    "per",
    "piece",
    "place",
    "places",
    "player_mission",
    "points",
    "policy",
    "raffle",
    "raffle_ticket",
    "rakeback",
    "reload",
    "schedule",
    "score_percent",
    "seconds",
    "sector",
    "segment",
    "shop",
    "step",
    "streak",
    "streak_of_days",
    "target",
    "threshold",
    "tier",
    "tier_upgrade",
    "total",
    "typical",
    "tournament",
    "tournament_ticket",
    "week",
    "week_days",
    "weekend",
    "wheel",
    "weeks",
]


def test_the_vocabulary_is_exactly_this() -> None:
    assert sorted(VOCABULARY) == sorted(EVENTS + WORDS), (
        "A new word is a decision, and a word taken away breaks journeys in other repositories: if it is meant, "
        "change this list and the changelog with it."
    )
    assert sorted(VOCABULARY) == VOCABULARY
    assert [name for name in VOCABULARY if not hasattr(workflows, name)] == []


def test_every_event_of_the_catalogue_is_a_word() -> None:
    shipped = {cls.__name__ for cls in CATALOGUE.values() if cls.__module__.startswith("workflows.events.")}
    assert shipped | {"Event"} == set(EVENTS)
    assert all(issubclass(getattr(workflows, name), Event) for name in EVENTS)


def test_a_module_of_events_lists_what_it_declares() -> None:
    for module in {
        sys.modules[cls.__module__] for cls in CATALOGUE.values() if cls.__module__.startswith("workflows.")
    }:
        declared = {cls.__name__ for cls in CATALOGUE.values() if cls.__module__ == module.__name__}
        assert set(module.__all__) == declared, f"{module.__name__} must list its events in __all__, and only them."


def explained(name: str) -> str:
    """The docstring of a word itself; Python inherits none."""
    word = getattr(workflows, name)
    if isinstance(word, type) or inspect.isfunction(word):
        return inspect.cleandoc(word.__doc__ or "")
    # A constant is explained by the string below it.
    for statement, below in pairwise(ast.parse(Path(inspect.getfile(type(word))).read_text()).body):
        assigns = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name
        if assigns and isinstance(below, ast.Expr):
            return str(ast.literal_eval(below.value))
    return ""


@pytest.mark.parametrize("name", VOCABULARY)
def test_every_word_is_explained_in_a_sentence(name: str) -> None:
    text = explained(name)
    assert text, f"{name} has no docstring: a designer reads it in the editor."
    first = text.partition("\n\n")[0].rstrip()
    assert first[0].isupper() or first[0] in "`0123456789", f"{name} is explained by {first!r}, which is no sentence."
    assert first.endswith((".", "`", ":")), f"{name} is explained by {first!r}, which is no sentence."


@pytest.mark.parametrize("name", [name for name in dir(Player) if not name.startswith("_")])
def test_everything_a_player_has_is_explained(name: str) -> None:
    assert inspect.getdoc(getattr(Player, name)), f"Player.{name} has no docstring: a designer reads it in the editor."


def test_the_verbs_are_exactly_these() -> None:
    waits = {"ask", "event", "first", "grant", "mark", "matches", "refresh", "send", "sleep", "start", "until"}
    waits |= {
        "arm",
        "award",
        "give_spin",
        "multiply",
        "changed",
        "pause_promotions",
        "score",
        "spin",
        "usual",
        "value",
        "webhook",
        "survey",
        "revoke",
    }
    assert set(VERBS) == waits | {"split", "amount", "fit"}
    assert {name for name in VERBS if inspect.iscoroutinefunction(getattr(Player, name))} == waits
