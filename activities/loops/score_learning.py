"""Learns scores from a brand's own deposits once a week, and scores its players every night.

A model is used only when it passes the floors on days it has not seen, and is better than the one before. Who
objected to being profiled is neither scored nor learned from.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import intern
from typing import Any, Final, NamedTuple, TypeVar

from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.loops.channel_learning import ChannelLearning
from activities.loops.maintenance import heartbeating
from activities.own_process import in_own_process
from activities.score_models import ModelRow, ModelState, champion, keep_model, list_models, note_scored, retire
from learning.churn_features import PastDeposit
from learning.currencies import yardsticks
from learning.differences import NoNumber
from learning.judging_scores import DRIFT_TOO_LARGE
from learning.score_kinds import SCORE_KINDS, ScoreKind
from learning.scored import Deposits, ScoreModel
from workflows.background.maintenance import LEARN, SCORE, LearnedScores, ScoredPlayers
from workflows.events import DepositApproved, Event, ScoreChanged
from workflows.scores import BELIEVED_FOR, SOURCE

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: How far back it is looked for what was told last.
TOLD_WITHIN: Final = timedelta(days=400)
#: A model is learned anew when the newest is so old.
LEARN_EVERY: Final = timedelta(days=7)
#: A score is told when it moved by so many points, or so long after it was told last: within the week it is believed.
TELL_AT, TELL_AFTER = 10, timedelta(days=6)
AT_ONCE: Final = 200
#: Players that are learned from; of more a part says the same, and all of them would not fit into memory.
MOST_LEARNED_FROM: Final = 100_000
FETCH: Final = 5_000
#: Where a model's row has what amounts of each currency were multiplied by, if there were several.
YARDSTICKS: Final = "yardsticks"

#: What is no one brand's: Temporal tries the whole again.
EVERYBODYS: Final = (OperationalError, InterfaceError, OSError)

LEARNED: Final = Counter("journeys_score_models_total", "Models that were learned.", ["score", "became"])
TOLD: Final = Counter("journeys_scores_told_total", "Scores of players that moved and were told.", ["score"])
FAILED: Final = Counter(
    "journeys_score_failures_total", "Times that learning or scoring a brand failed.", ["step", "score", "brand"]
)
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
    """The activities that learn and score. `in_process` works where it runs, for tests; else beside it.

    What nothing that is deployed reads nobody is profiled for: of `reads_scores` alone anything is learned and told.
    """

    def __init__(
        self,
        database: Database,
        intake: Intake,
        clock: Clock,
        *,
        reads_scores: Collection[str],
        channels: ChannelLearning | None = None,
        in_process: bool = False,
    ) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.kinds = [kind for kind in SCORE_KINDS if kind.name in reads_scores]
        self.channels = channels
        self.in_process = in_process

    @activity.defn(name=LEARN)
    async def learn(self) -> LearnedScores:
        """Learn each score for each brand whose newest model of it is a week old or that has none; channels too."""
        async with heartbeating():
            learned = await self.learn_due()
            if self.channels is None:
                return learned
            beside = await self.channels.learn_due()
            champions, shadows = learned.champions + beside.champions, learned.shadows + beside.shadows
            return LearnedScores(champions=champions, shadows=shadows)

    @activity.defn(name=SCORE)
    async def score(self) -> ScoredPlayers:
        """Score the players of each brand by each of its models."""
        async with heartbeating():
            return await self.score_due()

    async def learn_due(self) -> LearnedScores:
        """Learn each score for each brand that is due; what became of the models.

        One that fails is logged and counted, and keeps no other from being learned.
        """
        became: list[ModelState | None] = []
        for brand, kind in await self._brands():
            try:
                became.append(await self._learn_if_due(brand, kind))
            except EVERYBODYS:
                raise
            except Exception:
                FAILED.labels("learn", kind.name, brand).inc()
                logger.exception("Learning %s for %s failed; other brands and scores go on.", kind.name, brand)
        return LearnedScores(champions=became.count("champion"), shadows=became.count("shadow"))

    async def _learn_if_due(self, brand: str, kind: ScoreKind) -> ModelState | None:
        now = self.clock()
        async with self.database.reading() as connection:
            known = [one for one in await list_models(connection, brand) if one.name == kind.name]
            before = await champion(connection, brand, kind.name)
        if known and now - known[0].learned_at < LEARN_EVERY:
            return None
        return await self._learn(brand, kind, before, now)

    async def score_due(self) -> ScoredPlayers:
        """Score each brand's players by each score; how many scores there are, and how many were told.

        A brand that fails is logged and counted, and keeps no other from being scored.
        """
        seen = told = 0
        for brand, kind in await self._brands():
            try:
                scored = await self._score_brand(brand, kind)
            except EVERYBODYS:
                raise
            except Exception:
                FAILED.labels("score", kind.name, brand).inc()
                logger.exception("Scoring %s of %s failed; other brands and scores go on.", kind.name, brand)
                continue
            seen, told = seen + scored.seen, told + scored.told
        return ScoredPlayers(seen=seen, told=told)

    async def _score_brand(self, brand: str, kind: ScoreKind) -> _Scored:
        async with self.database.reading() as connection:
            row = await champion(connection, brand, kind.name)
        model = None if row is None else _read(kind, row)
        if row is not None and model is None and self.clock() - (row.scored_at or row.learned_at) < BELIEVED_FOR:
            # A worker that can read it will go on; what was told stays as long as it is believed.
            return _Scored()
        scored = _Scored() if row is None or model is None else await self._score(kind, row, model)
        await self._end_scores(brand, kind, scored.players)
        return scored

    async def _beside(self, work: Callable[[Deposits, datetime], T], players: Deposits, now: datetime) -> T:
        """What is worked out in a process of its own, so that the runs of this one, and its heartbeats, go on."""
        return work(players, now) if self.in_process else await in_own_process(work, players, now)

    async def _brands(self) -> list[tuple[str, ScoreKind]]:
        if not self.kinds:
            return []
        async with self.database.reading() as connection:
            brands = [*(await connection.execute(_BRANDS)).scalars()]
        return [(brand, kind) for brand in brands for kind in self.kinds]

    async def _learn(self, brand: str, kind: ScoreKind, before: ModelRow | None, now: datetime) -> ModelState | None:
        async with self.database.reading() as connection:
            past = await deposits_of(connection, brand, now - kind.looks_back, now, most=MOST_LEARNED_FROM)
        learned = await self._beside(kind.learn, past.players, now)
        if isinstance(learned, NoNumber):
            logger.info("No %s model for %s: %s.", kind.name, brand, learned.reason)
            return None
        state, why = _judged(kind, learned, before)
        # What is not there is left out: a release that knows nothing of it reads the model still.
        artifact = learned.model_dump(mode="json", exclude_none=True)
        if len(past.yardsticks) > 1:
            artifact[YARDSTICKS] = past.yardsticks
        async with self.database.transaction() as connection:
            version = await keep_model(connection, brand, kind.name, artifact, state, why, now)
        LEARNED.labels(kind.name, state).inc()
        logger.info("The %s model v%s for %s is %s: %s.", kind.name, version, brand, state, why)
        return state

    async def _score(self, kind: ScoreKind, row: ModelRow, model: ScoreModel) -> "_Scored":
        now = self.clock()
        async with self.database.reading() as connection:
            since, active = now - kind.looks_back, now - kind.recent
            sticks: Any = row.artifact.get(YARDSTICKS)
            past = await deposits_of(connection, row.brand, since, now, active_since=active, yardsticks_then=sticks)
            last = await _told(connection, row.brand, kind, now)
        scored, drift = await self._beside(model.scores, past.players, now)
        DRIFT.labels(kind.name, row.brand).set(drift)
        async with self.database.transaction() as connection:
            await note_scored(connection, row, {"score": round(drift, 4)}, now)
            if drift > DRIFT_TOO_LARGE:
                await retire(connection, row, f"players have become others: drift {drift:.2f}")
        if drift > DRIFT_TOO_LARGE:
            logger.warning("The %s model of %s is not used any more: its players are others.", kind.name, row.brand)
            return _Scored(len(scored))
        events = []
        for player, one in scored.items():
            before = last.get(player)
            if before is not None and before.still_says(one.percent, now):
                continue
            event = ScoreChanged(
                event_id=f"{kind.name}:{row.version}:{player}:{now:%Y-%m-%d}",
                event_source=SOURCE,
                occurred_at=now,
                score=kind.name,
                from_percent=0 if before is None else before.percent,
                to_percent=one.percent,
                why=one.why,
                model=row.version,
            )
            events.append((player, event))
        await self._tell(row.brand, kind, events, now)
        return _Scored(len(scored), len(events), frozenset(scored))

    async def _end_scores(self, brand: str, kind: ScoreKind, scored: frozenset[str]) -> None:
        """Take back what was told of players who are scored no more: they objected, or left, or no model is used.

        Else what segments read would keep the last score for ever. What a model of the operator told stays.
        """
        now = self.clock()
        async with self.database.reading() as connection:
            last = await _told(connection, brand, kind, now)
        over = [
            (
                player,
                ScoreChanged(
                    event_id=f"{kind.name}:over:{player}:{now:%Y-%m-%d}",
                    event_source=SOURCE,
                    occurred_at=now,
                    score=kind.name,
                    from_percent=before.percent,
                    to_percent=0,
                    why=["not scored any more"],
                ),
            )
            for player, before in last.items()
            if before.by_us and not before.over and player not in scored
        ]
        await self._tell(brand, kind, over, now)

    async def _tell(self, brand: str, kind: ScoreKind, events: Sequence[tuple[str, Event]], now: datetime) -> None:
        for start in range(0, len(events), AT_ONCE):
            await self.intake.ingest(brand, events[start : start + AT_ONCE], now)
        TOLD.labels(kind.name).inc(len(events))


def _judged(kind: ScoreKind, learned: ScoreModel, before: ModelRow | None) -> tuple[ModelState, str]:
    """Whether a model is to score players, and why."""
    if not learned.passes:
        return "shadow", f"below the floors: {learned.worth}"
    older = None if before is None else _read(kind, before)
    # Judged on other days, so a little worse is no reason to keep the older one.
    if before is not None and older is not None and learned.worse_than(older):
        return "shadow", f"worse than v{before.version}: {learned.worth}"
    return "champion", learned.worth


def _read(kind: ScoreKind, row: ModelRow) -> ScoreModel | None:
    """The model of a row; None for one that another release wrote and this one cannot read, as while one rolls."""
    try:
        return kind.read({key: value for key, value in row.artifact.items() if key != YARDSTICKS})
    except ValueError:
        told = "The %s model v%s of %s is of another release; nothing is done by it."
        logger.warning(told, row.name, row.version, row.brand)
        return None


class PastDeposits(NamedTuple):
    """Deposits by player, in one unit, and what the amounts of each currency were multiplied by for it."""

    players: dict[str, list[PastDeposit]]
    yardsticks: dict[str, float]


async def deposits_of(
    connection: AsyncConnection,
    brand: str,
    since: datetime,
    now: datetime,
    *,
    active_since: datetime | None = None,
    most: int | None = None,
    yardsticks_then: Mapping[str, float] | None = None,
) -> PastDeposits:
    """Deposits by player, without those of players who objected to being profiled.

    With `active_since` only of players who have deposited since; with `most` of about so many players where the brand
    has more, always the same. Amounts of several currencies are brought to one yard, to that of `yardsticks_then`
    where a model was learned by it.
    """
    count = (await connection.scalar(_COUNT, {"brand": brand}) or 0) if most else 0
    whose = {
        "brand": brand,
        "type": DepositApproved.type,
        "since": since,
        "until": now,
        "active": active_since or since,
        "share": max(1, -(-count // most)) if most else 1,
    }
    told: defaultdict[str, list[tuple[str, PastDeposit]]] = defaultdict(list)
    # Read as they come: of a large brand everything at once would hold up whatever else this process does.
    async with connection.stream(_DEPOSITS, whose, execution_options={"yield_per": FETCH}) as rows:
        async for row in rows:
            one = PastDeposit(row.occurred_at, row.amount_minor, row.known_at)
            told[row.player_id].append((intern(row.currency), one))
    amounts = ((currency, one.amount_minor) for deposits in told.values() for currency, one in deposits)
    by = yardsticks(amounts, yardsticks_then)
    found = {}
    for player in [*told]:
        found[player] = [
            one if by.get(currency, 1.0) == 1 else one._replace(amount_minor=round(by[currency] * one.amount_minor))
            for currency, one in told.pop(player)
        ]
    return PastDeposits(found, by)


async def _told(connection: AsyncConnection, brand: str, kind: ScoreKind, now: datetime) -> dict[str, _Told]:
    """What each player's score was told to be last, when and by whom."""
    since = now - TOLD_WITHIN
    whose = {"brand": brand, "type": ScoreChanged.type, "score": kind.name, "since": since, "ours": SOURCE}
    rows = await connection.execute(_TOLD, whose)
    return {
        row.player_id: _Told(int(row.percent), row.occurred_at, by_us=row.source == SOURCE, over=row.over)
        for row in rows
    }


