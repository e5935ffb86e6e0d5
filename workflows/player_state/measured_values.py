"""What a measure says about a player, as a journey asks for it."""

from datetime import datetime

from workflows.effects import ReadValue, ValueRead
from workflows.errors import JourneysError
from workflows.player_state.profiling import is_withheld
from workflows.player_state.projection import PlayerProjection
from workflows.rules.index import RuleIndex
from workflows.rules.series import change_of, usual_of, value, value_before


def read_value(request: ReadValue, player: PlayerProjection, rules: RuleIndex, now: datetime) -> ValueRead:
    """The value now. Raises `JourneysError` where no measure of that key is deployed here: another process knows it.

    An answer of 0 would be taken for a fact, so the effect is tried again until a process that knows it comes by.
    Of a player who objected to being profiled nothing is known that would be a profile.
    """
    measure = rules.measure(request.measure)
    if measure is None:
        raise JourneysError(
            f"Nothing that is deployed here measures {request.measure}; deploy the release that {request.journey} "
            "plays to every worker, and the run goes on."
        )
    if is_withheld(player, measure, to_protect=request.to_protect):
        return ValueRead(value=0)
    held, present = player.series.get(measure.series, {}), player.present(now)
    if measure.is_usual:
        usual = usual_of(held, measure, present)
        return ValueRead(value=usual.median, p95=usual.p95, deviation=usual.deviation, values=usual.values)
    if measure.is_pattern:
        change = change_of(held, measure, present)
        return ValueRead(value=int(bool(change)), known=change.known, to=change.to, why=change.why)
    if request.previous:
        return ValueRead(value=value_before(held, measure, present))
    return ValueRead(value=value(held, measure, present))
