"""What every side effect receives: whose step it is, and the story since the last one."""

from pydantic import BaseModel, Field

from workflows.effect_queues import Provider
from workflows.field_types import Product
from workflows.run_protocol import StoryLine


class EffectInput(BaseModel):
    """What every effect receives: whose step it is, and the story since the last effect."""

    brand: str
    player_id: str
    journey: str
    run_id: str
    step: str
    story: list[StoryLine] = Field(default_factory=list)
    #: Whether the run knows the answer `Held`; one that an older release plays does not.
    knows_hold: bool = False
    #: The kind of gambling the journey is about; None: what the deployment is about.
    product: Product | None = None
    #: Whether the journey is for players with a manager of their own, so that what it gives is a VIP reward.
    vip: bool = False
    #: Whether what the journey gives is the player's due and no offer.
    earned: bool = False

    @property
    def key(self) -> str:
        """The idempotency key of this effect, the same on every attempt and after any crash."""
        return f"{self.run_id}/{self.step}"

    @property
    def provider(self) -> Provider | None:
        """Whose queue it waits in; None: it needs the database alone."""
        return None
