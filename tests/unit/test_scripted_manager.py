"""Whoever answers tasks in the demo and on a development stack can answer every one that is asked there."""

import ast
import importlib
import itertools
from pathlib import Path
from typing import Any

import httpx

from activities.roles import skills_of
from cli.keys import ROLES, SKILLS
from local.demo.scripted_manager import ANSWERS, ScriptedPerson, TaskWorker
from local.development_people import PEOPLE
from workflows.protection_forms import SKILL, TEAM

ROOT = Path(__file__).parent.parent.parent


def asked_of() -> set[tuple[str, str | None]]:
    """The teams whom shipped journeys and the engine itself ask, each with the skill it takes; from their source."""
    asked: set[tuple[str, str | None]] = {(TEAM, SKILL)}
    for path in (ROOT / "workflows" / "journeys").glob("*.py"):
        tree = ast.parse(path.read_text())
        named = vars(importlib.import_module(f"workflows.journeys.{path.stem}"))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "ask":
                given = {word.arg: word.value for word in call.keywords}
                skills = _said(given["skill"], named) if "skill" in given else [None]
                asked.update(itertools.product(_said(given["team"], named), skills))
    return asked


def _said(node: ast.expr, named: dict[str, Any]) -> list[Any]:
    """What an argument may be."""
    if isinstance(node, ast.IfExp):
        return _said(node.body, named) + _said(node.orelse, named)
    return [named[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)]


def test_every_skill_that_is_asked_for_is_exactly_one_scripted_person_s() -> None:
    for _, skill in asked_of():
        [role] = [role for role, answers in ANSWERS.items() if skill in answers]
        assert skill is None or skill in SKILLS[role]
        assert "tasks:work" in ROLES[role]


def test_every_task_is_some_development_person_s() -> None:
    for team, skill in asked_of():
        assert [
            one
            for one in PEOPLE
            if team in one.team and (skill is None or skill in {*one.skill, *skills_of(frozenset(one.role))})
        ], (team, skill)


async def test_whoever_is_refused_a_task_of_theirs_is_a_fault_and_others_tasks_are_left_alone() -> None:
    claimed: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            tasks = [{"id": skill, "form": f"Asks{skill}", "skill": skill} for skill in ("aml", "executive")]
            return httpx.Response(200, json={"items": tasks})
        claimed.append(request.url.path)
        return httpx.Response(403, json={"detail": "This task asks for the skill aml."})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://api") as client:
        worker = TaskWorker([ScriptedPerson("olena", client, frozenset({"aml"}))])
        await worker.look()
        await worker.look()
    assert set(claimed) == {"/v1/tasks/aml/claim"}
    assert worker.faults == ["Asksaml: olena was refused it: This task asks for the skill aml."]
    assert worker.completed == 0
