"""Tells ad networks who joined an audience and who is out of it, in batches, and goes on where it stopped.

A pass compares an audience as it is with what the network was told, once an hour; judges anew those members whose
players have changed since, every time; and tells the network who is out before it tells who is in. Whoever is to be
added is judged once more in the transaction before.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from httpx import AsyncClient
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import audience_members as members
from activities.audiences import AT_ONCE, Audience, inside_of, page_of
from activities.clock import Clock
from activities.database import Database
from activities.loops.maintenance import heartbeating
from activities.providers.ad_network import CustomAudiences
from activities.providers.ad_networks import MOST, AdNetwork, AdNetworkUnavailable, LinesRefused
from activities.providers.data_manager import DataManager
from activities.settings import Settings
from content.ad_identifiers import Network
from workflows.background.audience_push import PUSH, Pushed
from workflows.errors import DesignError
from workflows.gate.policy_book import PolicyBook
from workflows.source.journey_loading import Registry

logger = logging.getLogger(__name__)

_WHICH: Final = ["brand", "audience"]
TOLD: Final = Counter("journeys_audience_changes_total", "People an ad network was told of.", [*_WHICH, "what"])
REFUSED: Final = Counter("journeys_audience_refused_total", "People whose line an ad network cannot read.", _WHICH)
WAITING: Final = Gauge("journeys_audience_waiting", "People an ad network is yet to be told of.", _WHICH)


#: Requests for one batch in which a network cannot read some lines; what is not found by then waits for the next pass.
MOST_PARTS: Final = 64
Note = Callable[[AsyncConnection, members.ListedAudience, Sequence[members.ListedMember], datetime], Awaitable[None]]


@dataclass(frozen=True)
class AudienceTarget:
    """An audience of ours as it is to be at the network, where it has the id `there`."""

    name: str
    audience: Audience
    there: str

    @property
    def place(self) -> members.ListedAudience:
        """Under which its members are kept."""
        return members.ListedAudience(self.audience.brand, self.name)

    @property
    def title(self) -> str:
        """What people read: another brand may have an audience of the same name."""
        return "/".join(self.place)


class AudiencePush:
    """Tells the network of each target, as an activity. Without a target it does nothing."""

    def __init__(
        self,
        database: Database,
        networks: Mapping[Network, AdNetwork],
        targets: Sequence[AudienceTarget],
        policies: PolicyBook,
        clock: Clock,
        compared_every: timedelta = timedelta(hours=1),
    ) -> None:
        self.database = database
        self.networks = networks
        self.targets = targets
        self.policies = policies
        self.clock = clock
        self.compared_every = compared_every

    @activity.defn(name=PUSH)
    async def push(self) -> Pushed:
        """Tell what there is to tell now; how many were added and taken out."""
        async with heartbeating():
            return await self.go()

    async def go(self) -> Pushed:
        """One pass over every target. One that its network does not hear is left for the next pass."""
        pushed = Pushed()
        # Who must be out goes first, in every audience: a comparison may take minutes.
        for target in self.targets:
            await self._judge_changed(target)
            await self._try(target, pushed, adds=False)
        for target in self.targets:
            await self._compare(target)
            await self._try(target, pushed, adds=True)
            async with self.database.reading() as connection:
                WAITING.labels(*target.place).set(await members.waiting(connection, target.place))
        return pushed

    async def _try(self, target: AudienceTarget, pushed: Pushed, *, adds: bool) -> None:
        if target.title in pushed.failed:
            return
        try:
            pushed.removed += await self._remove(target)
            if adds:
                pushed.added += await self._add(target)
        except AdNetworkUnavailable as error:
            pushed.failed.append(target.title)
            logger.warning("The audience %s waits: %s", target.title, error)

    async def _compare(self, target: AudienceTarget) -> None:
        """Look at who belongs into the audience, page by page, each remembered."""
        more = True
        while more:
            now = self.clock()
            async with self.database.transaction() as connection:
                due, after = await members.comparing(connection, target.place, now, self.compared_every)
                if not due:
                    return
                page = await page_of(connection, self.policies, target.audience, after, now)
                await members.note_page(connection, target.place, page.inside, after=after, last=page.after, now=now)
                more = page.after is not None

    async def _judge_changed(self, target: AudienceTarget) -> None:
        """Judge anew whoever's row has changed: who took a consent back or is protected is out of it now."""
        after = ""
        while True:
            now = self.clock()
            async with self.database.transaction() as connection:
                ids = await members.changed_since(connection, target.place, after, AT_ONCE)
                if not ids:
                    return
                inside = await inside_of(connection, self.policies, target.audience, ids, now)
                await members.note_judged(connection, target.place, ids, inside, now)
            after = ids[-1]

    async def _remove(self, target: AudienceTarget) -> int:
        removed = 0
        while True:
            now = self.clock()
            async with self.database.transaction() as connection:
                some = await members.to_remove(connection, target.place, MOST, now)
            if not some:
                return removed
            claimed: Note = partial(_removed, claimed_at=now)
            removed += await self._tell(target, some, "removed", claimed)

    async def _add(self, target: AudienceTarget) -> int:
        added = 0
        while True:
            now = self.clock()
            async with self.database.transaction() as connection:
                some = await members.to_add(connection, target.place, MOST, now)
                if not some:
                    return added
                some = await self._still_inside(connection, target, some, now)
            if some:
                added += await self._tell(target, some, "added", members.note_added)

    async def _still_inside(
        self, connection: AsyncConnection, target: AudienceTarget, some: Sequence[members.ListedMember], now: datetime
    ) -> list[members.ListedMember]:
        """Judge these once more and note that the network is about to be told of whoever still belongs there."""
        ids = sorted({one.player_id for one in some})
        inside = await inside_of(connection, self.policies, target.audience, ids, now)
        await members.note_judged(connection, target.place, ids, inside, now)
        still = [one for one in some if inside.get(one.player_id) == one.line]
        await members.note_asked(connection, target.place, still, now)
        return still

    async def _tell(self, target: AudienceTarget, some: Sequence[members.ListedMember], what: str, note: Note) -> int:
        """Tell the network of these; how many it took. One line that it cannot read holds up none of the others.

        The trap: in parts it may take minutes. Whoever is to be added is judged anew before each further part.
        """
        parts, asked, taken = [list(some)], 0, 0
        while parts and asked < MOST_PARTS:
            part, asked = parts.pop(), asked + 1
            if asked > 1 and what == "added":
                async with self.database.transaction() as connection:
                    part = await self._still_inside(connection, target, part, self.clock())
                if not part:
                    continue
            try:
                await self._say(target, part, what)
            except LinesRefused as refused:
                wrong = [one for position, one in enumerate(part) if position in refused.positions]
                if wrong or len(part) == 1:
                    await self._set_aside(target, wrong or part)
                    parts += [rest] if (rest := [one for one in part if one not in (wrong or part)]) else []
                else:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                continue
            except AdNetworkUnavailable:
                await self._fail(target, [part, *parts])
                raise
            async with self.database.transaction() as connection:
                await note(connection, target.place, part, self.clock())
            TOLD.labels(*target.place, what).inc(len(part))
            taken += len(part)
        await self._fail(target, parts)
        return taken

    async def _fail(self, target: AudienceTarget, parts: Sequence[Sequence[members.ListedMember]]) -> None:
        if unsaid := [one for part in parts for one in part]:
            async with self.database.transaction() as connection:
                await members.note_failed(connection, target.place, unsaid, self.clock())

    async def _say(self, target: AudienceTarget, some: Sequence[members.ListedMember], what: str) -> None:
        network, lines = self.networks[target.audience.network], [one.line for one in some]
        if what == "added":
            # Who is in a seed agreed to ads; of who is in a suppression list nobody says so.
            await network.add(target.there, lines, agreed=target.audience.kind == "seed")
        else:
            await network.remove(target.there, lines)

    async def _set_aside(self, target: AudienceTarget, some: Sequence[members.ListedMember]) -> None:
        """Say whose lines the network cannot read; they are said again after a pause that grows, apart from others."""
        await self._fail(target, [some])
        REFUSED.labels(*target.place).inc(len(some))
        who = ", ".join(one.player_id for one in some[:5])
        says = "The network of %s cannot read the lines of %s players, such as %s."
        logger.warning(says, target.title, len(some), who)


