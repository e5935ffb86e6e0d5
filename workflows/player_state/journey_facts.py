"""What of a player's row a journey may know."""

from workflows.events import DepositApproved, SessionLogin
from workflows.gate.policies import HOUSE
from workflows.player_facts import PlayerFacts
from workflows.player_state.harm_watch import strength_of, stronger
from workflows.player_state.likings import liked_by
from workflows.player_state.profiling import objects_to_profiling
from workflows.player_state.projection import EPOCH, PlayerProjection


def journey_facts(player: PlayerProjection) -> PlayerFacts:
    """What a journey may know of the player: facts, never personal data."""
    identity = player.checks.get("kyc")
    objects = objects_to_profiling(player)
    return PlayerFacts(
        player_id=player.player_id,
        favourite_category=None if objects else player.favourite_category,
        deposits=player.counts.get(DepositApproved.type, 0),
        deposited_minor=player.deposited_minor,
        last_login=player.last.get(SessionLogin.type),
        harm=_harm(player),
        usual_hours=[] if objects else [*player.usual_hours],
        consents=sorted(key for key, (opted_in, _) in player.consents.items() if opted_in),
        objects_to_profiling=objects,
        kyc=None if identity is None else identity[0],
        wallet=player.facts.get("currency"),
        liked=liked_by(player.facts),
        **player.facts,
    )


def _harm(player: PlayerProjection) -> str | None:
    """The strength of all signs of harm together when the player was last heard of, None where there is none."""
    heard = max(player.last.values(), default=EPOCH)
    now = stronger(player.harm or "none", strength_of(player.watch.signs, HOUSE.harm_fades_after, heard))
    return None if now == "none" else now