_BRANDS: Final = text("SELECT DISTINCT brand FROM players ORDER BY brand")
_COUNT: Final = text("SELECT count(*) FROM players WHERE brand = :brand")
_DEPOSITS: Final = text(
    """
    WITH known AS (
        SELECT player_id, occurred_at, CAST(data->>'amount_minor' AS bigint) AS amount_minor,
               CASE WHEN history THEN NULL ELSE received_at END AS known_at, coalesce(data->>'currency', '') AS currency
        FROM events
        WHERE brand = :brand AND type = :type AND occurred_at >= :since AND occurred_at < :until
          AND (CAST(hashtext(player_id) AS bigint) & 2147483647) % CAST(:share AS bigint) = 0
        UNION ALL
        SELECT player_id, occurred_at, CAST(data->>'amount_minor' AS bigint),
               CASE WHEN history THEN NULL ELSE received_at END, coalesce(data->>'currency', '')
        FROM kept_events
        WHERE brand = :brand AND type = :type AND occurred_at >= :since AND occurred_at < :until
          AND (CAST(hashtext(player_id) AS bigint) & 2147483647) % CAST(:share AS bigint) = 0
    ), active AS (
        SELECT player_id FROM known GROUP BY player_id HAVING max(occurred_at) >= :active
    )
    SELECT k.player_id, k.occurred_at, k.amount_minor, k.known_at, k.currency
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
