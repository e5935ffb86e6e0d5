"""The event catalogue: what it holds, what it refuses, what leaves it."""

import json
from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.run_delivery.deliveries import ENROLMENT
from tests.support.examples import examples
from workflows import events
from workflows.errors import DesignError, EventDesignError, UnknownEventType
from workflows.events import (
    CATALOGUE,
    Anniversary,
    Birthday,
    ConsentChanged,
    DayStreak,
    DepositApproved,
    Event,
    ExclusionSet,
    FeedbackAnswered,
    HarmSignal,
    Inactive,
    ItemPurchased,
    LossStreak,
    Pii,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    Scheduled,
    SegmentEntered,
    SegmentLeft,
    SessionEnded,
    StatusChanged,
    Text,
    TierAtRisk,
    TierChanged,
    WinStreak,
    parse_event,
)
from workflows.field_types import MAX_INTEGER

OURS = [cls for cls in CATALOGUE.values() if cls.__module__.startswith("workflows.events.")]
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)

#: The catalogue's forty rows, alternatives written out.
ROWS = {
    1: ["player.registered"],
    2: ["player.profile_updated"],
    3: ["player.contact_verified", "player.device_registered", "player.device_removed"],
    4: ["player.merged"],
    5: ["player.status_changed"],
    6: ["player.password_reset"],
    7: ["session.login"],
    8: ["session.ended"],
    9: ["content.viewed"],
    10: ["payment.deposit_initiated"],
    11: ["payment.deposit_approved"],
    12: ["payment.deposit_failed"],
    13: ["payment.deposit_abandoned"],
    14: ["payment.withdrawal_requested"],
    15: ["payment.withdrawal_completed", "payment.withdrawal_rejected", "payment.withdrawal_cancelled_by_player"],
    16: ["payment.reversed"],
    17: ["game.session_started"],
    18: ["game.round_completed", "game.round_voided"],
    19: ["game.big_win"],
    20: ["game.fault"],
    21: ["sport.bet_placed"],
    22: ["sport.bet_settled"],
    23: ["reward.offered", "reward.claimed", "reward.activated"],
    24: ["reward.wagering_progress"],
    25: [
        "reward.completed",
        "reward.forfeited",
        "reward.expired",
        "reward.lost",
        "reward.cancelled",
        "reward.failed",
    ],
    26: ["reward.code_failed"],
    27: ["loyalty.points_changed"],
    28: ["loyalty.tier_changed"],
    29: [
        "loyalty.mission_progress",
        "loyalty.mission_completed",
        "loyalty.badge_awarded",
        "loyalty.tournament_result",
    ],
    30: ["compliance.kyc_changed"],
    31: ["compliance.limit_changed", "compliance.limit_reached"],
    32: ["compliance.exclusion_set", "compliance.exclusion_ended"],
    33: ["compliance.reality_check"],
    34: ["compliance.harm_signal", "compliance.harm_reviewed", "compliance.promotions_paused"],
    35: ["compliance.affordability_changed"],
    36: ["consent.changed"],
    37: ["message.status", "message.received"],
    38: ["feedback.answered"],
    39: ["support.case_opened", "support.case_closed"],
    40: ["task.created", "task.claimed", "task.completed", "task.breached", "score.changed"],
}


def parse(cls: type[Event], data: object, **envelope: Any) -> Any:
    whole: dict[str, Any] = {"event_id": "e-1", "event_source": "/test", "occurred_at": NOON} | envelope
    return parse_event(cls.wire_type, data, **whole)  # type: ignore[arg-type]


def wrong_keys(error: pytest.ExceptionInfo[ValidationError]) -> set[str]:
    return {str(part["loc"][0]) for part in error.value.errors()}


def test_every_row_of_the_catalogue_is_a_class_and_nothing_else_is() -> None:
    assert len(ROWS) == 40
    posted = sorted(cls.type for cls in OURS if not cls.derived)
    assert posted == sorted(name for row in ROWS.values() for name in row)
    assert all(cls.wire_type == f"igaming.{cls.type}.v1" for cls in OURS)


