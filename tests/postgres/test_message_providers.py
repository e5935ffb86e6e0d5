"""Providers tell what became of messages, signed: it advances the message, and withdraws a consent."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from activities.intake.stray_refusals import StrayRefusal, hold
from activities.stray_texts import newest_strays
from activities.tables import events, messages, stray_refusals
from tests.support.api_client import Api, serving
from tests.support.api_seed import PLAYER, seeded
from tests.support.engine import rows
from tests.support.machine import eventually
from workflows.events import ConsentChanged, Event, PlayerRegistered, ProfileUpdated

PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEY = base64.b64encode(PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
TOKEN = "a token of the account"
HOME = "https://crm.example"
MAIL, SMS = "/v1/integrations/sendgrid/events", "/v1/integrations/twilio/status"
TEXTS = "/v1/integrations/twilio/texts"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    given: dict[str, Any] = {"mail_events_key": KEY, "sms_api_token": TOKEN, "public_url": HOME}
    async with serving(module_postgres_url, journeys="tests.support.api_journeys", **given) as application:
        yield application


async def tells_mail(api: Api, *said: dict[str, Any], signature: str | None = None) -> httpx.Response:
    body, timestamp = orjson.dumps([*said]), "1773057600"
    genuine = base64.b64encode(PRIVATE.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {
        "x-twilio-email-event-webhook-signature": genuine if signature is None else signature,
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "content-type": "application/json",
    }
    return await api.anonymous.post(MAIL, content=body, headers=headers)


async def tells_sms(api: Api, key: str, token: str = TOKEN, **form: str) -> httpx.Response:
    query = f"?key={quote(key, safe='')}"
    told = f"{HOME}{SMS}{query}" + "".join(f"{name}{value}" for name, value in sorted(form.items()))
    signature = base64.b64encode(hmac.digest(token.encode(), told.encode(), hashlib.sha1)).decode()
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return await api.anonymous.post(f"{SMS}{query}", content=urlencode(form), headers=headers)


async def texts_us(api: Api, number: str, body: str, token: str = TOKEN, **more: str) -> httpx.Response:
    form = {"MessageSid": f"SM{secrets.token_hex(4)}", "From": number, "Body": body} | more
    told = f"{HOME}{TEXTS}" + "".join(f"{name}{value}" for name, value in sorted(form.items()))
    signature = base64.b64encode(hmac.digest(token.encode(), told.encode(), hashlib.sha1)).decode()
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return await api.anonymous.post(TEXTS, content=urlencode(form), headers=headers)


async def with_numbers(api: Api, **numbers: str) -> None:
    """Players of these ids with these numbers, who allowed SMS and mail; and a key, as every brand has one."""
    await api.key("players:read")
    now = datetime.now(UTC)
    known: list[tuple[str, Event]] = []
    for player, number in numbers.items():
        opted = {"event_id": f"{api.brand}-{player}", "opted_in": ("sms", "email"), "phone": number}
        known.append((player, PlayerRegistered.example().model_copy(update=opted | {"occurred_at": now})))
    assert set(await api.engine.intake.ingest(api.brand, known, now)) == {"accepted"}


async def happens(api: Api, player: str, kind: type[Event], **said: Any) -> None:
    now = datetime.now(UTC)
    told = {"event_id": secrets.token_hex(8), "event_source": "test", "occurred_at": now, **said}
    assert await api.engine.intake.ingest(api.brand, [(player, kind.model_validate(told))], now) == ["accepted"]


async def allows(api: Api, player: str, channel: str = "sms") -> bool | None:
    desk = await api.client("players:read", name="desk")
    known = (await desk.get(f"/v1/players/{player}")).json()
    said: bool | None = {one["channel"]: one["opted_in"] for one in known["consents"]}.get(channel)
    return said


def number_of(api: Api) -> str:
    """A number of this test's own."""
    return f"+38050{int(api.brand.removeprefix('brand-'), 16):010}"


def about(message_id: str, event: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "journeys_key": message_id, "sg_event_id": f"{event}-{message_id}", "timestamp": 1, **more}


