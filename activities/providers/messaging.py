"""How a message leaves us: mail over SMTP, SMS and push as signed webhooks. In-app messages never leave.

* JourneysError
  x ChannelUnavailable

A channel answers `Delivered` or `Rejected`, and both are final: asking again would give the same answer. All
else is `ChannelUnavailable`, which means try again. The trap is that it also covers "it may have arrived": the
answer to a hand-over can be lost. So every attempt carries the same identity (Message-ID, `webhook-id`), and
whoever receives it can tell a repetition from a second message.

No error and no refusal repeats an address, a name or a text; they end in stores where no personal data may be.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Literal, Protocol
from urllib.parse import quote, unquote, urlsplit

import aiosmtplib
import httpx
from pydantic import BaseModel, JsonValue, ValidationError
from standardwebhooks import Webhook

from workflows.channels import Channel
from workflows.errors import JourneysError
from workflows.events import MessageClass

LONGEST_PAUSE = timedelta(hours=1)
"""A Retry-After beyond this is not believed."""

# One line a header, as long as the standard allows: folding would cut identities and addresses of links in two.
_MAIL = SMTP_POLICY.clone(max_line_length=998, cte_type="7bit")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_KEY = re.compile(r"[!-~]{1,500}\Z")
_TRY_AGAIN: Mapping[int, str] = MappingProxyType({408: "timed out", 425: "asked to wait", 429: "is throttling"})

Refusal = Literal["address_invalid", "address_refused", "content_refused", "header_unsafe", "endpoint_gone", "refused"]


class ChannelUnavailable(JourneysError):
    """The channel could not be reached or did not answer; try again, after `retry_after` if it names a time.

    `may_have_arrived` is False only where the channel certainly did not take the message.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None, *, may_have_arrived: bool = True) -> None:
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived
        super().__init__(message)


@dataclass(frozen=True)
class Outgoing:
    """One message for one player on one channel.

    `key` is its identity on every attempt. The trap: an effect that sends on two channels has two messages, and
    a gateway that serves both drops the second if they share a key; let the key end in the channel.
    """

    key: str
    brand: str
    brand_name: str
    channel: Channel
    message_class: MessageClass
    to: str = field(repr=False)
    """A mail address, a telephone number or a device's token."""
    title: str = field(repr=False)
    body: str = field(repr=False)
    language: str
    html: str | None = field(default=None, repr=False)
    unsubscribe_url: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _KEY.match(self.key):
            raise ValueError("The key of a message travels in headers; make it 1 to 500 printable ASCII characters.")
        if self.channel == "email" and self.message_class == "marketing" and not self.unsubscribe_url:
            raise ValueError("Marketing by e-mail needs an unsubscribe_url; give the player a way out.")


@dataclass(frozen=True)
class Delivered:
    """The channel has taken the message over; `reference` is what it calls it, or our own identity of it."""

    reference: str


@dataclass(frozen=True)
class Rejected:
    """The channel will never take this message; `detail` holds a status code and nothing of the message."""

    reason: Refusal
    detail: str = ""


class Adapter(Protocol):
    """A way out. `now` is the moment of the attempt."""

    async def deliver(self, message: Outgoing, now: datetime) -> Delivered | Rejected:
        """Hand the message over, or say why it will never go; raises ChannelUnavailable to be called again."""
        ...


