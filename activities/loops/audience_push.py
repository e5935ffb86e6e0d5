"""Tells ad networks who joined an audience and who is out of it, in batches, and goes on where it stopped.

A pass compares an audience as it is with what the network was told, once an hour; judges anew those members whose
players have changed since, every time; and tells the network who is out before it tells who is in. Whoever is to be
added is judged once more in the transaction before.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from httpx import AsyncClient
from prometheus_client import Counter, Gauge
from temporalio import activity

from activities import audience_members as members
from activities.audiences import AT_ONCE, Audience, inside_of, page_of
from activities.clock import Clock
from activities.database import Database
from activities.loops.maintenance import heartbeating
from activities.providers.ad_network import MOST, AdNetworkUnavailable, CustomAudiences
from activities.settings import Settings
from workflows.background.audience_push import PUSH, Pushed
from workflows.errors import DesignError
from workflows.gate.policy_book import PolicyBook
from workflows.source.journey_loading import Registry

logger = logging.getLogger(__name__)

_WHICH: Final = ["brand", "audience"]
TOLD: Final = Counter("journeys_audience_changes_total", "People an ad network was told of.", [*_WHICH, "what"])
WAITING: Final = Gauge("journeys_audience_waiting", "People an ad network is yet to be told of.", _WHICH)


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
        network: CustomAudiences | None,
        targets: Sequence[AudienceTarget],
        policies: PolicyBook,
        clock: Clock,
    ) -> None:
        self.database = database
        self.network = network
        self.targets = targets
        self.policies = policies
        self.clock = clock

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
                due, after = await members.comparing(connection, target.place, now)
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
            await self._tell(target, some, "removed")
            async with self.database.transaction() as connection:
                await members.note_removed(connection, target.place, some, now)
            removed += len(some)

    async def _add(self, target: AudienceTarget) -> int:
        added = 0
        while True:
            now = self.clock()
            async with self.database.transaction() as connection:
                some = await members.to_add(connection, target.place, MOST, now)
                if not some:
                    return added
                ids = sorted({one.player_id for one in some})
                inside = await inside_of(connection, self.policies, target.audience, ids, now)
                await members.note_judged(connection, target.place, ids, inside, now)
                some = [one for one in some if inside.get(one.player_id) == one.line]
                await members.note_asked(connection, target.place, some, now)
            if some:
                await self._tell(target, some, "added")
                async with self.database.transaction() as connection:
                    await members.note_added(connection, target.place, some, self.clock())
            added += len(some)

    async def _tell(self, target: AudienceTarget, some: Sequence[members.ListedMember], what: str) -> None:
        assert self.network is not None
        lines = [one.line for one in some]
        try:
            if what == "added":
                await self.network.add(target.there, lines)
            else:
                await self.network.remove(target.there, lines)
        except AdNetworkUnavailable:
            async with self.database.transaction() as connection:
                await members.note_failed(connection, target.place, some, self.clock())
            raise
        TOLD.labels(*target.place, what).inc(len(some))


def audience_push(
    settings: Settings, registry: Registry, database: Database, policies: PolicyBook, http: AsyncClient, clock: Clock
) -> AudiencePush:
    """What tells the audiences of a deployment. Raises DesignError for one that nobody declared."""
    targets = [
        AudienceTarget(one.name, Audience(one.brand, one.use, one.segment, "meta", settings.product), one.there)
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
    if not targets:
        return AudiencePush(database, None, (), policies, clock)
    try:
        network = CustomAudiences(settings.ad_network_url, settings.ad_network_token, http)
    except ValueError as error:
        raise DesignError(str(error)) from None
    return AudiencePush(database, network, targets, policies, clock)
