"""Mail over SMTP, and the question whether a mail system has taken one."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from urllib.parse import quote, unquote, urlsplit

import aiosmtplib
import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from activities.providers.adapter import ChannelUnavailable, Delivered, OutgoingMessage, Rejected
from activities.providers.bounded_answer import ask

# One line a header, as long as the standard allows: folding would cut identities and addresses of links in two.
_HEADERS = SMTP_POLICY.clone(max_line_length=998, cte_type="7bit")
# The longest line of an encoded body (RFC 2045, 6.7 and 6.8). Relays encode longer ones anew, which breaks signatures.
_BODIES = SMTP_POLICY.clone(max_line_length=76, cte_type="7bit")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class EmailAdapter:
    """Mail over SMTP: `smtp://[user[:password]@]host[:port]`, or `smtps://` for TLS from the first byte.

    `smtp://` upgrades to TLS where the server offers it, and insists on it when there is a password to protect. A
    `password` is used where the address has a user and no password in it.
    """

    keeps_keys = False

    def __init__(
        self, url: str, *, sender: str, password: str = "", timeout: timedelta = timedelta(seconds=20)
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("The mail server's address must look like smtp://host:port; correct SMTP_URL.")
        self._host = parts.hostname
        self._tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 25)
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else password or None
        self._sender = address_of(sender)
        self._timeout = timeout

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand a mail to the server; see `Adapter.deliver`.

        A server that refuses our own address or password refuses every mail, so that is ChannelUnavailable and
        not the message's fault.
        """
        if has_control_characters(message.to, message.title, message.brand_name):
            return Rejected("header_unsafe")
        try:
            to = address_of(message.to)
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
        raise self._unavailable(what, may_have_arrived=False, answered=True) from None

    def _compose(self, message: OutgoingMessage, to: Address, now: datetime) -> EmailMessage:
        mail = EmailMessage(policy=_BODIES)
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
            await server.data(mail.as_bytes(policy=_HEADERS))
            attempt.taken = True

    def _unavailable(self, what: str, *, may_have_arrived: bool, answered: bool = False) -> ChannelUnavailable:
        text = f"The mail server {self._host}:{self._port} {what}; try again."
        return ChannelUnavailable(text, may_have_arrived=may_have_arrived, answered=answered)


@dataclass
class _Attempt:
    """How far a hand-over came: the mail's content was under way, and the server has said yes to it."""

    began: bool = False
    taken: bool = False


class _LookupAnswer(BaseModel):
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
            response = await ask(self._client, "GET", self._url.replace("{key}", quote(key, safe="")))
            response.raise_for_status()
            return bool(_LookupAnswer.model_validate_json(response.content).items)
        except (httpx.HTTPError, ValidationError) as error:
            raise ChannelUnavailable(
                f"The mail system does not say what became of a mail ({type(error).__name__}); try again."
            ) from None


def has_control_characters(*texts: str) -> bool:
    """Whether one of these could end a header and begin another."""
    return any(_CONTROL.search(text) for text in texts)


def address_of(text: str) -> Address:
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
