"""Takes devices from players that a push service calls dead: told as an event, as whatever changes a player is."""

import hashlib
import logging
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from activities.intake.intake import Intake
from activities.message_rows import MessageRow
from activities.providers.adapter import DeadDevice
from workflows.errors import JourneysError
from workflows.events import DeviceRemoved, Event

logger = logging.getLogger(__name__)
SOURCE = "engine:push"


async def take_away(intake: Intake, row: MessageRow, dead: Iterable[DeadDevice], now: datetime) -> None:
    """Take devices that a message found dead from its player, as of when the service says, or when they were tried.

    One that was registered again since stays. Where it cannot be written down the next message finds it dead again.
    """
    tried_at = row.handed_over_at or now
    events: list[tuple[str, Event]] = [(row.player_id, _removed(one, tried_at)) for one in dead]
    if not events:
        return
    try:
        await intake.ingest(row.brand, events, now)
    except (SQLAlchemyError, JourneysError, OSError) as error:
        logger.warning("A dead device of %s stays for now (%s).", row.player_id, type(error).__name__)


def _removed(one: DeadDevice, tried_at: datetime) -> DeviceRemoved:
    at = min(one.since or tried_at, tried_at)
    name = hashlib.blake2b(f"{one.token}\n{at.isoformat()}".encode(), digest_size=12).hexdigest()
    return DeviceRemoved.model_validate(
        {
            "event_id": f"device-gone/{name}",
            "event_source": SOURCE,
            "occurred_at": at,
            "token": one.token,
            "reason": "unregistered",
        }
    )
