"""The catch-all keeps what players would receive, once for every time it was handed over."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import uuid4

import aiosmtplib
import httpx
from standardwebhooks import Webhook

from tests.support.servers import LocalCatchAll, ready


def a_mail(to: str, *, key: str = "") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "casino@example.com", to, "Вітаємо ✓"
    mail["X-Idempotency-Key"] = key
    mail.set_content("Привіт, гравцю")
    mail.add_alternative("<p>Привіт, гравцю</p>", subtype="html")
    return mail


async def hand_over(catch_all: LocalCatchAll, mail: EmailMessage) -> None:
    port = httpx.URL(catch_all.smtp_url).port
    await aiosmtplib.send(mail, hostname="127.0.0.1", port=port)


def signed(catch_all: LocalCatchAll, body: str, *, at: datetime, secret: str | None = None) -> dict[str, str]:
    signature = Webhook(secret or catch_all.secret).sign("message-1", at, body)
    stamp = str(int(at.timestamp()))
    return {"webhook-id": "message-1", "webhook-timestamp": stamp, "webhook-signature": signature}


async def post(catch_all: LocalCatchAll, body: str, headers: dict[str, str]) -> int:
    async with httpx.AsyncClient(base_url=catch_all.url) as client:
        return (await client.post("/push", content=body, headers=headers)).status_code


async def test_a_mail_is_read_back_as_the_player_would_see_it(catch_all: LocalCatchAll) -> None:
    to = f"{uuid4()}@example.com"
    await hand_over(catch_all, a_mail(to))
    (kept,) = await catch_all.mails(to)
    assert kept["subject"] == "Вітаємо ✓"
    assert kept["text"].strip() == "Привіт, гравцю"
    assert kept["html"].strip() == "<p>Привіт, гравцю</p>"


async def test_a_mail_handed_over_twice_is_there_twice(catch_all: LocalCatchAll) -> None:
    to = f"{uuid4()}@example.com"
    for _ in range(2):
        await hand_over(catch_all, a_mail(to))
    assert len(await catch_all.mails(to)) == 2


async def test_a_mail_in_doubt_is_found_by_its_key(catch_all: LocalCatchAll) -> None:
    key = f"welcome:a-brand-with-a-long-name:{uuid4()}:1/send:a-message-with-a-long-name-too#1"
    await hand_over(catch_all, a_mail(f"{uuid4()}@example.com", key=key))
    async with httpx.AsyncClient(base_url=catch_all.url) as client:
        found, other = [await client.get("/mails", params={"key": asked}) for asked in (key, f"{key}1")]
    assert [mail["key"] for mail in found.json()["items"]] == [key]
    assert other.json()["items"] == []


async def test_a_mail_that_was_accepted_survives_a_kill(catch_all: LocalCatchAll) -> None:
    to = f"{uuid4()}@example.com"
    await hand_over(catch_all, a_mail(to))
    await catch_all.process.kill()
    await ready(catch_all.process)
    assert len(await catch_all.mails(to)) == 1


async def test_a_webhook_is_kept_only_with_a_right_and_fresh_signature(catch_all: LocalCatchAll) -> None:
    body, now = f'{{"text": "{uuid4()}"}}', datetime.now(UTC)
    stranger = "whsec_" + "A" * 32
    assert await post(catch_all, body, signed(catch_all, body, at=now, secret=stranger)) == 401
    assert await post(catch_all, body, signed(catch_all, body, at=now - timedelta(minutes=10))) == 401
    assert (
        await post(catch_all, body, {"webhook-id": "1", "webhook-timestamp": "now", "webhook-signature": "v1"}) == 401
    )
    assert await post(catch_all, body, signed(catch_all, body, at=now)) == 204
    kept = [push for push in await catch_all.push() if push["body"]["text"] in body]
    assert [push["webhook_id"] for push in kept] == ["message-1"]
