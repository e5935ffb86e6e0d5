# ruff: noqa: RUF001 - Russian and Ukrainian letters are meant
"""A message reaches its provider once it can, says who sent it, and never says more than it should."""

import asyncio
import email
import email.policy
import hashlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from standardwebhooks import Webhook, WebhookVerificationError

from activities.providers.adapter import ChannelUnavailable, Delivered, OutgoingMessage, Rejected
from activities.providers.email import EmailAdapter, MailLookup
from activities.providers.webhook import WebhookAdapter, retry_after
from local.ports import free_port
from tests.support.loopback_server import HANG_UP, answer, scripted
from tests.support.machine import unhurried
from tests.support.mail_server import speaking
from tests.support.servers import LocalCatchAll

SECRET = "whsec_" + b64encode(b"a secret of twenty-four b").decode()
QUICK = timedelta(milliseconds=300)


def now() -> datetime:
    return datetime.now(UTC)


def a_mail(**other: object) -> OutgoingMessage:
    message = OutgoingMessage(
        key=f"welcome:demo:{uuid4()}:1/send:welcome#1/email",
        brand="demo",
        brand_name="Northlight",
        channel="email",
        message_class="service",
        to=f"{uuid4().hex}@players.example",
        title="Добро пожаловать",
        body="Здравствуйте, Анна!\n\nДобро пожаловать.",
        language="ru",
    )
    return replace(message, **other)  # type: ignore[arg-type]


def an_sms(**other: object) -> OutgoingMessage:
    message = a_mail(channel="sms", to="+380501234567", title="", body="Ваш рахунок чекає.", language="uk")
    return replace(message, **other)  # type: ignore[arg-type]


