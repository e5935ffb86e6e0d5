"""Finds every night what has changed, and tells people: a task about a player, a mail about the rest.

It acts on nothing by itself: that a player comes less often, mails do not arrive or a journey is entered by nobody may
have a hundred reasons, and a person looks which.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from prometheus_client import Counter
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import tasks
from activities.actors import engine_in
from activities.clock import Clock
from activities.database import Database
from activities.figures.followers import EVENTS, JOURNEYS, cursor_of
from activities.found_changes import ONCE_IN, FoundChange, list_changes, note_changes, note_told
from activities.loops.maintenance import heartbeating
from activities.player_rows import lock_state
from activities.providers.adapter import Adapter, OutgoingMessage
from activities.score_trainings import Training, list_trainings
from activities.settings import Settings
from activities.standalone_tasks import StandaloneTask
from learning.changes import BLOCKS, LATELY, PaceChange, changed, has_stopped, paces_of, share_change
from learning.differences import Conversion
from learning.drift import DRIFT_TO_LOOK_AT, DRIFT_TOO_LARGE
from workflows.background.take_figures import FIND
from workflows.figures.definitions import week_of
from workflows.player_state.journey_facts import journey_facts
from workflows.scores import VALUE
from workflows.source.journey_loading import Registry
from workflows.task_kinds import BY_HAND, TASK_KINDS

logger = logging.getLogger(__name__)

FOUND: Final = Counter("journeys_changes_found_total", "What was found to have changed, by kind.", ["kind"])
#: Of the players, those who deposit most: a hundredth, at least and at most so many.
TOP_SHARE, LEAST_TOP, MOST_TOP = 100, 20, 500
#: By how much a share must move to be told: of messages that arrive, of players in a group.
LEAST_FALL, LEAST_MOVE = 0.05, 0.05
#: Features that are told with a score that drifted, those that moved most.
FEATURES_TOLD: Final = 5
#: Days of messages and of entries that are looked at, and weeks of players.
MESSAGE_DAYS, ENTRY_DAYS, WEEKS = 15, 90, 13
#: A task of a kind about a player is opened where there was none for so long.
ASK_EVERY: Final = timedelta(weeks=4)
_DAY: Final = timedelta(days=1)


class ChangeWatch:
    """Looks at each brand once a night, as an activity."""

    def __init__(self, database: Database, registry: Registry, mail: Adapter, settings: Settings, clock: Clock) -> None:
        self.database = database
        self.registry = registry
        self.mail = mail
        self.settings = settings
        self.clock = clock

    @activity.defn(name=FIND)
    async def find(self) -> dict[str, int]:
        """Look at each brand; by kind, what was found that is new. Raises where a brand could not be looked at or told.

        Then it is tried again; what was found and told before is not found again.
        """
        async with heartbeating():
            return await self.look()

    async def look(self) -> dict[str, int]:
        """Look at each brand, each by itself; by kind, what is new."""
        found, failed = defaultdict[str, int](int), list[str]()
        async with self.database.reading() as connection:
            brands = [*(await connection.execute(_BRANDS)).scalars()]
        for brand in brands:
            try:
                await self._look_at(brand, self.clock().date(), found)
            except Exception as error:
                logger.exception("What has changed in %s was not looked at, or not told.", brand)
                failed.append(f"{brand}: {error}")
        if failed:
            raise ApplicationError(f"Changes are not told. {' '.join(failed)}", type="ChangesUntold")
        return dict(found)

    async def _look_at(self, brand: str, today: date, found: defaultdict[str, int]) -> None:
        """Add to `found` what is new of a brand, and tell it."""
        async with self.database.transaction() as connection:
            counted = [await _is_counted(connection, name, today) for name in (JOURNEYS, EVENTS)]
            every = await deliveries_that_fell(connection, brand, today)
            # What is not counted yet would look like nobody.
            every += await self._entries_that_stop(connection, brand, today) if counted[0] else []
            every += await groups_that_moved(connection, brand, today) if counted[1] else []
            every += await scores_that_drifted(connection, brand, today)
            every += await scores_that_are_off(connection, brand, today)
            told = [one for one in every if await note_changes(connection, brand, [one], today)]
        for one in told:
            found[one.kind] += 1
            FOUND.labels(one.kind).inc()
            logger.warning("%s: %s", brand, one.says)
        # Players before the mail: one that cannot be handed over keeps no sign of harm from people.
        opened = await self._ask_about_players(brand, today) if counted[1] else 0
        found["player"] += opened
        FOUND.labels("player").inc(opened)
        await self._tell(brand, today)

    async def _entries_that_stop(self, connection: AsyncConnection, brand: str, today: date) -> list[FoundChange]:
        entries: defaultdict[str, dict[date, int]] = defaultdict(dict)
        for row in await _ask(connection, _ENTRIES, brand, today, days=ENTRY_DAYS):
            entries[row.journey][row.day] = row.runs
        played = {name for name, one in self.registry.journeys.items() if one.is_for(brand)}
        stopped = {*(await connection.execute(_NOT_PLAYED, {"brand": brand})).scalars()}
        found = []
        for name in sorted((played - stopped) & entries.keys()):
            days = [entries[name].get(today - back * _DAY, 0) for back in range(ENTRY_DAYS, 0, -1)]
            if silent := has_stopped(days):
                usual = sum(days[-silent - 28 : -silent]) / 28
                says = f"Nobody has entered {name} for {silent} days; about {usual:.0f} a day are usual."
                found.append(FoundChange("entries", name, says))
        return found

    async def _tell(self, brand: str, today: date) -> None:
        """Mail what nobody was told of. Where nobody is to be told it stands in the report and in the log."""
        async with self.database.reading() as connection:
            untold = await list_changes(connection, brand, today - timedelta(days=30), untold=True)
        if not untold:
            return
        now = self.clock()
        lines = [f"- {one.says}" for _, one in untold]
        for number, address in enumerate(self.settings.report_recipients.get(brand, ())):
            message = OutgoingMessage(
                key=f"changes:{brand}:{today}:{number}/email",
                brand=brand,
                brand_name=self.settings.brand_names.get(brand, brand),
                channel="email",
                message_class="service",
                to=address,
                title=f"{brand}: something has changed",
                body="\n".join([*lines, "", "Nothing was done about it: please look why."]),
                language="en",
            )
            await self.mail.deliver(message, now)
        async with self.database.transaction() as connection:
            await note_told(connection, brand, today, now)

    async def _ask_about_players(self, brand: str, today: date) -> int:
        """Open a task about each of the top players who deposit less or more often than is usual for them."""
        async with self.database.reading() as connection:
            paces = await top_paces(connection, brand, today)
        opened = 0
        for player in changed(paces):
            async with self.database.transaction() as connection:
                opened += await self._ask_about(connection, brand, player, paces[player])
        return opened

    async def _ask_about(self, connection: AsyncConnection, brand: str, player: str, pace: PaceChange) -> bool:
        now = self.clock()
        state = await lock_state(connection, brand, player)
        if state is None or state.is_erased:
            return False
        # More than usual is looked at as a sign of harm first, and never as an occasion to sell.
        kind = "affordability_review" if pace.happened > pace.usual else "portfolio_review"
        if kind == "portfolio_review" and state.protected(now) is not None:
            # Who excluded themselves deposits less, as they wished: nobody is sent after them.
            return False
        reason = f"{pace.happened} deposits in {LATELY} days; {pace.usual:.0f} are usual for this player."
        asked = {"brand": brand, "player": player, "since": now - ASK_EVERY}
        if await connection.scalar(_ASKED, asked | {"step": f"{BY_HAND}:{kind}"}):
            return False
        about = f"changed {kind} {brand} {player} {now.date()}"
        task_id = hashlib.sha256(about.encode()).hexdigest()[:24]
        task = StandaloneTask.by_hand(
            kind, task_id, reason, journey_facts(state), engine_in(brand), now, now + TASK_KINDS[kind].due
        )
        return await tasks.open_alone(connection, brand, task)


async def _is_counted(connection: AsyncConnection, follower: str, today: date) -> bool:
    """Whether everything that happened before a day is counted."""
    until = (await cursor_of(connection, follower)).as_of
    return until is not None and until.date() >= today


async def deliveries_that_fell(connection: AsyncConnection, brand: str, today: date) -> list[FoundChange]:
    """Channels on which fewer of yesterday's messages arrived than of those of the two weeks before."""
    days: defaultdict[str, dict[int, Conversion]] = defaultdict(dict)
    for row in await _ask(connection, _DELIVERIES, brand, today, days=MESSAGE_DAYS):
        days[row.channel][row.ago] = Conversion(row.arrived, row.handed)
    found = []
    for channel, told in sorted(days.items()):
        now = told.pop(1, Conversion(0, 0))
        moved = share_change([*told.values()], now, least=LEAST_FALL)
        if moved is not None and moved.now < moved.usual:
            says = (
                f"Of {now.players:,} messages by {channel} yesterday {100 * moved.now:.0f} % arrived; "
                f"{100 * moved.usual:.0f} % are usual. Ask its provider."
            )
            found.append(FoundChange("delivery", channel, says))
    return found