class EmailChannel:
    """Mail over SMTP: `smtp://[user:password@]host[:port]`, or `smtps://` for TLS from the first byte.

    `smtp://` upgrades to TLS where the server offers it, and insists on it when there is a password to protect.
    """

    def __init__(self, url: str, *, sender: str, timeout: timedelta = timedelta(seconds=20)) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("The mail server's address must look like smtp://host:port; correct SMTP_URL.")
        self._host = parts.hostname
        self._tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 25)
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender = _address(sender)
        self._timeout = timeout

    async def deliver(self, message: Outgoing, now: datetime) -> Delivered | Rejected:
        """Hand a mail to the server; see `Adapter.deliver`.

        A server that refuses our own address or password refuses every mail, so that is ChannelUnavailable and
        not the message's fault.
        """
        if any(_CONTROL.search(text) for text in (message.to, message.title, message.brand_name)):
            return Rejected("header_unsafe")
        try:
            to = _address(message.to)
        except ValueError:
            return Rejected("address_invalid")
        mail = self._compose(message, to, now)
        attempt = _Attempt()
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                await self._hand_over(mail, to, attempt)
        except aiosmtplib.SMTPResponseException as said:
            return self._refused(said)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # A server that has said yes may still break off at the farewell.
            if not attempt.taken:
                what = f"could not be reached or broke off ({type(error).__name__})"
                # From None, because a chained error carries the server's words, which repeat addresses.
                raise self._unavailable(what, may_have_arrived=attempt.began) from None
        return Delivered(str(mail["Message-ID"]))

    def _refused(self, said: aiosmtplib.SMTPResponseException) -> Rejected:
        if said.code >= 500 and isinstance(said, aiosmtplib.SMTPRecipientRefused):
            return Rejected("address_refused", str(said.code))
        if said.code >= 500 and isinstance(said, aiosmtplib.SMTPDataError):
            return Rejected("content_refused", str(said.code))
        # A refusal is an answer too: whatever it was, the mail was not taken.
        what = f"put us off ({type(said).__name__} {said.code})"
        raise self._unavailable(what, may_have_arrived=False) from None

    def _compose(self, message: Outgoing, to: Address, now: datetime) -> EmailMessage:
        mail = EmailMessage(policy=_MAIL)
        mail["From"] = Address(message.brand_name, self._sender.username, self._sender.domain)
        mail["To"] = to
        mail["Subject"] = message.title
        mail["Date"] = now.astimezone(UTC)
        mail["Message-ID"] = f"<{hashlib.sha256(message.key.encode()).hexdigest()}@{message.brand}>"
        mail["X-Idempotency-Key"] = message.key
        if message.message_class == "marketing":
            mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(message.body)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
        # Last, because setting the content clears every Content- header.
        mail["Content-Language"] = message.language
        return mail

    async def _hand_over(self, mail: EmailMessage, to: Address, attempt: "_Attempt") -> None:
        # Connecting once a mail is cheap beside what the mail costs, and no mail then waits behind a broken line.
        server = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            # Else it asks the name service who we are, which blocks everything while it does not answer.
            local_hostname=self._sender.domain,
            use_tls=self._tls,
            start_tls=True if self._password and not self._tls else None,
            timeout=self._timeout.total_seconds(),
        )
        async with server:
            await server.mail(self._sender.addr_spec)
            await server.rcpt(to.addr_spec)
            attempt.began = True
            await server.data(mail.as_bytes())
            attempt.taken = True

    def _unavailable(self, what: str, *, may_have_arrived: bool) -> ChannelUnavailable:
        where = f"{self._host}:{self._port}"
        return ChannelUnavailable(f"The mail server {where} {what}; try again.", may_have_arrived=may_have_arrived)


@dataclass
class _Attempt:
    """How far a hand-over came: the mail's content was under way, and the server has said yes to it."""

    began: bool = False
    taken: bool = False


class _Found(BaseModel):
    items: list[JsonValue]


