"""`journeys import` against the real API on a real Postgres."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from activities.importing.event_sender import EventItem, Events, ImportStopped, Receipt, Unreadable, feed
from activities.importing.file_import import Importer, Report, SourceFile
from content.row_files import FileError
from content.row_mapping import MappingError, RowMapping, mapping_of
from tests.support.api_client import BACKEND, Api, serving

ROWS = [(f"player-{n % 7}", f"2026-01-{n % 28 + 1:02}T10:00:{n % 60:02}Z", f"{n}.50") for n in range(1, 121)]
Import = Callable[..., Importer]


@pytest.fixture
async def api(postgres_url: str) -> AsyncIterator[Api]:
    async with serving(postgres_url, batch_limit=100, body_limit=64 * 1024) as served:
        yield served


@pytest.fixture
async def client(api: Api) -> httpx.AsyncClient:
    return await api.client(*BACKEND)


@pytest.fixture
def start(client: httpx.AsyncClient, tmp_path: Path) -> Import:
    def make(file: Path, mapping: RowMapping | None = None, **options: Any) -> Importer:
        key = client.headers["Authorization"].removeprefix("Bearer ")
        events = options.pop("events", Events(client, "http://api", key))
        return Importer(SourceFile(file, mapping), events, "history", tmp_path / "rejected.ndjson", **options)

    return make


@pytest.fixture
def deposits(tmp_path: Path) -> Path:
    return table(tmp_path / "deposits.csv", ("player_id", "ts_utc", "amount_usd"), *ROWS)


def table(path: Path, *rows: tuple[str, ...], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def scalar(api: Api, query: str) -> Any:
    async with api.engine.database.reading() as connection:
        return (await connection.execute(text(query))).scalar_one()


async def counted(api: Api) -> int:
    """Deposits as the players' states count them, which is what double counting would spoil."""
    query = "SELECT coalesce(sum((state->'counts'->>'payment.deposit_approved')::int), 0) FROM players"
    return int(await scalar(api, query))


def rejected(importer: Importer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in importer.rejections.read_text().splitlines()]