def test_only_what_we_compute_is_marked_derived() -> None:
    assert {cls for cls in OURS if cls.derived} == {
        LossStreak,
        WinStreak,
        Inactive,
        DayStreak,
        SegmentEntered,
        SegmentLeft,
        TierAtRisk,
        ItemPurchased,
        Birthday,
        Anniversary,
        Scheduled,
    }


def test_every_class_is_imported_from_the_facade_under_its_own_name() -> None:
    assert [cls.__name__ for cls in OURS if getattr(events, cls.__name__, None) is not cls] == []
    assert {cls.__name__ for cls in OURS} <= set(vars(events)["__all__"])


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.type)
def test_an_example_survives_the_wire_and_stays_valid_when_redacted(cls: type[Event]) -> None:
    event = cls.example()
    wire = json.loads(json.dumps(event.to_wire()))
    assert Event.from_wire(wire) == event
    assert cls.from_wire(wire) == event
    redacted = event.redacted()
    assert Event.from_wire(json.loads(json.dumps(redacted.to_wire()))) == redacted


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.type)
def test_an_example_uses_declared_keys_only_and_shows_every_required_one(cls: type[Event]) -> None:
    schema = cls.data_schema()
    assert cls.example_data
    assert set(cls.example_data) <= set(schema["properties"])
    assert set(schema.get("required", ())) <= set(cls.example_data)
    assert schema["examples"] == [dict(cls.example_data)]
    assert not {"event_id", "event_source", "occurred_at"} & set(schema["properties"])


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.type)
def test_a_docstring_says_where_an_event_comes_from_and_names_its_units(cls: type[Event]) -> None:
    doc = cls.__doc__ or ""
    assert "From " in doc
    money = any(name.endswith("_minor") for name in cls.model_fields)
    seconds = any("timedelta" in repr(field.annotation) for field in cls.model_fields.values())
    points = any(name in {"score", "progress", "done"} for name in cls.model_fields)
    assert not money or "minor units" in doc
    assert not seconds or "second" in doc
    assert not points or "basis points" in doc or "NPS" in doc


def test_a_backend_may_post_a_deposit_with_the_least_it_knows() -> None:
    deposit = parse(
        DepositApproved,
        {
            "payment_id": "pay-1",
            "amount_minor": 5000,
            "currency": "EUR",
            "method": "card",
            "provider": "acme",
            "deposit_number": 2,
            "is_first": False,
        },
    )
    assert deposit == DepositApproved(
        event_id="e-1",
        event_source="/test",
        occurred_at=NOON,
        payment_id="pay-1",
        amount_minor=5000,
        currency="EUR",
        method="card",
        provider="acme",
        deposit_number=2,
        is_first=False,
    )
    assert (deposit.fee_minor, deposit.balance_after_minor) == (0, None)


def test_wire_names_that_python_reserves_have_another_name_here() -> None:
    changed = parse(StatusChanged, {"from": "active", "to": "blocked"})
    assert (changed.from_status, changed.to) == ("active", "blocked")
    assert changed.to_wire()["data"] == {"from": "active", "to": "blocked", "reason": ""}
    assert parse(TierChanged, {"from": "silver", "to": "gold", "direction": "up"}).from_tier == "silver"


def test_seconds_on_the_wire_are_a_timedelta_in_a_journey() -> None:
    ended = parse(SessionEnded, {"duration": 1800})
    assert ended.duration == timedelta(minutes=30)
    assert ended.to_wire()["data"]["duration"] == 1800


def test_the_two_spellings_of_in_app_are_one_channel() -> None:
    said = [parse(ConsentChanged, {"channel": name, "opted_in": True}).channel for name in ("inapp", "in_app")]
    assert said == ["in_app", "in_app"]
    assert parse(PlayerRegistered, {"opted_in": ["inapp", "email"]}).opted_in == ("in_app", "email")


