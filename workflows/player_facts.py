"""What a journey may know of its player."""

from pydantic import AwareDatetime, BaseModel


class PlayerFacts(BaseModel):
    """What a journey may know of a player; never names, addresses or birth dates.

    It is a snapshot: taken when the run starts and again by `player.refresh()`.
    """

    player_id: str
    #: BCP 47 language tag.
    language: str = "en"
    #: IANA zone; None when the operator never sent one.
    timezone: str | None = None
    #: ISO 3166 alpha-2 code.
    country: str | None = None
    #: ISO 4217 code of the wallet.
    currency: str = "EUR"
    #: Loyalty tier, as last sent by the operator.
    tier: str | None = None
    #: The game category with the highest stakes so far.
    favourite_category: str | None = None
    #: How many deposits were approved.
    deposits: int = 0
    #: Their sum, in minor units of `currency`.
    deposited_minor: int = 0
    registered_at: AwareDatetime | None = None
    last_login: AwareDatetime | None = None
    #: Whether this is an account of the operator's own.
    is_test: bool = False
