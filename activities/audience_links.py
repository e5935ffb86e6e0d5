"""Links by which an ad network fetches an audience without a key, for an hour."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime, timedelta
from typing import Final, get_args

from itsdangerous import BadData, URLSafeSerializer

from activities.audiences import Audience, AudienceKind
from content.ad_identifiers import Network

#: For how long a link is good.
LASTS: Final = timedelta(hours=1)


class AudienceLinks:
    """Makes and reads the tokens of links. The first of `secrets` signs and all of them are read."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._signers = tuple(URLSafeSerializer(secret, salt="audience") for secret in secrets)

    def token(self, asked: Audience, now: datetime) -> str:
        """A token for one audience."""
        return str(self._signers[0].dumps([*astuple(asked), int((now + LASTS).timestamp())]))

    def read(self, token: str, now: datetime) -> Audience | None:
        """Which audience it is for; None for one that is over, and for any other text."""
        for signer in self._signers:
            try:
                brand, kind, segment, network, product, until = signer.loads(token)
            except (BadData, ValueError, TypeError):
                continue
            known = kind in get_args(AudienceKind) and network in get_args(Network)
            return Audience(brand, kind, segment, network, product) if known and until > now.timestamp() else None
        return None
