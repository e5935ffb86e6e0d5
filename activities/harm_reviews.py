"""What people judge of a player's protection: a review task completed, and a restriction contested by the player.

A task is opened by intake where signs become strong, in that very transaction; here it is answered. The judgement is an
event of the player, kept and applied in the transaction that closes the task.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from activities import tasks
from activities.intake.intake import Intake
from activities.intake.joined_contests import is_without_words, open_contests, staying
from activities.intake.locked_elsewhere import AccountsNotLocked
from activities.intake.locked_players import LockedPlayers
from activities.player_rows import accounts_of
from activities.standalone_tasks import StandaloneTask
from activities.task_rows import TaskOutcome, TaskRequest, TaskRow
from workflows.events import AffordabilityChanged, HarmReviewed
from workflows.json_object import JsonObject
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.state import PlayerState
from workflows.protection_forms import AffordabilityReview, ContestedRestriction

T = TypeVar("T")


class Transactions(Protocol):
    """Where a transaction is begun that waits for its turn."""

    def patient_transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction until the block is left."""


#: Under which source judgements are kept that come from completing a task. Nobody posts under it.
SOURCE: Final = "engine:review"
# A merge may bring in an account of the person meanwhile.
_ATTEMPTS: Final = 3


async def complete(
    database: Transactions, intake: Intake, request: TaskRequest, player_id: str, answer: JsonObject
) -> TaskOutcome:
    """Close a review with its answer, and apply the judgement to every account of the person, in one transaction."""

    async def close(connection: AsyncConnection, locked: LockedPlayers) -> TaskOutcome:
        outcome = await tasks.complete_alone(connection, request, answer)
        if isinstance(outcome, TaskRow) and outcome.state == "completed":
            judged = _judgement(outcome, outcome.answer or {}, request)
            await intake.tell(connection, locked, player_id, judged, request.now, request.actor.key_id)
        return outcome

    return await _with_all_accounts(database, intake, request, player_id, close, is_known=True)


async def contest(
    database: Transactions, intake: Intake, request: TaskRequest, player_id: str, words: str
) -> TaskRow | None:
    """Put before people that a player contests being restricted; None for one nobody knows, or who was erased.

    One contest of a person is open at a time, of the account that stays, whichever of their accounts it was: the words
    of another are a comment on it. All of them are locked, so two at once are one task, and a merge is before or after.
    """

    async def open_or_comment(connection: AsyncConnection, locked: LockedPlayers) -> TaskRow | None:
        return await _contest(connection, locked.states, request, player_id, words)

    return await _with_all_accounts(database, intake, request, player_id, open_or_comment, is_known=False)


async def _with_all_accounts(
    database: Transactions,
    intake: Intake,
    request: TaskRequest,
    player_id: str,
    do: Callable[[AsyncConnection, LockedPlayers], Awaitable[T]],
    *,
    is_known: bool,
) -> T:
    """Do something with every account of a person locked, in one transaction; begun anew where a merge brings in more.

    Of who `is_known` a row that was removed comes back empty.
    """
    accounts = {player_id}
    for attempt in range(_ATTEMPTS):
        try:
            async with database.patient_transaction() as connection:
                accounts |= {*await accounts_of(connection, request.brand, player_id)}
                # Who is told of as merged is known by then.
                create = is_known or attempt > 0
                async with intake.locked(connection, request.brand, accounts, request.now, create=create) as locked:
                    return await do(connection, locked)
        except AccountsNotLocked as needed:
            if attempt == _ATTEMPTS - 1:
                raise
            accounts |= {account for _, account in needed.accounts}
    raise AssertionError("The last attempt returns or raises.")


async def _contest(
    connection: AsyncConnection, states: Mapping[str, PlayerState], request: TaskRequest, player_id: str, words: str
) -> TaskRow | None:
    """The same with the players locked. Raises `AccountsNotLocked` for accounts that were merged meanwhile."""
    if player_id not in states:
        return None
    if missing := {*states[player_id].accounts, staying(player_id, states)} - states.keys():
        raise AccountsNotLocked({(request.brand, one): player_id for one in missing})
    state = states[staying(player_id, states)]
    if states[player_id].is_erased:
        return None
    if state.is_erased:
        state = states[player_id]  # who is still here is heard, though the account that stayed is gone
    found = await open_contests(connection, request.brand, states.keys())
    task = next((one for one in found if not is_without_words(one, states)), None)
    if task is None:
        cause = f"{request.brand} {state.player_id} contest {request.now.isoformat()}"
        task_id = hashlib.sha256(cause.encode()).hexdigest()[:24]
        opening = StandaloneTask.asking(ContestedRestriction.__name__, task_id, words, _snapshot(state), request.now)
        await tasks.open_alone(connection, request.brand, opening)
        return await tasks.find(connection, request.brand, task_id)
    if task.reason != words:
        about = TaskRequest(request.brand, task.id, request.actor, request.now)
        await tasks.comment(connection, about, words)
    return await tasks.find(connection, request.brand, task.id)


def _judgement(task: TaskRow, answer: JsonObject, request: TaskRequest) -> HarmReviewed | AffordabilityChanged:
    envelope: JsonObject = {"event_id": task.id, "event_source": SOURCE, "occurred_at": request.now}
    if task.form == AffordabilityReview.__name__:
        return AffordabilityChanged(**envelope, stage="light", result=answer["result"])
    return HarmReviewed(**envelope, to=answer["to"], reason=answer.get("reason"), task_id=task.id)


def _snapshot(state: PlayerState) -> JsonObject:
    signs = {name: at.isoformat() for name, at in sorted(state.watch.signs.items())}
    paused = state.watch.paused_until
    return journey_facts(state).model_dump(mode="json") | {
        "signs": signs,
        "paused_until": None if paused is None else paused.isoformat(),
    }
