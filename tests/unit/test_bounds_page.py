"""`docs/bounds.md` says what the code does: every entrance, what it takes at most, and what is answered beyond it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from activities import database as all_databases
from activities.intake import intake
from activities.providers import bounded_answer
from activities.settings import Settings
from api import (
    bounded_protocol,
    content_encoding,
    database,
    dead_letters,
    events,
    failed_events,
    json_types,
    key_lookup,
)
from api.app import create_app
from api.bounds import ITEM, LEEWAY, batch_bounds
from api.cloudevents import TOLERANCE
from api.integrations.authorization import FAST_TRACK, SEGMENT
from api.integrations.fasttrack.to_events import LONGEST_LIST
from api.pagination import PageQuery
from api.runs import IdempotencyKey
from api.task_actions import ANSWER_LIMIT
from api.tasks import HISTORY_SHOWN
from workflows.player_state.merging import MOST_ACCOUNTS
from workflows.player_state.ordering import MOST_AHEAD
from workflows.player_state.state import MOST_RUNS

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "bounds.md"
SETTINGS: Final = Settings(database_url="postgresql://nowhere")
BATCHES: Final = batch_bounds(SETTINGS.body_limit, SETTINGS.batch_limit)
NOTHING: Final = "\N{EN DASH}"


def written(value: float | timedelta) -> str:
    """A number as the page has it."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    return f"{number:,.0f}" if number == int(number) else f"{number:,}"


def row(entrance: str, *cells: str) -> str:
    return f"| {' | '.join((entrance, *cells))} |"


def of_connections() -> Iterator[str]:
    """What every connection and every request is held to, whosever it is."""
    head, silence = written(bounded_protocol.HEAD_TIMEOUT), written(bounded_protocol.BODY_SILENCE)
    yield row("connections of a process", "4,000, or the descriptors it may open less 128", "503 at once")
    yield row("a connection without a request", f"{head} s", "it is closed")
    yield row("address and headers", f"{written(bounded_protocol.HEAD_LIMIT)} bytes", "431, and it is closed")
    yield row("address and headers until they are whole", f"{head} s", "it is closed")
    yield row("silence within a body", f"{silence} s", "it is closed")
    yield row("a body that nobody wanted, read on", f"{written(bounded_protocol.DRAINED)} bytes", "it is closed")
    times, freely = written(content_encoding.MOST_TIMES), written(content_encoding.UNPACKED_FREELY)
    yield row("a gzipped body", f"{times} times its size, and {freely} bytes more", "413")
    refusals = f"{key_lookup.FREE_FAILURES} at once and {written(key_lookup.FAILURES_A_SECOND)} a second"
    late = f"{key_lookup.DELAY} s, then later and later, up to {written(key_lookup.LONGEST_DELAY)} s"
    yield row("wrong keys of an address", refusals, f"401 after {late}")


def of_bodies() -> Iterator[str]:
    """What a body is held to, by where it is sent."""
    size, item, text = written(SETTINGS.body_limit), written(ITEM.size), f"{written(LEEWAY)} in its text"
    shape = f"{ITEM.depth} · {ITEM.key}"
    batch = f"{written(SETTINGS.batch_limit)} (`BATCH_LIMIT`)"
    yield row("`POST /v1/events`", f"{size} (`BODY_LIMIT`)", written(BATCHES.nodes), NOTHING, batch, "413")
    yield row("… as a stream", "any", NOTHING, NOTHING, f"any; {written(events.MAX_LISTED)} refusals listed", NOTHING)
    yield row("… a line of one", item, text, NOTHING, "1", "the line is `rejected`")
    yield row("… an event", item, written(ITEM.nodes), shape, "1", "the event is `rejected`")
    yield row("Segment's calls", f"{size} (`BODY_LIMIT`)", written(BATCHES.nodes), NOTHING, batch, "413")
    yield row("… a message", item, written(ITEM.nodes), shape, "1", "200, the message is `rejected`")
    lists = f"{LONGEST_LIST} in a list"
    yield row("Fast Track's messages", item, written(ITEM.nodes), shape, lists, "413; 422 for a list")
    yield row("answers to tasks", f"{written(ANSWER_LIMIT)} as JSON", written(ITEM.nodes), shape, "200 fields", "422")
    yield row("every other body", item, text, NOTHING, "as the document says", "413; 422 for a field")


