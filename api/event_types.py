"""The catalogue of event types as JSON: every type with its fields and an example."""

from functools import cache
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.permissions import Key, needs
from api.problems import COMMON
from content.event_descriptions import description
from workflows.events import CATALOGUE, Event, SessionLogin
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/event-types", tags=["events"])


class EventType(BaseModel):
    """A type of event that journeys know."""

    type: str = Field(description="The CloudEvents `type`.", examples=[SessionLogin.wire_type])
    postable: bool = Field(description="Whether it may be sent. The others are computed here from those that are.")
    description: str = Field(description="What it says, in which units, and who tells it.")
    data_schema: JsonObject = Field(
        description="JSON Schema of `data`. Keys that are not in it are dropped.", examples=[{"type": "object"}]
    )
    example: JsonObject | None = Field(description="A whole CloudEvent; null if its author gave none.")


@cache
def event_type(kind: type[Event]) -> EventType:
    """A class of events as its senders see it."""
    try:
        example = {"specversion": "1.0", "subject": "p-1001", **kind.example().to_wire()}
    except ValidationError:
        example = None
    return EventType(
        type=kind.wire_type,
        postable=not kind.derived,
        description=description(kind),
        data_schema=kind.data_schema(),
        example=example,
    )


class EventTypes(BaseModel):
    """Every type, by name; there are few enough for one page."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [event_type(SessionLogin).model_dump(mode="json")]}]}
    )

    items: list[EventType]


@router.get("", responses=COMMON)
async def list_event_types(_key: Annotated[Key, needs()]) -> EventTypes:
    """Every type of event, the house's own included, with the schema of its `data` and an example."""
    return EventTypes(items=[event_type(kind) for _, kind in sorted(CATALOGUE.items())])
