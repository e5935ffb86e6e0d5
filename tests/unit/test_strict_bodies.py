"""Numbers and switches in the body of every route are taken as they are written, or refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.routing import BaseRoute

from activities.settings import Settings
from api.app import create_app
from workflows.field_types import Whole

SETTINGS = Settings(database_url="postgresql+psycopg://nobody@127.0.0.1/none", link_secrets=("x" * 40,))


def _routes(routes: list[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(router := getattr(route, "original_router", route), APIRouter):
            yield from _routes(router.routes)


BODIES: dict[str, Any] = {
    f"{min(route.methods or ())} {route.path}": route.body_field.field_info.annotation
    for route in _routes(create_app(SETTINGS).routes)
    if route.body_field is not None
}


def _lax(schema: Any, place: str = "") -> Iterator[str]:
    """Where pydantic would turn something else into a number or a switch, such as `true` into 1."""
    if isinstance(schema, dict):
        if schema.get("type") == "function-before" and schema["function"].get("function") is Whole.func:
            return
        if schema.get("type") in {"int", "float", "bool"} and not schema.get("strict"):
            yield place
        for name, part in schema.items():
            if name not in {"metadata", "serialization"}:
                yield from _lax(part, f"{place}/{name}")
    elif isinstance(schema, list | tuple):
        for number, part in enumerate(schema):
            yield from _lax(part, f"{place}/{number}")


@pytest.mark.parametrize("route", BODIES)
def test_no_number_and_no_switch_of_a_body_is_made_out_of_something_else(route: str) -> None:
    assert list(_lax(TypeAdapter(BODIES[route]).core_schema)) == []


def test_many_routes_take_a_body_and_what_is_looked_for_would_be_found() -> None:
    assert len(BODIES) > 20
    assert list(_lax(TypeAdapter(dict[str, int]).core_schema)) == ["/values_schema"]