def test_an_instant_is_kept_in_utc_whatever_offset_it_came_with() -> None:
    event = parse(
        Event.from_wire(PlayerRegistered.example().to_wire()).__class__, {}, occurred_at="2026-01-15T14:00+02:00"
    )
    assert event.occurred_at == NOON
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert event.to_wire()["time"] == "2026-01-15T12:00:00Z"


@pytest.mark.parametrize(
    "moment", ["2026-01-15T12:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x"]
)
def test_a_moment_without_offset_or_beyond_the_calendar_is_refused(moment: str) -> None:
    with pytest.raises(ValidationError) as error:
        parse(PlayerRegistered, {}, occurred_at=moment)
    assert wrong_keys(error) == {"occurred_at"}


@pytest.mark.parametrize(
    ("cls", "data", "key"),
    [
        (DepositApproved, {"payment_id": "p", "amount_minor": -1}, "amount_minor"),
        (DepositApproved, {"payment_id": "p", "amount_minor": 49.99}, "amount_minor"),
        (DepositApproved, {"payment_id": "p", "amount_minor": MAX_INTEGER + 1}, "amount_minor"),
        (DepositApproved, {"payment_id": "p", "amount_minor": 1, "currency": "eur"}, "currency"),
        (DepositApproved, {"payment_id": "p", "amount_minor": 1, "currency": "EURO"}, "currency"),
        (DepositApproved, {"payment_id": "", "amount_minor": 1}, "payment_id"),
        (DepositApproved, {"payment_id": "p" * 65, "amount_minor": 1}, "payment_id"),
        (DepositApproved, {"payment_id": "p", "amount_minor": 1, "method": "m\x00"}, "method"),
        (DepositApproved, {"payment_id": "p", "amount_minor": 1, "method": "\ud800"}, "method"),
        (PlayerRegistered, {"timezone": "Europe/Atlantis"}, "timezone"),
        (PlayerRegistered, {"timezone": "../etc/passwd"}, "timezone"),
        (PlayerRegistered, {"country": "UKR"}, "country"),
        (PlayerRegistered, {"language": "русский"}, "language"),
        (PlayerRegistered, {"opted_in": ["pigeon"]}, "opted_in"),
        (PlayerRegistered, {"opted_in": ["email"] * 17}, "opted_in"),
        (HarmSignal, {"indicator": "chasing", "strength": "huge"}, "strength"),
        (HarmSignal, {"indicator": "chasing", "strength": "weak", "score": 10_001}, "score"),
        (HarmSignal, {"indicator": "x", "strength": "weak", "evidence": {str(n): n for n in range(51)}}, "evidence"),
        (HarmSignal, {"indicator": "x", "strength": "weak", "evidence": {"a": float("nan")}}, "evidence"),
        (ProfileUpdated, {"changed": {"bio": "x" * 1001}}, "changed"),
        (ProfileUpdated, {"changed": {"bio": {"deep": 1}}}, "changed"),
        (ProfileUpdated, {"changed": {"timezone": "Mars/Phobos"}}, "changed"),
        (SessionEnded, {"duration": -1}, "duration"),
        (SessionEnded, {"duration": 10**12}, "duration"),
        (FeedbackAnswered, {"survey_id": "s", "kind": "nps", "score": 11}, "score"),
    ],
)
def test_a_value_outside_its_limits_is_refused_and_its_key_is_named(cls: type[Event], data: object, key: str) -> None:
    with pytest.raises(ValidationError) as error:
        parse(cls, data)
    assert wrong_keys(error) == {key}


def test_a_harm_signal_is_never_refused_for_an_indicator_we_have_no_name_for() -> None:
    assert parse(HarmSignal, {"indicator": "new_marker", "strength": "strong"}).strength == "strong"


def test_an_exclusion_without_an_end_is_for_ever() -> None:
    assert parse(ExclusionSet, {"kind": "self_exclusion"}).until is None


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_data_that_is_no_object_is_a_validation_error(data: object) -> None:
    with pytest.raises(ValidationError):
        parse(PlayerRegistered, data)


