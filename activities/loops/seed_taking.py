"""Takes every night who is in the seeds of each brand, which ad networks look for more of."""

import logging
from dataclasses import replace
from typing import Final

from sqlalchemy import text
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import gate_facts
from activities.audiences import AT_ONCE, may_be_seed
from activities.clock import Clock
from activities.database import Database
from activities.figures.followers import EVENTS, cursor_of
from activities.loops.maintenance import heartbeating
from activities.seeds import TOP_DECILE, ranked_best, write_seed
from workflows.background.take_figures import TAKE_SEEDS
from workflows.field_types import Product
from workflows.gate.policy_book import PolicyBook

logger = logging.getLogger(__name__)


class SeedTaking:
    """Takes the seeds of each brand, as an activity. `product` is what ads of the house are about."""

    def __init__(self, database: Database, policies: PolicyBook, product: Product | None, clock: Clock) -> None:
        self.database = database
        self.policies = policies
        self.product = product
        self.clock = clock

    @activity.defn(name=TAKE_SEEDS)
    async def take(self) -> dict[str, int]:
        """Take each brand's seeds; by brand, how many players are in them. Raises where one could not be taken."""
        async with heartbeating():
            return await self.look()

    async def look(self) -> dict[str, int]:
        """Take each brand's seeds, each by itself."""
        taken, failed = dict[str, int](), list[str]()
        async with self.database.reading() as connection:
            brands = [*(await connection.execute(_BRANDS)).scalars()]
        for brand in brands:
            try:
                taken[brand] = await self._take(brand)
            except Exception as error:
                logger.exception("The seeds of %s were not taken.", brand)
                failed.append(f"{brand}: {error}")
        if failed:
            raise ApplicationError(f"Seeds are not taken. {' '.join(failed)}", type="SeedsNotTaken")
        return taken

    async def _take(self, brand: str) -> int:
        today = self.clock().date()
        async with self.database.reading() as connection:
            counted = (await cursor_of(connection, EVENTS)).as_of
            if counted is None or counted.date() < today:
                raise ApplicationError("What happened before today is not all counted yet.", type="NotCounted")
            ranked = await ranked_best(connection, brand, today)
        inside, found = set[str](), []
        for seed, best in ranked:
            free = await self._free(brand, best)
            inside |= free
            found.append(replace(seed, players=len(free)))
        async with self.database.transaction() as connection:
            await write_seed(connection, brand, TOP_DECILE, found, inside, today)
        return len(inside)

    async def _free(self, brand: str, best: list[str]) -> set[str]:
        """Those who agreed and whom nothing protects."""
        free = set[str]()
        for first in range(0, len(best), AT_ONCE):
            now = self.clock()
            async with self.database.reading() as connection:
                facts = await gate_facts.read_page_to_show(connection, brand, best[first : first + AT_ONCE], now)
            free |= {
                player
                for player, one in facts.items()
                if may_be_seed(one, self.product, self.policies.of(brand, one, now), now)
            }
        return free


_BRANDS: Final = text("SELECT DISTINCT brand FROM players ORDER BY brand")
