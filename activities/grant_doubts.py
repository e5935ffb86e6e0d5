"""What people find out about a reward in doubt: its task completed, and the reward settled, in one transaction."""

from activities import grant_rows, tasks
from activities.harm_reviews import Transactions
from activities.player_rows import LOCK_PLAYERS
from activities.task_rows import TaskOutcome, TaskRequest, TaskRow
from workflows.json_object import JsonObject


async def complete(database: Transactions, request: TaskRequest, task: TaskRow, answer: JsonObject) -> TaskOutcome:
    """Close the task with its answer and settle the reward by it, unless the bonus engine has spoken meanwhile.

    Everybody locks in one order: the player, the grant, the task.
    """
    async with database.patient_transaction() as connection:
        await connection.execute(LOCK_PLAYERS, {"brand": request.brand, "ids": [task.player_id]})
        grant_id = await grant_rows.lock_doubted(connection, request.brand, task.player_id, task.id)
        outcome = await tasks.complete_alone(connection, request, answer)
        if isinstance(outcome, TaskRow) and outcome.state == "completed" and grant_id is not None:
            await grant_rows.settle_by_person(connection, grant_id, given=answer["outcome"] == "given", now=request.now)
    return outcome