async def sent_mail(api: Api) -> str:
    ids = await seeded(api)
    mine = await rows(api.engine.database, messages, brand=api.brand, channel="email")
    assert mine, ids
    return str(mine[0]["id"])


async def told(api: Api) -> list[tuple[str, str]]:
    kept = await rows(api.engine.database, events, brand=api.brand, type="message.status")
    return [(row["player_id"], row["data"]["status"]) for row in kept if row["source"].startswith("provider:")]


async def test_a_mail_that_arrived_is_told_and_advances_the_message(api: Api) -> None:
    mail = await sent_mail(api)
    assert (await tells_mail(api, about(mail, "processed"), about(mail, "delivered"))).status_code == 204
    assert await told(api) == [(PLAYER, "sent"), (PLAYER, "delivered")]
    (row,) = await rows(api.engine.database, messages, id=mail)
    assert row["delivery"] == "delivered"
    assert (await tells_mail(api, about(mail, "delivered"))).status_code == 204
    assert len(await told(api)) == 2


async def test_a_complaint_withdraws_the_consent(api: Api) -> None:
    mail = await sent_mail(api)
    assert (await tells_mail(api, about(mail, "spamreport"))).status_code == 204
    desk = await api.client("players:read", name="desk")
    known = (await desk.get(f"/v1/players/{PLAYER}")).json()
    assert {one["channel"]: one["opted_in"] for one in known["consents"]}["email"] is False


async def test_what_is_about_others_is_passed_by(api: Api) -> None:
    await sent_mail(api)
    assert (await tells_mail(api, about("of/another/house", "delivered"), {"event": "open"})).status_code == 204
    assert await told(api) == []


@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_what_the_provider_did_not_sign_is_not_kept(api: Api, signature: str) -> None:
    mail = await sent_mail(api)
    assert (await tells_mail(api, about(mail, "spamreport"), signature=signature)).status_code == 401
    assert (await tells_sms(api, mail, "another token", MessageSid="SM1", MessageStatus="sent")).status_code == 401
    assert await told(api) == []


async def test_a_callback_about_an_sms_is_kept_and_stop_is_a_no(api: Api) -> None:
    mail = await sent_mail(api)
    assert (await tells_sms(api, mail, MessageSid="SM1", MessageStatus="delivered")).status_code == 204
    said = {"MessageSid": "SM2", "MessageStatus": "failed", "ErrorCode": "21610"}
    assert (await tells_sms(api, mail, **said)).status_code == 204
    assert [status for _, status in await told(api)] == ["delivered", "unsubscribed"]


@pytest.mark.parametrize("body", [b"{}", b"no json", b"[" + b"{}," * 5_000 + b"{}]"])
async def test_what_is_no_list_of_events_is_refused(api: Api, body: bytes) -> None:
    timestamp = "1"
    signature = base64.b64encode(PRIVATE.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "content-type": "application/json",
    }
    assert (await api.anonymous.post(MAIL, content=body, headers=headers)).status_code == 400


async def test_what_a_mail_program_opened_by_itself_nobody_opened(api: Api) -> None:
    mail = await sent_mail(api)
    assert (await tells_mail(api, about(mail, "open", sg_machine_open=True))).status_code == 204
    (row,) = await rows(api.engine.database, messages, id=mail)
    assert (row["opened_at"], row["machine_opened_at"] is None) == (None, False)


