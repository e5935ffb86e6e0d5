"""A loop of a process: a step is done again and again, and nothing that it meets ends the process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from activities.clock import sleep_or_stop

logger = logging.getLogger(__name__)

#: What is raised where Postgres or Temporal is away: a line in the log says enough.
AWAY: Final = (SQLAlchemyError, OSError, RPCError)


async def repeat(step: Callable[[], Awaitable[bool | None]], stop: asyncio.Event, *, every_s: float, what: str) -> None:
    """Do a step until told to stop, with a pause of `every_s` seconds behind each that does not say there is more.

    Whatever a step raises is logged and the step tried again after the pause, for other loops of the process go on.
    `what` says in the log what is being done: "giving prizes".
    """
    while not stop.is_set():
        more: bool | None = False
        try:
            more = await step()
        except AWAY as away:
            logger.warning("Postgres or Temporal is away, and %s waits for it: %s", what, away)
        except Exception:
            logger.exception("The step of %s failed and is tried again.", what)
        if not more:
            await sleep_or_stop(stop, every_s)
