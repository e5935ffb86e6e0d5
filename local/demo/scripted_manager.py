"""Scripted people who answer tasks: list open tasks over HTTP, claim those that are theirs and fill their forms."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jsonschema

#: Seconds between two looks at the list of open tasks.
PAUSE = 0.3

#: Who answers what, by the role of their key: tasks that ask for one of these skills, or (None) for none.
#: Each skill is one person's, so that the head never checks what the head alone may sign.
ANSWERS: Mapping[str, frozenset[str | None]] = {
    "vip-manager": frozenset({None, "aml"}),
    "vip-head": frozenset({"executive"}),
    "safer-play": frozenset({"rg", "harm_review"}),
}

#: By the same: who they say they are, where pairs of eyes are counted.
SIGNS_AS: Mapping[str, str] = {"vip-head": "edward"}


@dataclass(frozen=True)
class ScriptedPerson:
    """Somebody with a key of their own, and the skills whose tasks they answer."""

    name: str
    client: httpx.AsyncClient
    answers: frozenset[str | None]


class TaskWorker:
    """Works every open task until told to stop; `completed` counts the answers that were taken.

    Whoever is refused a task that is theirs is a fault: their key lacks what the task asks for.
    """

    def __init__(self, people: Sequence[ScriptedPerson]) -> None:
        self._people = people
        self.completed = 0
        self.faults: list[str] = []

    async def work(self) -> None:
        """Look for open tasks again and again; ends by being cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PAUSE)

    async def look(self) -> None:
        """Look for open tasks once, and answer them. Whatever goes wrong on the way is tried at the next look."""
        for person in self._people:
            with suppress(httpx.HTTPError):
                answer = await person.client.get("/v1/tasks", params={"state": "open", "page_size": 200})
                for task in answer.raise_for_status().json()["items"]:
                    if task.get("skill") in person.answers:
                        await self._answer(person, task)

    async def _answer(self, person: ScriptedPerson, listed: Mapping[str, Any]) -> None:
        task_url = f"/v1/tasks/{listed['id']}"
        claimed = await person.client.post(f"{task_url}/claim")
        if claimed.status_code == httpx.codes.FORBIDDEN:
            self._fault(f"{listed['form']}: {person.name} was refused it: {claimed.json()['detail']}")
        if claimed.is_error:
            return  # somebody was faster, or the journey has ended; the list will tell
        task = claimed.json()
        headers = {"If-Match": claimed.headers["ETag"]}
        try:
            body = {"answer": fill(task["form_schema"])}
        except jsonschema.ValidationError as error:
            self._fault(f"{task['form']} cannot be filled by a script: {error.message}")
            return
        done = await person.client.post(f"{task_url}/complete", json=body, headers=headers)
        if done.is_success:
            self.completed += 1
        elif done.status_code != 409:
            self._fault(f"{task['form']}: {done.json().get('detail', done.text)}")

    def _fault(self, sentence: str) -> None:
        """Remember a fault, once however often it is met."""
        if sentence not in self.faults:
            self.faults.append(sentence)


def fill(schema: Mapping[str, Any]) -> Any:
    """An answer that a form's JSON Schema allows, the friendliest one: yes, the first choice, a short sentence.

    Raises jsonschema's ValidationError for a schema it cannot fill.
    """
    answer = _fill(schema, schema)
    jsonschema.validate(answer, schema, format_checker=jsonschema.FormatChecker())
    return answer


def _fill(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    schema = _resolved(schema, root)
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return choices[0]
    match schema.get("type"):
        case "object":
            return {name: _fill(schema["properties"][name], root) for name in schema.get("required", ())}
        case "array":
            return [_fill(schema["items"], root)] * int(schema.get("minItems", 0))
        case "string":
            return _text(schema)
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case kind:
            return True if kind == "boolean" else None


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, and take the first of alternatives."""
    while True:
        alternatives = next((schema[name] for name in ("anyOf", "oneOf", "allOf") if name in schema), None)
        if alternatives is not None:
            schema = alternatives[0]
        elif "$ref" in schema:
            target: Any = root
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        else:
            return schema


def _text(schema: Mapping[str, Any]) -> str:
    soon = datetime.now(UTC) + timedelta(days=7)
    known = {"date": soon.date().isoformat(), "date-time": soon.isoformat(), "email": "host@synthetic.example"}
    text = known.get(schema.get("format", ""), "Checked by the manager of the demo.")
    return text.ljust(int(schema.get("minLength", 0)), ".")[: schema.get("maxLength")]