class TestImport:
    async def test_a_file_of_deposits_becomes_history(self, api: Api, start: Import, deposits: Path) -> None:
        report = await start(deposits, batch=50).run()
        assert report == Report(accepted=120)
        assert await counted(api) == 120
        assert await scalar(api, "SELECT count(*) FROM events WHERE history") == 120

    async def test_importing_twice_counts_nothing_twice(self, api: Api, start: Import, deposits: Path) -> None:
        await start(deposits).run()
        again = deposits.rename(deposits.with_name("renamed.csv"))
        assert await start(again).run() == Report(duplicate=120)
        assert await counted(api) == 120

    async def test_a_longer_export_adds_only_what_is_new(self, start: Import, deposits: Path, tmp_path: Path) -> None:
        await start(deposits).run()
        more = [*ROWS, ("player-9", "2026-02-01T00:00:00Z", "5.00")]
        longer = table(tmp_path / "longer.csv", ("player_id", "ts_utc", "amount_usd"), *more)
        assert await start(longer).run() == Report(accepted=1, duplicate=120)

    async def test_two_rows_that_say_the_same_are_two_deposits(self, start: Import, tmp_path: Path) -> None:
        twins = table(tmp_path / "twins.csv", ("player_id", "ts_utc", "amount_usd"), ROWS[0], ROWS[0])
        assert await start(twins).run() == Report(accepted=2)
        assert await start(twins).run() == Report(duplicate=2)

    async def test_it_is_stopped_and_repeated_without_counting_twice(
        self, api: Api, start: Import, deposits: Path, client: httpx.AsyncClient
    ) -> None:
        first = start(deposits, batch=10)

        class StopInTheMiddle(Events):
            async def post(self, items: Any, mode: Any, stop: Any = None) -> list[Receipt]:
                receipts = await super().post(items, mode, stop)
                first.stop.set()
                return receipts

        key = client.headers["Authorization"].removeprefix("Bearer ")
        first.events = StopInTheMiddle(client, "http://api", key)
        report = await first.run()
        assert report.stopped
        assert 0 < report.accepted < 120
        assert await counted(api) == report.accepted
        assert await start(deposits).run() == Report(accepted=120 - report.accepted, duplicate=report.accepted)
        assert await counted(api) == 120

    async def test_a_bad_row_is_told_with_its_line_and_reason(self, start: Import, tmp_path: Path) -> None:
        file = table(
            tmp_path / "some.csv",
            ("player_id", "ts_utc", "amount_usd"),
            ROWS[0],
            ("player-1", "yesterday", "1.00"),
            ("player-1", "2026-01-01T00:00:00Z"),
            ("not a player!", "2026-01-01T00:00:00Z", "1.00"),
            ROWS[1],
        )
        importer = start(file)
        assert await importer.run() == Report(accepted=2, rejected=3)
        told = {row["line"]: row["reason"] for row in rejected(importer)}
        assert set(told) == {3, 4, 5}
        assert "'yesterday' is not a time" in told[3]
        assert "2 cells where the header has 3" in told[4]
        assert "/subject" in told[5]
        assert {row["line"]: row["row"] for row in rejected(importer)}[3]["ts_utc"] == "yesterday"

    async def test_cloud_events_go_as_they_are(self, api: Api, start: Import, tmp_path: Path) -> None:
        event = {
            "specversion": "1.0",
            "id": "login-1",
            "source": "/sessions",
            "type": "igaming.session.login.v1",
            "subject": "player-1",
            "time": "2026-01-01T00:00:00Z",
            "data": {"method": "password"},
        }
        file = tmp_path / "events.ndjson"
        file.write_bytes(json.dumps(event).encode() + b"\n\nnot json\n[1]\n{}\n")
        importer = start(file)
        assert await importer.run() == Report(accepted=1, rejected=3)
        assert await scalar(api, "SELECT source || ' ' || id FROM events") == "/sessions login-1"
        assert [row["line"] for row in rejected(importer)] == [3, 4, 5]

    async def test_ndjson_is_mapped_like_csv(self, api: Api, start: Import, tmp_path: Path) -> None:
        mapping = mapping_of(("subject=user.id", "time=at:unix", "id=login_id"), kind="session.login", source="/old")
        file = lines(tmp_path / "logins.jsonl", {"user": {"id": "p-1"}, "at": 1767225600, "login_id": 77})
        assert await start(file, mapping).run() == Report(accepted=1)
        assert await scalar(api, "SELECT source || ' ' || id FROM events") == "/old 77"

    async def test_a_semicolon_file_from_a_spreadsheet_is_read(self, start: Import, tmp_path: Path) -> None:
        file = table(tmp_path / "s.csv", ("player_id", "ts_utc", "amount_usd"), *ROWS[:3], delimiter=";")
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
        assert await start(file).run() == Report(accepted=3)

    async def test_a_batch_too_large_for_the_api_is_halved(self, start: Import, deposits: Path) -> None:
        # The API of these tests takes a hundred.
        assert await start(deposits, batch=120).run() == Report(accepted=120)

    async def test_a_player_s_rows_arrive_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        rows = [(f"p-{n % 3}", "2026-01-01T00:00:00Z", f"{n}.00") for n in range(300)]
        arrived: dict[str, list[int]] = {}

        async def slow_api(request: httpx.Request) -> httpx.Response:
            events = json.loads(request.content)
            await asyncio.sleep(0.001 * (len(arrived) % 3))
            for event in events:
                arrived.setdefault(event["subject"], []).append(event["data"]["amount_minor"])
            results = [{"id": e["id"], "source": e["source"], "status": "accepted"} for e in events]
            return httpx.Response(202, json={"results": results})

        file = SourceFile(table(tmp_path / "m.csv", ("player_id", "ts_utc", "amount_usd"), *rows), None)
        async with httpx.AsyncClient(transport=httpx.MockTransport(slow_api)) as http:
            await Importer(file, Events(http, "http://api", "k"), "history", tmp_path / "r", batch=7).run()
        assert sum(map(len, arrived.values())) == 300
        assert all(amounts == sorted(amounts) for amounts in arrived.values())


