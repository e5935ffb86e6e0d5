"""How providers sign what they tell us, and how that is verified. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from workflows.errors import DesignError


class SendGridSignature:
    """Verifies SendGrid's signed event webhook: ECDSA over the timestamp and the body, as they came.

    `key` is the verification key as its settings show it, base64 of DER. Raises DesignError for what is none.
    """

    def __init__(self, key: str) -> None:
        try:
            loaded = load_der_public_key(base64.b64decode(key, validate=True))
        except (ValueError, binascii.Error):
            loaded = None
        if not isinstance(loaded, ec.EllipticCurvePublicKey):
            raise DesignError("MAIL_EVENTS_KEY is no verification key; copy the one that the mail provider shows.")
        self._key = loaded

    def is_genuine(self, signature: str, timestamp: str, body: bytes) -> bool:
        """Whether the provider said this, then."""
        try:
            self._key.verify(
                base64.b64decode(signature, validate=True), timestamp.encode() + body, ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, ValueError, binascii.Error):
            return False
        return True


def is_twilios(token: str, signature: str, url: str, form: Iterable[tuple[str, str]]) -> bool:
    """Whether Twilio posted this form to this address, whole and with its query: HMAC-SHA1 with the account's token."""
    told = url + "".join(f"{name}{value}" for name, value in sorted(form))
    expected = base64.b64encode(hmac.digest(token.encode(), told.encode(), hashlib.sha1)).decode()
    return hmac.compare_digest(expected.encode(), signature.encode())
