"""What becomes of rewards after they were given: told by the bonus engine, taken back, or kept by the player."""

from dataclasses import replace

from stage.world.records import GrantRecord
from workflows.player_state.decisions import GrantReached, RevokeOffers
from workflows.player_state.grant_progress import TAKEN, UNTAKEN, is_further
from workflows.revocation import JOURNEY_TOOK_IT, NO_SUCH_GRANT, RevokeResult
from workflows.rewards.kinds import OFFERED_KINDS


class GivenRewards(list[GrantRecord]):
    """Every reward that was asked for, in order."""

    def advance(self, player_id: str, told: GrantReached) -> None:
        """Note how far a reward of the player has come."""
        for place, grant in enumerate(self):
            mine = grant.grant_id == told.grant_id and grant.player_id == player_id
            if mine and is_further(told.stage, grant.stage):
                self[place] = replace(grant, stage=told.stage)

    def take_back_offers(self, player_id: str, revoked: RevokeOffers) -> None:
        """Take back what the player was offered and has not taken, as far as anybody told."""
        for place, grant in enumerate(self):
            offered = grant.player_id == player_id and grant.kind in OFFERED_KINDS and grant.status == "confirmed"
            if offered and grant.stage in {None, *UNTAKEN} and grant.at + grant.reward.valid > revoked.at:
                self[place] = _taken_back(grant, revoked.reason)

    def revoke(self, player_id: str, grant_id: str, refused: str | None) -> RevokeResult:
        """Take one back for the run that gave it; `refused` is why the bonus engine does not."""
        for place, grant in enumerate(self):
            if grant.grant_id == grant_id and grant.player_id == player_id:
                if grant.status in ("refused", "revoked"):
                    return RevokeResult(status="revoked", reason=grant.reason)
                if grant.stage in TAKEN or refused is not None:
                    return RevokeResult(status="kept", reason=grant.stage if grant.stage in TAKEN else refused)
                self[place] = _taken_back(grant, JOURNEY_TOOK_IT)
                return RevokeResult(status="revoked", reason=JOURNEY_TOOK_IT)
        return RevokeResult(status="kept", reason=NO_SUCH_GRANT)


def _taken_back(grant: GrantRecord, reason: str) -> GrantRecord:
    return replace(grant, status="revoked", stage="revoked", reason=reason)