async def _removed(
    connection: AsyncConnection,
    place: members.ListedAudience,
    some: Sequence[members.ListedMember],
    _now: datetime,
    *,
    claimed_at: datetime,
) -> None:
    await members.note_removed(connection, place, some, claimed_at)


def audience_push(
    settings: Settings, registry: Registry, database: Database, policies: PolicyBook, http: AsyncClient, clock: Clock
) -> AudiencePush:
    """What tells the audiences of a deployment. Raises DesignError for one that nobody declared."""
    targets = [
        AudienceTarget(one.name, Audience(one.brand, one.use, one.segment, one.network, settings.product), one.called)
        for one in settings.ad_audiences
    ]
    names = [one.place for one in targets]
    if twice := sorted({one.audience for one in names if names.count(one) > 1}):
        raise DesignError(f"AD_AUDIENCES has {', '.join(twice)} twice; give each audience of a brand its own name.")
    for one in targets:
        if not one.audience.is_ranked and one.audience.segment not in registry.segments:
            raise DesignError(
                f"AD_AUDIENCES names the segment {one.audience.segment}, which nobody declared; those deployed are "
                f"{', '.join(sorted(registry.segments))}."
            )
    try:
        used = {one.network for one in settings.ad_audiences}
        networks = {name: _network(name, settings, http, clock) for name in used}
    except ValueError as error:
        raise DesignError(str(error)) from None
    return AudiencePush(database, networks, targets, policies, clock, settings.audiences_compared_every)


def _network(name: Network, settings: Settings, http: AsyncClient, clock: Clock) -> AdNetwork:
    if name == "google":
        return DataManager(settings.data_manager_url, settings.data_manager_account, http, clock)
    return CustomAudiences(settings.ad_network_url, settings.ad_network_token, http)
