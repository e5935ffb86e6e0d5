"""What a message tells of the grant it is about: read from the grant, so that text and reward cannot differ."""

from datetime import datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import grants
from content.offer_words import offer_variables
from workflows.effects import Send
from workflows.json_object import JsonObject

#: Under which a request holds what was granted until it is written in words.
OFFER: Final = "offer"


async def with_offer(connection: AsyncConnection, request: Send) -> Send:
    """The request with the reward of its grant, if it is about one.

    A grant that was not given leaves the message without words, so that it fails instead of promising something.
    """
    if request.offer is None:
        return request
    mine = (grants.c.id == request.offer, grants.c.brand == request.brand, grants.c.player_id == request.player_id)
    found = await connection.execute(
        select(grants.c.reward, grants.c.resolved_at).where(*mine, grants.c.status == "confirmed")
    )
    row = found.one_or_none()
    given = {name: value for name, value in request.variables.items() if name != OFFER}
    if row is None:
        return request.model_copy(update={"variables": {**given, OFFER: {}}})
    until = row.resolved_at + timedelta(seconds=row.reward["valid"])
    return request.model_copy(
        update={"variables": {**given, OFFER: {"reward": row.reward, "until": until.isoformat()}}}
    )


def in_words(variables: JsonObject, language: str, zone: tzinfo, currency: str | None) -> JsonObject:
    """The variables with the words of the offer among them; what the journey itself says of it stays."""
    offer = variables.get(OFFER)
    if not isinstance(offer, dict):
        return variables
    if not offer:
        # No text renders with a value that is none.
        return {**variables, OFFER: False}
    words = offer_variables(offer["reward"], datetime.fromisoformat(offer["until"]), language, zone, currency)
    return {**words, **{name: value for name, value in variables.items() if name != OFFER}}
