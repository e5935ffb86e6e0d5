"""The effect behind `player.score(...)`: the newest word on a score of the player."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.journey_controls import held_by
from activities.run_effects import locked_state
from activities.runs import hold_active
from activities.step_log import record_steps, recorded_outcome
from workflows.effects import READ_SCORE, Held, ReadScore
from workflows.events import ScoreChanged
from workflows.player_facts import ScoreRead
from workflows.player_state.state import PlayerState
from workflows.scores import read_score


class ScoreEffects:
    """Reads scores, on Postgres."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    @activity.defn(name=READ_SCORE.name)
    async def score(self, request: ReadScore) -> ScoreRead | Held:
        """What is said of the player at this moment, the same however often this is tried."""
        now = self.clock()
        async with self.database.transaction() as connection:
            stored = await locked_state(connection, request)
            await hold_active(connection, request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return ScoreRead.model_validate(earlier.detail)
            if (held := await held_by(connection, request, now)) is not None:
                return held
            state = PlayerState.from_json(request.brand, request.player_id, stored or {})
            read = read_score(request.score, await _newest(connection, request), state, now)
            await record_steps(connection, request, now, "read", read.model_dump(mode="json"))
        return read


async def _newest(connection: AsyncConnection, request: ReadScore) -> ScoreChanged | None:
    whose = {"brand": request.brand, "player": request.player_id, "type": ScoreChanged.type, "score": request.score}
    row = (await connection.execute(_NEWEST, whose)).one_or_none()
    if row is None:
        return None
    wire = {"type": ScoreChanged.wire_type, "data": row.data, "id": row.id, "source": row.source}
    return ScoreChanged.from_wire({**wire, "time": row.occurred_at.isoformat()})


_NEWEST: Final = text(
    """
    SELECT id, source, occurred_at, data FROM events
    WHERE brand = :brand AND player_id = :player AND type = :type AND data->>'score' = :score
    ORDER BY occurred_at DESC, seq DESC LIMIT 1
    """
)
