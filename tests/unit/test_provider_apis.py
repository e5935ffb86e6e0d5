"""Mail and SMS over providers' HTTP APIs, against servers that answer as their manuals say."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from activities.channel_adapters import channel_adapters
from activities.providers.adapter import (
    Adapter,
    ChannelUnavailable,
    DeadDevice,
    Delivered,
    OutgoingMessage,
    Rejected,
)
from activities.providers.email import EmailAdapter
from activities.providers.mail_api import MailApiAdapter
from activities.providers.push_api import PushApiAdapter
from activities.providers.sms_api import SmsApiAdapter
from activities.settings import Settings
from tests.support.loopback_server import HANG_UP, Scripted, answer, scripted
from workflows.channels import Channel
from workflows.errors import DesignError

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
KEY = "welcome:demo:p-1:1/send:welcome#1/email"
QUICK = timedelta(milliseconds=300)
RSA = RSAKey.generate_key(2048)
LET_IN = answer(200, {"access_token": "ya29", "expires_in": 3599})
UNREGISTERED = {
    "error": {
        "code": 404,
        "message": "Requested entity was not found.",
        "status": "NOT_FOUND",
        "details": [
            {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"},
        ],
    }
}


def a_mail(**other: object) -> OutgoingMessage:
    given = {
        "key": KEY,
        "brand": "demo",
        "brand_name": "Northlight",
        "channel": "email",
        "message_class": "marketing",
        "to": "olena@players.example",
        "title": "Вітаємо",
        "body": "Вітаємо, Олено.",
        "html": "<p>Вітаємо, Олено.</p>",
        "language": "uk",
        "unsubscribe_url": "https://casino.example/v1/unsubscribe/t",
    }
    return OutgoingMessage(**given | other)  # type: ignore[arg-type]


def an_sms(**other: object) -> OutgoingMessage:
    return a_mail(
        **{"channel": "sms", "to": "+380501234567", "title": "", "html": None, "body": "Рахунок чекає."} | other
    )


async def mails(server: Scripted, message: OutgoingMessage) -> Delivered | Rejected:
    async with httpx.AsyncClient() as http:
        adapter = MailApiAdapter(
            f"{server.url}/v3/mail/send", "SG.key", http, sender="hi@casino.example", timeout=QUICK
        )
        return await adapter.deliver(message, NOW)


async def texts(server: Scripted, message: OutgoingMessage, *, sender: str = "+15005550006") -> Delivered | Rejected:
    async with httpx.AsyncClient() as http:
        adapter = SmsApiAdapter(
            f"{server.url}/2010-04-01/Accounts/AC1/Messages.json",
            "AC1",
            "token",
            http,
            sender=sender,
            callback="https://casino.example/sms",
            timeout=QUICK,
        )
        return await adapter.deliver(message, NOW)


async def test_a_mail_is_asked_for_as_the_manual_says_with_both_bodies_and_the_way_out() -> None:
    async with scripted(answer(202, X_Message_Id="sg-1")) as server:
        assert await mails(server, a_mail()) == Delivered("sg-1")
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("POST", "/v3/mail/send")
    assert asked.headers["authorization"] == "Bearer SG.key"
    told = json.loads(asked.body)
    assert told["personalizations"] == [
        {"to": [{"email": "olena@players.example"}], "custom_args": {"journeys_key": KEY}}
    ]
    assert told["from"] == {"email": "hi@casino.example", "name": "Northlight"}
    assert [part["type"] for part in told["content"]] == ["text/plain", "text/html"]
    assert told["headers"]["List-Unsubscribe"] == "<https://casino.example/v1/unsubscribe/t>"
    assert told["tracking_settings"]["click_tracking"] == {"enable": False}


async def test_an_sms_is_asked_for_as_the_manual_says() -> None:
    async with scripted(answer(201, {"sid": "SM1", "status": "queued"})) as server:
        assert await texts(server, an_sms()) == Delivered("SM1")
        await texts(server, an_sms(), sender="MG1")
    first, pooled = (parse_qs(asked.body.decode()) for asked in server.asked)
    assert b64decode(server.asked[0].headers["authorization"].partition(" ")[2]) == b"AC1:token"
    assert (first["To"], first["From"], first["Body"]) == (["+380501234567"], ["+15005550006"], ["Рахунок чекає."])
    assert first["StatusCallback"] == [f"https://casino.example/sms?key={quote(KEY, safe='')}"]
    assert (pooled["MessagingServiceSid"], "From" in pooled) == (["MG1"], False)


def account(url: str) -> str:
    key = RSA.as_pem(private=True).decode()
    return json.dumps({"client_email": "crm@project.example", "token_uri": f"{url}/token", "private_key": key})


def a_push(*tokens: str) -> OutgoingMessage:
    return a_mail(channel="push", to="\n".join(tokens), html=None)


async def pushes(server: Scripted, *messages: OutgoingMessage) -> list[Delivered | Rejected]:
    async with httpx.AsyncClient() as http:
        url = f"{server.url}/v1/projects/casino/messages:send"
        adapter = PushApiAdapter(url, account(server.url), http, timeout=QUICK)
        return [await adapter.deliver(message, NOW) for message in messages]


async def test_a_push_is_asked_for_as_the_manual_says_and_one_letting_in_serves_many() -> None:
    async with scripted(LET_IN, answer(200, {"name": "projects/casino/messages/1"})) as server:
        taken = await pushes(server, a_push("token-1"), a_push("token-2"))
    assert taken == [Delivered("projects/casino/messages/1")] * 2
    asked_in, first, second = server.asked
    claims = jwt.decode(parse_qs(asked_in.body.decode())["assertion"][0], RSA, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"]) == ("crm@project.example", f"{server.url}/token")
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert (first.target, first.headers["authorization"]) == ("/v1/projects/casino/messages:send", "Bearer ya29")
    told = json.loads(first.body)["message"]
    assert told["notification"] == {"title": "Вітаємо", "body": "Вітаємо, Олено."}
    assert (told["token"], told["data"]["key"]) == ("token-1", KEY)
    assert json.loads(second.body)["message"]["token"] == "token-2"


@pytest.mark.parametrize(
    ("said", "dead"),
    [
        (answer(404, UNREGISTERED), DeadDevice("token-1")),
        (
            answer(410, {"reason": "Unregistered", "timestamp": 1768478400000}),
            DeadDevice("token-1", datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ),
        (
            answer(400, {"error": {"details": [{"fieldViolations": [{"field": "message.token"}]}]}}),
            DeadDevice("token-1"),
        ),
    ],
    ids=["fcm", "apns", "no-token"],
)
async def test_a_push_to_a_dead_device_alone_has_failed_for_good(said: bytes, dead: DeadDevice) -> None:
    async with scripted(LET_IN, said) as server:
        (came,) = await pushes(server, a_push("token-1"))
    assert isinstance(came, Rejected)
    assert (came.reason, came.dead) == ("devices_gone", (dead,))
    assert "token-1" not in repr(came)


async def test_one_device_that_takes_a_push_is_enough_and_a_dead_one_beside_it_is_told() -> None:
    async with scripted(LET_IN, answer(404, UNREGISTERED), answer(200, {"name": "m-1"})) as server:
        (came,) = await pushes(server, a_push("one", "two"))
    assert isinstance(came, Delivered)
    assert len(came.dead) == 1


@pytest.mark.parametrize(
    ("script", "may_have_arrived", "answered"),
    [
        ((answer(400, {"error": "invalid_grant"}),), False, True),
        ((HANG_UP,), False, False),
        ((LET_IN, answer(401)), False, True),
        ((LET_IN, answer(404)), False, True),
        ((LET_IN, answer(429, Retry_After="7")), False, True),
        ((LET_IN, answer(503)), True, False),
        ((LET_IN, HANG_UP), True, False),
        ((LET_IN, None), True, False),
    ],
    ids=["account", "not-let-in", "access", "project", "throttled", "failing", "hung-up", "silent"],
)
async def test_what_is_not_a_pushs_fault_comes_again_and_kills_no_device(
    script: tuple[bytes | None, ...], *, may_have_arrived: bool, answered: bool
) -> None:
    async with scripted(*script) as server:
        with pytest.raises(ChannelUnavailable) as away:
            await pushes(server, a_push("token-1"))
    assert (away.value.may_have_arrived, away.value.answered) == (may_have_arrived, answered)
    assert "token-1" not in str(away.value)


async def test_a_push_to_nobody_is_asked_for_nowhere() -> None:
    async with scripted(LET_IN) as server:
        assert await pushes(server, a_push()) == [Rejected("address_invalid")]
    assert server.asked == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [(21211, "address_invalid"), (21610, "address_refused"), (21614, "address_refused"), (21617, "refused")],
)
async def test_what_is_wrong_with_a_number_is_final_and_the_number_is_not_repeated(code: int, reason: str) -> None:
    refusal = {"code": code, "message": "Attempt to send to +380501234567", "status": 400}
    async with scripted(answer(400, refusal)) as server:
        assert await texts(server, an_sms()) == Rejected(reason, str(code))  # type: ignore[arg-type]


@pytest.mark.parametrize("send", [mails, texts])
@pytest.mark.parametrize(
    ("said", "may_have_arrived", "answered"),
    [
        (answer(401, {"code": 20003}), False, True),
        (answer(429, {"code": 20429}, Retry_After="7"), False, True),
        (answer(503), True, False),
        (HANG_UP, True, False),
        (None, True, False),
    ],
    ids=["key", "throttled", "failing", "hung-up", "silent"],
)
async def test_what_is_not_the_messages_fault_comes_again_and_only_a_lost_answer_is_in_doubt(
    send: object, said: bytes | None, *, may_have_arrived: bool, answered: bool
) -> None:
    message = a_mail() if send is mails else an_sms()
    async with scripted(said) as server:
        with pytest.raises(ChannelUnavailable) as away:
            await send(server, message)  # type: ignore[operator]
    assert (away.value.may_have_arrived, away.value.answered) == (may_have_arrived, answered)
    assert "olena" not in str(away.value)
    assert "380" not in str(away.value)
    if said is not None and b"429" in said:
        assert away.value.retry_after == timedelta(seconds=7)


async def test_a_provider_that_is_not_there_has_taken_nothing() -> None:
    with pytest.raises(ChannelUnavailable) as away:
        await mails(Scripted("http://127.0.0.1:1"), a_mail())
    assert not away.value.may_have_arrived


@pytest.mark.parametrize("to", ["", "olena", "olena@x.example\r\nBcc: all@x.example"])
async def test_no_mail_is_asked_for_to_what_is_no_address(to: str) -> None:
    async with scripted(answer(202)) as server:
        assert isinstance(await mails(server, a_mail(to=to)), Rejected)
    assert server.asked == []


async def test_settings_choose_who_takes_mail_and_sms_and_a_half_set_one_is_told() -> None:
    def adapters(**given: str) -> dict[Channel, Adapter]:
        settings = Settings(database_url="postgresql://x", webhook_secret="whsec_" + "c2VjcmV0" * 4, **given)  # type: ignore[arg-type]
        return channel_adapters(settings, http, http)

    async with httpx.AsyncClient() as http:
        assert isinstance(adapters()["email"], EmailAdapter)
        api = {"mail_api_url": "https://api.sendgrid.com/v3/mail/send", "mail_api_key": "SG.key"}
        assert isinstance(adapters(**api)["email"], MailApiAdapter)
        sms = {"sms_api_url": "https://api.twilio.com/x/Messages.json", "sms_api_account": "AC1", "sms_api_token": "t"}
        assert isinstance(adapters(**sms, sms_from="MG1")["sms"], SmsApiAdapter)
        push = {"push_api_url": "https://fcm.googleapis.com/v1/projects/casino/messages:send"}
        assert isinstance(adapters(**push, push_api_account=account("https://oauth2.example"))["push"], PushApiAdapter)
        for nothing in ("", "{}", "no json", '{"client_email": "a", "token_uri": "b", "private_key": "c"}'):
            with pytest.raises(DesignError, match="PUSH_API_ACCOUNT"):
                adapters(**push, push_api_account=nothing)
        with pytest.raises(DesignError, match="SMS_FROM"):
            adapters(**sms)
        with pytest.raises(DesignError, match="MAIL_API_KEY"):
            adapters(mail_api_url="https://api.sendgrid.com/v3/mail/send")
