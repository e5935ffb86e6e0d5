"""Mail and SMS over providers' HTTP APIs, against servers that answer as their manuals say."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote

import httpx
import pytest

from activities.channel_adapters import channel_adapters
from activities.providers.adapter import Adapter, ChannelUnavailable, Delivered, OutgoingMessage, Rejected
from activities.providers.email import EmailAdapter
from activities.providers.mail_api import MailApiAdapter
from activities.providers.sms_api import SmsApiAdapter
from activities.settings import Settings
from tests.support.loopback_server import HANG_UP, Scripted, answer, scripted
from workflows.channels import Channel
from workflows.errors import DesignError

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
KEY = "welcome:demo:p-1:1/send:welcome#1/email"
QUICK = timedelta(milliseconds=300)


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
        return channel_adapters(settings, http)

    async with httpx.AsyncClient() as http:
        assert isinstance(adapters()["email"], EmailAdapter)
        api = {"mail_api_url": "https://api.sendgrid.com/v3/mail/send", "mail_api_key": "SG.key"}
        assert isinstance(adapters(**api)["email"], MailApiAdapter)
        sms = {"sms_api_url": "https://api.twilio.com/x/Messages.json", "sms_api_account": "AC1", "sms_api_token": "t"}
        assert isinstance(adapters(**sms, sms_from="MG1")["sms"], SmsApiAdapter)
        with pytest.raises(DesignError, match="SMS_FROM"):
            adapters(**sms)
        with pytest.raises(DesignError, match="MAIL_API_KEY"):
            adapters(mail_api_url="https://api.sendgrid.com/v3/mail/send")
