"""The scores there are: how each is learned and how its models are read back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from learning import value_features
from learning.churn import ChurnModel, learn_churn
from learning.churn_features import WINDOW
from learning.differences import NoNumber
from learning.scored import Deposits, ScoreModel
from learning.value import APART, MOMENTS, ValueModel, learn_value
from learning.value_features import AHEAD
from learning.vip import VipModel, learn_vip
from workflows.scores import CHURN, VALUE, VIP


@dataclass(frozen=True, slots=True)
class ScoreKind:
    """One score. `learn` is a function of a module, for it is called in another process."""

    name: str
    learn: Callable[[Deposits, datetime], ScoreModel | NoNumber]
    #: Reads what `model_dump` of its models wrote. Raises ValueError for anything else.
    read: Callable[[Mapping[str, object]], ScoreModel]
    #: How far back deposits are read.
    looks_back: timedelta
    #: Who deposited in so long has a score.
    recent: timedelta


#: The oldest moment that is learned from looks back as far as the one of today does.
_FOR_VALUE: Final = 2 * AHEAD + (MOMENTS - 1) * APART + value_features.LOOKS_BACK
SCORE_KINDS: Final = (
    # A year says what is usual.
    ScoreKind(CHURN, learn_churn, ChurnModel.model_validate, timedelta(days=400), WINDOW),
    ScoreKind(VALUE, learn_value, ValueModel.model_validate, _FOR_VALUE, AHEAD),
    ScoreKind(VIP, learn_vip, VipModel.model_validate, _FOR_VALUE, AHEAD),
)
