"""Links in messages that act without a log-in: signed, so that nobody can make one up."""

import base64
import binascii
import hashlib
import hmac


def unsubscribe_token(secret: str, brand: str, player_id: str, channel: str) -> str:
    """A token that withdraws one player's consent to one channel, and can do nothing else.

    It never expires: a way out must work in a mail of last year too. Raises ValueError without a
    secret, for then anybody could make one up.
    """
    if not secret:
        raise ValueError("Links need a secret to be signed with; set WEBHOOK_SECRET.")
    content = f"{brand}\n{player_id}\n{channel}".encode()
    return _encode(content) + "." + _encode(_sign(secret, content))


def read_unsubscribe_token(secret: str, token: str) -> tuple[str, str, str] | None:
    """Brand, player id and channel of a genuine token, None for any other text."""
    if not secret:
        return None
    content_text, _, signature = token.partition(".")
    try:
        content = base64.urlsafe_b64decode(content_text + "==")
        signed = base64.urlsafe_b64decode(signature + "==")
        brand, player_id, channel = content.decode().split("\n")
    except (binascii.Error, ValueError):
        return None
    return (brand, player_id, channel) if hmac.compare_digest(signed, _sign(secret, content)) else None


def _sign(secret: str, content: bytes) -> bytes:
    return hmac.new(secret.encode(), b"unsubscribe\n" + content, hashlib.sha256).digest()[:16]


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