@pytest.mark.parametrize(
    ("body", "more"), [("STOP", {}), ("Відписатися, будь ласка", {}), ("Fin", {"OptOutType": "STOP"})]
)
async def test_a_stop_from_a_number_is_a_no_of_every_player_who_has_it_when_it_is_answered(
    api: Api, body: str, more: dict[str, str]
) -> None:
    number = number_of(api)
    spaced = f"00{number[1:4]} ({number[4:6]}) {number[6:]}"
    await with_numbers(api, anna=number, oleh=spaced, other=f"{number}9")
    answered = await texts_us(api, number, body, **more)
    assert (answered.status_code, answered.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert answered.text.endswith("<Response/>")
    assert [await allows(api, player) for player in ("anna", "oleh", "other")] == [False, False, True]
    assert await allows(api, "anna", "email") is True


async def test_a_stop_reaches_the_players_of_every_brand(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    async with api.for_one_test() as another:
        await with_numbers(another, anna=number)
        assert (await texts_us(api, number, "stop")).status_code == 200
        assert (await allows(api, "anna"), await allows(another, "anna")) == (False, False)


async def test_start_is_kept_and_allows_nothing(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    await texts_us(api, number, "STOP")
    assert (await texts_us(api, number, "START", OptOutType="START")).status_code == 200
    assert await allows(api, "anna") is False
    kept = await rows(api.engine.database, events, brand=api.brand, type="message.received")
    assert sorted(row["data"]["text"] for row in kept) == ["START", "STOP"]
    # Who asks for it in a form of ours is believed, as ever.
    yes = ConsentChanged.example().model_copy(
        update={"event_id": f"{api.brand}-yes", "channel": "sms", "occurred_at": datetime.now(UTC)}
    )
    await api.engine.intake.ingest(api.brand, [("anna", yes)], datetime.now(UTC))
    assert await allows(api, "anna") is True


async def test_a_stop_through_whatsapp_ends_whatsapp_and_nothing_else(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    assert (await texts_us(api, f"whatsapp:{number}", "стоп")).status_code == 200
    assert [await allows(api, "anna", channel) for channel in ("whatsapp", "sms")] == [False, True]


async def test_a_text_told_twice_is_one(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    for _ in range(2):
        assert (await texts_us(api, number, "Hello?", MessageSid=f"SM-{api.brand}")).status_code == 200
    assert len(await rows(api.engine.database, events, brand=api.brand, type="message.received")) == 1


async def test_a_text_from_a_number_nobody_has_is_kept_and_answered(api: Api) -> None:
    number = number_of(api)
    for _ in range(2):
        assert (await texts_us(api, number, "Stop", MessageSid=f"SM-{api.brand}")).status_code == 200
    async with api.engine.database.reading() as connection:
        found = [one for one in await newest_strays(connection, 100) if one.number == number]
    assert [(one.channel, one.text, one.stops) for one in found] == [("sms", "Stop", True)]


async def test_a_text_that_somebody_else_signed_is_not_kept(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    assert (await texts_us(api, number, "STOP", "another token")).status_code == 401
    assert await allows(api, "anna") is True


async def test_a_stop_from_a_number_nobody_has_is_a_no_of_who_registers_with_it(api: Api) -> None:
    number = number_of(api)
    await api.key("players:read")
    assert (await texts_us(api, number, "STOP")).status_code == 200
    await with_numbers(api, anna=f"00{number[1:]}", other=f"{number}9")
    assert [await allows(api, player) for player in ("anna", "other")] == [False, True]
    assert await allows(api, "anna", "email") is True


async def test_what_a_form_allows_is_refused_by_an_older_no_of_its_number_until_a_yes_is_received_after_it(
    api: Api,
) -> None:
    number = number_of(api)
    await api.key("players:read")
    assert (await texts_us(api, number, "STOP")).status_code == 200
    await with_numbers(api, anna=number)
    assert await allows(api, "anna") is False
    form = PlayerRegistered.example().model_dump(by_alias=False) | {"phone": number, "opted_in": ("sms", "email")}
    await happens(api, "anna", PlayerRegistered, **form | {"event_id": "again", "occurred_at": datetime.now(UTC)})
    assert await allows(api, "anna") is False
    await happens(api, "anna", ConsentChanged, channel="sms", product="all", opted_in=True)
    assert await allows(api, "anna") is True


async def test_a_stop_reaches_who_gets_the_number_in_another_brand_later(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    async with api.for_one_test() as another:
        await another.key("players:read")
        assert (await texts_us(api, number, "STOP")).status_code == 200
        await with_numbers(another, anna=number)
        assert (await allows(api, "anna"), await allows(another, "anna")) == (False, False)


async def test_a_number_that_a_player_changes_to_brings_its_no_and_another_word_counts_after_it(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=f"{number}1")
    assert (await texts_us(api, number, "STOP")).status_code == 200
    assert await allows(api, "anna") is True
    await happens(api, "anna", ProfileUpdated, changed={"phone": number})
    assert await allows(api, "anna") is False
    await happens(api, "anna", ConsentChanged, channel="sms", product="all", opted_in=True)
    # Told again, and nothing about it is new.
    await happens(api, "anna", ProfileUpdated, changed={"phone": number, "language": "en"})
    assert await allows(api, "anna") is True


async def test_who_registers_while_their_number_says_no_waits_for_it(api: Api) -> None:
    number, engine = number_of(api), api.engine
    await api.key("players:read")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"

    async def waits() -> bool:
        async with engine.database.reading() as connection:
            return bool((await connection.execute(sa.text(waiting))).scalar_one())

    async with asyncio.TaskGroup() as beside, engine.database.transaction() as connection:
        no = StrayRefusal("sms", number)
        await hold(connection, engine.intake.digests, no, datetime.now(UTC))
        beside.create_task(with_numbers(api, anna=number))
        await eventually(waits)
    assert await allows(api, "anna") is False


async def test_a_stop_waits_for_a_large_batch_of_registrations(api: Api) -> None:
    number, engine = number_of(api), api.engine
    await api.key("players:read")
    lots = "SELECT pg_advisory_xact_lock_shared(hashtext('stray_refusals'), lot) FROM generate_series(0, 63) t (lot)"
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' "
        "AND clock_timestamp() - query_start > interval '0.7 seconds'"
    )

    async def waits_for_long() -> bool:
        async with engine.database.reading() as connection:
            return bool((await connection.execute(sa.text(waiting))).scalar_one())

    async with asyncio.TaskGroup() as beside, engine.database.transaction() as batch:
        await batch.execute(sa.text(lots))
        stop = beside.create_task(texts_us(api, number, "STOP"))
        await eventually(waits_for_long)
    assert stop.result().status_code == 200


async def test_what_is_held_for_an_address_goes_with_the_player_who_has_it(api: Api) -> None:
    number = number_of(api)
    await with_numbers(api, anna=number)
    assert (await texts_us(api, number, "STOP")).status_code == 200
    assert len(await rows(api.engine.database, stray_refusals, brand=api.brand)) == 1
    officer = await api.client("players:erase", name="officer")
    assert (await officer.delete("/v1/players/anna?ground=objection&reference=T-1")).status_code == 202
    assert await rows(api.engine.database, stray_refusals, brand=api.brand) == []


async def test_who_unsubscribes_from_a_mail_that_is_not_kept_any_more_says_no_now_and_later(api: Api) -> None:
    await with_numbers(api, anna=number_of(api))
    address = f"{api.brand}@synthetic.example"
    await happens(api, "anna", ProfileUpdated, changed={"email": address})
    gone = about(f"of/another/{api.brand}", "unsubscribe", email=address.upper())
    assert (await tells_mail(api, gone)).status_code == 204
    assert await allows(api, "anna", "email") is False
    await with_numbers(api, oleh=f"{number_of(api)}2")
    assert await allows(api, "oleh", "email") is True
    await happens(api, "oleh", ProfileUpdated, changed={"email": f" {address}"})
    assert await allows(api, "oleh", "email") is False


async def test_an_sms_that_is_not_kept_any_more_and_met_a_stop_is_a_no_of_its_number(api: Api) -> None:
    number = number_of(api)
    await api.key("players:read")
    said = {"MessageSid": f"SM-{api.brand}", "MessageStatus": "failed", "ErrorCode": "21610", "To": number}
    assert (await tells_sms(api, f"of/another/{api.brand}", **said)).status_code == 204
    await with_numbers(api, anna=number)
    assert await allows(api, "anna") is False
