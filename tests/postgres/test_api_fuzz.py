"""The API against its own document: schemathesis sends what the document allows and what it forbids."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from activities.settings import Settings
from api.app import create_app
from tests.postgres.test_api_access import OPERATIONS
from tests.support.api_client import LINK_SECRET, serving
from tests.support.api_seed import seeded
from tests.support.examples import examples

#: They need no key and take nothing that could be wrong.
PUBLIC = ["live", "ready", "metrics", "show_unsubscribe", "unsubscribe"]
IDS = [*(operation.id for operation in OPERATIONS if operation.id != "list_caught"), *PUBLIC]
#: What the document cannot say, and so schemathesis cannot know.
EXCUSED = {
    # Each event is judged by itself: the batch is taken, the result of the event says what is wrong with it.
    "take_events": [negative_data_rejection],
    # Which answer fits is said by the task's own form.
    "complete_task": [positive_data_acceptance],
    # An exclusion ends in the future, a follow-up in years a calendar knows.
    "exclude_player": [positive_data_acceptance],
    "change_task": [positive_data_acceptance],
    # A header nobody asked for and a parameter given twice, of which the last counts, are no fault of a list.
    **{name: [negative_data_rejection] for name in IDS if name.startswith("list_")},
    # Segment's libraries repeat what is refused: every message is answered with 200 and judged in the answer.
    **{
        f"take_{call}": [negative_data_rejection]
        for call in ("track", "identify", "batch", "import", "page", "screen", "group", "alias")
    },
    # A player's id, the decimals of a currency and the sum of parts are more than a schema says.
    **{
        name: [positive_data_acceptance]
        for name in IDS
        if name.removeprefix("take_") in {"payment", "casino", "bonus", "consents", "blocks", "login", "user"}
    },
    "update_user": [positive_data_acceptance],
}


@dataclass(frozen=True)
class Target:
    schema: OpenApiSchema
    headers: dict[str, str]
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def target(module_postgres_url: str) -> AsyncIterator[Target]:
    """The application on a loop of schemathesis's own, with a player who has something of everything."""
    # A machine busy with other tests may be slow; that it is away is not what is tried here.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("api.database.CONNECT_TIMEOUT", timedelta(minutes=1))
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as api:
        ids = await seeded(api)
        headers = {"Authorization": f"Bearer {await api.key('admin')}"}
    settings = Settings(
        database_url=module_postgres_url, journeys=("tests.support.api_journeys",), link_secrets=(LINK_SECRET,)
    )
    app = create_app(settings)
    yield Target(schemathesis.openapi.from_asgi("/openapi.json", app), headers, ids)
    shutdown_lifespans()
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("operation_id", "mode"),
    [(name, mode) for name in IDS for mode in GenerationMode if mode is GenerationMode.POSITIVE or name not in PUBLIC],
)
@pytest.mark.hypothesis  # a property inside, which make prove tries on more
def test_every_answer_is_documented(target: Target, operation_id: str, mode: GenerationMode) -> None:
    operation = target.schema.find_operation_by_id(operation_id)

    @seed(2026)
    @settings(
        max_examples=examples(10),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def answers(case: Any, *, real: bool) -> None:
        if real:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = quote(target.ids[name], safe="")
        if mode is GenerationMode.POSITIVE and case.query:
            # Only an earlier answer can give one.
            case.query.pop("page_token", None)
        case.call_and_validate(headers=target.headers, excluded_checks=EXCUSED.get(operation_id, []))

    answers()
