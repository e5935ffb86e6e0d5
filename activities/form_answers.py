"""Texts that people wrote into forms: a run holds references to them, and a message gets the words."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import tasks
from workflows.effects import Send, task_id_of
from workflows.forms import text_referred_to
from workflows.json_object import JsonObject


async def with_texts(connection: AsyncConnection, request: Send) -> Send:
    """The request with what people wrote into forms in place of the references that a run holds.

    A text that is not there any more is left out, so that the message fails instead of showing a reference.
    """
    places = {name: place for name, value in request.variables.items() if (place := text_referred_to(value))}
    if not places:
        return request
    answers = await _answers_of_run(connection, request.run_id, {step for step, _ in places.values()})
    texts = {name: answers.get(step, {}).get(field) for name, (step, field) in places.items()}
    known = {name: value for name, value in request.variables.items() if name not in texts}
    return request.model_copy(update={"variables": known | {name: text for name, text in texts.items() if text}})


async def _answers_of_run(connection: AsyncConnection, run_id: str, steps: Collection[str]) -> dict[str, JsonObject]:
    """What people answered to the tasks that these steps of a run opened, by step."""
    ids = [task_id_of(f"{run_id}/{step}") for step in steps]
    found = await connection.execute(select(tasks.c.step, tasks.c.answer).where(tasks.c.id.in_(ids)))
    return {row.step: row.answer for row in found if row.answer is not None}
