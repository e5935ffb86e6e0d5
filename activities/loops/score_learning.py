"""Learns scores from a brand's own deposits once a week, and scores its players every night.

A model is used only when it passes the floors on days it has not seen, and is better than the one before. Who
objected to being profiled is neither scored nor learned from.
"""

import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.intake.receipts import Receipt
from activities.loops.brand_failures import is_everybodys
from activities.loops.channel_learning import ChannelLearning
from activities.loops.maintenance import heartbeating
from activities.own_process import Beside, InPlace, own_process
from activities.past_deposits import (
    DepositWindow,
    PastDeposits,
    PlayerRange,
    deposits_among,
    deposits_to_learn_from,
    player_ranges,
    yardsticks_now,
)
from activities.score_models import (
    YARDSTICKS,
    ModelRow,
    ModelState,
    champion,
    keep_model,
    newest_learned_at,
    note_scored,
    read_model,
    retire,
)
from activities.score_trainings import Became, Training, note_training
from learning.churn_features import PastDeposit
from learning.differences import NoNumber
from learning.drift import DRIFT_TOO_LARGE
from learning.score_kinds import SCORE_KINDS, ScoreKind
from learning.scored import Scored, ScoredNight, ScoreModel, Survey
from workflows.background.maintenance import LEARN, SCORE, LearnedScores, Now, ScoredPlayers
from workflows.events import Event, ScoreChanged
from workflows.scores import BELIEVED_FOR, SOURCE

logger = logging.getLogger(__name__)

#: How far back it is looked for what was told last.
TOLD_WITHIN: Final = timedelta(days=400)
#: A model is learned anew when the newest is so old.
LEARN_EVERY: Final = timedelta(days=7)
#: A score is told when it moved by so many points, or so long after it was told last: within the week it is believed.
TELL_AT, TELL_AFTER = 10, timedelta(days=6)
AT_ONCE: Final = 200
#: Players that are learned from, and deposits of theirs; of more a part says the same, and would not fit into memory.
MOST_LEARNED_FROM: Final = 100_000
MOST_DEPOSITS: Final = 2_000_000
#: Players that are read and scored at a time.
SCORED_AT_ONCE: Final = 5_000
#: What intake puts off is told so much later: it is as busy as that, and the night is long.
AGAIN_AFTER: Final = timedelta(minutes=5)

