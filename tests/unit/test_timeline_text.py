"""What happened, in words: no code that the engine stores reaches a person as it is stored."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from activities.providers.adapter import RejectionReason
from activities.runs import STOPPED
from api.timeline_text import REASONS, STEPS, reason, sentence_of
from workflows.effects import SendOutcome
from workflows.gate.reasons import Reason
from workflows.player_state.decisions import GrantStage

ROOT = Path(__file__).parent.parent.parent


def functions(*folders: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of ours in these folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield node


def written(node: ast.expr | None) -> set[str]:
    """The strings an expression may be: itself, either branch of a choice, any part of an `or`."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=body, orelse=other):
            return written(body) | written(other)
        case ast.BoolOp(values=parts):
            return {text for part in parts for text in written(part)}
    return set()


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def run_outcomes() -> set[str]:
    """What a run may end as: what is raised, assigned or returned as its outcome."""
    found = {STOPPED}
    for function in functions("workflows"):
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="JourneyExit"), args=[outcome]):
                    found |= written(outcome)
                case ast.Assign(targets=[target], value=outcome) if name_of(target) in {"outcome", "exit"}:
                    found |= written(outcome)
                case ast.Return(value=outcome) if function.name == "_perform":
                    found |= written(outcome)
    return found


def step_outcomes() -> set[str]:
    """What a step may come to: the outcome of its line in the story."""
    found = {*get_args(SendOutcome), "started", "refused"}
    for function in functions("workflows", "activities"):
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="record_steps" | "record"), args=[_, _, _, outcome, *_]):
                    found |= written(outcome)
                case ast.Call(func=ast.Attribute(attr="record"), args=[_, outcome, *_]):
                    found |= written(outcome)
    return found


def refusals() -> set[str]:
    """Why a message or a grant came to nothing, as it is stored."""
    found = {*Reason, *get_args(RejectionReason)}
    for function in functions("activities"):
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="Declined"), keywords=[ast.keyword(value=why)]):
                    found |= written(why)
                case ast.Call(func=ast.Attribute(attr="_update_status"), args=[_, _, _, why]):
                    found |= written(why)
    return {str(code) for code in found}


def test_the_codes_are_really_found() -> None:
    assert {"completed", "ended", "cancelled", "failed", "stopped", STOPPED} <= run_outcomes()
    assert {"sent", "suppressed", "timed_out", "started", "refused", "marked", "full"} <= step_outcomes()
    assert {"quiet_hours", "address_invalid", "protected_meanwhile", "outcome_unknown"} <= refusals()


@pytest.mark.parametrize("code", sorted(run_outcomes() | refusals()))
def test_every_reason_and_every_end_of_a_run_has_words(code: str) -> None:
    assert code in REASONS, f"Write in api/timeline_text.py what {code!r} means to people who look after players."


@pytest.mark.parametrize("code", sorted(step_outcomes()))
def test_everything_a_step_may_come_to_has_words(code: str) -> None:
    assert code in STEPS, f"Write in api/timeline_text.py what {code!r} means to people who look after players."


@pytest.mark.parametrize("code", [*REASONS, *STEPS])
def test_words_complete_a_sentence(code: str) -> None:
    words = REASONS.get(code) or STEPS[code]
    assert words[0].islower()
    assert words[-1].isalpha()
    assert "_" not in words


@pytest.mark.parametrize(
    ("kind", "name", "detail", "sentence"),
    [
        ("run", "ended", {"outcome": "failed"}, "Left welcome: its code gave up, and Temporal keeps the error."),
        ("run", "ended", {"outcome": "exit_on:payment.deposit_approved"}, "Left welcome: deposit approved ends it."),
        ("step", "event:DepositApproved#1", {"outcome": "timed_out"}, "did not happen in time."),
        ("step", "event:DepositApproved#1", {"outcome": "DepositApproved"}, "event DepositApproved: DepositApproved."),
        ("step", "split:offer#1", {"outcome": "refused"}, "welcome, split offer: refused."),
        ("step", "split:offer#1", {"outcome": "sent"}, "welcome, split offer: sent."),
        ("step", "end", {"outcome": "failed"}, "welcome, end: its code gave up, and Temporal keeps the error."),
    ],
)
def test_what_happened_reads_as_a_sentence(kind: str, name: str, detail: dict[str, Any], sentence: str) -> None:
    assert sentence_of(kind, name, "welcome", detail).endswith(sentence)


@pytest.mark.parametrize("stage", get_args(GrantStage))
def test_how_far_a_reward_came_reads_as_a_sentence(stage: str) -> None:
    told = sentence_of("grant", "free_spins", "welcome", {"status": "confirmed", "stage": stage})
    assert told.startswith("Free spins ")
    assert told != sentence_of("grant", "free_spins", "welcome", {"status": "confirmed"}) == "Free spins was given."
    assert sentence_of("grant", "cash", "welcome", {"status": "revoked", "stage": stage}) == "Cash was taken back."


def test_what_it_does_not_know_it_names_as_it_is_stored() -> None:
    assert reason("not_eligible") == "not eligible"


def test_who_entered_the_control_group_did_so_because_of_what_happened_and_lacks_no_offers_for_it() -> None:
    entered = {"arm": "control", "trigger": {"type": "player.registered"}}
    told = sentence_of("run", "entered", "welcome", entered)
    assert told == "Entered welcome because of registered, in the control group, which gets no offers."
    assert (
        sentence_of("run", "entered", "welcome", entered | {"arm": "treated"})
        == "Entered welcome because of registered."
    )
    assert sentence_of("run", "entered", "welcome", {"arm": "control"}).startswith(
        "Entered welcome in the control group"
    )
