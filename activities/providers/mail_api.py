"""Mail over a provider's HTTP API of the shape that SendGrid made usual (`POST /v3/mail/send`).

The provider keeps no keys: a mail handed over twice is two mails. So what is in doubt is never repeated; our key
travels as a custom argument, by which the provider's own events can be told apart.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from activities.providers.adapter import ChannelUnavailable, Delivered, OutgoingMessage, Rejected
from activities.providers.bounded_answer import ask
from activities.providers.email import address_of, has_control_characters
from activities.providers.webhook import retry_after

#: Under which our key comes back with the provider's events.
KEY: Final = "journeys_key"
#: Our key or our rights are wrong, or there is too much at once: it is not the mail's fault.
_NOT_THE_MAIL: Final = frozenset({401, 403, 404, 405, 408, 429})


class MailApiAdapter:
    """Mail through an HTTP API. `url` is the whole address that takes mails, `key` what it knows us by."""

    keeps_keys = False

    def __init__(
        self,
        url: str,
        key: str,
        client: httpx.AsyncClient,
        *,
        sender: str,
        timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("The mail API's address must look like https://host/v3/mail/send; correct MAIL_API_URL.")
        if not key.strip():
            raise ValueError("The mail API needs a key to know us by; set MAIL_API_KEY.")
        self._url = url
        self._key = key.strip()
        self._client = client
        self._sender = address_of(sender)
        self._timeout = timeout

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand a mail to the API; see `Adapter.deliver`."""
        if has_control_characters(message.to, message.title, message.brand_name):
            return Rejected("header_unsafe")
        try:
            to = address_of(message.to)
        except ValueError:
            return Rejected("address_invalid")
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await ask(
                    self._client,
                    "POST",
                    self._url,
                    json=self._mail(message, to.addr_spec),
                    headers={"Authorization": f"Bearer {self._key}"},
                    timeout=self._timeout.total_seconds(),
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            began = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            what = f"The mail API could not be reached or broke off ({type(error).__name__}); try again."
            raise ChannelUnavailable(what, may_have_arrived=began) from None
        return self._judge(message, response, now)

    def _mail(self, message: OutgoingMessage, to: str) -> dict[str, Any]:
        content = [{"type": "text/plain", "value": message.body}]
        if message.html is not None:
            content.append({"type": "text/html", "value": message.html})
        headers = {"Content-Language": message.language}
        if message.message_class == "marketing":
            headers["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return {
            "personalizations": [{"to": [{"email": to}], "custom_args": {KEY: message.key}}],
            "from": {"email": self._sender.addr_spec, "name": message.brand_name},
            "subject": message.title,
            "content": content,
            "headers": headers,
            # What is clicked leads where it says; who opened a mail is the player's own business.
            "tracking_settings": {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}},
        }

    def _judge(self, message: OutgoingMessage, response: httpx.Response, now: datetime) -> Delivered | Rejected:
        status = response.status_code
        if response.is_success:
            return Delivered(response.headers.get("x-message-id") or message.key)
        if 400 <= status < 500 and status not in _NOT_THE_MAIL:
            return Rejected("content_refused", str(status))
        pause = retry_after(response.headers.get("retry-after"), now)
        what = f"The mail API answered {status}; try again."
        # A 5xx may come after the mail was taken, everything else before.
        raise ChannelUnavailable(what, pause, may_have_arrived=status >= 500, answered=status < 500)
