"""Learns once a week which channels reach a brand's players, and judges it before anybody is chosen by it.

Only from choices that chance made, of players who agree to being profiled and show no sign of harm.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from prometheus_client import Counter
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.clock import Clock
from activities.database import Database
from activities.loops.brand_failures import is_everybodys
from activities.message_rows import GONE_OUT, WAITING
from activities.own_process import in_own_process
from activities.score_models import ModelRow, ModelState, champion, keep_model, newest_learned_at, retire
from learning.channel_learning import LearnedChannels, PastChoice, PastMessage, learn_channels
from learning.differences import NoNumber
from learning.off_policy import PolicyWorth
from workflows.background.maintenance import LearnedScores
from workflows.channels import Channel
from workflows.gate.channel_rates import CHANNELS_LEARNED
from workflows.gate.policy import NECESSARY
from workflows.gate.send_choice import BY_HOUSE, HEARD_WITHIN
from workflows.send_choices import Chosen

logger = logging.getLogger(__name__)

#: How far back choices are read, and about how many at most: of some of the players then, and all of theirs.
LOOKS_BACK: Final = timedelta(days=180)
MOST_CHOICES: Final = 40_000
LEARN_EVERY: Final = timedelta(days=7)

FAILED: Final = Counter(
    "journeys_channel_learning_failures_total", "Times that learning channel rates failed.", ["brand"]
)

Messages = Mapping[str, Sequence[PastMessage]]


class ChannelLearning:
    """What learns. `in_process` learns where it runs, for tests; else beside it."""

    def __init__(self, database: Database, clock: Clock, *, in_process: bool = False) -> None:
        self.database = database
        self.clock = clock
        self.in_process = in_process

    async def learn_due(self) -> LearnedScores:
        """Learn for each brand whose newest rates are a week old or that has none; what became of them.

        A brand that fails is logged, and keeps no other from being learned.
        """
        became: list[ModelState | None] = []
        async with self.database.reading() as connection:
            brands = [*(await connection.execute(_BRANDS, {"since": self.clock() - LOOKS_BACK})).scalars()]
        for brand in brands:
            try:
                became.append(await self._learn_if_due(brand))
            except Exception as error:
                if is_everybodys(error):
                    raise  # Temporal tries the whole again.
                FAILED.labels(brand).inc()
                logger.exception("Learning channel rates for %s failed; other brands go on.", brand)
        return LearnedScores(champions=became.count("champion"), shadows=became.count("shadow"))

    async def _learn_if_due(self, brand: str) -> ModelState | None:
        now = self.clock()
        async with self.database.reading() as connection:
            newest = await newest_learned_at(connection, brand, CHANNELS_LEARNED)
            if newest is not None and now - newest < LEARN_EVERY:
                return None
            before = await champion(connection, brand, CHANNELS_LEARNED)
        return await self._learn(brand, before, now)

    async def _learn(self, brand: str, before: ModelRow | None, now: datetime) -> ModelState | None:
        async with self.database.reading() as connection:
            choices = await choices_of(connection, brand, now)
            messages = await messages_of(connection, brand, sorted({one.player_id for one in choices}), now)
        learned = await self._beside(choices, messages, now)
        if isinstance(learned, NoNumber):
            logger.info("No channel rates for %s: %s.", brand, learned.reason)
            return None
        state, why = _judged(learned.worth, before)
        async with self.database.transaction() as connection:
            if before is not None and state == "shadow":
                await retire(connection, before, why)
            artifact = learned.model_dump(mode="json")
            version = await keep_model(connection, brand, CHANNELS_LEARNED, artifact, state, why, now)
        logger.info("Channel rates v%s for %s are %s: %s.", version, brand, state, why)
        return state

    async def _beside(
        self, choices: Sequence[PastChoice], messages: Messages, now: datetime
    ) -> LearnedChannels | NoNumber:
        """Learn in a process of its own, so that the runs of this one go on."""
        if self.in_process:
            return learn_channels(choices, messages, now)
        return await in_own_process(learn_channels, choices, messages, now)


def _judged(worth: PolicyWorth, before: ModelRow | None) -> tuple[ModelState, str]:
    """Whether choices are to be made by these rates, and why.

    The first must be surely better than each player's own history. When that was shown once, newer rates take the place
    of the older, until they are surely worse: choices that the rates made themselves say less of what else could be.
    """
    points = (
        f"{100 * worth.worth:.1f} of 100 messages against {100 * worth.in_use:.1f} by each player's own history, "
        f"a gain between {100 * worth.gain_from:+.1f} and {100 * worth.gain_to:+.1f} points on {worth.choices:,} "
        f"choices that say as much as {worth.effective:,.0f} of its own"
    )
    if before is None:
        return ("champion", points) if worth.passes else ("shadow", f"not shown to be better: {points}")
    return ("shadow", f"worse than each player's own history: {points}") if worth.is_worse else ("champion", points)


async def choices_of(connection: AsyncConnection, brand: str, now: datetime) -> list[PastChoice]:
    """Channels that chance chose and what came of each message, in one of its players or in all."""
    whose = {"brand": brand, "since": now - LOOKS_BACK}
    count = await connection.scalar(_COUNT, whose) or 0
    given = {**whose, "share": -(-count // MOST_CHOICES) or 1, "necessary": [*NECESSARY], "waiting": WAITING}
    found = []
    for row in await connection.execute(_CHOICES, given):
        chosen = Chosen.model_validate(row.choice)
        if chosen.channel is not None and len(chosen.channel.options) > 1:
            odds: Mapping[Any, float] = chosen.channel.options
            # What a player's own history would have chosen hangs on which channel was declared first.
            options = {name: odds[name] for name in chosen.declared or odds}
            first: Any = chosen.channel.chosen
            by_house = chosen.by == BY_HOUSE
            found.append(PastChoice(row.player_id, row.at, first, options, by_house, row.followed_at, row.left_at))
    return found


async def messages_of(
    connection: AsyncConnection, brand: str, players: Sequence[str], now: datetime
) -> dict[str, list[PastMessage]]:
    """What went out to these players, the oldest first, as choices look at it."""
    found: defaultdict[str, list[PastMessage]] = defaultdict(list)
    since = now - LOOKS_BACK - HEARD_WITHIN
    given = {"brand": brand, "players": [*players], "since": since, "necessary": [*NECESSARY], "out": [*GONE_OUT]}
    for row in await connection.execute(_MESSAGES, given):
        channel: Channel = row.channel
        found[row.player_id].append(PastMessage(channel, row.at, row.opened_at, row.followed_at, row.left_at))
    return dict(found)


_BRANDS: Final = text(
    "SELECT DISTINCT brand FROM messages WHERE decision ? 'choice' AND created_at >= :since ORDER BY brand"
)
_WHOSE: Final = "m.brand = :brand AND m.created_at >= :since AND m.decision ? 'choice'"
_COUNT: Final = text(f"SELECT count(*) FROM messages m WHERE {_WHOSE}")  # noqa: S608 - our own words
# What went out on no channel came to nothing, and counts so: the one that was chosen may be why.
_CHOICES: Final = text(
    f"""
    SELECT m.player_id, coalesce(min(m.handed_over_at), min(m.created_at)) AS at,
           (array_agg(m.decision -> 'choice' ORDER BY m.created_at))[1] AS choice,
           min(m.clicked_at) AS followed_at, min(least(m.unsubscribed_at, m.complained_at)) AS left_at
    FROM messages m JOIN players p ON p.brand = m.brand AND p.id = m.player_id
    WHERE {_WHOSE} AND m.message_class <> ALL(:necessary)
      AND (CAST(hashtext(m.player_id) AS bigint) & 2147483647) % :share = 0
      AND p.state -> 'consents' -> 'profiling' ->> 0 = 'true'
      AND coalesce(p.state -> 'watch' -> 'signs', '{{}}') = '{{}}' AND coalesce(p.state -> 'exclusions', '[]') = '[]'
    GROUP BY m.player_id, m.run_id, m.step
    HAVING bool_or(m.handed_over_at IS NOT NULL) OR NOT bool_or(m.status = :waiting)
    ORDER BY at, m.player_id
    """  # noqa: S608 - our own words
).bindparams(bindparam("necessary", type_=ARRAY(Text)))
_MESSAGES: Final = text(
    """
    SELECT player_id, channel, handed_over_at AS at, least(opened_at, read_at, clicked_at) AS opened_at,
           clicked_at AS followed_at, least(unsubscribed_at, complained_at) AS left_at
    FROM messages
    WHERE brand = :brand AND player_id = ANY(:players) AND handed_over_at > :since AND status = ANY(:out)
      AND message_class <> ALL(:necessary)
    ORDER BY player_id, handed_over_at
    """
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("players", "out", "necessary")))
