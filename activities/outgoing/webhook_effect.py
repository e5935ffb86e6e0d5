"""The effect `webhook`: what a journey itself says to other systems, announced with the step that says it."""

import hashlib

from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.journey_controls import held_by
from activities.outgoing.outbox import announce
from activities.runs import hold_active
from activities.step_log import record_steps
from workflows.effects import WEBHOOK, Done, Held, Webhook
from workflows.outgoing_events import OutgoingEvent, own_type


class WebhookEffects:
    """Announces what journeys say. Nobody is called here, so nothing is ever in doubt."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    @activity.defn(name=WEBHOOK.name)
    async def say(self, request: Webhook) -> Done | Held:
        """Have subscriptions told, once however often this is tried: the event's id is made of the step."""
        now = self.clock()
        async with self.database.transaction() as connection:
            mine = await hold_active(connection, request.run_id)
            if (held := await held_by(connection, request, now)) is not None:
                return held
            event_id = hashlib.sha256(request.key.encode()).hexdigest()[:32]
            kind, data = own_type(request.name), request.told | {"arm": mine.arm}
            announce(connection, OutgoingEvent(request.brand, request.player_id, kind, now, data, event_id))
            await record_steps(connection, request, now, "said", request.given)
        return Done()
