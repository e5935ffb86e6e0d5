"""Links in messages that act without a log-in: signed, so that nobody can make one up."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode

from workflows.errors import DesignError

#: Bytes below which a secret could be guessed.
SHORTEST_SECRET: Final = 24


class UnsubscribeLinks:
    """Makes and reads the tokens of unsubscribe links.

    The first of `secrets` signs and all of them are read, so a new one is put first and the others stay for as long as
    mails with their links lie in inboxes. Mails sent before links had secrets of their own carry tokens signed with
    the setting WEBHOOK_SECRET as it was; `webhook_secret`, whole and each of its parts, reads those and signs nothing.

    Raises:
        DesignError: there is no secret to sign with, or one that could be guessed.
    """

    def __init__(self, secrets: Sequence[str], webhook_secret: str = "") -> None:
        if not secrets:
            raise DesignError(
                "Unsubscribe links need a secret of their own to be signed with; set LINK_SECRETS to a random text of "
                f"{SHORTEST_SECRET} bytes or more."
            )
        for place, secret in enumerate(secrets, 1):
            if len(secret.encode()) < SHORTEST_SECRET:
                raise DesignError(
                    f"Secret {place} of LINK_SECRETS has {len(secret.encode())} bytes and could be guessed; give each "
                    f"{SHORTEST_SECRET} or more."
                )
        self._signer = _serializer(secrets[0])
        self._readable = tuple(dict.fromkeys((*secrets, *_parts(webhook_secret))))

    def token(self, brand: str, player_id: str, channel: str) -> str:
        """A token that withdraws one player's consent to one channel, and can do nothing else.

        It never expires: a way out must work in a mail of last year too.
        """
        return self._signer.dumps([brand, player_id, channel])

    def read(self, token: str) -> tuple[str, str, str] | None:
        """Brand, player id and channel of a genuine token, None for any other text."""
        for secret in self._readable:
            try:
                brand, player_id, channel = _serializer(secret).loads(token)
            except BadData:
                if (claims := _read_first_form(secret, token)) is not None:
                    return claims
            else:
                return brand, player_id, channel
        return None


def _parts(webhook_secret: str) -> Iterable[str]:
    """What links were signed with by that setting: all of it, and each secret that stood beside another."""
    return (one for one in (webhook_secret, *webhook_secret.split()) if one.strip())


def _serializer(secret: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="unsubscribe")


def _read_first_form(secret: str, token: str) -> tuple[str, str, str] | None:
    """A token as mails sent before December 2026 carry it; they stay in inboxes for good."""
    content_text, _, signature = token.partition(".")
    try:
        content, signed = base64_decode(content_text), base64_decode(signature)
    except BadData:
        return None
    expected = hmac.digest(secret.encode(), b"unsubscribe\n" + content, hashlib.sha256)[:16]
    if not hmac.compare_digest(signed, expected):
        return None
    brand, player_id, channel = content.decode().split("\n")
    return brand, player_id, channel
