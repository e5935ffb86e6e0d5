"""The table of verbs: nothing that a new verb needs can be forgotten without a sentence that names it."""

import inspect
from datetime import timedelta
from typing import get_args

import pytest

from activities.engine import worker_engine
from activities.settings import settings_from
from stage.flow.diagram import picture
from tests.support.outside_packages import Write, journey_of, mistakes
from workflows import Player
from workflows.effects import (
    EFFECTS,
    AwardResult,
    GiveResult,
    SendOutcome,
    StartOutcome,
    TaskMove,
    match_performers,
)
from workflows.errors import DesignError
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import load
from workflows.temporal_internals import activity_name
from workflows.verb_table import VERBS, VerbSpec, match_methods

CROWN = VerbSpec(
    name="crown",
    shape="reward",
    waits=True,
    limit="within",
    subject="badge",
    results=("worn", "not worn"),
    outcomes={},
)


async def crown(self: Player, badge: str, *, within: timedelta) -> bool:
    """A verb that this file alone knows."""
    raise NotImplementedError


def test_a_verb_without_a_row_is_refused_where_players_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Player, "crown", crown, raising=False)
    with pytest.raises(DesignError, match=r"^Player\.crown has no row in workflows/verb_table\.py; say there what"):
        match_methods(Player)


def test_a_method_and_a_row_are_all_that_start_up_the_check_and_the_diagram_need(
    monkeypatch: pytest.MonkeyPatch, package: Write
) -> None:
    monkeypatch.setattr(Player, "crown", crown, raising=False)
    monkeypatch.setitem(VERBS, "crown", CROWN)
    match_methods(Player)
    assert mistakes(package({"hello": journey_of("player.crown('gold')")})) == [
        "Journey hello, line 9: player.crown(...) does nothing without await; write await player.crown(...).",
        "Journey hello, line 9: player.crown(...) waits without an end; add within=, such as within=days(1).",
    ]
    body = "if await player.crown(badge='gold', within=days(1)) is not None:\n    await player.mark('proud')"
    flow = read_flow(load([package({"hello": journey_of(body)})]).journeys["hello"])
    step, mark = flow.steps
    assert (step.name, step.shape, step.waits) == ("crown:gold", "reward", True)
    assert [(edge.words, edge.target is mark) for edge in flow.after(step)] == [("worn", True), ("1 day passed", False)]
    assert [card.kind for card in picture(flow).cards] == ["start", "reward", "other", "end"]


def test_a_row_without_a_verb_is_refused() -> None:
    class Sleeper:
        async def sleep(self) -> None: ...

    with pytest.raises(DesignError) as refused:
        match_methods(Sleeper)
    assert len(str(refused.value).splitlines()) == len(VERBS) - 1
    assert "has a row for grant, but Player has no method so named; write it or drop the row." in str(refused.value)


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_a_row_names_parameters_that_the_verb_has(verb: VerbSpec) -> None:
    parameters = inspect.signature(getattr(Player, verb.name)).parameters
    assert {verb.limit, verb.subject} - {None} <= set(parameters)
    assert verb.waits or verb.limit is None


@pytest.mark.parametrize(
    ("verb", "outcomes"),
    [
        ("send", get_args(SendOutcome)),
        ("grant", get_args(GiveResult.model_fields["status"].annotation)),
        ("award", get_args(AwardResult.model_fields["status"].annotation)),
        ("ask", get_args(TaskMove)),
        ("start", get_args(StartOutcome)),
    ],
)
def test_a_row_has_words_for_every_outcome_of_the_contract(verb: str, outcomes: tuple[str, ...]) -> None:
    assert outcomes
    assert set(outcomes) <= VERBS[verb].outcomes.keys()


def test_an_outcome_has_the_same_words_whichever_verb_came_to_it() -> None:
    words: dict[str, set[str]] = {}
    for verb in VERBS.values():
        for outcome, text in verb.outcomes.items():
            words.setdefault(outcome, set()).add(text)
    assert {outcome: texts for outcome, texts in words.items() if len(texts) > 1} == {}


def test_an_effect_that_nobody_performs_is_told() -> None:
    names = {effect.name for effect in EFFECTS}
    match_performers(names, "a theatre")
    with pytest.raises(DesignError) as refused:
        match_performers({*names, "spin"} - {"grant"}, "a theatre")
    assert str(refused.value).splitlines() == [
        "Nothing in a theatre performs the effect grant; write what does.",
        "a theatre performs spin, which is no effect; declare it or drop it.",
    ]


async def test_the_worker_performs_every_effect() -> None:
    nowhere = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "WEBHOOK_SECRET": "whsec_c2VjcmV0",
        "LINK_SECRETS": "a secret of twenty-four bytes",
    }
    async with worker_engine(settings_from(nowhere)) as engine:
        match_performers([activity_name(one) for one in engine.activities], "the worker")
