"""Learns scores from a brand's own deposits once a week, and scores its players every night.

A model is used only when it passes the floors on a month it has not seen, and is better than the one before. Who
objected to being profiled is neither scored nor learned from.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.loops.maintenance import heartbeating
from activities.own_process import in_own_process
from activities.score_models import ModelRow, ModelState, champion, keep_model, list_models, note_scored, retire
from learning.churn import ChurnModel, learn_churn
from learning.churn_features import WINDOW, PastDeposit
from learning.differences import NoNumber
from learning.judging_scores import DRIFT_TOO_LARGE
from workflows.background.maintenance import LEARN, SCORE, LearnedScores, ScoredPlayers
from workflows.events import DepositApproved, Event, ScoreChanged
from workflows.scores import CHURN, SOURCE

logger = logging.getLogger(__name__)

#: How far back deposits are read; a year says what is usual.
LOOKS_BACK: Final = timedelta(days=400)
#: A model is learned anew when the newest is so old.
LEARN_EVERY: Final = timedelta(days=7)
#: A score is told when it moved by so many points, or so long after it was told last: within the week it is believed.
TELL_AT, TELL_AFTER = 10, timedelta(days=6)
AT_ONCE: Final = 200

LEARNED: Final = Counter("journeys_score_models_total", "Models that were learned.", ["score", "became"])
TOLD: Final = Counter("journeys_scores_told_total", "Scores of players that moved and were told.", ["score"])
DRIFT: Final = Gauge(
    "journeys_score_drift", "How far a brand's players are from those of its model.", ["score", "brand"]
)


@dataclass(frozen=True, slots=True)
class _Scored:
    """How many players of a brand a night's scoring saw and told, and who they are whose score holds."""

    seen: int = 0
    told: int = 0
    players: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told last of a player's score; `over` where we said that there is none any more."""

    percent: int
    at: datetime
    by_us: bool
    over: bool

    def still_says(self, percent: int, now: datetime) -> bool:
        """Whether there is no need to tell a score: it was told lately and has hardly moved."""
        return not self.over and abs(percent - self.percent) < TELL_AT and now - self.at < TELL_AFTER


class ScoreLearning:
    """The activities that learn and score. `in_process` learns where it runs, for tests; else beside it.

    Where nothing that is deployed reads scores, nobody is profiled: nothing is learned and nothing told.
    """

    def __init__(
        self, database: Database, intake: Intake, clock: Clock, *, reads_scores: bool, in_process: bool = False
    ) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.reads_scores = reads_scores
        self.in_process = in_process

    @activity.defn(name=LEARN)
    async def learn(self) -> LearnedScores:
        """Learn for each brand whose newest model is a week old or that has none."""
        async with heartbeating():
            return await self.learn_due()

    @activity.defn(name=SCORE)
    async def score(self) -> ScoredPlayers:
        """Score the players of each brand that has a model."""
        async with heartbeating():
            return await self.score_due()

    async def learn_due(self) -> LearnedScores:
        """Learn for each brand that is due; what became of the models."""
        champions = shadows = 0
        for brand in await self._brands():
            now = self.clock()
            async with self.database.reading() as connection:
                known = [one for one in await list_models(connection, brand) if one.name == CHURN]
                before = await champion(connection, brand, CHURN)
            if known and now - known[0].learned_at < LEARN_EVERY:
                continue
            state = await self._learn(brand, before, now)
            champions, shadows = champions + (state == "champion"), shadows + (state == "shadow")
        return LearnedScores(champions=champions, shadows=shadows)

    async def score_due(self) -> ScoredPlayers:
        """Score each brand's players; how many, and how many were told."""
        seen = told = 0
        for brand in await self._brands():
            async with self.database.reading() as connection:
                model = await champion(connection, brand, CHURN)
            scored = _Scored() if model is None else await self._score(model)
            seen, told = seen + scored.seen, told + scored.told
            await self._end_scores(brand, scored.players)
        return ScoredPlayers(seen=seen, told=told)

    async def _brands(self) -> list[str]:
        if not self.reads_scores:
            return []
        async with self.database.reading() as connection:
            return [*(await connection.execute(_BRANDS)).scalars()]

    async def _learn(self, brand: str, before: ModelRow | None, now: datetime) -> ModelState | None:
        async with self.database.reading() as connection:
            players = await deposits_of(connection, brand, now - LOOKS_BACK, now)
        learned = await self._beside(players, now)
        if isinstance(learned, NoNumber):
            logger.info("No churn model for %s: %s.", brand, learned.reason)
            return None
        state, why = _judged(learned, before)
        async with self.database.transaction() as connection:
            version = await keep_model(connection, brand, CHURN, learned.model_dump(mode="json"), state, why, now)
        LEARNED.labels(CHURN, state).inc()
        logger.info("Churn model v%s for %s is %s: %s.", version, brand, state, why)
        return state

    async def _beside(self, players: Mapping[str, Sequence[PastDeposit]], now: datetime) -> ChurnModel | NoNumber:
        """Learn in a process of its own, so that the runs of this one go on."""
        return learn_churn(players, now) if self.in_process else await in_own_process(learn_churn, players, now)

    async def _score(self, row: ModelRow) -> "_Scored":
        now, model = self.clock(), ChurnModel.model_validate(row.artifact)
        async with self.database.reading() as connection:
            players = await deposits_of(connection, row.brand, now - LOOKS_BACK, now, active_since=now - WINDOW)
            last = await _told(connection, row.brand, now)
        scored = {player: one for player, known in players.items() if (one := model.score(known, now)) is not None}
        drift = model.drifted([one.percent / 100 for one in scored.values()])
        DRIFT.labels(CHURN, row.brand).set(drift)
        async with self.database.transaction() as connection:
            await note_scored(connection, row, {"score": round(drift, 4)}, now)
            if drift > DRIFT_TOO_LARGE:
                await retire(connection, row, f"players have become others: drift {drift:.2f}")
        if drift > DRIFT_TOO_LARGE:
            logger.warning("The churn model of %s is not used any more: its players have become others.", row.brand)
            return _Scored(len(scored))
        events = []
        for player, one in scored.items():
            before = last.get(player)
            if before is not None and before.still_says(one.percent, now):
                continue
            event = ScoreChanged(
                event_id=f"{CHURN}:{row.version}:{player}:{now:%Y-%m-%d}",
                event_source=SOURCE,
                occurred_at=now,
                score=CHURN,
                from_percent=0 if before is None else before.percent,
                to_percent=one.percent,
                why=one.why,
                model=row.version,
            )
            events.append((player, event))
        await self._tell(row.brand, events, now)
        return _Scored(len(scored), len(events), frozenset(scored))

    async def _end_scores(self, brand: str, scored: frozenset[str]) -> None:
        """Take back what was told of players who are scored no more: they objected, or left, or no model is used.

        Else what segments read would keep the last score for ever. What a model of the operator told stays.
        """
        now = self.clock()
        async with self.database.reading() as connection:
            last = await _told(connection, brand, now)
        over = [
            (
                player,
                ScoreChanged(
                    event_id=f"{CHURN}:over:{player}:{now:%Y-%m-%d}",
                    event_source=SOURCE,
                    occurred_at=now,
                    score=CHURN,
                    from_percent=before.percent,
                    to_percent=0,
                    why=["not scored any more"],
                ),
            )
            for player, before in last.items()
            if before.by_us and not before.over and player not in scored
        ]
        await self._tell(brand, over, now)

    async def _tell(self, brand: str, events: Sequence[tuple[str, Event]], now: datetime) -> None:
        for start in range(0, len(events), AT_ONCE):
            await self.intake.ingest(brand, events[start : start + AT_ONCE], now)
        TOLD.labels(CHURN).inc(len(events))


