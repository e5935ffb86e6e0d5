"""Words for codes in what is stored: who said yes, what a reward holds, what is wrong with a run, who did what."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from babel.dates import get_day_names

from api.console.speech import Speech
from content.readable_names import words
from workflows.local_time import WEEKDAYS

#: Where a consent was given or taken back: the places that the engine writes itself, and the usual ones.
SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "registration": "at registration",
        "registration_form": "in the form of registration",
        "account": "in the account",
        "preferences": "in the settings of the account",
        "unsubscribe_link": "by the link to unsubscribe",
        "stop_word": "by a word that stops messages",
        "fast_track": "told by Fast Track",
        "support": "by support",
    }
)
#: What is wrong with a run.
TROUBLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "failing_effect": "a step fails again and again",
        "failing_code": "the journey's code fails",
        "past_end": "should have ended",
        "lost": "gone from Temporal",
        "dead_letter": "a delivery was refused for good",
        "unknown_grant": "nobody knows whether the reward was paid",
    }
)
#: What stands in a reward, without `kind`; amounts by their names without the unit.
TERMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "amount": "amount",
        "bet_value": "value of a spin",
        "budget": "budget",
        "campaign": "campaign",
        "cap": "at most",
        "count": "number",
        "currency": "currency",
        "deposit_number": "number of the deposit",
        "entity_id": "id",
        "excluded_methods": "without these payment methods",
        "factor": "multiplier",
        "game": "game",
        "game_ids": "games",
        "games": "games",
        "lasts": "lasts",
        "match_pct": "match, %",
        "max_bet": "largest bet",
        "max_win": "largest win",
        "min_deposit": "least deposit",
        "min_loss": "least loss",
        "min_odds": "least odds",
        "most": "at most",
        "pct": "%",
        "percent": "%",
        "period": "period",
        "points": "points",
        "prizes": "prizes",
        "product": "product",
        "provider_campaign_id": "campaign",
        "reward": "reward",
        "ship_within": "shipped within",
        "sku": "article",
        "sports": "sports",
        "stake": "stake",
        "stake_returned": "stake returned",
        "tier": "tier",
        "valid": "valid for",
        "value": "value",
        "wager_basis": "wagering of",
        "wager_x": "wagering, times",
        "weekdays": "days of the week",
        "window": "time",
    }
)
#: What stands in a reward as one of a few words, by the name of what it is.
VALUES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "game": {
            "wheel": "wheel",
            "scratch": "scratch card",
            "plinko": "plinko",
            "gift_box": "gift box",
            "prize_drop": "prize drop",
            "quiz": "quiz",
            "lootbox": "lootbox",
            "coin_flip": "heads or tails",
        },
        "period": {"day": "a day", "week": "a week", "month": "a month"},
        "wager_basis": {"bonus": "the bonus", "bonus_plus_deposit": "the bonus and the deposit"},
    }
)
#: Lengths of time in a reward, in seconds.
LENGTHS: Final = frozenset({"lasts", "ship_within", "valid", "window"})
#: What no line tells of a reward: what stands beside it, and which text of terms the player reads.
_UNSAID: Final = frozenset({"kind", "currency", "terms"})
#: What a step of a run tells besides what it came to.
DETAILS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "before": "before",
        "by": "who",
        "channel": "channel",
        "count": "number",
        "event_id": "event",
        "kept": "kept",
        "kind": "kind",
        "last": "the last one heard",
        "minor": "amount in minor units",
        "moment": "moment",
        "number": "number",
        "outcome": "outcome",
        "provider_ref": "id at the provider",
        "reason": "reason",
        "task_id": "task",
        "team": "team",
        "until": "until",
        "value": "value",
        "version": "release",
        "wheel": "wheel",
        "why": "reason",
    }
)
#: Those of them that hold an id of ours or of a provider.
IDS: Final = frozenset({"event_id", "provider_ref", "task_id"})
#: What people, keys and commands do or look at, by the operation; one that is not here is shown by its name.
ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "console.act": "moved a task or noted something about it",
        "console.add": "added a person",
        "console.answer": "answered a task",
        "console.board": "a tournament with its places",
        "console.decide": "decided about a journey, or about what somebody may do",
        "console.decisions": "decisions of the gate",
        "console.erase": "erased a player",
        "console.exclude": "left a player alone",
        "console.find": "players",
        "console.get_experiment": "an experiment",
        "console.go": "searched for a player",
        "console.go_away": "noted an absence",
        "console.host": "changed who looks after a player",
        "console.inbox": "the inbox",
        "console.message": "a message as it was sent",
        "console.new_task": "opened a task",
        "console.note": "noted something about a player",
        "console.page": "figures",
        "console.player": "a player",
        "console.retry": "delivered again what was refused",
        "console.run": "a run",
        "console.say_own_work": "said how they work",
        "console.scores_page": "scores with their models",
        "console.segment": "members of a segment",
        "console.task": "a task",
        "console.trail": "the audit",
        "add_absence": "noted an absence",
        "add_person": "added a person",
        "change_host": "changed who looks after a player",
        "change_task": "changed a task",
        "change_work": "changed how somebody works",
        "claim_task": "claimed a task",
        "close_journey": "closed a journey",
        "comment_task": "commented a task",
        "complete_task": "answered a task",
        "create_enrolment": "enrolled a segment",
        "create_key": "made an API key",
        "end_absence": "ended an absence",
        "erase_player": "erased a player",
        "exclude_player": "left a player alone",
        "get_message": "a message as it was sent",
        "get_player": "a player",
        "get_run": "a run",
        "get_task": "a task",
        "give": "gave a role, a team or a skill",
        "hold_journey": "held a journey",
        "list_audit": "the audit",
        "list_decisions": "decisions of the gate",
        "list_grants": "rewards",
        "list_members": "members of a segment",
        "list_messages": "messages",
        "list_notes": "notes about a player",
        "list_players": "players",
        "list_runs": "runs",
        "list_tasks": "tasks",
        "list_timeline": "what happened to a player",
        "migrate_journey": "moved runs to another release",
        "move_due_time": "moved the due time of a task",
        "open_journey": "opened a journey",
        "open_task": "opened a task",
        "provision_person": "gave by a group of the provider",
        "reassign_task": "passed a task on",
        "release_task": "gave a task back",
        "remove_person": "had a person leave",
        "resume_journey": "resumed a journey",
        "retry_dead_letters": "delivered again what was refused",
        "revoke_key": "revoked an API key",
        "start_run": "let a player into a journey",
        "stop_journey": "stopped a journey",
        "stop_run": "stopped a run",
        "take_back": "took back a role, a team or a skill",
        "write_note": "noted something about a player",
    }
)
#: Who acts that is no person.
ACTORS: Final[Mapping[str, str]] = MappingProxyType({"key": "API key", "command": "command", "engine": "the engine"})
#: A number that is kept whole, as so many times what it is.
_TIMES: Final = re.compile(r"(\w+)_x(1000?)")
#: Why nobody can say where a run stands; the first is followed by what Temporal said.
_NOT_ASKED: Final = "The run cannot be asked right now: Temporal or a worker does not answer."
NOWHERE: Final = (
    _NOT_ASKED,
    "The run is over.",
    "This run is only tracked, as control runs once were; it stands nowhere.",
)


def known(code: str | None, texts: Mapping[str, str], speech: Speech) -> str:
    """A code in words; as it is written where there are none for it."""
    if not code:
        return ""
    return speech.translated(texts[code]) if code in texts else code


def nowhere_text(why: str | None, speech: Speech) -> str:
    """Why nobody can say where a run stands."""
    if not why:
        return ""
    return speech.translated(_NOT_ASKED if why.startswith(_NOT_ASKED.removesuffix(".")) else why)


def term_text(name: str, value: object, currency: str | None, speech: Speech) -> str:
    """One thing that a reward holds, with its name; nothing for what is not there or has parts of its own."""
    if value is None or value == [] or isinstance(value, Mapping) or name in _UNSAID:
        return ""
    plain = name.removesuffix("_minor")
    if (times := _TIMES.fullmatch(plain)) is not None and isinstance(value, int):
        plain, value = times[1], value / int(times[2])
    said = speech.translated(TERMS[plain]) if plain in TERMS else words(plain).lower()
    if name != plain and isinstance(value, int):
        return f"{said} {speech.money(value, currency)}"
    return f"{said} {_held(name, value, speech)}"


def detail_name(name: str, speech: Speech) -> str:
    """What something is that a step tells besides what it came to."""
    return speech.translated(DETAILS[name]) if name in DETAILS else words(name).lower()


def detail_text(name: str, value: object, speech: Speech) -> str:
    """One thing that a step tells besides what it came to, with its name; moments and ids are told by the caller."""
    said = detail_name(name, speech)
    if name in {"reason", "why"} and isinstance(value, str):
        return f"{said}: {speech.reason(value)}"
    if name == "kind" and isinstance(value, str):
        return f"{said}: {speech.reward(value)}"
    return f"{said}: {_plain(value, speech)}"


def moment_in(name: str, value: object) -> datetime | None:
    """The moment that a step tells under this name; None for what is none."""
    if name not in {"moment", "until"} or not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _held(name: str, value: object, speech: Speech) -> str:
    """What a part of a reward is that is no amount."""
    if name in LENGTHS and isinstance(value, int):
        return speech.time(timedelta(seconds=value))
    if name in VALUES and isinstance(value, str) and value in VALUES[name]:
        return speech.translated(VALUES[name][value])
    if name == "weekdays" and isinstance(value, list):
        days = get_day_names("wide", locale=speech.language)
        return ", ".join(days[WEEKDAYS.index(one)] if one in WEEKDAYS else str(one) for one in value)
    if name == "prizes" and isinstance(value, list):
        return speech.number(len(value))
    return _plain(value, speech)


def _plain(value: object, speech: Speech) -> str:
    if isinstance(value, bool):
        return speech.translated("yes" if value else "no")
    if isinstance(value, int | float):
        return speech.number(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