LEARNED: Final = Counter("journeys_score_models_total", "Models that were learned.", ["score", "became"])
TOLD: Final = Counter("journeys_scores_told_total", "Scores of players that moved and were told.", ["score"])
FAILED: Final = Counter(
    "journeys_score_failures_total", "Times that learning or scoring a brand failed.", ["step", "score", "brand"]
)
OFF: Final = Counter(
    "journeys_score_models_off_total",
    "Times that nothing better was learned than a model that was off in one closed window after the other.",
    ["score", "brand"],
)
DRIFT: Final = Gauge(
    "journeys_score_drift", "How far a brand's players are from those of its model.", ["score", "brand"]
)


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
        at_once: int = SCORED_AT_ONCE,
    ) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.kinds = [kind for kind in SCORE_KINDS if kind.name in reads_scores]
        self.channels = channels
        self.in_process = in_process
        self.at_once = at_once
        self._come_to: tuple[str, str, str, int] | tuple[()] = ()
        self._put_off = 0

    @activity.defn(name=LEARN)
    async def learn(self, given: Now | None = None) -> LearnedScores:
        """Learn each score for each brand whose newest model of it is a week old or that has none; channels too."""
        async with heartbeating():
            learned = await self.learn_due(given.at if given else None)
            if self.channels is None:
                return learned
            beside = await self.channels.learn_due()
            champions, shadows = learned.champions + beside.champions, learned.shadows + beside.shadows
            return LearnedScores(champions=champions, shadows=shadows)

    @activity.defn(name=SCORE)
    async def score(self, given: Now | None = None) -> ScoredPlayers:
        """Score the players of each brand by each of its models, as of the moment given.

        It is the same when this is begun again, so nobody is scored otherwise the second time; without one, as a
        release before asks it, it is the moment at which this begins. What is heard of it says how far it has come.
        """
        self._come_to = ()
        async with heartbeating(lambda: self._come_to):
            return await self.score_due(given.at if given else None)

    async def learn_due(self, now: datetime | None = None) -> LearnedScores:
        """Learn each score for each brand that is due at a moment; what became of the models.

        One that fails is logged and counted, and keeps no other from being learned.
        """
        now = now or self.clock()
        became: list[ModelState | None] = []
        for brand, kind in await self._brands():
            try:
                became.append(await self._learn_if_due(brand, kind, now))
            except Exception as error:
                if is_everybodys(error):
                    raise  # Temporal tries the whole again.
                FAILED.labels("learn", kind.name, brand).inc()
                logger.exception("Learning %s for %s failed; other brands and scores go on.", kind.name, brand)
                await self._note(Training(brand, kind.name, now, "failed", "The log of the worker says why."))
        return LearnedScores(champions=became.count("champion"), shadows=became.count("shadow"))

    async def _learn_if_due(self, brand: str, kind: ScoreKind, now: datetime) -> ModelState | None:
        async with self.database.reading() as connection:
            newest = await newest_learned_at(connection, brand, kind.name)
            if newest is not None and now - newest < LEARN_EVERY:
                return None
            before = await champion(connection, brand, kind.name)
        return await self._learn(brand, kind, before, now)

    async def score_due(self, now: datetime | None = None) -> ScoredPlayers:
        """Score each brand's players by each score at a moment; how many scores there are, and how many were told.

        A brand that fails is logged and counted, and keeps no other from being scored. Raises where what was to be told
        was put off, after all else is done: Temporal begins again as of the same moment, and only that is told then.
        """
        now = now or self.clock()
        seen = told = 0
        self._put_off = 0
        for brand, kind in await self._brands():
            try:
                scored = await self._score_brand(brand, kind, now)
            except Exception as error:
                if is_everybodys(error):
                    raise  # Temporal tries the whole again.
                FAILED.labels("score", kind.name, brand).inc()
                logger.exception("Scoring %s of %s failed; other brands and scores go on.", kind.name, brand)
                continue
            seen, told = seen + scored.seen, told + scored.told
        if self._put_off:
            says = f"{self._put_off} scores are told later: more is sent just now than can be taken."
            raise ApplicationError(says, type="ScoresPutOff", next_retry_delay=AGAIN_AFTER)
        return ScoredPlayers(seen=seen, told=told)

    async def _score_brand(self, brand: str, kind: ScoreKind, now: datetime) -> ScoredPlayers:
        async with self.database.reading() as connection:
            row = await champion(connection, brand, kind.name)
        model = None if row is None else _read(kind, row)
        if row is not None and model is None and now - (row.scored_at or row.learned_at) < BELIEVED_FOR:
            # A worker that can read it will go on; what was told stays as long as it is believed.
            return ScoredPlayers()
        if row is not None and model is not None:
            return await self._score(kind, row, model, now)
        async for part in self._parts(brand, kind, "taken back"):
            await self._tell_part(kind, _Part(brand, part, 0, {}), now)
        return ScoredPlayers()

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[Beside]:
        """Where it is worked out: in a process of its own, so that the runs of this one, and its heartbeats, go on."""
        if self.in_process:
            yield InPlace()
        else:
            async with own_process() as beside:
                yield beside

    async def _brands(self) -> list[tuple[str, ScoreKind]]:
        if not self.kinds:
            return []
        async with self.database.reading() as connection:
            brands = [*(await connection.execute(_BRANDS)).scalars()]
        return [(brand, kind) for brand in brands for kind in self.kinds]

    async def _learn(self, brand: str, kind: ScoreKind, before: ModelRow | None, now: datetime) -> ModelState | None:
        most = {"players": MOST_LEARNED_FROM, "deposits": MOST_DEPOSITS}
        async with self.database.reading() as connection:
            past = await deposits_to_learn_from(connection, brand, now - kind.looks_back, now, **most)
        older = None if before is None else _read(kind, before)
        training = Training(brand, kind.name, now, "none", "")
        async with self._beside() as beside:
            learned = await beside.do(kind.learn, past.players, now)
            training = replace(training, **_judged(learned, before, older))
            if before is not None and older is not None and training.became != "champion" and _same_unit(before, past):
                windows = await beside.do(older.closed_windows, past.players, now)
                training = replace(training, looked_at=before.version, windows=windows)
        if training.is_off:
            OFF.labels(kind.name, brand).inc()
            logger.warning("The %s model v%s of %s is off, and none is better.", kind.name, training.looked_at, brand)
        if isinstance(learned, NoNumber):
            logger.info("No %s model for %s: %s.", kind.name, brand, learned.reason)
            await self._note(training)
            return None
        return await self._keep(training, learned, past.yardsticks)

    async def _keep(self, training: Training, learned: ScoreModel, yardsticks: Mapping[str, float]) -> ModelState:
        brand, name, why = training.brand, training.name, training.says
        state: ModelState = "champion" if training.became == "champion" else "shadow"
        # What is not there is left out: a release that knows nothing of it reads the model still.
        artifact = learned.model_dump(mode="json", exclude_none=True)
        if yardsticks:
            # Of a single currency too: only so it stays the unit when another one comes and is used more.
            artifact[YARDSTICKS] = yardsticks
        async with self.database.transaction() as connection:
            version = await keep_model(connection, brand, name, artifact, state, why, training.tried_at)
            await note_training(connection, replace(training, version=version))
        LEARNED.labels(name, state).inc()
        logger.info("The %s model v%s for %s is %s: %s.", name, version, brand, state, why)
        return state

    async def _note(self, training: Training) -> None:
        async with self.database.transaction() as connection:
            await note_training(connection, training)

    async def _score(self, kind: ScoreKind, row: ModelRow, model: ScoreModel, now: datetime) -> ScoredPlayers:
        """Count all players first, part by part, for only all of them say what is usual; then score each part."""
        window = DepositWindow(now - kind.looks_back, now - kind.recent, now)
        then: Any = row.artifact.get(YARDSTICKS)
        async with self.database.reading() as connection:
            sticks = await yardsticks_now(connection, row.brand, window, then)
        read = _Reading(self.database, row.brand, window, sticks)
        async with self._beside() as beside:
            survey = Survey()
            async for part in self._parts(row.brand, kind, "counted"):
                survey.add(await beside.do(model.survey, await read.deposits(part), now))
            night = await beside.do(model.night, survey)
            used = await self._note_night(row, night, now)
            told = 0
            async for part in self._parts(row.brand, kind, "told"):
                scored = await beside.do(model.scores, await read.deposits(part), now, night) if used else {}
                told += await self._tell_part(kind, _Part(row.brand, part, row.version, scored), now)
        return ScoredPlayers(seen=night.players, told=told)

    async def _parts(self, brand: str, kind: ScoreKind, what: str) -> AsyncIterator[PlayerRange]:
        """All players of a brand, some at a time; with each part it is told that we live, and how far we have come."""
        number = 0
        async for part in player_ranges(self.database, brand, self.at_once):
            number += 1
            self._come_to = (brand, kind.name, what, number)
            if activity.in_activity():
                activity.heartbeat(*self._come_to)
            yield part

    async def _note_night(self, row: ModelRow, night: ScoredNight, now: datetime) -> bool:
        """Write down how far the players are from those the model was judged on; whether it may score them."""
        DRIFT.labels(row.name, row.brand).set(night.drift)
        drifts = {name: round(drift, 4) for name, drift in {**night.features, "score": night.drift}.items()}
        async with self.database.transaction() as connection:
            await note_scored(connection, row, drifts, now)
            if night.drift > DRIFT_TOO_LARGE:
                await retire(connection, row, f"players have become others: drift {night.drift:.2f}")
        if night.drift > DRIFT_TOO_LARGE:
            logger.warning("The %s model of %s is not used any more: its players are others.", row.name, row.brand)
            return False
        return True

    async def _tell_part(self, kind: ScoreKind, part: "_Part", now: datetime) -> int:
        """Tell the scores of a part of the players that moved; how many.

        Taken back is what was told of those who are scored no more: they objected, or left, or no model is used. Else
        what segments read would keep the last score for ever. What a model of the operator told stays.
        """
        async with self.database.reading() as connection:
            last = await _told(connection, part.brand, kind, part.players, now)
        moved: list[tuple[str, Event]] = [
            (player, _change(kind, part.version, player, last.get(player), one, now))
            for player, one in part.scored.items()
            if player not in last or not last[player].still_says(one.percent, now)
        ]
        over: list[tuple[str, Event]] = [
            (player, _ended(kind, player, before, now))
            for player, before in last.items()
            if before.by_us and not before.over and player not in part.scored
        ]
        events = [*moved, *over]
        receipts: list[Receipt] = []
        for start in range(0, len(events), AT_ONCE):
            # The moment given is Temporal's, and its clock may be a little ahead: nothing happens after it is received.
            at = max(now, self.clock())
            receipts += await self.intake.ingest(part.brand, events[start : start + AT_ONCE], at)
        put_off = receipts.count("later")
        self._put_off += put_off
        TOLD.labels(kind.name).inc(len(events) - put_off)
        return len(moved) - receipts[: len(moved)].count("later")


