"""Shadows: who is drawn, what their runs are called, what every effect is answered."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.player_events import BRAND, NOON, declared, only, rules, stored
from workflows import DepositApproved, ExclusionSet, SessionEnded, SessionLogin, always, count, days, on
from workflows.effects import EFFECTS, WITHHOLD, EffectInput, Send, SendResult
from workflows.gate.facts import GateFacts
from workflows.gate.policy import Policy
from workflows.player_state.decisions import ShadowStart, Start, Stop, Wake
from workflows.player_state.identities import run_id_of
from workflows.player_state.shadow_runs import LOST_AFTER, MOST_SHADOW_RUNS
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex
from workflows.shadows import Shadow, is_shadow_run, shadow_run_id
from workflows.withheld import Seen, would_be

percents = st.floats(0, 100)


@given(st.text(max_size=20), percents, percents)
def test_who_is_drawn_stays_drawn_when_the_percentage_grows(player: str, one: float, other: float) -> None:
    few, many = (Shadow(1, "hello", 8, percent) for percent in sorted((one, other)))
    assert many.draws(BRAND, player) or not few.draws(BRAND, player)


def test_about_so_many_are_drawn_and_all_of_them_at_a_hundred() -> None:
    players = [f"p-{n}" for n in range(4_000)]
    drawn = sum(Shadow(1, "hello", 8, 5).draws(BRAND, player) for player in players)
    assert 140 < drawn < 260
    assert all(Shadow(1, "hello", 8, 100).draws(BRAND, player) for player in players)
    assert not any(Shadow(1, "hello", 8, 0).draws(BRAND, player) for player in players)


@given(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
    st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True),
    st.text(),
    st.integers(1),
    st.integers(1),
)
def test_no_id_of_a_shadow_run_is_ever_one_of_a_live_run(
    journey: str, brand: str, player: str, entry: int, number: int
) -> None:
    live = f"{journey}:{brand}:{player}:{entry}"
    assert not is_shadow_run(live)
    assert is_shadow_run(shadow_run_id(number, live))


# ---- the player's row -----------------------------------------------------------------------------


HELLO = declared("hello", on(SessionLogin), entry=always, exit_on=[SessionEnded], listens=[DepositApproved], control=0)
SHADOWED = rules(HELLO).shadowing({"hello": Shadow(3, "hello", 0, 100)})


CAUSE = {"type": SessionLogin.type, "source": "/test", "id": "SessionLogin-1"}
LIVE = run_id_of("hello", BRAND, "p", CAUSE, timedelta(0), 0)
SHADOW = shadow_run_id(3, LIVE)


def happened(kind: type[Any], number: int = 1, **data: Any) -> Any:
    given = {"event_id": f"{kind.__name__}-{number}", "event_source": "/test", "occurred_at": NOON}
    return kind(**{**kind.example_data, **given, **data})


def entered(state: PlayerState, at: RuleIndex = SHADOWED) -> list[ShadowStart]:
    (start,) = only(Start, state.advance(happened(SessionLogin), at, NOON, []))
    return only(ShadowStart, state.begin_shadow(start, at))


def test_a_shadow_takes_no_place_and_no_count_in_the_journey() -> None:
    plain, shadowed = PlayerState(BRAND, "p"), PlayerState(BRAND, "p")
    assert entered(plain, rules(HELLO)) == []
    (begun,) = entered(shadowed)
    assert (begun.run_id, begun.version) == (SHADOW, 0)
    assert (shadowed.runs, shadowed.entries, shadowed.next_moment) == (plain.runs, plain.entries, plain.next_moment)
    assert stored(shadowed) == shadowed


def test_an_event_wakes_the_run_and_its_shadow_each_under_numbers_of_their_own() -> None:
    state = PlayerState(BRAND, "p")
    entered(state)
    woken = only(Wake, state.advance(happened(DepositApproved), SHADOWED, NOON, []))
    assert [(one.run_id, one.seq) for one in woken] == [(LIVE, 1), (SHADOW, 1)]


def test_a_run_that_is_stopped_takes_its_shadow_along_once() -> None:
    state = PlayerState(BRAND, "p")
    entered(state)
    stops = only(Stop, state.stop(LIVE, "stopped_by_hand", NOON))
    assert [one.run_id for one in stops] == [LIVE, SHADOW]
    assert state.stop_all("self_excluded", NOON) == []
    assert only(Wake, state.advance(happened(DepositApproved), SHADOWED, NOON, [])) == []


def test_an_exclusion_and_an_exit_stop_a_shadow_whose_live_run_is_over() -> None:
    for kind, reason in ((ExclusionSet, "self_excluded"), (SessionEnded, f"exit_on:{SessionEnded.type}")):
        state = PlayerState(BRAND, "p")
        entered(state)
        state.end(LIVE, NOON)
        (stop,) = only(Stop, state.advance(happened(kind), SHADOWED, NOON, []))
        assert (stop.run_id, stop.reason) == (SHADOW, reason)


def test_a_shadow_that_never_said_its_end_is_forgotten_after_it_must_be_over() -> None:
    state = PlayerState(BRAND, "p")
    entered(state)
    late = NOON + HELLO.ends_after + LOST_AFTER + timedelta(seconds=1)
    state.advance(happened(DepositApproved, occurred_at=late), SHADOWED, late, [])
    assert state.shadows == {}


def test_a_row_holds_so_many_shadows_and_no_more() -> None:
    state = PlayerState(BRAND, "p")
    for number in range(MOST_SHADOW_RUNS + 5):
        run = Start(f"hello:acme:p:{number}", "hello", "treated", NOON, NOON + days(1), None, None)
        state.begin_shadow(run, SHADOWED)
    assert len(state.shadows) == MOST_SHADOW_RUNS


def test_nobody_in_the_control_group_and_nobody_protected_has_a_shadow() -> None:
    run = Start(LIVE, "hello", "control", NOON, NOON + days(1), None, None)
    refused = Start(LIVE, "hello", "treated", NOON, NOON + days(1), None, None, refused="self_excluded")
    for start in (run, refused):
        assert PlayerState(BRAND, "p").begin_shadow(start, SHADOWED) == []


def test_a_release_whose_code_is_not_here_is_left_to_whoever_has_it() -> None:
    index = rules(HELLO)
    assert index.shadowing({"hello": Shadow(3, "hello", 9, 100), "gone": Shadow(4, "gone", 1, 100)}) is index


# ---- what is withheld -----------------------------------------------------------------------------


class _Text:
    message_class = "marketing"
    suppress_if_active_today = False


MEASURED = count(SessionLogin)


def seen(**more: Any) -> Seen:
    known: dict[str, Any] = {
        "now": NOON,
        "policy": Policy(),
        "product": "casino",
        "rules": SHADOWED,
        "templates": lambda _: _Text(),
        "state": PlayerState(BRAND, "p"),
        "facts": GateFacts(
            status="active",
            exclusions=(),
            harm="none",
            harm_signs={},
            paused_until=(),
            is_test=False,
            consents={"email": True, "sms": True},
            addresses=("email", "sms"),
            timezone="UTC",
            activity=(),
            contacts=(),
        ),
        "beside": LIVE,
    }
    return Seen(**known | more)


@pytest.mark.parametrize("effect", [effect for effect in EFFECTS if effect is not WITHHOLD], ids=lambda one: one.name)
def test_every_effect_can_be_withheld_and_answers_as_its_contract_says(effect: Any) -> None:
    fields = effect.input.model_fields
    given: dict[str, Any] = {
        "template": "guide",
        "via": ["email"],
        "reward": {"kind": "points", "points": 5},
        "form": "Call",
        "question": "?",
        "grant_id": "g",
        "form_schema": {},
        "team": "vip",
        "due_at": NOON,
        "facts": {"player_id": "p"},
        "task_id": "t",
        "move": "expire",
        "start": "hello",
        "segment": "well_off",
        "measure": MEASURED.key,
        "name": "x",
        "outcome": "completed",
        "currency": "points",
        "hours": 72,
        "why": "a large loss",
        "wheel": "daily",
        "until": NOON,
        "score": "churn",
        "experiment": "greeting",
        "experiment_version": 1,
        "arms": {"plain": 50, "warm": 50},
    }
    common = {"brand": BRAND, "player_id": "p", "journey": "hello", "run_id": "shadow-3:x", "step": "x#1"}
    request = effect.input(**common, **{name: value for name, value in given.items() if name in fields})
    reader = declared("reader", on(SessionLogin))
    came = would_be(request, seen(rules=rules(replace(reader, measures=(MEASURED,)))))
    assert isinstance(came.answer, effect.output)
    assert effect.read(came.answer.model_dump(mode="json")) == came.answer


def test_an_effect_that_nobody_can_withhold_is_a_mistake() -> None:
    unknown = EffectInput(brand=BRAND, player_id="p", journey="hello", run_id="shadow-3:x", step="x#1")
    with pytest.raises(TypeError, match=r"say in workflows/withheld\.py"):
        would_be(unknown, seen())


def test_a_channel_that_was_decided_before_the_night_is_not_asked_about_again() -> None:
    request = Send(
        brand=BRAND,
        player_id="p",
        journey="hello",
        run_id="shadow-3:x",
        step="send:guide#1",
        template="guide",
        via=["email", "sms"],
    )
    came = would_be(request, seen(decided={"email": "no_consent"}))
    assert came.answer == SendResult(sent=["sms"], suppressed={"email": "no_consent"})
