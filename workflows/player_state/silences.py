"""How long a silence is for a player: at their own pace, but for who objected to being profiled."""

from datetime import datetime, timedelta

from workflows.player_state.profiling import objects_to_profiling
from workflows.player_state.projection import PlayerProjection
from workflows.rules.triggers import InactiveRule


def silence_of(rule: InactiveRule, player: PlayerProjection, now: datetime) -> timedelta:
    """How long it is: the longest that the rule has for who objected to a pace of their own."""
    paced = rule.pace is not None and not objects_to_profiling(player)
    return rule.length(player.series if paced else {}, player.present(now))


def put_off(rule: InactiveRule, player: PlayerProjection, now: datetime) -> datetime | None:
    """When the silence will be long enough that was awaited at the own pace of a player who has objected since."""
    last = player.last.get(rule.kind.type)
    if rule.pace is None or last is None or not objects_to_profiling(player):
        return None
    at = last + silence_of(rule, player, now)
    return at if at > now else None