class TestSourceFile:
    def test_a_missing_file_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="cannot be read: No such file or directory"):
            SourceFile(tmp_path / "absent.csv", None)

    def test_unknown_columns_without_a_mapping_are_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(MappingError, match=r"Nothing says what the columns of .* mean \(who, what\); add --type"):
            SourceFile(table(tmp_path / "x.csv", ("who", "what"), ("1", "2")), None)

    def test_an_empty_file_is_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").touch()
        with pytest.raises(MappingError, match="it is empty"):
            SourceFile(tmp_path / "x.csv", None)

    @pytest.mark.parametrize(
        ("header", "columns"),
        [
            ("who;what\n", "who, what"),
            ("who\twhat\r\n", "who, what"),
            ("who|what\n", "who, what"),
            ("who\n", "who"),
            ('"amount, EUR";"time, UTC";who\n', "amount, EUR, time, UTC, who"),
            ("who;amount, EUR;paid at\n", "who, amount, EUR, paid at"),
            ("who|bonus, cash|what\n", "who, bonus, cash, what"),
            ('"a;b;c;d",who\n', "a;b;c;d, who"),
        ],
    )
    def test_columns_are_parted_by_what_parts_the_header(self, tmp_path: Path, header: str, columns: str) -> None:
        (tmp_path / "x.csv").write_text(header)
        with pytest.raises(MappingError, match=rf"mean \({columns}\)"):
            SourceFile(tmp_path / "x.csv", None)

    def test_a_json_array_is_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("[{}]")
        with pytest.raises(FileError, match="one JSON array; write one object a line"):
            SourceFile(tmp_path / "x.json", None)


class TestEvents:
    async def test_nobody_there_is_a_sentence(self) -> None:
        async with httpx.AsyncClient() as http:
            with pytest.raises(ImportStopped, match=r"No API answers at http://127\.0\.0\.1:1/v1/events"):
                await Events(http, "http://127.0.0.1:1", "k").post([EventItem(b"{}", "p")], "history")

    @pytest.mark.parametrize(
        ("scopes", "sentence"), [(("tasks:work",), "scope events:write"), (None, "does not know this key")]
    )
    async def test_a_key_that_may_not_is_a_sentence(
        self, api: Api, scopes: tuple[str, ...] | None, sentence: str
    ) -> None:
        key = "wrong" if scopes is None else await api.key(*scopes)
        with pytest.raises(ImportStopped, match=sentence):
            await Events(api.anonymous, "http://api", key).post([EventItem(b"{}", "p")], "history")

    async def test_an_api_that_is_away_for_a_moment_is_waited_for(self) -> None:
        answers = iter([503, 429, 202])

        def answer(_: httpx.Request) -> httpx.Response:
            status = next(answers)
            results = [{"id": "1", "source": "/s", "status": "accepted"}]
            return httpx.Response(status, json={"results": results}, headers={"Retry-After": "0"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            receipts = await Events(http, "http://api", "k").post([EventItem(b"{}", "p")], "history")
        assert receipts == [Receipt("accepted")]

    async def test_an_api_that_stays_away_ends_the_import_with_what_to_do(self) -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(503))) as http:
            with pytest.raises(ImportStopped, match="repeat the same command when it is back"):
                await Events(http, "http://api", "k", retry_for=timedelta(seconds=0.3)).post(
                    [EventItem(b"{}", "p")], "history"
                )

    async def test_an_answer_lost_on_the_way_is_asked_for_again(self, api: Api) -> None:
        """The API commits and the connection breaks: the same events are sent again and are duplicates."""
        key = await api.key("events:write")
        inner = httpx.ASGITransport(api.app)
        broken = asyncio.Event()

        class Breaking(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                answer = await inner.handle_async_request(request)
                if request.url.path == "/v1/events" and not broken.is_set() and warm.is_set():
                    broken.set()
                    raise httpx.ReadError("the connection broke")
                return answer

        warm = asyncio.Event()
        event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "igaming.session.login.v1", "subject": "p"}
        async with httpx.AsyncClient(transport=Breaking()) as http:
            events = Events(http, "http://api", key)
            await events.post([EventItem(json.dumps(event | {"id": "0"}).encode(), "p")], "history")
            warm.set()
            assert await events.post([EventItem(json.dumps(event).encode(), "p")], "history") == [Receipt("duplicate")]
        assert await scalar(api, "SELECT count(*) FROM events") == 2

    async def test_one_lane_that_fails_ends_the_others(self) -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(404))) as http:
            items: list[EventItem | Unreadable] = [EventItem(b"{}", f"p-{n}") for n in range(50)]
            with pytest.raises(ImportStopped, match="There is no journeys API at"):
                await feed(items, Events(http, "http://api", "k"), "history", lambda _item, _receipt: None, batch=5)
