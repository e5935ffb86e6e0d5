"""Every field of every type of event: the engine acts upon it, keeps it for people and journeys, or refuses it."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from tests.support.player_events import BRAND, NO_FAILURES, NOON, Life, rules
from workflows import ExclusionSet, MessageStatus, PlayerRegistered, days
from workflows.events import CATALOGUE, Event, parse_event
from workflows.events.base import ENVELOPE
from workflows.player_state.ordering import Word
from workflows.player_state.state import PlayerState

#: What the engine acts upon by itself: the player's row changes with it.
ACTED_UPON: Final = {
    "player.registered": "username email phone first_name birth_date country jurisdiction language timezone currency "
    "is_test opted_in opted_in_for",
    "player.profile_updated": "changed",
    "player.contact_verified": "channel",
    "player.device_registered": "token",
    "player.device_removed": "token",
    "player.status_changed": "from to until reason",
    "payment.deposit_approved": "amount_minor currency",
    "payment.withdrawal_completed": "amount_minor currency",
    "game.round_completed": "category stake_minor bonus_stake_minor win_minor bonus_win_minor",
    "loyalty.tier_changed": "to",
    "compliance.exclusion_set": "kind scope until",
    "compliance.exclusion_ended": "kind scope",
    "compliance.harm_signal": "indicator strength",
    "compliance.harm_reviewed": "to",
    "compliance.promotions_paused": "hours",
    "compliance.kyc_changed": "status due_at",
    "content.viewed": "item_id",
    "compliance.limit_reached": "kind period",
    "compliance.affordability_changed": "stage result valid_until",
    "consent.changed": "channel product opted_in source text_version",
    "message.received": "channel text",
    "message.status": "channel status suppress_reason",
}
#: What intake acts upon, because it reaches other players' rows.
ACTED_UPON_BY_INTAKE: Final = {"player.merged": "survivor_id absorbed_id"}
#: What an entrance refuses where nothing would act on it (`api/semantic_validation.py`).
REFUSED: Final = {"compliance.exclusion_ended": "until"}
#: What is kept as it was told: for the timeline, for journeys that look at it, for rules that measure it.
KEPT: Final = {
    "player.registered": "affiliate_id signup_code device",
    "player.profile_updated": "reason",
    "player.contact_verified": "verified_at",
    "player.device_registered": "platform",
    "player.device_removed": "reason",
    "player.merged": "rule score",
    "player.password_reset": "stage",
    "session.login": "method device platform new_device failed_attempts days_since_last",
    "session.ended": "duration bets stake_minor win_minor deposits_minor currency reason",
    "content.viewed": "page item_type dwell",
    "payment.deposit_initiated": "payment_id amount_minor currency method provider",
    "payment.deposit_approved": "payment_id method provider deposit_number is_first bonus_code fee_minor "
    "balance_after_minor",
    "payment.deposit_failed": "payment_id amount_minor currency method provider failure consecutive_failures",
    "payment.deposit_abandoned": "amount_minor currency method cashier_open",
    "payment.withdrawal_requested": "payment_id amount_minor currency method withdrawal_number kyc_required eta",
    "payment.withdrawal_completed": "payment_id processing reason",
    "payment.withdrawal_rejected": "payment_id amount_minor currency processing reason",
    "payment.withdrawal_cancelled_by_player": "payment_id amount_minor currency processing reason",
    "payment.reversed": "payment_id kind amount_minor currency reversal_id of paid_at",
    "game.session_started": "game_session_id game_id game_name category provider is_free",
    "game.round_completed": "round_id game_session_id game_id provider balance_after_minor currency duration grant_id",
    "game.round_voided": "round_id game_id category provider stake_minor bonus_stake_minor win_minor bonus_win_minor "
    "currency grant_id played_at",
    "game.big_win": "round_id game_id win_minor currency multiplier_x100 jackpot_id",
    "game.fault": "round_id game_id kind stake_minor potential_win_minor currency",
    "sport.bet_placed": "bet_id kind stake_minor currency odds_x1000 selections live sport freebet_grant_id",
    "sport.bet_settled": "bet_id outcome payout_minor currency",
    **dict.fromkeys(
        ("reward.offered", "reward.claimed", "reward.activated"),
        "grant_id currency template_id kind value_minor wager_required_minor expires_at journey_run_id step_id",
    ),
    "reward.wagering_progress": "grant_id currency wagered_minor required_minor done",
    **dict.fromkeys(
        (f"reward.{end}" for end in ("completed", "forfeited", "expired", "lost", "cancelled", "failed")),
        "grant_id currency converted_minor cost_minor reason",
    ),
    "reward.code_failed": "code reason",
    "loyalty.points_changed": "delta balance lifetime cause ref",
    "loyalty.tier_changed": "from direction basis valid_until",
    "loyalty.mission_progress": "entity_id progress",
    "loyalty.mission_completed": "entity_id prize_grant_id",
    "loyalty.badge_awarded": "entity_id prize_grant_id",
    "loyalty.tournament_result": "entity_id rank prize_grant_id instance",
    "score.changed": "score from_percent to_percent why model",
    "compliance.kyc_changed": "level_from level_to document reject_reason can_resubmit",
    "compliance.limit_changed": "kind period amount_minor currency duration direction effective_at",
    "compliance.limit_reached": "amount_minor currency duration",
    "compliance.exclusion_set": "reason",
    "compliance.reality_check": "session net_minor currency action",
    "compliance.harm_signal": "score evidence",
    "compliance.harm_reviewed": "reason task_id",
    "compliance.promotions_paused": "why",
    "message.status": "message_id class machine",
    "feedback.answered": "survey_id kind score text subject_ref question_id choice",
    "support.case_opened": "case_id topic severity",
    "support.case_closed": "case_id topic severity csat",
    **dict.fromkeys(
        (f"task.{moved}" for moved in ("created", "claimed", "completed", "breached")),
        "task_id kind priority due_at assignee outcome note_ref",
    ),
}
#: Data beside the example's, with which a field has something to act upon.
MORE: Final[dict[str, list[dict[str, Any]]]] = {
    "player.status_changed": [
        {"from": None, "to": "closed", "until": None},
        {"from": "active", "to": "suspended", "until": "2027-01-01T00:00:00Z"},
    ],
    # The player is self-excluded for ever already, which no end moves.
    "compliance.exclusion_set": [{}, {"kind": "time_out", "until": None}],
    "compliance.exclusion_ended": [{"kind": "self_exclusion", "scope": "brand"}],
    "message.status": [{"channel": "email", "status": "bounced"}],
}
VALUES: Final[list[Any]] = [
    *(None, True, False, 0, 1, 3, 4_999, 9_000, "x", "p-9", "DE", "UAH", "de", "Asia/Tokyo", "1991-01-02", "merged"),
    *("hard", "2027-03-01T00:00:00Z", "2031-03-01T00:00:00Z", "other@example.com", "STOP", "CA-ON"),
    *({"language": "de"}, {"figure": 7}, ["sms"], ["bingo"], []),
]
RULES: Final = rules()
TYPES: Final = {
    kind.type: kind
    for kind in CATALOGUE.values()
    if kind.__module__.startswith("workflows.events.") and not kind.derived
}


def fields_of(kind: type[Event]) -> dict[str, str]:
    """The fields of a type's data, by their names on the wire."""
    return {field.alias or name: name for name, field in kind.model_fields.items() if name not in ENVELOPE}


def literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    for part in get_args(annotation):
        yield from literals(part)


@cache
def registered() -> str:
    """A player of whom something is known that a word can change, as stored."""
    life = Life()
    life.happens(PlayerRegistered, ago=days(30), opted_in=["email"])
    life.happens(ExclusionSet, ago=days(20), kind="self_exclusion", scope="brand", until=None)
    life.happens(MessageStatus, ago=days(10), channel="email", status="bounced", suppress_reason="hard")
    return json.dumps(life.state.to_json())


def outcome(kind: type[Event], data: dict[str, Any]) -> str:
    """All that the engine knows of a player after an event, as text."""
    event = parse_event(kind.wire_type, data, event_id="e", event_source="/t", occurred_at=NOON)
    known = PlayerState.from_text(BRAND, "p-1", "{}" if kind is PlayerRegistered else registered())
    personal = known.personal_words(event, Word(NOON, live=True))
    known.advance(event, RULES, NOON, NO_FAILURES)
    return json.dumps([personal, known.to_json()], sort_keys=True)


def changes_something(kind: type[Event], wire: str, name: str) -> bool:
    """Whether another value of a field ever leads to another outcome."""
    for more in MORE.get(kind.type, [{}]):
        data = {**kind.example_data, **more}
        before = outcome(kind, data)
        for value in [*VALUES, *literals(kind.model_fields[name].annotation)]:
            try:
                if outcome(kind, {**data, wire: value}) != before:
                    return True
            except ValidationError:
                continue
    return False


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_every_field_is_acted_upon_or_kept_or_refused_and_says_which(type_: str) -> None:
    said = [table.get(type_, "").split() for table in (ACTED_UPON, ACTED_UPON_BY_INTAKE, REFUSED, KEPT)]
    named = [name for names in said for name in names]
    assert sorted(named) == sorted(set(named)), "a field is said to be two things"
    assert set(named) == fields_of(TYPES[type_]).keys(), "say in one of the tables what becomes of each field"


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_what_is_said_of_a_field_is_what_happens(type_: str) -> None:
    kind = TYPES[type_]
    changing = {wire for wire, name in fields_of(kind).items() if changes_something(kind, wire, name)}
    assert changing == set(ACTED_UPON.get(type_, "").split())
