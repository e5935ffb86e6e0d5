"""Opens a check of what a player can afford when more than the policies let pass was paid in, in intake's transaction.

The check is an event like one of the risk team's, `compliance.affordability_changed` that is pending: from then on a
VIP reward is refused. A task for people is opened with it, whose answer is the next word on the check. The next one is
opened a year after the last word.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from activities import tasks
from activities.intake.event_store import store_events
from activities.intake.group_exclusions import Players
from activities.standalone_tasks import StandaloneTask
from workflows.events import AffordabilityChanged, DepositApproved, Event
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.net_deposits import needs_check
from workflows.player_state.state import Mode, PlayerState
from workflows.protection_forms import AffordabilityReview

#: Under which source the engine opens a check. Nobody posts under it.
SOURCE: Final = "engine:net-deposits"


async def open_deposit_checks(
    connection: AsyncConnection,
    brand: str,
    new: Sequence[tuple[str, Event]],
    players: Players,
    policies: PolicyBook,
    now: datetime,
    mode: Mode,
) -> None:
    """Open the checks that these events make due. To be called when they are applied; history opens none."""
    if mode == "history":
        return
    opened: list[tuple[str, Event]] = []
    for player_id, event in new:
        if not isinstance(event, DepositApproved):
            continue
        state = players.states[player_id]
        if (check := _due(brand, state, event, policies, now)) is not None:
            players.record(player_id, state.advance(check, players.rules, now, players.failures))
            opened.append((player_id, check))
            await tasks.open_alone(connection, brand, _review(brand, state, check, now))
    if opened:
        await store_events(connection, brand, opened, history=False)


def _review(brand: str, state: PlayerState, check: AffordabilityChanged, now: datetime) -> StandaloneTask:
    """The task for people, without which nobody would look."""
    task_id = hashlib.sha256(f"{brand} {check.event_source} {check.event_id}".encode()).hexdigest()[:24]
    reason = "More was paid in within thirty days than may go without a look at what the player can afford."
    snapshot = journey_facts(state).model_dump(mode="json")
    return StandaloneTask.asking(AffordabilityReview.__name__, task_id, reason, snapshot, now)


def _due(
    brand: str, state: PlayerState, event: DepositApproved, policies: PolicyBook, now: datetime
) -> AffordabilityChanged | None:
    most = policies.at(brand, state.jurisdiction, now).check_net_deposits
    if not most or needs_check(state.net_deposits, most, state.told, now) is None:
        return None
    return AffordabilityChanged(
        event_id=f"{state.player_id}:{now.isoformat()}",
        event_source=SOURCE,
        occurred_at=max(now, event.occurred_at),
        stage="light",
        result="pending",
    )
