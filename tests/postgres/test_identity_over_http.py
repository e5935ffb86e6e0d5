"""Identities over HTTP: what is told of a taken one at every entrance, who may speak as whom, what needs a scope."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.api_client import BACKEND, Api, serving
from workflows.events import ExclusionSet, SessionLogin

BATCH = {"Content-Type": "application/cloudevents-batch+json"}
STREAM = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, self_exclusion_minimum=timedelta(0)) as application:
        yield application


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client(*BACKEND, "players:read")


def cloudevent(player: str, kind: str, data: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    made = {"specversion": "1.0", "id": "e-1", "source": "/cashier", "subject": player}
    return made | {"type": f"igaming.{kind}.v1", "data": data} | attributes


async def protection(backend: httpx.AsyncClient, player: str) -> Any:
    answer = await backend.get(f"/v1/players/{player}")
    return answer.json()["protected"] if answer.status_code == 200 else None


class TestOverHttp:
    @pytest.mark.parametrize("headers", [BATCH, STREAM], ids=["batch", "stream"])
    async def test_a_taken_identity_is_rejected_with_a_sentence(
        self, backend: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        login = cloudevent("p", "session.login", {})
        told = [login, cloudevent("q", "session.login", {}), cloudevent("p", "session.login", {"method": "code"})]
        content = httpx.Request("POST", "http://api", json=told).content
        if headers is STREAM:
            content = b"\n".join(httpx.Request("POST", "http://api", json=one).content for one in told)
        answer = await backend.post("/v1/events", content=content, headers=headers)
        assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 2)
        errors = [result["errors"] for result in answer.json()["results"] if result["status"] == "rejected"]
        assert [error["pointer"] for [error] in errors] == ["/id", "/id"]
        assert errors[0][0]["detail"] == (
            "This source and id belong to an event with another player; send yours under an id of its own."
        )
        again = await backend.post("/v1/events", json=[login], headers=BATCH)
        assert again.json()["duplicate"] == 1

    async def test_an_exclusion_under_a_taken_identity_is_in_force(self, backend: httpx.AsyncClient) -> None:
        exclusion = cloudevent("p", "compliance.exclusion_set", {"kind": "self_exclusion"})
        await backend.post("/v1/events", json=[cloudevent("q", "session.login", {})], headers=BATCH)
        answer = await backend.post("/v1/events", json=[exclusion], headers=BATCH)
        assert answer.json()["results"][0]["status"] == "rejected"
        assert (await protection(backend, "p"))["reason"] == "self_excluded"

    @pytest.mark.parametrize(
        "source",
        ["api:backend", "api:olena@example.com", "engine", "engine:conflict:/x", "/segment", "/fasttrack/rounds"],
    )
    async def test_nobody_posts_under_the_sources_of_the_engine(self, backend: httpx.AsyncClient, source: str) -> None:
        told = [cloudevent("p", "session.login", {}, source=source), cloudevent("p", "session.login", {})]
        answer = await backend.post("/v1/events", json=told, headers=BATCH)
        refused, taken = answer.json()["results"]
        assert (refused["status"], refused["errors"][0]["pointer"], taken["status"]) == (
            "rejected",
            "/source",
            "accepted",
        )

    async def test_a_source_that_only_looks_like_one_of_them_is_taken(self, backend: httpx.AsyncClient) -> None:
        for source in ("/segments", "engine-room", "apis", "https://api.example.com"):
            answer = await backend.post(
                "/v1/events", json=[cloudevent("p", "session.login", {}, source=source)], headers=BATCH
            )
            assert answer.json()["accepted"] == 1

    @pytest.mark.parametrize("attribute", ["id", "source", "subject", "extension"])
    async def test_a_header_that_is_no_utf8_is_refused_and_not_read_with_a_replacement(
        self, backend: httpx.AsyncClient, attribute: str
    ) -> None:
        told = {name: value for name, value in cloudevent("p", "session.login", {}).items() if name != "data"}
        for bad in ("x%e9", "x%e8"):
            headers = {f"ce-{name}": value for name, value in (told | {attribute: bad}).items()}
            answer = await backend.post("/v1/events", json={}, headers=headers)
            (result,) = answer.json()["results"]
            assert (answer.status_code, result["status"]) == (202, "rejected")
            assert [error["pointer"] for error in result["errors"]] == [f"/{attribute}"]
        headers = {f"ce-{name}": value for name, value in (told | {"id": "x%C3%A9", "data": "no header's"}).items()}
        answer = await backend.post("/v1/events", json={}, headers=headers)
        assert answer.json()["results"][0] == {"id": "xé", "source": "/cashier", "status": "accepted"}


class TestPaymentsOverHttp:
    async def test_the_first_one_is_named(self, backend: httpx.AsyncClient) -> None:
        data = {"payment_id": "pay-1", "amount_minor": 1900, "currency": "EUR"}
        told = [cloudevent("p", "payment.deposit_approved", data, id=f"e-{n}") for n in range(2)]
        answer = await backend.post("/v1/events", json=told, headers=BATCH)
        assert answer.json()["results"] == [
            {"id": "e-0", "source": "/cashier", "status": "accepted"},
            {
                "id": "e-1",
                "source": "/cashier",
                "status": "duplicate",
                "duplicate_of": {"source": "/cashier", "id": "e-0"},
            },
        ]
        money = {"payment_id": "pay-1", "type": "Credit", "status": "Approved", "amount": 19, "currency": "EUR"}
        message = {"user_id": "p", "timestamp": "2026-11-01T10:00:00Z", **money}
        answer = await backend.post("/v1/integration/payment", json=message)
        assert (answer.status_code, answer.json()["status"]) == (202, "duplicate")
        assert answer.json()["events"][0]["duplicate_of"] == {"source": "/cashier", "id": "e-0"}


class TestKeysOfOneSource:
    async def test_such_a_key_speaks_under_its_sources_and_what_stands_below_them(self, api: Api) -> None:
        cashier = await api.client("events:write", sources=["/cashier", "/till"])
        sources = ["/cashier", "/cashier/eu", "/till:1", "/cashiers", "/sessions", "api:x"]
        told = [cloudevent("p", "session.login", {}, source=source) for source in sources]
        answer = await cashier.post("/v1/events", json=told, headers=BATCH)
        results = answer.json()["results"]
        assert [result["status"] for result in results] == ["accepted"] * 3 + ["rejected"] * 3
        assert results[3]["errors"] == [
            {
                "pointer": "/source",
                "detail": "This key speaks for /cashier or /till alone; send the event under that source, or with a "
                "key for its own.",
            }
        ]

    @pytest.mark.parametrize(("source", "taken"), [("/cashier", False), ("/segment", True)])
    async def test_other_dialects_are_sources_too(self, api: Api, source: str, *, taken: bool) -> None:
        client = await api.client("events:write", sources=[source])
        message = {"userId": "p", "messageId": "m-1", "event": "Logged In"}
        answer = await client.post("/v1/track", json=message)
        assert (answer.json()["accepted"], answer.json()["rejected"]) == ((1, 0) if taken else (0, 1))
        login = {"user_id": "p", "timestamp": "2026-11-01T10:00:00Z"}
        assert (await client.post("/v1/integration/login", json=login)).status_code == 422

    async def test_it_may_exclude_a_player_by_hand(self, api: Api) -> None:
        cashier = await api.client("events:write", sources=["/cashier"])
        answer = await cashier.post("/v1/players/p/exclusion", json={"kind": "self_exclusion"})
        assert answer.json()["protected"]["reason"] == "self_excluded"


NEEDED = [
    ("protection:lift", "compliance.exclusion_ended", {"kind": "self_exclusion"}),
    ("protection:lift", "player.status_changed", {"from": "closed", "to": "active"}),
    ("harm:review", "compliance.harm_reviewed", {"to": "none", "reason": "Spoke to the player."}),
    ("profiles:write", "player.profile_updated", {"changed": {"email": "other@example.com"}}),
    ("profiles:write", "player.profile_updated", {"changed": {"phone": None}}),
    ("profiles:write", "player.registered", {"email": "other@example.com"}),
]


class TestScopesOfEvents:
    @pytest.fixture
    async def registered(self, backend: httpx.AsyncClient) -> None:
        """The player has an address, and is excluded."""
        told = [
            cloudevent("p", "player.registered", {"email": "p@example.com"}, id="registered"),
            cloudevent("p", "compliance.exclusion_set", {"kind": "self_exclusion"}, id="excluded"),
        ]
        assert (await backend.post("/v1/events", json=told, headers=BATCH)).json()["accepted"] == 2

    @pytest.mark.usefixtures("registered")
    @pytest.mark.parametrize(("scope", "kind", "data"), NEEDED)
    async def test_what_lifts_or_readdresses_needs_a_scope_of_its_own(
        self, api: Api, scope: str, kind: str, data: dict[str, Any]
    ) -> None:
        told = [cloudevent("p", kind, data), cloudevent("p", "session.login", {}, id="login")]
        writer = await api.client("events:write")
        refused, login = (await writer.post("/v1/events", json=told, headers=BATCH)).json()["results"]
        assert (refused["status"], login["status"]) == ("rejected", "accepted")
        assert f"the scope {scope} as well" in refused["errors"][0]["detail"]
        allowed = await api.client("events:write", scope)
        assert (await allowed.post("/v1/events", json=told[:1], headers=BATCH)).json()["accepted"] == 1

    @pytest.mark.usefixtures("registered")
    async def test_what_needs_none_is_taken(self, api: Api) -> None:
        told = [
            cloudevent("p", "player.registered", {"email": "p@example.com"}, id="registered"),
            cloudevent("p", "player.profile_updated", {"changed": {"language": "uk"}}, id="1"),
            cloudevent("p", "player.status_changed", {"to": "suspended"}, id="2"),
            cloudevent("q", "player.registered", {"email": "q@example.com"}, id="3"),
        ]
        writer = await api.client("events:write")
        results = (await writer.post("/v1/events", json=told, headers=BATCH)).json()["results"]
        assert [result["status"] for result in results] == ["duplicate", "accepted", "accepted", "accepted"]

    async def test_of_a_fast_track_message_what_protects_is_kept_and_what_lifts_is_told(
        self, api: Api, backend: httpx.AsyncClient
    ) -> None:
        writer = await api.client("events:write")
        blocks = [{"type": "Blocked", "active": False}, {"type": "Excluded", "active": True}]
        message = {"user_id": "p", "timestamp": "2026-11-01T10:00:00Z", "blocks": blocks}
        answer = await writer.post("/v1/integration/user/blocks", json=message)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:journeys:problem:scope")
        assert [event["status"] for event in answer.json()["events"]] == ["rejected", "accepted"]
        assert (await protection(backend, "p"))["reason"] == "self_excluded"

    async def test_a_write_key_of_segment_changes_no_address(self, api: Api, backend: httpx.AsyncClient) -> None:
        writer = await api.client("events:write")
        for number, email in enumerate(("p@example.com", "other@example.com")):
            traits = {"email": email, "createdAt": "2026-11-01T10:00:00Z"}
            message = {"userId": "p", "messageId": f"m-{number}", "traits": traits}
            (result,) = (await writer.post("/v1/identify", json=message)).json()["results"]
            assert (result["status"], result["reason"]) == ("rejected", "scope")
        assert (await backend.get("/v1/players/p")).json()["profile"] == {"email": "p@example.com"}


async def taken_before(api: Api, source: str, own: str, player: str = "somebody-else") -> None:
    """Somebody used an identity before such sources were reserved."""
    login = SessionLogin(event_id=own, event_source=source, occurred_at=datetime.now(UTC))
    assert await api.engine.intake.ingest(api.brand, [(player, login)], datetime.now(UTC)) == ["accepted"]


class TestOtherDialects:
    async def test_a_block_of_fast_track_is_in_force_and_the_conflict_is_told(
        self, api: Api, backend: httpx.AsyncClient
    ) -> None:
        await taken_before(api, "/fasttrack", "block/p/self_exclusion/set/2026-11-01T10:00:00Z")
        blocks = [{"type": "Excluded", "active": True, "note": "by the player"}]
        message = {"user_id": "p", "timestamp": "2026-11-01T10:00:00Z", "blocks": blocks}
        for _ in range(2):
            answer = await backend.post("/v1/integration/user/blocks", json=message)
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:journeys:problem:identity-taken")
            assert answer.json()["errors"][0]["pointer"] == "/user_id"
            assert answer.json()["events"][0]["status"] == "rejected"
        assert (await protection(backend, "p"))["reason"] == "self_excluded"

    async def test_another_note_makes_no_other_block(self, backend: httpx.AsyncClient) -> None:
        message: dict[str, Any] = {"user_id": "p", "timestamp": "2026-11-01T10:00:00Z"}
        told = []
        for note in ("by the player", "by the player, again", ""):
            blocks = [{"type": "Excluded", "active": True, "note": note}]
            answer = await backend.post("/v1/integration/user/blocks", json=message | {"blocks": blocks})
            told.append(answer.json()["status"])
        assert told == ["accepted", "duplicate", "duplicate"]

    async def test_another_amount_of_one_payment_is_told(self, backend: httpx.AsyncClient) -> None:
        money = {"payment_id": "1", "type": "Credit", "status": "Approved", "amount": 5, "currency": "EUR"}
        message = {"user_id": "p", "timestamp": "2026-11-01T10:00:00Z", **money}
        answers = [
            await backend.post("/v1/integration/payment", json=message | changes) for changes in ({}, {}, {"amount": 6})
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 409]
        assert answers[-1].json()["errors"][0]["pointer"] == "/payment_id"

    async def test_a_registration_of_segment_counts_once_whatever_its_traits(self, backend: httpx.AsyncClient) -> None:
        told = []
        for number, language in enumerate(("uk", "en")):
            traits = {"language": language, "createdAt": "2026-11-01T10:00:00Z"}
            message = {"userId": "p", "messageId": f"m-{number}", "traits": traits}
            answer = await backend.post("/v1/identify", json=message)
            told.append([event["status"] for event in answer.json()["results"][0]["events"]])
        assert told == [["accepted", "accepted"], ["duplicate", "accepted"]]

    async def test_a_registration_of_segment_whose_identity_was_taken_is_told(
        self, api: Api, backend: httpx.AsyncClient
    ) -> None:
        await taken_before(api, "/segment", "registered:p", "p")
        traits = {"email": "a@example.com", "createdAt": "2026-11-01T10:00:00Z"}
        answer = await backend.post("/v1/identify", json={"userId": "p", "messageId": "m-1", "traits": traits})
        (result,) = answer.json()["results"]
        assert (answer.status_code, result["status"]) == (200, "rejected")
        assert [event["status"] for event in result["events"]] == ["rejected", "accepted"]
        assert "another type" in result["errors"][0]["detail"]


class TestExclusionsByHand:
    async def test_a_key_is_looked_up_together_with_the_player(self, backend: httpx.AsyncClient) -> None:
        for player in ("p", "q"):
            for status in (202, 200):
                answer = await backend.post(
                    f"/v1/players/{player}/exclusion",
                    json={"kind": "self_exclusion"},
                    headers={"Idempotency-Key": "wish"},
                )
                assert answer.status_code == status
                assert answer.json()["protected"]["reason"] == "self_excluded"

    async def test_a_key_whose_exclusion_has_ended_protects_nobody_and_says_so(
        self, backend: httpx.AsyncClient
    ) -> None:
        path, wish = "/v1/players/p/exclusion", {"kind": "self_exclusion"}
        await backend.post(path, json=wish, headers={"Idempotency-Key": "first"})
        ended = cloudevent("p", "compliance.exclusion_ended", {"kind": "self_exclusion"})
        assert (await backend.post("/v1/events", json=[ended], headers=BATCH)).json()["accepted"] == 1
        repeated = await backend.post(path, json=wish, headers={"Idempotency-Key": "first"})
        assert (repeated.status_code, repeated.json()["type"]) == (409, "urn:journeys:problem:exclusion-ended")
        assert await protection(backend, "p") is None
        renewed = await backend.post(path, json=wish, headers={"Idempotency-Key": "second"})
        assert (renewed.status_code, renewed.json()["protected"]["reason"]) == (202, "self_excluded")

    async def test_a_key_with_another_wish_is_refused_and_the_player_is_excluded(
        self, backend: httpx.AsyncClient
    ) -> None:
        path, headers = "/v1/players/p/exclusion", {"Idempotency-Key": "wish"}
        await backend.post(path, json={"kind": "time_out"}, headers=headers)
        answer = await backend.post(path, json={"kind": "self_exclusion"}, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:journeys:problem:key-reused")
        assert answer.json()["detail"].endswith("The player is excluded as asked all the same.")
        assert (await protection(backend, "p"))["reason"] == "self_excluded"

    async def test_a_key_of_the_first_form_is_still_the_same_wish(self, api: Api, backend: httpx.AsyncClient) -> None:
        """The hash of the key alone, as it was kept before December 2026."""
        own = f"exclusion:{hashlib.sha256(b'old').hexdigest()}"
        now = datetime.now(UTC)
        first = ExclusionSet(event_id=own, event_source="api:tester", occurred_at=now, kind="self_exclusion")
        await api.engine.intake.ingest(api.brand, [("p", first)], now)
        for player, status in (("p", 200), ("q", 202)):
            answer = await backend.post(
                f"/v1/players/{player}/exclusion",
                json={"kind": "self_exclusion"},
                headers={"Idempotency-Key": "old"},
            )
            assert answer.status_code == status
