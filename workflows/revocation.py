"""What taking a reward back asks of the bonus engine, and what came of it."""

from typing import Final, Literal

from pydantic import BaseModel

from workflows.effect_input import EffectInput
from workflows.effect_queues import Provider


class Revoke(EffectInput):
    """Take a reward back that the player has not taken yet, once, through the bonus engine."""

    grant_id: str

    @property
    def provider(self) -> Provider:
        """The bonus engine."""
        return "bonus_engine"


#: Why a reward is taken back that its run does not want the player to have any more; why none was.
JOURNEY_TOOK_IT: Final = "journey"
NO_SUCH_GRANT: Final = "no_such_grant"


class RevokeResult(BaseModel):
    """Whether a reward was taken back. `kept`: the player has used it, or the engine does not take it back."""

    status: Literal["revoked", "kept"]
    reason: str | None = None
