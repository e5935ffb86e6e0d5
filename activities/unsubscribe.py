"""Links in messages that act without a log-in: signed, so that nobody can make one up."""

import hashlib
import hmac

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode


def unsubscribe_token(secret: str, brand: str, player_id: str, channel: str) -> str:
    """A token that withdraws one player's consent to one channel, and can do nothing else.

    It never expires: a way out must work in a mail of last year too. Raises ValueError without a
    secret, for then anybody could make one up.
    """
    if not secret:
        raise ValueError("Links need a secret to be signed with; set WEBHOOK_SECRET.")
    return _serializer(secret).dumps([brand, player_id, channel])


def read_unsubscribe_token(secret: str, token: str) -> tuple[str, str, str] | None:
    """Brand, player id and channel of a genuine token, None for any other text."""
    if not secret:
        return None
    try:
        brand, player_id, channel = _serializer(secret).loads(token)
    except BadData:
        return _read_first_form(secret, token)
    return brand, player_id, channel


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
