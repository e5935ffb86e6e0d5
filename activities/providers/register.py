"""National registers of excluded players, each behind a gateway of one contract.

* JourneysError
  x RegisterUnavailable

`POST` to the gateway's address, with `Authorization: Bearer <REGISTER_TOKEN>`:

    {"register": "spelpaus", "brand": "acme", "player": "p-1001", "identity": {"email": "5f1c…", "phone": "09ab…"}}

Answered with 200 and `{"listed": true}` or `{"listed": false}`; anything else is no answer. The gateway speaks the
register's own protocol and knows what we do not, such as a personal number, by the player's id. Names, addresses and
dates of birth never leave us as they are: `identity` holds what is known of them, normalised, as HMAC-SHA-256 under
`REGISTER_HASH_KEY`, to be compared with the gateway's own.
"""

import asyncio
import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import httpx
from pydantic import BaseModel, ConfigDict, StrictBool, ValidationError

from activities.effect_attempt import attempt_number, retry_after
from activities.providers.bounded_answer import ask
from activities.providers.breaker import Breaker, wait_for
from workflows.errors import JourneysError
from workflows.json_object import JsonObject


class RegisterUnavailable(JourneysError):
    """A register did not say whether it lists a player; nothing is sold or given until it does. Ask again later.

    `retry_after` is set while it is left alone because it did not answer.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)

    def to_be_tried_again(self, *, within: timedelta | None = None) -> Exception:
        """The error with which an effect is tried again later, but `within` that time."""
        pause = None if self.retry_after is None else wait_for(self.retry_after, attempt_number())
        return retry_after(self, pause, within=within)


@dataclass(frozen=True)
class RegisterSubject:
    """Who is asked about."""

    brand: str
    player_id: str
    #: By what it was made of: a keyed hash.
    identity: Mapping[str, str] = field(repr=False)


class Register(Protocol):
    """A register of excluded players."""

    async def lists(self, subject: RegisterSubject) -> bool:
        """Whether it lists the player now. Raises RegisterUnavailable where it does not say."""
        ...


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    listed: StrictBool


class RegisterGateway:
    """A register behind a gateway over HTTP. The client is the caller's; `timeout` bounds a whole call."""

    def __init__(
        self, name: str, url: str, token: str, client: httpx.AsyncClient, *, timeout: timedelta, breaker: Breaker
    ) -> None:
        self._name = name
        self._url = url
        self._token = token
        self._client = client
        self._timeout = timeout
        self._breaker = breaker

    async def lists(self, subject: RegisterSubject) -> bool:
        """Whether it lists the player now. Raises RegisterUnavailable; at once while its breaker is open."""
        if (pause := self._breaker.pause()) is not None:
            raise self._unavailable("does not answer and is left alone for a while", pause)
        try:
            response = await self._call(subject)
        except (httpx.HTTPError, TimeoutError) as error:
            self._breaker.failed()
            raise self._unavailable(f"did not answer in time or broke off ({type(error).__name__})") from None
        if response.status_code >= 500:
            self._breaker.failed()
        else:
            self._breaker.answered()
        if response.status_code != httpx.codes.OK:
            raise self._unavailable(f"answered {response.status_code}")
        try:
            return _Answer.model_validate_json(response.content).listed
        except ValidationError:
            raise self._unavailable("gave an answer that says neither listed true nor false") from None

    async def _call(self, subject: RegisterSubject) -> httpx.Response:
        asked = {"register": self._name, "brand": subject.brand, "player": subject.player_id}
        seconds = self._timeout.total_seconds()
        async with asyncio.timeout(seconds):
            return await ask(
                self._client,
                "POST",
                self._url,
                headers={"Authorization": f"Bearer {self._token}"},
                json={**asked, "identity": dict(subject.identity)},
                timeout=seconds,
            )

    def _unavailable(self, what: str, pause: timedelta | None = None) -> RegisterUnavailable:
        text = f"The register {self._name} {what}; nothing is sold or given to its players, so try again."
        return RegisterUnavailable(text, pause)


def identity_of(profile: JsonObject, key: str) -> dict[str, str]:
    """What is known of a person as keyed hashes: `email`, `phone`, `birth_date`, each where the profile has it.

    Before it is hashed an address is in lower case without spaces, a phone number is its digits alone, a birth date is
    written 1990-05-17, and all is in Unicode's form NFKC.
    """
    written = {name: _normal(str(value)) for name in ("email", "phone", "birth_date") if (value := profile.get(name))}
    if "phone" in written:
        written["phone"] = "".join(one for one in written["phone"] if one.isdigit())
    return {name: hmac.digest(key.encode(), value.encode(), hashlib.sha256).hex() for name, value in written.items()}


def _normal(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).lower().split())