@dataclass(frozen=True, slots=True)
class _Part:
    """Some players of a brand, and the scores of those of them who have one, by a version of a model."""

    brand: str
    players: PlayerRange
    version: int
    scored: Mapping[str, Scored]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads deposits of a brand part by part, each in a short transaction."""

    database: Database
    brand: str
    window: DepositWindow
    sticks: Mapping[str, float]

    async def deposits(self, part: PlayerRange) -> dict[str, list[PastDeposit]]:
        async with self.database.reading() as connection:
            return await deposits_among(connection, self.brand, part, self.window, self.sticks)


def _change(
    kind: ScoreKind, version: int, player: str, before: _Told | None, scored: Scored, now: datetime
) -> ScoreChanged:
    return ScoreChanged(
        event_id=f"{kind.name}:{version}:{player}:{now:%Y-%m-%d}",
        event_source=SOURCE,
        occurred_at=now,
        score=kind.name,
        from_percent=0 if before is None else before.percent,
        to_percent=scored.percent,
        why=scored.why,
        model=version,
    )


def _ended(kind: ScoreKind, player: str, before: _Told, now: datetime) -> ScoreChanged:
    return ScoreChanged(
        event_id=f"{kind.name}:over:{player}:{now:%Y-%m-%d}",
        event_source=SOURCE,
        occurred_at=now,
        score=kind.name,
        from_percent=before.percent,
        to_percent=0,
        why=["not scored any more"],
    )


class _Judged(TypedDict):
    """What became of what was learned, and why."""

    became: Became
    says: str


def _judged(learned: ScoreModel | NoNumber, before: ModelRow | None, older: ScoreModel | None) -> _Judged:
    """Whether a model is to score players, and why; `older` is the one in use, as it can be read."""
    if isinstance(learned, NoNumber):
        return {"became": "none", "says": learned.reason}
    if not learned.passes:
        return {"became": "shadow", "says": f"below the floors: {learned.worth}"}
    # Judged on other days, so a little worse is no reason to keep the older one.
    if before is not None and older is not None and learned.worse_than(older):
        return {"became": "shadow", "says": f"worse than v{before.version}: {learned.worth}"}
    return {"became": "champion", "says": learned.worth}


def _same_unit(row: ModelRow, past: PastDeposits) -> bool:
    """Whether amounts are told in the unit that a model knows: another currency may be the most used one by now.

    A model of a release before, learned of a single currency, does not say of which.
    """
    known: Mapping[str, float] = row.artifact.get(YARDSTICKS, {})
    if not known:
        return len(past.yardsticks) <= 1
    return any(stick == 1.0 and known.get(currency) == 1.0 for currency, stick in past.yardsticks.items())


def _read(kind: ScoreKind, row: ModelRow) -> ScoreModel | None:
    model = read_model(kind, row)
    if model is None:
        told = "The %s model v%s of %s is of another release; nothing is done by it."
        logger.warning(told, row.name, row.version, row.brand)
    return model


async def _told(
    connection: AsyncConnection, brand: str, kind: ScoreKind, among: PlayerRange, now: datetime
) -> dict[str, _Told]:
    """What the score of each of these players was told to be last, when and by whom."""
    since = now - TOLD_WITHIN
    whose = {"brand": brand, "score": kind.name, "since": since, "ours": SOURCE, **among._asdict()}
    rows = await connection.execute(_TOLD, whose)
    return {
        row.player_id: _Told(int(row.percent), row.occurred_at, by_us=row.source == SOURCE, over=row.over)
        for row in rows
    }


_BRANDS: Final = text("SELECT DISTINCT brand FROM players ORDER BY brand")
# The type is written out, or a plan for any type could not use the index of deposits and scores.
_TOLD: Final = text(
    f"""
    SELECT DISTINCT ON (player_id) player_id, occurred_at, data->>'to_percent' AS percent, source,
           source = :ours AND coalesce(CAST(data->>'model' AS integer), 0) = 0 AS over
    FROM events
    WHERE brand = :brand AND player_id > :after AND player_id <= :last AND type = '{ScoreChanged.type}'
      AND data->>'score' = :score AND occurred_at >= :since
    ORDER BY player_id, occurred_at DESC, seq DESC
    """  # noqa: S608 - our own words
)