def of_times() -> Iterator[str]:
    """How long a request works before the caller is told."""
    waits = f"{written(intake.ADMISSION_TIMEOUT)} s; history {written(intake.HISTORY_ADMISSION_TIMEOUT)} s"
    yield row("events that wait for their turn", waits, "429; history 503")
    yield row("what protects, waiting for its turn", f"{written(intake.PROTECTION_ADMISSION_TIMEOUT)} s", "503")
    yield row("a player whose row somebody holds", f"{written(intake.HELD_TIMEOUT)} s", "503")
    yield row("events that are committed", f"{written(events.COMMIT_TIMEOUT)} s", "503, and nobody knows")
    yield row("a connection to Postgres", f"{written(database.CONNECT_TIMEOUT)} s", "503")
    yield row("the same, for what protects", f"{written(database.LINE_TIMEOUT)} s in line", "503")
    locks = ", ".join(
        f"{name} {written(limits.lock)} s"
        for name, limits in (("what protects", database.LIMITS_FOR_PROTECTION), ("others", database.LIMITS))
        if limits.lock is not None
    )
    yield row("a lock in Postgres", locks, "as a row that is held")
    statement = database.LIMITS.statement
    assert statement is not None
    yield row("a statement of the API", f"{written(statement)} s", "503")
    long = all_databases.WORKER_LIMITS.statement
    assert long is not None
    yield row("a statement of a worker", f"{written(long)} s", "the effect is tried again")
    yield row("the time of an event, ahead of our clock", f"{written(TOLERANCE)} s", "the event is `rejected`")


def of_what_is_kept() -> Iterator[str]:
    """What is kept and shown of one thing."""
    yield row("rows of a page", str(PageQuery.MOST), "the rest by `next_page_token`")
    lines = "the rest by `GET …/history`"
    yield row("lines of history in a task", str(HISTORY_SHOWN), lines)
    line, prose = (length_of(kind) for kind in (json_types.Line, json_types.Prose))
    yield row("a line and a longer text that people write", f"{line} and {prose} characters", "422")
    yield row("an `Idempotency-Key`", f"{length_of(IdempotencyKey)} characters", "422")
    yield row("exclusions of a player", "one a kind and scope", "the longer one stands")
    yield row("accounts of a person", str(MOST_ACCOUNTS), "further ones are protected at the merge only")
    yield row("words ahead of our clock that are remembered of a player", str(MOST_AHEAD), "the oldest is forgotten")
    yield row("runs of a player", str(MOST_RUNS), "nobody enters; of runs that are over the oldest goes")
    again = f"{dead_letters.AT_ONCE} dead letters, {failed_events.AT_ONCE} failed events"
    yield row("tried again in one call", again, "`left` says how many are left")
    answer = f"{written(bounded_answer.MOST)} bytes, unpacked"
    yield row("an answer of a provider", answer, "its status counts, its content does not")


def length_of(annotated: Any) -> int:
    """The most characters of an annotated text."""
    told = [one for one in annotated.__metadata__ if getattr(one, "max_length", None) is not None]
    lengths = [one.max_length for one in told]
    lengths += [
        part.max_length
        for one in annotated.__metadata__
        for part in getattr(one, "metadata", ())
        if getattr(part, "max_length", None) is not None
    ]
    return int(lengths[0])


TABLES: Final = {
    "connections": ("| what | at most | beyond it |\n|---|---|---|", of_connections),
    "bodies": (
        "| entrance | bytes | values | levels · characters of a name | items | beyond it |\n|---|---|---|---|---|---|",
        of_bodies,
    ),
    "times": ("| what | at most | beyond it |\n|---|---|---|", of_times),
    "what is kept": ("| what | at most | beyond it |\n|---|---|---|", of_what_is_kept),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_bounds_of_the_code(name: str) -> None:
    head, rows = TABLES[name]
    table = "\n".join([head, *rows()])
    assert table in PAGE.read_text(), f"Let docs/bounds.md have this table of {name}:\n\n{table}\n"


def test_every_route_that_reads_a_body_has_its_entrance_on_the_page() -> None:
    document = create_app(SETTINGS).openapi()
    reading = {
        path for path, methods in document["paths"].items() for one in methods.values() if one.get("requestBody")
    }
    events_of = {path for path in reading if path == "/v1/events"}
    segment = {path for path in reading if path in SEGMENT}
    fast_track = {path for path in reading if path.startswith(FAST_TRACK)}
    assert events_of
    assert segment == SEGMENT
    # Whatever is left is "every other body", whose fields the document bounds by themselves.
    for path in sorted(reading - events_of - segment - fast_track):
        for method, operation in document["paths"][path].items():
            content = operation.get("requestBody", {}).get("content", {})
            for media in content.values():
                assert list(unbounded(document, media["schema"], f"{method} {path}")) == []


def unbounded(document: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    """Texts and lists in the schema of a body that may be as long as the body."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from unbounded(document, document["components"]["schemas"][name], where)
        return
    for one in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from unbounded(document, one, where)
    for name, part in schema.get("properties", {}).items():
        yield from unbounded(document, part, f"{where}/{name}")
    kind = schema.get("type")
    is_bounded = {"maxLength", "enum", "const", "format", "pattern"} & schema.keys()
    if kind == "string" and not is_bounded:
        yield where
    if kind == "array":
        if "maxItems" not in schema:
            yield where
        yield from unbounded(document, schema.get("items", {}), f"{where}/*")