def test_data_cannot_replace_the_identity_of_its_envelope() -> None:
    event = parse(
        PlayerRegistered, {"event_id": "stolen", "event_source": "stolen", "occurred_at": "1999-01-01T00:00Z"}
    )
    assert (event.event_id, event.event_source, event.occurred_at) == ("e-1", "/test", NOON)


def test_a_key_no_class_declares_is_dropped() -> None:
    event = parse(DepositApproved, {"payment_id": "p", "amount_minor": 1, "card_number": "4111111111111111"})
    assert "4111111111111111" not in json.dumps(event.to_wire())


def test_a_type_nobody_declares_is_named_in_the_error() -> None:
    with pytest.raises(UnknownEventType, match=r"No event of type 'igaming\.player\.teleported\.v1' is declared;"):
        parse_event("igaming.player.teleported.v1", {}, event_id="e", event_source="/t", occurred_at=NOON)
    with pytest.raises(UnknownEventType):
        DepositApproved.from_wire(PlayerRegistered.example().to_wire())


def test_an_event_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DepositApproved.example().amount_minor = 1  # type: ignore[misc]


def test_redacting_takes_the_person_and_leaves_the_facts() -> None:
    registered = parse(
        PlayerRegistered,
        {
            "username": "anna",
            "email": "anna@example.com",
            "phone": "+380501234567",
            "first_name": "Anna",
            "birth_date": "1990-05-17",
            "country": "UA",
        },
    )
    assert registered.birth_date == date(1990, 5, 17)
    left = registered.redacted()
    assert (left.username, left.email, left.phone, left.first_name, left.birth_date) == (None,) * 5
    assert (left.country, left.event_id) == ("UA", "e-1")
    updated = parse(ProfileUpdated, {"changed": {"first_name": "Anna", "language": "uk"}}).redacted()
    assert updated.to_wire()["data"]["changed"] == {"first_name": None, "language": None}
    unmarked = DepositApproved.example()
    assert unmarked.redacted() is unmarked


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def posted(draw: st.DrawFn) -> tuple[type[Event], dict[str, Any]]:
    """An example of some class with a few of its values replaced by anything JSON can say."""
    cls = draw(st.sampled_from(OURS))
    keys = sorted(cls.data_schema()["properties"])
    changed = draw(st.dictionaries(st.sampled_from(keys), JSON, max_size=3))
    return cls, dict(cls.example_data) | changed


@given(posted())
@settings(max_examples=examples(400, quick=120))
def test_whatever_is_posted_is_refused_properly_or_survives_the_wire(case: tuple[type[Event], dict[str, Any]]) -> None:
    cls, data = case
    try:
        event = parse(cls, data)
    except ValidationError:
        return
    wire = json.dumps(event.to_wire(), allow_nan=False)
    assert "\\u0000" not in wire
    wire.encode()
    assert Event.from_wire(json.loads(wire)) == event
    redacted = event.redacted()
    assert all(name not in redacted.to_wire()["data"] or name == "changed" for name in cls.pii)
    assert Event.from_wire(redacted.to_wire()) == redacted


@given(
    st.dictionaries(
        st.sampled_from(["username", "email", "phone", "first_name"]), st.text(min_size=1, max_size=90), min_size=1
    )
)
@settings(max_examples=examples(100))
def test_no_personal_value_is_left_in_a_redacted_event(person: dict[str, str]) -> None:
    canary = {name: f"canary-{value}" for name, value in person.items()}
    try:
        registered, updated = parse(PlayerRegistered, canary), parse(ProfileUpdated, {"changed": canary})
    except ValidationError:
        return
    for event in (registered, updated):
        assert "canary" in json.dumps(event.to_wire())
        assert "canary" not in json.dumps(event.redacted().to_wire())


@pytest.fixture
def own_package() -> ModuleType:
    """A designer's package, not yet run; what it declares is taken out of the catalogue afterwards."""
    return ModuleType("acme_journeys")


@pytest.fixture(autouse=True)
def catalogue_as_it_was() -> Any:
    from workflows.events import base

    before = dict(base._classes)
    yield
    base._classes.clear()
    base._classes.update(before)


