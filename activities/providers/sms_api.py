"""SMS over a provider's HTTP API of the shape that Twilio made usual (`POST …/Messages.json`).

The provider keeps no keys, so what is in doubt is never repeated. It heeds STOP by itself and then refuses: that is
final, and about the address.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from activities.providers.adapter import ChannelUnavailable, Delivered, OutgoingMessage, Rejected, RejectionReason
from activities.providers.bounded_answer import ask
from activities.providers.webhook import retry_after

#: The provider's codes for what is wrong with the number: not one, none that takes SMS, one that said STOP.
_ABOUT_THE_NUMBER: Final[dict[int, RejectionReason]] = {
    21211: "address_invalid",
    21217: "address_invalid",
    21265: "address_invalid",
    21408: "address_refused",
    21610: "address_refused",
    21612: "address_refused",
    21614: "address_refused",
}
_NOT_THE_MESSAGE: Final = frozenset({401, 403, 404, 405, 408, 429})


class _Answer(BaseModel):
    sid: str | None = None
    code: int | None = None


class SmsApiAdapter:
    """SMS through an HTTP API. `callback` is where the provider tells what became of each, with our key as `key`."""

    keeps_keys = False

    def __init__(
        self,
        url: str,
        account: str,
        token: str,
        client: httpx.AsyncClient,
        *,
        sender: str,
        callback: str = "",
        timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("The SMS API's address must look like https://host/…/Messages.json; correct SMS_API_URL.")
        if not (account.strip() and token.strip() and sender.strip()):
            raise ValueError("The SMS API needs SMS_API_ACCOUNT, SMS_API_TOKEN and SMS_FROM; set all three.")
        self._url = url
        self._auth = httpx.BasicAuth(account.strip(), token.strip())
        self._client = client
        self._sender = sender.strip()
        self._callback = callback
        self._timeout = timeout

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand an SMS to the API; see `Adapter.deliver`."""
        # A sender of the provider's pool is named by the pool.
        named = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        form = {"To": message.to, named: self._sender, "Body": message.body}
        if self._callback:
            form["StatusCallback"] = f"{self._callback}?key={quote(message.key, safe='')}"
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await ask(
                    self._client, "POST", self._url, data=form, auth=self._auth, timeout=self._timeout.total_seconds()
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            began = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            what = f"The SMS API could not be reached or broke off ({type(error).__name__}); try again."
            raise ChannelUnavailable(what, may_have_arrived=began) from None
        return _judge(message, response, now)


def _judge(message: OutgoingMessage, response: httpx.Response, now: datetime) -> Delivered | Rejected:
    status = response.status_code
    try:
        answer = _Answer.model_validate_json(response.content)
    except ValidationError:
        answer = _Answer()
    if response.is_success:
        return Delivered(answer.sid or message.key)
    if 400 <= status < 500 and status not in _NOT_THE_MESSAGE:
        # The code and nothing else of the answer, which repeats the number.
        return Rejected(_ABOUT_THE_NUMBER.get(answer.code or 0, "refused"), str(answer.code or status))
    pause = retry_after(response.headers.get("retry-after"), now)
    what = f"The SMS API answered {status}; try again."
    raise ChannelUnavailable(what, pause, may_have_arrived=status >= 500, answered=status < 500)