def _judged(learned: ChurnModel, before: ModelRow | None) -> tuple[ModelState, str]:
    """Whether a model is to score players, and why."""
    judged = learned.quality
    worth = f"AUC {judged.auc:.3f}, Brier {judged.brier:.3f}, calibration off by {judged.calibration_error:.3f}"
    if not learned.passes:
        return "shadow", f"below the floors: {worth}"
    if before is not None:
        # Judged on another month, so a little worse is no reason to keep the older one.
        floor = ChurnModel.model_validate(before.artifact).quality.brier + 0.01
        if judged.brier > floor:
            return "shadow", f"worse than v{before.version}: {worth}"
    return "champion", worth


async def deposits_of(
    connection: AsyncConnection,
    brand: str,
    since: datetime,
    now: datetime,
    *,
    active_since: datetime | None = None,
) -> dict[str, list[PastDeposit]]:
    """Deposits by player, without those of players who objected to being profiled.

    With `active_since` only of players who have deposited since.
    """
    whose = {
        "brand": brand,
        "type": DepositApproved.type,
        "since": since,
        "until": now,
        "active": active_since or since,
    }
    found: defaultdict[str, list[PastDeposit]] = defaultdict(list)
    for row in await connection.execute(_DEPOSITS, whose):
        found[row.player_id].append(PastDeposit(row.occurred_at, row.amount_minor, row.known_at))
    return dict(found)


async def _told(connection: AsyncConnection, brand: str, now: datetime) -> dict[str, _Told]:
    """What each player's score was told to be last, when and by whom."""
    whose = {"brand": brand, "type": ScoreChanged.type, "score": CHURN, "since": now - LOOKS_BACK, "ours": SOURCE}
    rows = await connection.execute(_TOLD, whose)
    return {
        row.player_id: _Told(int(row.percent), row.occurred_at, by_us=row.source == SOURCE, over=row.over)
        for row in rows
    }


_BRANDS: Final = text("SELECT DISTINCT brand FROM players ORDER BY brand")
_DEPOSITS: Final = text(
    """
    WITH known AS (
        SELECT player_id, occurred_at, CAST(data->>'amount_minor' AS bigint) AS amount_minor,
               CASE WHEN history THEN NULL ELSE received_at END AS known_at
        FROM events
        WHERE brand = :brand AND type = :type AND occurred_at >= :since AND occurred_at < :until
        UNION ALL
        SELECT player_id, occurred_at, CAST(data->>'amount_minor' AS bigint),
               CASE WHEN history THEN NULL ELSE received_at END
        FROM kept_events
        WHERE brand = :brand AND type = :type AND occurred_at >= :since AND occurred_at < :until
    ), active AS (
        SELECT player_id FROM known GROUP BY player_id HAVING max(occurred_at) >= :active
    )
    SELECT k.player_id, k.occurred_at, k.amount_minor, k.known_at
    FROM known k JOIN active USING (player_id)
      JOIN players p ON p.brand = :brand AND p.id = k.player_id
    WHERE p.state->'consents'->'profiling'->>0 IS DISTINCT FROM 'false'
    ORDER BY k.player_id, k.occurred_at
    """
)
_TOLD: Final = text(
    """
    SELECT DISTINCT ON (player_id) player_id, occurred_at, data->>'to_percent' AS percent, source,
           source = :ours AND coalesce(CAST(data->>'model' AS integer), 0) = 0 AS over
    FROM events
    WHERE brand = :brand AND type = :type AND data->>'score' = :score AND occurred_at >= :since
    ORDER BY player_id, occurred_at DESC, seq DESC
    """
)
