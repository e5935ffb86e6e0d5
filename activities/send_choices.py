"""The effect behind `best_channel` and `best_hour`: chooses from the player's own history, once a step."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate_facts
from activities.clock import Clock
from activities.database import Database
from activities.message_rows import GONE_OUT
from activities.runs import RunOver, hold_active
from activities.score_models import champion
from activities.step_log import record_steps, recorded_outcome
from activities.tables import messages
from activities.ways_out import WaysOut
from content.templates import Catalogue
from learning.channel_learning import LearnedChannels
from workflows.channels import Channel
from workflows.declaration import Journey
from workflows.effects import CHOOSE
from workflows.field_types import Product
from workflows.gate.channel_rates import CHANNELS_LEARNED, ChannelRates
from workflows.gate.policy import NECESSARY
from workflows.gate.policy_book import PolicyBook
from workflows.gate.send_choice import HEARD_AFTER, HEARD_WITHIN, Heard, SeenByChoice, choose
from workflows.send_choices import Choose, Chosen

logger = logging.getLogger(__name__)

#: Rates are learned every week; where that has not come about for so long nobody knows whether they still hold.
RATES_LAST: Final = timedelta(days=56)


class SendChoices:
    """Chooses channels and hours, on Postgres."""

    def __init__(
        self,
        database: Database,
        journeys: Mapping[str, Journey],
        catalogue: Catalogue,
        policies: PolicyBook,
        product: Product,
        clock: Clock,
        *,
        ways: WaysOut,
    ) -> None:
        self.database = database
        self.journeys = journeys
        self.catalogue = catalogue
        self.policies = policies
        self.product = product
        self.clock = clock
        self.ways = ways

    @activity.defn(name=CHOOSE.name)
    async def choose(self, request: Choose) -> Chosen:
        """The channel and the hour of a message, the same however often this is tried; it sends nothing, so no hold."""
        now, template = self.clock(), self.catalogue[request.template]
        async with self.database.transaction() as connection:
            drawn_as = self.policies.drawn_as(request.brand)
            player = await gate_facts.read(connection, request, self.journeys, now, ways=self.ways, drawn_as=drawn_as)
            await hold_active(connection, request.run_id)
            if player is not None and not player.run_is_active:
                raise RunOver(request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return Chosen.model_validate(earlier.detail)
            facts = None if player is None else player.facts
            seen = SeenByChoice(
                facts=facts,
                policy=self.policies.of(request.brand, facts, now),
                message_class=template.message_class,
                suppress_if_active_today=template.suppress_if_active_today,
                product=self.product,
                hours={} if player is None else player.state.hours,
                heard=await _heard(connection, request, now) if request.channels else {},
                rates=await _rates(connection, request.brand, now) if request.channels else None,
            )
            chosen = choose(request, seen, now)
            await record_steps(connection, request, now, "chosen", chosen.model_dump(mode="json"))
        return chosen


async def _heard(connection: AsyncConnection, request: Choose, now: datetime) -> dict[Channel, Heard]:
    """What became of what was sent to the player on each channel; what a machine opened is not counted."""
    followed, opened = messages.c.clicked_at.is_not(None), messages.c.opened_at.is_not(None)
    left = or_(messages.c.unsubscribed_at.is_not(None), messages.c.complained_at.is_not(None))
    read = or_(followed, opened, messages.c.read_at.is_not(None))
    told = await connection.execute(
        select(messages.c.channel, *(func.count().filter(one) for one in (true(), read, followed, left)))
        .where(
            messages.c.brand == request.brand,
            messages.c.player_id == request.player_id,
            messages.c.handed_over_at > now - HEARD_WITHIN,
            messages.c.handed_over_at <= now - HEARD_AFTER,
            messages.c.status.in_(GONE_OUT),
            messages.c.message_class.not_in(NECESSARY),
        )
        .group_by(messages.c.channel)
    )
    return {channel: Heard(*counts) for channel, *counts in told}


async def _rates(connection: AsyncConnection, brand: str, now: datetime) -> ChannelRates | None:
    """What all players of the brand taught of channels; None while that is not shown to choose better.

    None too where nothing has been learned anew for long, and for what another release wrote and this one cannot read,
    as while one rolls: the message goes by the player's own history then.
    """
    row = await champion(connection, brand, CHANNELS_LEARNED)
    if row is None or now - row.learned_at > RATES_LAST:
        return None
    try:
        return LearnedChannels.model_validate(row.artifact).as_version(row.version)
    except ValueError:
        logger.warning("The channel rates v%s of %s are of another release; they are not used.", row.version, brand)
        return None
