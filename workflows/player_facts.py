"""What a journey may know of its player."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field


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
    #: The same, and None when the operator never sent one: an amount is chosen by it alone.
    wallet: str | None = None
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
    #: The strongest signal of harm that stands: `weak`, `medium` or `strong`; None when there is none.
    harm: str | None = None
    #: The fewest hours of the player's day (0 to 23) that hold half of all visits, busiest first.
    usual_hours: list[int] = Field(default_factory=list)
    #: Channels, and `channel/product`, on which the player agreed to be written to.
    consents: list[str] = Field(default_factory=list)
    #: Whether they objected to being profiled; then nothing here is made of how they behave.
    objects_to_profiling: bool = False
    #: What the check of who the player is came to, as last told: `submitted`, `approved`, `rejected`, …
    kyc: str | None = None
    #: Until when the player has to have passed it.
    kyc_deadline: AwareDatetime | None = None
    #: What the player looked at last: the `item_id` of `content.viewed`.
    last_viewed: str | None = None
    #: What the player gave a thumb or a yes or no to: whether they liked it, by their newest word.
    liked: dict[str, bool] = Field(default_factory=dict)
    #: Whether this is an account of the operator's own.
    is_test: bool = False


#: Scores that the engine learns: who leaves, who brings much, who will be among those that bring most.
ScoreName = Literal["churn", "value", "vip"]


class ScoreRead(BaseModel):
    """A score in percent with its reasons, the strongest first; without `as_of` it is an estimate by silence alone."""

    percent: int
    why: list[str] = Field(default_factory=list)
    as_of: AwareDatetime | None = None
