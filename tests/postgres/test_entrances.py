"""Every entrance and every fault: what is wrong with an event is wrong by whatever way it comes, and costs no other."""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from activities.importing.event_sender import EventItem
from activities.importing.file_import import SourceFile
from content.row_files import RowFile, UnreadableRow
from content.row_mapping import mapping_of
from stage.backtest.event_log import read_log
from tests.support.api_client import BACKEND, serving

Document = dict[str, Any]
#: Sends some events and says of each whether it was taken.
Entrance = Callable[[httpx.AsyncClient, Path, list[Document]], Awaitable[list[bool]]]


@pytest.fixture(scope="module")
async def client(module_postgres_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(module_postgres_url) as served:
        yield await served.client(*BACKEND)


def deposit(number: int) -> Document:
    """A deposit as a CloudEvent that nobody has sent before, nothing wrong with it."""
    own = f"{secrets.token_hex(6)}-{number}"
    return {
        "specversion": "1.0",
        "id": f"e-{own}",
        "source": "/entrances",
        "type": "igaming.payment.deposit_approved.v1",
        "subject": "p-1",
        "time": (datetime.now(UTC) - timedelta(minutes=number)).isoformat(),
        "data": {"payment_id": f"pay-{own}", "amount_minor": 2500, "currency": "EUR"},
    }


# ---- entrances ---------------------------------------------------------------------------------------------------


def statuses(answer: httpx.Response, count: int) -> list[bool]:
    """What became of the events of a body; one that is refused whole took none of them."""
    if answer.status_code in {400, 413, 422}:
        assert answer.json()["detail"].endswith(".")
        return [False] * count
    assert answer.status_code in {200, 202}, answer.text
    results = answer.json()["results"]
    for result in results:
        if result["status"] == "rejected":
            assert all(fault["detail"].endswith(".") for fault in result["errors"]), result
    if len(results) == count:
        return [result["status"] != "rejected" for result in results]
    refused = {result["line"] for result in results}
    return [line not in refused for line in range(1, count + 1)]


def native(media_type: str) -> Entrance:
    async def send(client: httpx.AsyncClient, _: Path, events: list[Document]) -> list[bool]:
        headers = {"Content-Type": media_type}
        if "ndjson" in media_type:
            content = "".join(json.dumps(event) + "\n" for event in events)
            return statuses(await client.post("/v1/events", content=content, headers=headers), len(events))
        if "batch" in media_type:
            return statuses(await client.post("/v1/events", content=json.dumps(events), headers=headers), len(events))
        return [
            found
            for event in events
            for found in statuses(await client.post("/v1/events", content=json.dumps(event), headers=headers), 1)
        ]

    return send


async def binary(client: httpx.AsyncClient, _: Path, events: list[Document]) -> list[bool]:
    found: list[bool] = []
    for event in events:
        # Attributes travel as percent-encoded UTF-8, which holds no half characters.
        quoted = {name: httpx.QueryParams({"": str(value)}) for name, value in event.items() if name != "data"}
        attributes = {f"ce-{name}": str(value)[1:].replace("+", "%20") for name, value in quoted.items()}
        headers = {"Content-Type": "application/json", **attributes}
        found += statuses(await client.post("/v1/events", content=json.dumps(event["data"]), headers=headers), 1)
    return found


async def segment(client: httpx.AsyncClient, _: Path, events: list[Document]) -> list[bool]:
    batch = [
        {
            "type": "track",
            "event": event["type"],
            "messageId": event["id"],
            "userId": event["subject"],
            "timestamp": event["time"],
            "properties": event["data"],
        }
        for event in events
    ]
    headers = {"Content-Type": "application/json"}
    return statuses(await client.post("/v1/batch", content=json.dumps({"batch": batch}), headers=headers), len(batch))


async def fast_track(client: httpx.AsyncClient, _: Path, events: list[Document]) -> list[bool]:
    found: list[bool] = []
    for event in events:
        data = dict(event["data"])
        amount = data.pop("amount_minor")
        message = {
            "user_id": event["subject"],
            "timestamp": event["time"],
            "type": "Credit",
            "status": "Approved",
            "amount": amount,
            **data,
        }
        headers = {"Content-Type": "application/json"}
        answer = await client.post("/v1/integration/payment", content=json.dumps(message), headers=headers)
        assert answer.status_code in {202, 400, 409, 413, 422}, answer.text
        found.append(answer.status_code == 202)
    return found


async def ndjson_import(client: httpx.AsyncClient, folder: Path, events: list[Document]) -> list[bool]:
    """`journeys import` of what was exported: CloudEvents, one a line."""
    file = folder / "events.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    return await sent(client, SourceFile(file, None))


#: How a row becomes a deposit; the amount stands in the column as minor units.
MAPPING: Final = mapping_of(
    ["subject=p", "time=t", "data.payment_id=i", "data.amount_minor=a", "data.currency=c", "id=e"],
    kind="payment.deposit_approved",
)


def row(event: Document) -> Document:
    data = event["data"]
    cells = {"p": event["subject"], "t": event["time"], "e": event["id"]}
    return {**cells, "i": data["payment_id"], "a": data["amount_minor"], "c": data["currency"]}


def rows(folder: Path, events: list[Document]) -> Path:
    file = folder / "rows.ndjson"
    file.write_text("".join(json.dumps(row(event)) + "\n" for event in events))
    return file


async def row_import(client: httpx.AsyncClient, folder: Path, events: list[Document]) -> list[bool]:
    """`journeys import` of a table of rows."""
    return await sent(client, SourceFile(rows(folder, events), MAPPING))


async def sent(client: httpx.AsyncClient, file: SourceFile) -> list[bool]:
    found: list[bool] = []
    for item in file.items():
        if isinstance(item, EventItem):
            headers = {"Content-Type": "application/x-ndjson"}
            found += statuses(await client.post("/v1/events", content=item.body, headers=headers), 1)
        else:
            assert item.reason.endswith((".", "?"))
            found.append(False)
    return found


async def event_log(_: httpx.AsyncClient, folder: Path, events: list[Document]) -> list[bool]:
    """`journeys rehearse --log` of CloudEvents."""
    file = folder / "log.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    kept = read_log(file).events["id"].to_list()
    return [event["id"] in kept for event in events]


async def row_log(_: httpx.AsyncClient, folder: Path, events: list[Document]) -> list[bool]:
    """`journeys rehearse --log` of a table of rows."""
    kept = read_log(rows(folder, events), MAPPING).events["id"].to_list()
    return [event["id"] in kept for event in events]


ENTRANCES: Final[Mapping[str, Entrance]] = {
    "structured": native("application/cloudevents+json; charset=utf-8"),
    "batch": native("application/cloudevents-batch+json"),
    "stream": native("application/x-ndjson"),
    "json": native("APPLICATION/JSON"),
    "binary": binary,
    "segment": segment,
    "fast track": fast_track,
    "import of events": ndjson_import,
    "import of rows": row_import,
    "rehearsal of events": event_log,
    "rehearsal of rows": row_log,
}

# ---- faults ------------------------------------------------------------------------------------------------------


def data(**changed: object) -> Callable[[Document], Document]:
    return lambda event: {**event, "data": {**event["data"], **changed}}


def attributes(**changed: object) -> Callable[[Document], Document]:
    return lambda event: {**event, **changed}


def ahead(event: Document) -> Document:
    return {**event, "time": (datetime.now(UTC) + timedelta(minutes=6)).isoformat()}


def deep(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


FAULTS: Final[Mapping[str, Callable[[Document], Document]]] = {
    "minor units as decimals": data(amount_minor="25.00"),
    "minor units as text": data(amount_minor="2500 "),
    "minor units with marks": data(amount_minor="1_000"),
    "a truth for a number": data(amount_minor=True),
    "a part of a cent": data(amount_minor=25.005),
    "less than nothing": data(amount_minor=-100),
    "more than can be printed": data(amount_minor=10**30),
    "no amount": data(amount_minor=None),
    "a list for a number": data(amount_minor=[2500]),
    "a coin": data(currency="BTC"),
    "no currency": data(currency="euro"),
    "half a character": data(payment_id="pay-\ud83d"),
    "a nought": data(payment_id="pay-\x00"),
    "an id too long": data(payment_id="x" * 300),
    "a text too long": data(payment_id="x" * 300_000),
    "a value too deep": data(payment_id=deep(40)),
    "too many values": data(payment_id=[1] * 2_100),
    "no player": attributes(subject=""),
    "a player with a slash": attributes(subject="a/b"),
    "a player with a line": attributes(subject="p\n"),
    "no time": attributes(time="yesterday"),
    "no day": attributes(time="2026-02-30T12:00:00Z"),
    "a time before time": attributes(time="0001-01-01T00:00:00+14:00"),
    "a time ahead": ahead,
}
#: Where a fault is none, and why.
NO_FAULT: Final[Mapping[tuple[str, str], str]] = {
    ("fast track", "minor units as decimals"): "its amounts are decimals",
    ("import of rows", "minor units as text"): "a cell of a table may hold a number as text",
    ("rehearsal of rows", "minor units as text"): "a cell of a table may hold a number as text",
    ("rehearsal of events", "a player with a slash"): "a log may name its players as another system does",
    ("rehearsal of rows", "a player with a slash"): "a log may name its players as another system does",
    ("rehearsal of events", "a time ahead"): "a log has no clock: it may be of next year",
    ("rehearsal of rows", "a time ahead"): "a log has no clock: it may be of next year",
}


@pytest.mark.parametrize("entrance", ENTRANCES)
async def test_a_good_event_is_taken(client: httpx.AsyncClient, entrance: str, tmp_path: Path) -> None:
    assert await ENTRANCES[entrance](client, tmp_path, [deposit(1), deposit(2)]) == [True, True]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("entrance", ENTRANCES)
async def test_a_fault_is_refused_at_every_entrance_and_costs_no_neighbour(
    client: httpx.AsyncClient, entrance: str, fault: str, tmp_path: Path
) -> None:
    events = [deposit(1), FAULTS[fault](deposit(2)), deposit(3)]
    found = await ENTRANCES[entrance](client, tmp_path, events)
    assert found == [True, (entrance, fault) in NO_FAULT, True]


@pytest.mark.parametrize("media_type", ["json", "cloudevents-batch+json", "x-ndjson"])
async def test_a_name_that_stands_twice_costs_its_event_alone(client: httpx.AsyncClient, media_type: str) -> None:
    told = [json.dumps(deposit(number), separators=(",", ":")) for number in range(3)]
    told[1] = told[1].replace('"amount_minor":', '"amount_minor":1,"amount_minor":')
    body = "\n".join(told) if media_type == "x-ndjson" else f"[{','.join(told)}]"
    headers = {"Content-Type": f"application/{media_type}"}
    answer = (await client.post("/v1/events", content=body.encode(), headers=headers)).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    [refused] = [result for result in answer["results"] if result["status"] == "rejected"]
    assert refused["errors"][0]["pointer"] == "/data/amount_minor"


@pytest.mark.parametrize("until", [0, 1893456000, "1893456000"])
async def test_a_moment_that_is_a_number_is_refused(client: httpx.AsyncClient, until: object) -> None:
    excluded = {**deposit(1), "type": "igaming.compliance.exclusion_set.v1"}
    excluded |= {"data": {"kind": "time_out", "until": until}}
    answer = await client.post("/v1/events", content=json.dumps(excluded), headers={"Content-Type": "application/json"})
    assert answer.json()["results"][0]["errors"][0]["pointer"] == "/data/until"


def test_a_line_of_a_file_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text('{"player": "a", "amount": 1}\n{"player": "a", "amount": 1, "amount": 2}\n{"player": "b"}\n')
    assert [isinstance(row, UnreadableRow) for row in RowFile(path).rows()] == [False, True, False]
