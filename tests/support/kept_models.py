"""A brand whose scores have models, as nights of learning and scoring leave them."""

from datetime import datetime, timedelta
from functools import cache

from activities.database import Database
from activities.score_models import champions, keep_model, note_scored
from activities.score_trainings import Training, note_training
from learning.closed_windows import ClosedWindow
from learning.value import ValueModel, learn_value
from tests.support.invented_casino import invented
from tests.support.scored_nights import NIGHT, learned

DAY = timedelta(days=1)
#: Why the newest model of `churn` does not score.
WORSE = "worse than v1: AUC 0.861, Brier 0.158, calibration off by 0.012, by logistic regression"
FEW = "120 rows to learn from and 41 players to judge on; 1500 and 300 are needed, with some who deposited"


@cache
def learned_value() -> ValueModel:
    """Of an invented casino; learned once, for it takes seconds."""
    model = learn_value(invented(9, 1_000, NIGHT), NIGHT)
    assert isinstance(model, ValueModel)
    return model


async def with_models(database: Database, brand: str, now: datetime) -> None:
    """`churn` has a champion, off in two windows, and a challenger that is worse; `value` a champion; `vip` too few."""
    churn = learned()
    off = ClosedWindow(until=now, players=412, said=0.42, happened=0.53, off=0.11)
    trainings = [
        Training(brand, "churn", now, "shadow", WORSE, 2, 1, [off, off.model_copy(update={"until": now - 30 * DAY})]),
        Training(brand, "value", now - 5 * DAY, "champion", learned_value().worth, 1),
        Training(brand, "vip", now, "none", FEW),
    ]
    async with database.transaction() as connection:
        kept = (
            ("churn", churn, "champion", churn.worth, now - 40 * DAY),
            ("churn", churn, "shadow", WORSE, now),
            ("value", learned_value(), "champion", learned_value().worth, now - 5 * DAY),
        )
        for name, model, state, why, at in kept:
            artifact = model.model_dump(mode="json", exclude_none=True)
            await keep_model(connection, brand, name, artifact, state, why, at)  # type: ignore[arg-type]  # of the words
        for used in (await champions(connection, brand)).values():
            drift = {"score": 0.14, "idle.days": 0.31, "tenure.days": 0.12, "amount.mean": 0.02}
            await note_scored(connection, used, drift, now - DAY)
        for training in trainings:
            await note_training(connection, training)
