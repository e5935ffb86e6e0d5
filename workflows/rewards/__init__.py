"""What a journey can give: typed rewards and the functions designers call for them.

`player.grant(free_spins(10, max_win=500))`. Every reward names its terms, because a player must be able to
read them before taking it, and every offer ends. The functions refuse a wrong value with `RewardDesignError`;
the classes raise pydantic's `ValidationError`, as data from outside deserves.
"""

import typing as _typing

from workflows.public_names import public_names as _public_names
from workflows.rewards.base import *
from workflows.rewards.cash_and_bonus import *
from workflows.rewards.deposits import *
from workflows.rewards.kinds import *
from workflows.rewards.loyalty import *
from workflows.rewards.play import *

if not _typing.TYPE_CHECKING:  # a type checker reads the modules' lists, and takes a computed one for an empty one
    __all__ = [*_public_names(globals())]
