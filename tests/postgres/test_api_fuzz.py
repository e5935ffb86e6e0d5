"""The API against its own document: schemathesis sends what the document allows and what it forbids."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.postgres.test_api_access import OF_PLAYERS, OPERATIONS
from tests.support.described_api import DescribedApi, described_api
from tests.support.examples import examples

#: They need no key and take nothing that could be wrong.
PUBLIC = ["live", "ready", "metrics", "show_unsubscribe", "unsubscribe", "show_question", "answer_question"]
#: What a player's token opens; a stream has no end to wait for.
PLAYERS = [operation.id for operation in OF_PLAYERS if operation.id != "my_stream"]
IDS = [*(operation.id for operation in OPERATIONS if operation.id != "list_caught"), *PUBLIC, *PLAYERS]
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
    **{name: [negative_data_rejection] for name in IDS if name.startswith(("list_", "my_"))},
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
    # A tier is asked for of one host's players only.
    "list_players": [negative_data_rejection, positive_data_acceptance],
    # A zone is one that IANA knows, a role one of ours, and what is given ends in the future.
    **{name: [positive_data_acceptance] for name in ("add_person", "change_person", "give")},
    # A due time is to come, an absence ends after it begins, and a quiet time has two ends.
    **{name: [positive_data_acceptance] for name in ("open_task", "move_due_time", "add_absence", "change_work")},
    # A webhook's address is public, and its types are some that there are.
    **{name: [positive_data_acceptance] for name in ("create_webhook", "change_webhook")},
    # A template speaks some channels only.
    "preview_template": [positive_data_acceptance],
    # A key that decided something else before is told so.
    **{f"{verb}_journey": [positive_data_acceptance] for verb in ("close", "open", "hold", "resume", "stop")},
    # A player's id is more than a schema says.
    "mint_token": [positive_data_acceptance],
    # Nothing is no correction, and who asked does not decide.
    **{name: [positive_data_acceptance] for name in ("correct_points", "decide_correction")},
    # What a player may do now, no schema knows.
    **{
        name: [positive_data_acceptance]
        for name in ("spin_wheel", "begin_mission", "claim_mission", "take_seat", "buy_item", "cancel_purchase")
    },
    # Runs move only to a release that is deployed, which no schema knows.
    **{name: [positive_data_acceptance] for name in ("preview_migration", "migrate_journey")},
}

#: What the document lists: in the place of a wrong one, one of these would make a wrong request right.
OF_A_FEW = {"use"}


@pytest.fixture(scope="module")
async def target(module_postgres_url: str) -> AsyncIterator[DescribedApi]:
    async with described_api(module_postgres_url) as described:
        yield described


@pytest.mark.parametrize(
    ("operation_id", "mode"),
    [(name, mode) for name in IDS for mode in GenerationMode if mode is GenerationMode.POSITIVE or name not in PUBLIC],
)
@pytest.mark.hypothesis  # a property inside, which make prove tries on more
def test_every_answer_is_documented(target: DescribedApi, operation_id: str, mode: GenerationMode) -> None:
    operation = target.schema.find_operation_by_id(operation_id)

    @seed(2026)
    @settings(
        max_examples=examples(10, quick=5),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def answers(case: Any, *, real: bool) -> None:
        if real:
            for name in set(case.path_parameters or {}) - OF_A_FEW:
                case.path_parameters[name] = quote(target.ids[name], safe="")
        if mode is GenerationMode.POSITIVE and case.query:
            # Only an earlier answer can give one.
            case.query.pop("page_token", None)
        headers = target.headers["player" if operation_id in PLAYERS else "admin"]
        case.call_and_validate(headers=headers, excluded_checks=EXCUSED.get(operation_id, []))

    answers()