async def groups_that_moved(connection: AsyncConnection, brand: str, today: date) -> list[FoundChange]:
    """Groups of players that are larger or smaller than in the twelve weeks before, those of `GROUPS`."""
    newest = week_of(today) - 7 * _DAY
    groups: Mapping[str, dict[date, Conversion]] = {name: {} for name in GROUPS}
    for row in await _ask(connection, _GROUPS, brand, week_of(today), days=7 * WEEKS):
        groups["weekend"][row.week] = Conversion(row.weekend, row.players)
        for name in ("low", "middle", "high"):
            groups[name][row.week] = Conversion(getattr(row, name), row.depositors)
    found = []
    for name, weeks in groups.items():
        now = weeks.pop(newest, Conversion(0, 0))
        moved = share_change([*weeks.values()], now, least=LEAST_MOVE)
        if moved is not None:
            says = (
                f"{GROUPS[name]}: {100 * moved.now:.0f} % in the week from {newest}; "
                f"{100 * moved.usual:.0f} % are usual."
            )
            found.append(FoundChange("group", name, says))
    return found


async def scores_that_drifted(connection: AsyncConnection, brand: str, today: date) -> list[FoundChange]:
    """Scores whose players of last night differ from those that their models were judged on, and in which features."""
    rows = await _ask(connection, _DRIFTED, brand, today)
    said = [(row.name, _drift_in_words(row.name, row.drift)) for row in rows]
    return [FoundChange("score", name, says) for name, says in said if says is not None]