class Mailbox:
    """An SMTP server that answers as it is told and keeps the bytes it took."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("mail", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = self.answers.get("rcpt", "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.recipients += envelope.rcpt_tos
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return self.answers.get("data", "250 Kept")


@asynccontextmanager
async def serving(mailbox: Mailbox) -> AsyncIterator[EmailAdapter]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, hostname="localhost", loop=loop, enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    try:
        port = server.sockets[0].getsockname()[1]
        yield EmailAdapter(f"smtp://127.0.0.1:{port}", sender="casino@northlight.example")
    finally:
        server.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


# ---- mail -----------------------------------------------------------------------------------------------------


async def test_a_mail_arrives_with_its_words_and_its_identity(catch_all: LocalCatchAll) -> None:
    message = a_mail()
    channel = EmailAdapter(catch_all.smtp_url, sender="casino@northlight.example")
    delivered = await channel.deliver(message, now())
    (mail,) = await catch_all.mails(message.to)
    assert isinstance(delivered, Delivered)
    assert mail["subject"] == message.title
    assert mail["text"].replace("\r\n", "\n").strip() == message.body
    assert mail["headers"]["From"] == "Northlight <casino@northlight.example>"
    assert mail["headers"]["X-Idempotency-Key"] == message.key
    assert mail["headers"]["Content-Language"] == "ru"
    digest = hashlib.sha256(message.key.encode()).hexdigest()
    assert mail["message_id"] == delivered.reference == f"<{digest}@demo>"


async def test_a_repeated_mail_can_be_told_from_a_second_one() -> None:
    message = a_mail()
    mailbox = Mailbox()
    async with serving(mailbox) as channel:
        for sent in (message, message, replace(message, key=f"{message.key}2")):
            await channel.deliver(sent, now())
    first, again, other = (mail["Message-ID"] for mail in mailbox.mails)
    assert first == again != other


async def test_marketing_carries_one_click_unsubscribe_and_service_mail_does_not() -> None:
    mailbox = Mailbox()
    url = "https://northlight.example/u/" + "k" * 150
    async with serving(mailbox) as channel:
        await channel.deliver(a_mail(message_class="marketing", unsubscribe_url=url), now())
        await channel.deliver(a_mail(unsubscribe_url=url), now())
    marketing, service = mailbox.mails
    assert marketing["List-Unsubscribe"] == f"<{url}>"
    assert marketing["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert service["List-Unsubscribe"] is None
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in mailbox.raw[0], "folded, the link would be cut in two"


async def test_the_html_twin_travels_beside_the_text() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as channel:
        await channel.deliver(a_mail(html="<p>Привет</p>"), now())
    html, plain = (mailbox.mails[0].get_body((kind,)) for kind in ("html", "plain"))
    assert html is not None
    assert plain is not None
    assert "<p>Привет</p>" in html.get_content()
    assert "Добро пожаловать." in plain.get_content()


@pytest.mark.parametrize("html", [None, "<p>" + "Вітаємо у казино! " * 60 + "</p>"])
@pytest.mark.parametrize("body", ["Вітаємо у казино! " * 60, "A café. " + "word " * 400, "x" * 2_000, "No.\n.\nDot."])
async def test_no_line_of_a_body_is_longer_than_mime_allows(body: str, html: str | None) -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as channel:
        await channel.deliver(a_mail(body=body, html=html), now())
    _, _, encoded = mailbox.raw[0].partition(b"\r\n\r\n")
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    plain = mailbox.mails[0].get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n").strip() == body.strip()


@pytest.mark.parametrize(
    "injected",
    [
        {"title": "Hello\r\nBcc: all@players.example"},
        {"title": "Hello\nX: y"},
        {"title": "Hello\x00"},
        {"title": "Hello\u2028Bcc: all@players.example"},
        {"to": "ann@players.example\r\nRCPT TO:<all@players.example>"},
        {"to": "ann@players.example\nBcc: all@players.example"},
        {"brand_name": "Northlight\r\nBcc: all@players.example"},
    ],
)
async def test_a_line_break_cannot_become_a_header(injected: dict[str, str]) -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as channel:
        assert await channel.deliver(a_mail(**injected), now()) == Rejected("header_unsafe")
    assert mailbox.raw == []


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ann",
        "ann@",
        "@players.example",
        "ann@players.example, all@players.example",
        "Ann <ann@players.example>",
        "ann@players.example> SIZE=1",
        "анна@players.example",
        "ann@play ers.example",
    ],
)
async def test_what_is_no_single_address_is_rejected(to: str) -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as channel:
        assert await channel.deliver(a_mail(to=to), now()) == Rejected("address_invalid")
    assert mailbox.raw == []


async def test_a_domain_in_another_script_is_written_in_ascii() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as channel:
        await channel.deliver(a_mail(to="anna@пример.испытание"), now())
    assert mailbox.recipients == ["anna@xn--e1afmkfd.xn--80akhbyknj4f"]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"rcpt": "550 No such player ann@players.example"}, Rejected("address_refused", "550")),
        ({"data": "554 Looks like spam"}, Rejected("content_refused", "554")),
    ],
)
async def test_a_final_refusal_is_an_answer(answers: dict[str, str], outcome: Rejected) -> None:
    async with serving(Mailbox(**answers)) as channel:
        assert await channel.deliver(a_mail(), now()) == outcome


@pytest.mark.parametrize(
    "answers",
    [
        {"rcpt": "450 ann@players.example is busy"},
        {"data": "451 Try later"},
        {"mail": "451 Not now"},
        {"mail": "550 You may not send here"},
    ],
)
async def test_a_refusal_for_now_or_of_ourselves_is_tried_again(answers: dict[str, str]) -> None:
    message = a_mail(to="ann@players.example")
    async with serving(Mailbox(**answers)) as channel:
        with pytest.raises(ChannelUnavailable, match="try again") as caught:
            await channel.deliver(message, now())
    assert "ann@" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert caught.value.may_have_arrived is False


async def test_a_mail_server_that_is_away_is_tried_again() -> None:
    channel = EmailAdapter(f"smtp://127.0.0.1:{free_port()}", sender="casino@northlight.example")
    with pytest.raises(ChannelUnavailable, match="could not be reached") as caught:
        await channel.deliver(a_mail(), now())
    assert caught.value.may_have_arrived is False


async def test_a_mail_server_that_never_speaks_is_given_up_in_time() -> None:
    async with scripted(None) as silent:
        url = silent.url.replace("http", "smtp")
        channel = EmailAdapter(url, sender="casino@northlight.example", timeout=QUICK)
        with pytest.raises(ChannelUnavailable, match="Timeout") as caught:
            await channel.deliver(a_mail(), now())
    assert caught.value.may_have_arrived is False


@pytest.mark.parametrize("end", ["hang up", "fall silent"])
async def test_a_mail_whose_answer_is_lost_may_have_arrived(end: str) -> None:
    async def attempt(timeout: timedelta) -> None:
        async with speaking(timeout, after_content=end) as channel:
            with pytest.raises(ChannelUnavailable) as caught:
                await channel.deliver(a_mail(), now())
        assert caught.value.may_have_arrived is True

    await unhurried(attempt)


@pytest.mark.parametrize("end", ["hang up", "fall silent"])
async def test_a_mail_server_that_breaks_off_after_its_yes_has_the_mail(end: str) -> None:
    async def attempt(timeout: timedelta) -> None:
        async with speaking(timeout, after_yes=end) as channel:
            assert isinstance(await channel.deliver(a_mail(), now()), Delivered)

    await unhurried(attempt)


async def test_a_password_is_never_sent_without_tls() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as open_channel:
        port = open_channel._port
        channel = EmailAdapter(f"smtp://casino:pass%40word@127.0.0.1:{port}", sender="casino@northlight.example")
        with pytest.raises(ChannelUnavailable):
            await channel.deliver(a_mail(), now())
    assert mailbox.raw == []


def test_a_message_shows_no_personal_data_when_printed() -> None:
    shown = repr(a_mail(to="zoya@players.example", title="Zoya", body="Dear Zoya", html="Dear Zoya"))
    assert "zoya" not in shown.lower()


def test_marketing_by_mail_without_a_way_out_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="unsubscribe_url"):
        a_mail(message_class="marketing")


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", "ключ", "k" * 501])
def test_a_key_that_cannot_travel_in_a_header_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        a_mail(key=key)


@pytest.mark.parametrize("url", ["localhost:25", "http://127.0.0.1:25", "smtp://"])
def test_a_mail_server_needs_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL"):
        EmailAdapter(url, sender="casino@northlight.example")


# ---- webhooks -------------------------------------------------------------------------------------------------


async def test_an_sms_and_a_push_arrive_signed(catch_all: LocalCatchAll, client: httpx.AsyncClient) -> None:
    sms, push = an_sms(), an_sms(channel="push", to="device-token", title="Вітаємо")
    for message in (sms, push):
        url = catch_all.environment[f"{message.channel.upper()}_WEBHOOK_URL"]
        delivered = await WebhookAdapter(url, catch_all.secret, client).deliver(message, now())
        assert delivered == Delivered(message.key)
    (kept,) = [item for item in await catch_all.sms() if item["webhook_id"] == sms.key]
    assert kept["body"] == {
        "type": "message.sms",
        "data": {"brand": "demo", "to": sms.to, "body": sms.body, "language": "uk", "class": "service"},
    }
    (kept,) = [item for item in await catch_all.push() if item["webhook_id"] == push.key]
    assert kept["body"]["data"]["title"] == "Вітаємо"


async def test_a_repeated_webhook_keeps_its_id_and_body_and_signs_its_own_moment(client: httpx.AsyncClient) -> None:
    message = an_sms()
    first = now().astimezone(ZoneInfo("America/Toronto"))
    second = first + timedelta(seconds=90)
    async with scripted(answer(503), answer(202)) as gateway:
        channel = WebhookAdapter(gateway.url, SECRET, client)
        with pytest.raises(ChannelUnavailable):
            await channel.deliver(message, first)
        await channel.deliver(message, second)
    one, two = gateway.asked
    assert one.headers["webhook-id"] == two.headers["webhook-id"] == message.key
    assert one.body == two.body
    assert [int(asked.headers["webhook-timestamp"]) for asked in gateway.asked] == [
        int(first.timestamp()),
        int(second.timestamp()),
    ]
    for asked in gateway.asked:
        assert Webhook(SECRET).verify(asked.body, dict(asked.headers)) == json.loads(asked.body)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(one.body.replace(b"050", b"051"), dict(one.headers))


async def test_two_secrets_sign_side_by_side_while_they_change(client: httpx.AsyncClient) -> None:
    old = "whsec_" + b64encode(b"the secret of last season").decode()
    async with scripted(answer(200)) as gateway:
        await WebhookAdapter(gateway.url, f"{SECRET} {old}", client).deliver(an_sms(), now())
    (asked,) = gateway.asked
    for secret in (SECRET, old):
        Webhook(secret).verify(asked.body, dict(asked.headers))


async def test_the_gateways_own_name_of_a_message_is_kept(client: httpx.AsyncClient) -> None:
    async with scripted(answer(202, {"id": "sms-77"})) as gateway:
        delivered = await WebhookAdapter(gateway.url, SECRET, client).deliver(an_sms(), now())
    assert delivered == Delivered("sms-77")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (410, Rejected("endpoint_gone", "410")),
        (400, Rejected("refused", "400")),
        (401, Rejected("refused", "401")),
        (422, Rejected("refused", "422")),
    ],
)
async def test_a_gateways_refusal_is_final(status: int, outcome: Rejected, client: httpx.AsyncClient) -> None:
    async with scripted(answer(status, {"detail": "no"})) as gateway:
        assert await WebhookAdapter(gateway.url, SECRET, client).deliver(an_sms(), now()) == outcome
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    ("reply", "said", "pause", "may_have_arrived"),
    [
        (answer(429, Retry_After="7"), "throttling", timedelta(seconds=7), False),
        (answer(503, Retry_After="999999"), "503", timedelta(hours=1), True),
        (answer(500), "500", None, True),
        (answer(408), "408", None, True),
        (HANG_UP, "broke off", None, True),
        (b"not http at all\r\n\r\n", "broke off", None, True),
        (None, "Timeout", None, True),
    ],
)
async def test_a_gateway_in_trouble_is_tried_again(
    reply: bytes | None,
    said: str,
    pause: timedelta | None,
    may_have_arrived: bool,  # noqa: FBT001 - a column of the table above
    client: httpx.AsyncClient,
) -> None:
    async def attempt(timeout: timedelta) -> None:
        async with scripted(reply) as gateway:
            with pytest.raises(ChannelUnavailable, match=said) as caught:
                await WebhookAdapter(gateway.url, SECRET, client, timeout=timeout).deliver(an_sms(), now())
        assert caught.value.retry_after == pause
        assert caught.value.may_have_arrived is may_have_arrived

    await unhurried(attempt)


async def test_a_gateway_that_is_away_is_tried_again(client: httpx.AsyncClient) -> None:
    channel = WebhookAdapter(f"http://127.0.0.1:{free_port()}", SECRET, client)
    with pytest.raises(ChannelUnavailable, match="ConnectError") as caught:
        await channel.deliver(an_sms(), now())
    assert caught.value.may_have_arrived is False


async def test_a_redirect_is_not_followed() -> None:
    async with (
        scripted(answer(200)) as elsewhere,
        scripted(answer(307, Location=elsewhere.url)) as gateway,
        httpx.AsyncClient(follow_redirects=True) as client,
    ):
        with pytest.raises(ChannelUnavailable, match="307"):
            await WebhookAdapter(gateway.url, SECRET, client).deliver(an_sms(), now())
    assert elsewhere.asked == []


def test_a_gateway_needs_an_address_and_a_secret() -> None:
    client = httpx.AsyncClient()
    with pytest.raises(ValueError, match="whsec_ and base64"):
        WebhookAdapter("http://127.0.0.1/sms", "", client)
    with pytest.raises(ValueError, match="https://host/path"):
        WebhookAdapter("127.0.0.1/sms", SECRET, client)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        (None, None),
        ("30", timedelta(seconds=30)),
        ("\x1c30 ", timedelta(seconds=30)),
        ("0", timedelta(0)),
        ("Sun, 05 Jul 2026 12:00:20 GMT", timedelta(seconds=20)),
        ("Sun, 05 Jul 2026 11:00:00 GMT", timedelta(0)),
        ("Mon, 06 Jul 2026 12:00:00 GMT", timedelta(hours=1)),
        ("soon", None),
        ("-5", None),
        ("9" * 30, None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(header: str | None, pause: timedelta | None) -> None:
    assert retry_after(header, datetime(2026, 7, 5, 12, 0, tzinfo=UTC)) == pause


# ---- what became of a mail ------------------------------------------------------------------------------------


async def test_a_mail_in_doubt_can_be_asked_for_by_its_key(client: httpx.AsyncClient) -> None:
    key = a_mail().key
    async with scripted(answer(200, {"items": [{}]}), answer(200, {"items": []})) as mail_system:
        lookup = MailLookup(mail_system.url + "/mails?key={key}", client)
        assert await lookup.arrived(key) is True
        assert await lookup.arrived(key) is False
    assert httpx.URL(mail_system.url + mail_system.asked[0].target).params["key"] == key


@pytest.mark.parametrize("reply", [answer(500), answer(200, {}), answer(200, []), answer(404), HANG_UP, b"?\r\n\r\n"])
async def test_a_mail_system_that_does_not_say_is_asked_again(reply: bytes, client: httpx.AsyncClient) -> None:
    async with scripted(reply) as mail_system:
        with pytest.raises(ChannelUnavailable, match="does not say what became"):
            await MailLookup(mail_system.url + "/{key}", client).arrived("a/b#1")
