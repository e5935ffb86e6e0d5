"""Tokens with which a player's own browser asks about that player, and about nobody else, for a quarter of an hour."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from itsdangerous import BadData, URLSafeSerializer

#: How long a token is good for.
LASTS: Final = timedelta(minutes=15)
#: What every token begins with.
PREFIX: Final = "jp_"


class TokenOwner(NamedTuple):
    """Whose token it is, and until when."""

    brand: str
    player_id: str
    until: datetime


class PlayerTokens:
    """Makes and reads tokens. The first of `secrets` signs and all of them are read, so that they can be replaced."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._signers = tuple(URLSafeSerializer(secret, salt="player-token") for secret in secrets)

    def token(self, brand: str, player_id: str, now: datetime) -> str:
        """A token for one player."""
        return PREFIX + self._signers[0].dumps([brand, player_id, int((now + LASTS).timestamp())])

    def read(self, token: str, now: datetime) -> TokenOwner | None:
        """Whose it is; None for one that is over, and for any other text."""
        for signer in self._signers:
            try:
                brand, player_id, until = signer.loads(token.removeprefix(PREFIX))
            except (BadData, ValueError, TypeError):
                continue
            owner = TokenOwner(brand, player_id, datetime.fromtimestamp(until, UTC))
            return owner if now < owner.until else None
        return None
