"""Texts that people wrote into forms: a run holds references to them, and a message gets the words."""

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tasks import answers_of_run
from workflows.effects import Send
from workflows.forms import text_referred_to


async def with_texts(connection: AsyncConnection, request: Send) -> Send:
    """The request with what people wrote into forms in place of the references that a run holds.

    A text that is not there any more is left out, so that the message fails instead of showing a reference.
    """
    places = {name: place for name, value in request.variables.items() if (place := text_referred_to(value))}
    if not places:
        return request
    answers = await answers_of_run(connection, request.run_id, {step for step, _ in places.values()})
    texts = {name: answers.get(step, {}).get(field) for name, (step, field) in places.items()}
    known = {name: value for name, value in request.variables.items() if name not in texts}
    return request.model_copy(update={"variables": known | {name: text for name, text in texts.items() if text}})
