"""The table of verbs: nothing that a new verb needs can be forgotten without a sentence that names it."""

import inspect

import pytest
from temporalio import activity

from activities.engine import worker_engine
from activities.settings import settings_from
from workflows import Player
from workflows.effects import EFFECTS, match_performers
from workflows.errors import DesignError
from workflows.verbs import VERBS, VerbSpec, match_methods


def test_a_verb_without_a_row_is_refused_where_players_are_declared() -> None:
    class Spinner(Player):
        locals().update(vars(Player))

        async def spin(self) -> None: ...

    with pytest.raises(DesignError, match=r"^Player\.spin has no row in workflows/verbs\.py; say there what"):
        match_methods(Spinner)


def test_a_row_without_a_verb_is_refused() -> None:
    class Sleeper:
        async def sleep(self) -> None: ...

    with pytest.raises(DesignError) as refused:
        match_methods(Sleeper)
    assert len(str(refused.value).splitlines()) == len(VERBS) - 1
    assert "has a row for grant, which Player has no method for; write the method or drop the row." in str(
        refused.value
    )


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_a_row_names_parameters_that_the_verb_has(verb: VerbSpec) -> None:
    parameters = inspect.signature(getattr(Player, verb.name)).parameters
    assert {verb.limit, verb.subject} - {None} <= set(parameters)
    assert verb.waits or verb.limit is None


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
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "WEBHOOK_SECRET": "whsec_c2VjcmV0"}
    async with worker_engine(settings_from(nowhere)) as engine:
        definitions = [activity._Definition.must_from_callable(one) for one in engine.activities]
    match_performers([definition.name or "" for definition in definitions], "the worker")