async def scores_that_are_off(connection: AsyncConnection, brand: str, today: date) -> list[FoundChange]:
    """Scores whose model was off in one closed window after the other, and is used all the same.

    Of one that was retired since, for its players became others that very night or another took its place, nothing is
    to be told any more.
    """
    trainings = await list_trainings(connection, brand)
    used = {(row.name, row.version) for row in await connection.execute(_USED, {"brand": brand})}
    off = [one for one in trainings.values() if one.is_off and (one.name, one.looked_at) in used]
    lately = [one for one in off if today - one.tried_at.date() < ONCE_IN]
    return [FoundChange("score", f"{one.name} off", _off_in_words(one)) for one in lately]


def _off_in_words(training: Training) -> str:
    says = (
        "until {until} it ranked players at a Gini of {happened:.2f}, and was judged at {said:.2f}"
        if training.name == VALUE
        else "until {until} it said {said:.0%} and {happened:.0%} came true"
    )
    told = [
        says.format(until=one.until.date(), said=one.said, happened=one.happened).replace("%", " %")
        for one in training.windows
    ]
    return (
        f"What {training.name} v{training.looked_at} says of players was off {len(told)} times in succession: "
        f"{', '.join(told)}. Nothing better was learned, so it is used."
    )


def _drift_in_words(name: str, drifts: Mapping[str, float]) -> str | None:
    """What is told of a score's drift, by feature; None where players are much as they were.

    A feature by itself is told where it has moved too far, and stops nothing: of a young house the time that players
    have been there moves every night, and its scores are as true as before.
    """
    of_score = drifts["score"]
    features = sorted((one for one in drifts.items() if one[0] != "score"), key=lambda one: (-one[1], one[0]))
    least = DRIFT_TO_LOOK_AT if of_score > DRIFT_TO_LOOK_AT else DRIFT_TOO_LARGE
    moved = [f"{feature} {drift:.2f}" for feature, drift in features if drift > least][:FEATURES_TOLD]
    if of_score > DRIFT_TO_LOOK_AT:
        then = "it is not used any more until the next is learned" if of_score > DRIFT_TOO_LARGE else "it is used"
        most = f" Moved most: {', '.join(moved)}." if moved else ""
        return (
            f"The players that {name} scored differ from those its model was judged on: {of_score:.2f}, where "
            f"{DRIFT_TO_LOOK_AT:.1f} is worth a look and {DRIFT_TOO_LARGE} too much; {then}.{most}"
        )
    if not moved:
        return None
    return (
        f"The players that {name} scored differ from those its model was judged on in {', '.join(moved)}, where "
        f"{DRIFT_TOO_LARGE} is much; the scores themselves lie as before ({of_score:.2f}), so it is used."
    )