SOURCE = '''
from workflows.events import Event

class VipFlagged(Event, type="acme.vip_flagged", example={"level": 2}):
    """The house system marked the player. Level 1 to 3."""
    level: int
'''


def test_a_designer_declares_an_event_of_their_own(own_package: ModuleType) -> None:
    exec(SOURCE, own_package.__dict__)
    flagged = parse_event(
        "igaming.acme.vip_flagged.v1", {"level": 3}, event_id="e", event_source="/acme", occurred_at=NOON
    )
    assert isinstance(flagged, own_package.VipFlagged)
    assert own_package.VipFlagged.example().level == 2


def test_a_module_imported_twice_declares_its_events_once(own_package: ModuleType) -> None:
    exec(SOURCE, own_package.__dict__)
    first = own_package.VipFlagged
    exec(SOURCE, own_package.__dict__)
    second = own_package.VipFlagged
    assert second is not first
    assert CATALOGUE["igaming.acme.vip_flagged.v1"] is first
    wire = first.example().to_wire()
    assert isinstance(second.from_wire(wire), second), "a re-imported journey recognises its own class"


def test_two_classes_of_one_type_are_a_design_error_that_names_both(own_package: ModuleType) -> None:
    exec(SOURCE, own_package.__dict__)
    with pytest.raises(DesignError, match=r"Other and acme_journeys\.VipFlagged both declare .*another type\."):

        class Other(Event, type="acme.vip_flagged"):
            pass

    with pytest.raises(DesignError, match=r"both declare the event type igaming\.payment\.deposit_approved\.v1"):

        class Mine(Event, type="payment.deposit_approved"):
            pass


def test_a_wire_type_may_be_given_in_full() -> None:
    class Flagged(Event, type="acme.flagged", wire="com.acme/flagged.v7"):
        pass

    assert CATALOGUE["com.acme/flagged.v7"] is Flagged
    assert Flagged.type == "acme.flagged"


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"type": "Vip Flagged"}, "write it as domain.fact"),
        ({"type": "flagged"}, "write it as domain.fact"),
        ({"wire": "com.acme.flagged.v1"}, "gives wire= without type="),
        ({"type": "acme.flagged", "wire": "a b"}, "at most 128 letters"),
        ({"type": "acme.flagged", "unique": "nowhere"}, "name a field of its own without personal data"),
        ({"type": "acme.flagged", "unique": "event_id"}, "name a field of its own without personal data"),
    ],
)
def test_a_type_that_could_not_travel_is_a_design_error(kwargs: dict[str, str], sentence: str) -> None:
    with pytest.raises(EventDesignError, match=sentence):
        type("Flagged", (Event,), {"__module__": __name__}, **kwargs)


@pytest.mark.parametrize("cause", ["manual", "run", ENROLMENT])
def test_no_event_is_called_like_the_cause_of_a_run_that_no_event_began(cause: str) -> None:
    # The priority of a start and its line in the timeline tell them apart by this word alone.
    with pytest.raises(EventDesignError, match=r"write it as domain\.fact"):
        type("Caused", (Event,), {"__module__": __name__}, type=cause)


def test_a_personal_field_must_be_optional() -> None:
    with pytest.raises(EventDesignError, match=r"name is marked Pii and must be optional"):

        class Named(Event, type="acme.named"):
            name: Annotated[Text, Pii()]


def test_a_mark_inside_the_optional_is_found_too() -> None:
    class Nicknamed(Event, type="acme.nicknamed", example={"nickname": "Ace"}):
        nickname: Annotated[Text, Pii()] | None = None
        title: Annotated[Text | None, Pii] = None

    assert Nicknamed.pii == {"nickname", "title"}
    assert Nicknamed.example().redacted().nickname is None


def test_a_common_base_is_not_an_event_of_its_own() -> None:
    class Base(Event):
        shared: int = 1

    assert Base not in CATALOGUE.values()
    assert Base.wire_type == ""
    round_ = RoundCompleted.example()
    assert not isinstance(round_, Base)
