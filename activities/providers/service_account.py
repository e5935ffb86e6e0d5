"""How an API of Google's shape lets us in: a service account's key signs a token that stands for it for an hour."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from activities.providers.bounded_answer import ask
from workflows.errors import JourneysError

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: For how long we ask to be let in, and how much earlier than told we ask anew.
_FOR, _EARLY = timedelta(hours=1), timedelta(minutes=1)


class NotLetIn(JourneysError):
    """The token service did not know the service account; `status` is what it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The service account was not let in ({status}); look at its key.")
        self.status = status


class ServiceAccount:
    """A service account as its console gives it, in JSON, for one scope. Raises ValueError where it is none."""

    def __init__(self, account: str, scope: str, client: httpx.AsyncClient, timeout: timedelta) -> None:
        try:
            read = orjson.loads(account)
            self._email, self._token_uri = str(read["client_email"]), str(read["token_uri"])
            self._key = RSAKey.import_key(str(read["private_key"]))
        except (ValueError, KeyError, TypeError, JoseError):
            raise ValueError("no service account; give it the JSON file that the service's console makes.") from None
        self._scope = scope
        self._client = client
        self._timeout = timeout.total_seconds()
        self._access: tuple[str, datetime] | None = None
        self._asking = asyncio.Lock()

    def forget(self) -> None:
        """Ask to be let in anew next time."""
        self._access = None

    async def let_in(self, now: datetime) -> str:
        """What stands for the account for an hour (RFC 7523). Raises NotLetIn, and what a request raises."""
        async with self._asking:
            if self._access is not None and now < self._access[1]:
                return self._access[0]
            moment = int(now.timestamp())
            claims = {"iss": self._email, "scope": self._scope, "aud": self._token_uri, "iat": moment}
            claims["exp"] = moment + int(_FOR.total_seconds())
            signed = jwt.encode({"alg": "RS256"}, claims, self._key)
            form = {"grant_type": _GRANT, "assertion": signed}
            response = await ask(self._client, "POST", self._token_uri, data=form, timeout=self._timeout)
            answer = _read(response)
            access, lasts = answer.get("access_token"), answer.get("expires_in")
            if not response.is_success or not isinstance(access, str):
                raise NotLetIn(response.status_code)
            good_for = timedelta(seconds=lasts) if isinstance(lasts, int) else _FOR
            self._access = (access, now + good_for - _EARLY)
            return access


def _read(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