async def top_paces(connection: AsyncConnection, brand: str, today: date) -> dict[str, PaceChange]:
    """How often top players deposited lately and before. Who objected to being profiled is not looked at."""
    blocks: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (BLOCKS + 1))
    given = {"days": LATELY * (BLOCKS + 1), "lately": LATELY, "least": LEAST_TOP, "most": MOST_TOP, "share": TOP_SHARE}
    for row in await _ask(connection, _TOP, brand, today, **given):
        blocks[row.player_id][row.block] = int(row.deposits)
    return paces_of(blocks)


#: What groups are called.
GROUPS: Final = {
    "weekend": "Players who come at weekends alone, of those who come",
    "low": "Players who deposit little, of those who deposit",
    "middle": "Players who deposit in the middle, of those who deposit",
    "high": "Players who deposit much, of those who deposit",
}


async def _ask(connection: AsyncConnection, query: TextClause, brand: str, today: date, **more: int) -> list[Any]:
    return [*await connection.execute(query, {"brand": brand, "today": today, **more})]


_BRANDS: Final = text("SELECT DISTINCT brand FROM players ORDER BY brand")
_NOT_PLAYED: Final = text("SELECT journey FROM journey_controls WHERE brand = :brand AND (closed OR held)")
_SINCE: Final = "(CAST(:today AS date) - :days)::timestamp AT TIME ZONE 'UTC'"
_TODAY: Final = "(CAST(:today AS date))::timestamp AT TIME ZONE 'UTC'"
# Of each day what arrived within as many hours: words about yesterday's last messages are still to come.
_DELIVERIES: Final = text(
    f"""
    SELECT channel, CAST(:today AS date) - CAST(handed_over_at AT TIME ZONE 'UTC' AS date) AS ago,
           count(*) AS handed, count(*) FILTER (
               WHERE arrived_at < handed_over_at + interval '5 hours'
                 AND (bounced_at IS NULL OR bounced_at >= handed_over_at + interval '5 hours')) AS arrived
    FROM messages WHERE brand = :brand AND created_at >= {_SINCE} - interval '1 day'
      AND handed_over_at >= {_SINCE} AND handed_over_at < {_TODAY}
    GROUP BY 1, 2
    """  # noqa: S608 - our own words
)
_ENTRIES: Final = text(
    """
    SELECT journey, day, CAST(sum(runs) AS bigint) AS runs FROM journey_days
    WHERE brand = :brand AND split_by = '' AND what = 'entered' AND day >= CAST(:today AS date) - :days AND day < :today
    GROUP BY journey, day
    """
)
# Of each week: who came at all and at weekends alone, and who deposited less than half of the players of all weeks do,
# more than nine of ten, or between the two. Sums stand among those of the currency a player deposits in most often, for
# no rate between currencies is declared. Of one nobody deposited in before it is not said what is much.
_GROUPS: Final = text(
    """
    WITH days AS (
        SELECT d.player_id, CAST(date_trunc('week', d.day) AS date) AS week, d.currency,
               bool_and(extract(isodow FROM d.day) >= 6) AS weekend, sum(d.deposits) AS deposits,
               sum(d.deposited) AS deposited
        FROM player_days d
        WHERE d.brand = :brand AND d.day >= CAST(:today AS date) - :days AND d.day < :today
          AND d.logins + d.rounds + d.bets + d.deposits > 0
        GROUP BY 1, 2, 3
    ), weeks AS (
        SELECT player_id, week, bool_and(weekend) AS weekend FROM days GROUP BY 1, 2
    ), money AS (
        SELECT DISTINCT ON (player_id, week) player_id, week, currency, deposited FROM days WHERE deposited > 0
        ORDER BY player_id, week, deposits DESC, currency
    ), edges AS (
        SELECT currency, percentile_cont(0.5) WITHIN GROUP (ORDER BY deposited) AS half,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY deposited) AS most
        FROM money WHERE week < CAST(:today AS date) - 7 GROUP BY currency
    )
    SELECT week, count(*) AS players, count(*) FILTER (WHERE weekend) AS weekend, count(half) AS depositors,
           count(*) FILTER (WHERE deposited <= half) AS low,
           count(*) FILTER (WHERE deposited > half AND deposited <= most) AS middle,
           count(*) FILTER (WHERE deposited > most) AS high
    FROM weeks LEFT JOIN money USING (player_id, week) LEFT JOIN edges USING (currency) GROUP BY week
    """
)
_DRIFTED: Final = text(
    f"""
    SELECT DISTINCT ON (name) name, drift FROM score_models
    WHERE brand = :brand AND scored_at >= {_TODAY} AND drift ? 'score' ORDER BY name, version DESC
    """  # noqa: S608 - our own words
)
_USED: Final = text("SELECT name, version FROM score_models WHERE brand = :brand AND state = 'champion'")
_ASKED: Final = text(
    "SELECT EXISTS (SELECT FROM tasks WHERE brand = :brand AND player_id = :player AND run_id IS NULL "
    "AND step = :step AND created_at > :since)"
)
# Who is a top player is told from the days before those that are judged: else who has just deposited much would be one.
# Each stands among those who deposit in the same currency, by the one they deposit in most often.
_TOP: Final = text(
    """
    WITH sums AS (
        SELECT d.player_id, d.currency, sum(d.deposited) AS deposited, sum(d.deposits) AS deposits FROM player_days d
        WHERE d.brand = :brand AND d.day >= CAST(:today AS date) - :days AND d.day < CAST(:today AS date) - :lately
        GROUP BY d.player_id, d.currency HAVING sum(d.deposited) > 0
    ), own AS (
        SELECT DISTINCT ON (player_id) player_id, currency, deposited FROM sums
        ORDER BY player_id, deposits DESC, currency
    ), places AS (
        SELECT player_id, CAST(rank() OVER (PARTITION BY currency ORDER BY deposited DESC) AS float)
               / count(*) OVER (PARTITION BY currency) AS place
        FROM own
    ), top AS (
        SELECT s.player_id FROM places s JOIN players p ON p.brand = :brand AND p.id = s.player_id
        WHERE p.state->'consents'->'profiling'->>0 IS DISTINCT FROM 'false'
        ORDER BY s.place, s.player_id
        LIMIT greatest(:least, least(:most, (SELECT count(*) FROM own) / :share))
    )
    SELECT d.player_id, (CAST(:today AS date) - 1 - d.day) / :lately AS block, sum(d.deposits) AS deposits
    FROM player_days d JOIN top USING (player_id)
    WHERE d.brand = :brand AND d.day >= CAST(:today AS date) - :days AND d.day < :today
    GROUP BY 1, 2
    """
)
