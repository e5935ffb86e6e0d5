"""Keyed digests of what a person can be recognised by: who has the rows and not the key learns nothing from them."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from workflows.player_state.identity_keys import IdentityKind, identity_keys


class IdentityDigests:
    """Makes digests with the first of `secrets`; looks for those that any of them made, so that one may be replaced."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [hmac.digest(secret.encode(), b"journeys identity", hashlib.sha256) for secret in secrets]

    @property
    def is_ready(self) -> bool:
        """Whether there is a secret."""
        return bool(self._keys)

    def of(self, profile: Mapping[str, object]) -> dict[IdentityKind, str]:
        """By kind: the digest to be kept. Needs a secret."""
        return {kind: _digest(self._keys[0], kind, value) for kind, value in identity_keys(profile).items()}

    def sought(self, profile: Mapping[str, object]) -> dict[str, IdentityKind]:
        """The digests under which the person may be kept, each with its kind; none without a secret."""
        keys = identity_keys(profile)
        return {_digest(key, kind, value): kind for key in self._keys for kind, value in keys.items()}


def _digest(key: bytes, kind: IdentityKind, value: str) -> str:
    return hmac.digest(key, f"{kind}\n{value}".encode(), hashlib.sha256).hex()[:40]


#: Where there is no secret nobody is recognised.
UNKEYED: Final = IdentityDigests(())
