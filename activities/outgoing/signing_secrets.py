"""The secrets that webhooks are signed with: made anew from a key of the deployment, never stored.

What stands beside a subscription says which key each of its secrets was made of, and until when it counts. So whoever
reads the database can sign nothing, and a subscription's secret can be changed while its receiver knows both.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from activities.unsubscribe_links import SHORTEST_SECRET
from workflows.errors import DesignError, JourneysError
from workflows.json_object import JsonObject

#: The prefix that Standard Webhooks gives a symmetric secret.
PREFIX: Final = "whsec_"


class SecretLost(JourneysError):
    """A subscription's secret was made of a key that is not here any more; rotate the secret, or restore the key."""


class Generation(NamedTuple):
    """One secret of a subscription: its number, its key's mark, and until when it signs; None is for good."""

    number: int
    key: str
    until: datetime | None = None

    def as_json(self) -> JsonObject:
        """As it stands beside the subscription."""
        return {"number": self.number, "key": self.key, "until": self.until and self.until.isoformat()}

    @classmethod
    def read(cls, stored: JsonObject) -> "Generation":
        """The same, read again."""
        until = stored.get("until")
        return cls(int(stored["number"]), str(stored["key"]), None if until is None else datetime.fromisoformat(until))


class SigningSecrets:
    """Makes the secrets of subscriptions of the deployment's keys: the first makes new ones, all make known ones.

    Raises:
        DesignError: there is no key, or one that could be guessed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or any(len(key.encode()) < SHORTEST_SECRET for key in keys):
            raise DesignError(
                "Outgoing events are signed with secrets made of a key; set WEBHOOK_KEYS, or LINK_SECRETS, to a random "
                f"text of {SHORTEST_SECRET} bytes or more."
            )
        self._keys = {_mark(key): key for key in keys}
        self._newest = _mark(keys[0])

    def first(self) -> list[Generation]:
        """The generations of a new subscription."""
        return [Generation(1, self._newest)]

    def rotated(self, generations: Sequence[Generation], now: datetime, until: datetime) -> list[Generation]:
        """A new secret beside the old ones, which sign until `until` at the latest."""
        kept = [one._replace(until=until if one.until is None else min(one.until, until)) for one in generations]
        number = max((one.number for one in generations), default=0) + 1
        return [Generation(number, self._newest), *(one for one in kept if one.until is not None and one.until > now)]

    def secret(self, subscription_id: str, generation: Generation) -> str:
        """One secret, as its receiver knows it. Raises `SecretLost`."""
        key = self._keys.get(generation.key)
        if key is None:
            raise SecretLost
        made = hmac.digest(key.encode(), f"webhook\n{subscription_id}\n{generation.number}".encode(), hashlib.sha256)
        return PREFIX + base64.b64encode(made).decode()

    def signing(self, subscription_id: str, generations: Sequence[Generation], now: datetime) -> list[str]:
        """Every secret that signs now, the newest first. Raises `SecretLost`."""
        return [self.secret(subscription_id, one) for one in generations if one.until is None or one.until > now]


def _mark(key: str) -> str:
    """What a key is known by: enough to tell keys apart, too little to find one."""
    return hashlib.sha256(b"webhook key\n" + key.encode()).hexdigest()[:16]