class MailLookup:
    """Asks the mail system whether it has taken a mail, by the key in its `X-Idempotency-Key`.

    SMTP keeps no keys, so after a lost answer only this can tell. `url` has `{key}` in it and answers
    `{"items": [...]}`; a mail system without such an address leaves doubtful mails unknown.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def arrived(self, key: str) -> bool:
        """Whether a mail with this key was taken over; raises ChannelUnavailable when nobody says."""
        try:
            response = await self._client.get(self._url.replace("{key}", quote(key, safe="")))
            response.raise_for_status()
            return bool(_Found.model_validate_json(response.content).items)
        except (httpx.HTTPError, ValidationError) as error:
            raise ChannelUnavailable(
                f"The mail system does not say what became of a mail ({type(error).__name__}); try again."
            ) from None


class WebhookChannel:
    """SMS or push through a gateway that takes webhooks signed after Standard Webhooks 1.0.

    `secret` is `whsec_` and base64; two of them separated by a space sign side by side, for a change of secrets.
    The body is the same on every attempt; `webhook-timestamp` is the attempt's, so a late retry is not too old.
    """

    def __init__(
        self, url: str, secret: str, client: httpx.AsyncClient, *, timeout: timedelta = timedelta(seconds=20)
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("A gateway's address must look like https://host/path; correct the webhook's URL.")
        if not secret.strip():
            raise ValueError("A gateway needs a secret to know us by; set WEBHOOK_SECRET to whsec_ and base64.")
        self._url = url
        self._signers = [Webhook(one) for one in secret.split()]
        self._client = client
        self._timeout = timeout

    async def deliver(self, message: Outgoing, now: datetime) -> Delivered | Rejected:
        """Post the message to the gateway; see `Adapter.deliver`. A redirect is not followed: nobody signed for it."""
        content = json.dumps(_payload(message), ensure_ascii=False, separators=(",", ":"))
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await self._client.post(
                    self._url,
                    content=content.encode(),
                    headers=self._headers(message.key, content, now),
                    follow_redirects=False,
                    timeout=self._timeout.total_seconds(),
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            began = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            what = f"could not be reached or broke off ({type(error).__name__})"
            raise self._unavailable(message, what, may_have_arrived=began) from None
        status = response.status_code
        if response.is_success:
            return Delivered(_reference(response) or message.key)
        if status == 410:
            return Rejected("endpoint_gone", "410")
        if 400 <= status < 500 and status not in _TRY_AGAIN:
            return Rejected("refused", str(status))
        what = _TRY_AGAIN.get(status, "failed" if status >= 500 else "answered in a way nobody agreed on")
        pause = retry_after(response.headers.get("retry-after"), now)
        raise self._unavailable(message, f"{what} ({status})", pause, may_have_arrived=status not in (425, 429))

    def _headers(self, key: str, content: str, now: datetime) -> dict[str, str]:
        # The library takes the clock's figures as UTC whatever their zone.
        moment = now.astimezone(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": key,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(signer.sign(key, moment, content) for signer in self._signers),
        }

    def _unavailable(
        self, message: Outgoing, what: str, pause: timedelta | None = None, *, may_have_arrived: bool
    ) -> ChannelUnavailable:
        text = f"The {message.channel} gateway {what}; try again."
        return ChannelUnavailable(text, pause, may_have_arrived=may_have_arrived)


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for, in seconds or as a date, never more than `LONGEST_PAUSE`."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}", header.strip()):
        return min(timedelta(seconds=int(header)), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.utcoffset() is None:
        return None
    return min(max(moment - now, timedelta(0)), LONGEST_PAUSE)


def _payload(message: Outgoing) -> dict[str, object]:
    data = {
        "brand": message.brand,
        "to": message.to,
        "title": message.title or None,
        "body": message.body,
        "language": message.language,
        "class": message.message_class,
    }
    return {
        "type": f"message.{message.channel}",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def _reference(response: httpx.Response) -> str | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    reference = answer.get("id") if isinstance(answer, dict) else None
    return reference if isinstance(reference, str) and 0 < len(reference) <= 200 else None


def _address(text: str) -> Address:
    """One mailbox, its domain in ASCII; ValueError if it is none, or more than one."""
    try:
        address = Address(addr_spec=text)
        domain = address.domain if address.domain.isascii() else address.domain.encode("idna").decode()
        address = Address(username=address.username, domain=domain)
    except (MessageError, IndexError, UnicodeError, ValueError):
        raise ValueError("This is no mail address; it must look like name@example.com.") from None
    if not address.username or not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f.:]+\]", address.domain):
        raise ValueError("This is no mail address; it must look like name@example.com.")
    return address
