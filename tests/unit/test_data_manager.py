"""Audiences at Google's Data Manager: asked as its manual says, and a line that it cannot read is named."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from joserfc.jwk import RSAKey

from activities.providers.ad_networks import AdNetworkUnavailable, LinesRefused
from activities.providers.data_manager import DataManager
from activities.settings import AdAudience
from local.stand_ins.base import Journal
from local.stand_ins.data_manager import create_app

ACCOUNT = {
    "client_email": "crm@project.example",
    "token_uri": "http://127.0.0.1/token",
    "private_key": RSAKey.generate_key(2048).as_pem(private=True).decode(),
}
URL, PLACE = "http://127.0.0.1/v1", "1234567890/987"
ANNA = (sha256(b"anna@synthetic.example").hexdigest(), sha256(b"+380501234567").hexdigest())
OLEH = (sha256(b"oleh@synthetic.example").hexdigest(), "")
NO_HASH = ("anna@synthetic.example", "")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "ads.jsonl")


@pytest.fixture
async def http(journal: Journal) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(journal, ACCOUNT))) as client:
        yield client


def network(http: httpx.AsyncClient, account: dict[str, str] = ACCOUNT, url: str = URL) -> DataManager:
    return DataManager(url, json.dumps(account), http, lambda: datetime.now(UTC))


async def there(http: httpx.AsyncClient) -> list[list[str]]:
    return list((await http.get(f"http://127.0.0.1/lists/{PLACE}")).json())


async def test_who_is_added_is_there_once_and_who_is_removed_is_not(http: httpx.AsyncClient) -> None:
    ads = network(http)
    for _ in range(2):
        await ads.add(PLACE, [ANNA, OLEH], agreed=True)
    assert await there(http) == sorted([[*ANNA], [OLEH[0]]])
    for _ in range(2):
        await ads.remove(PLACE, [ANNA])
    assert await there(http) == [[OLEH[0]]]


async def test_consent_is_said_of_those_who_gave_it_and_of_nobody_else(
    http: httpx.AsyncClient, journal: Journal
) -> None:
    await network(http).add(PLACE, [ANNA], agreed=True)
    await network(http).add(PLACE, [OLEH], agreed=False)
    await network(http).remove(PLACE, [OLEH])
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    assert [one["consent"] for one in journal.records] == [granted, None, None]


async def test_a_request_is_written_as_the_manual_says() -> None:
    app, told = FastAPI(), list[dict[str, object]]()

    @app.post("/token")
    async def token() -> dict[str, object]:
        return {"access_token": "t", "expires_in": 3599}

    @app.post("/v1/audienceMembers:ingest")
    async def ingest(request: Request) -> dict[str, str]:
        told.append({"bearer": request.headers["authorization"], **json.loads(await request.body())})
        return {"requestId": "r"}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        await network(client).add(PLACE, [ANNA], agreed=False)
    place = {"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"}}
    hashes = [{"emailAddress": ANNA[0]}, {"phoneNumber": ANNA[1]}]
    assert told == [
        {
            "bearer": "Bearer t",
            "destinations": [{**place, "productDestinationId": "987"}],
            "audienceMembers": [{"userData": {"userIdentifiers": hashes}}],
            "encoding": "HEX",
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
        }
    ]


async def test_a_line_that_it_cannot_read_is_named_and_nobody_is_added(http: httpx.AsyncClient) -> None:
    with pytest.raises(LinesRefused) as raised:
        await network(http).add(PLACE, [ANNA, NO_HASH, OLEH], agreed=True)
    assert (raised.value.positions, await there(http)) == (frozenset({1}), [])
    assert NO_HASH[0] not in str(raised.value)


@pytest.mark.parametrize("field", ["audience_members.audience_members[0].user_data.user_identifiers", "destinations"])
async def test_only_what_is_about_a_line_is_laid_to_one(field: str) -> None:
    app = FastAPI()
    app.add_api_route("/token", lambda: {"access_token": "t"}, methods=["POST"])
    violations = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]}
    body = json.dumps({"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [violations]}})
    app.add_route("/v1/audienceMembers:ingest", lambda _: Response(body, 400), methods=["POST"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        with pytest.raises(AdNetworkUnavailable) as raised:
            await network(client).add(PLACE, [ANNA], agreed=True)
    assert isinstance(raised.value, LinesRefused) is field.startswith("audience_members")


@pytest.mark.parametrize(("status", "body"), [(503, b""), (200, b"<html>"), (200, b"[]"), (200, b"{}"), (403, b"{}")])
async def test_an_answer_that_is_none_is_no_yes(status: int, body: bytes) -> None:
    app = FastAPI()
    app.add_api_route("/token", lambda: {"access_token": "t"}, methods=["POST"])
    app.add_route("/v1/audienceMembers:ingest", lambda _: Response(body, status), methods=["POST"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        with pytest.raises(AdNetworkUnavailable) as raised:
            await network(client).add(PLACE, [ANNA], agreed=True)
    assert not isinstance(raised.value, LinesRefused)


async def test_an_account_it_does_not_know_is_told_without_its_key(http: httpx.AsyncClient) -> None:
    with pytest.raises(AdNetworkUnavailable, match="did not know the service account") as raised:
        await network(http, ACCOUNT | {"client_email": "other@project.example"}).add(PLACE, [ANNA], agreed=True)
    assert "PRIVATE" not in str(raised.value)


async def test_a_token_that_is_not_taken_any_more_is_asked_for_anew(http: httpx.AsyncClient, journal: Journal) -> None:
    ads = network(http)
    await ads.add(PLACE, [ANNA], agreed=True)
    restarted = create_app(journal, ACCOUNT)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(restarted)) as client:
        ads._client = client
        ads._account._client = client
        with pytest.raises(AdNetworkUnavailable, match="answered 401"):
            await ads.add(PLACE, [OLEH], agreed=True)
        await ads.add(PLACE, [OLEH], agreed=True)


@pytest.mark.parametrize(("url", "account"), [("http://ads.example/v1", ACCOUNT), (URL, {}), ("", ACCOUNT)])
async def test_it_is_not_built_without_a_safe_address_and_an_account(
    http: httpx.AsyncClient, url: str, account: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="DATA_MANAGER_"):
        network(http, account, url)


@pytest.mark.parametrize(("called", "account"), [("google", ""), ("meta", "123")])
def test_an_audience_has_an_account_with_google_and_there_alone(called: str, account: str) -> None:
    declared = {"name": "a", "brand": "acme", "use": "seed", "segment": "s", "there": "1"}
    with pytest.raises(ValueError, match="AD_AUDIENCES"):
        AdAudience.model_validate(declared | {"network": called, "account": account})
    assert AdAudience.model_validate(declared | {"network": "google", "account": "123"}).called == "123/1"
    assert AdAudience.model_validate(declared).called == "1"
