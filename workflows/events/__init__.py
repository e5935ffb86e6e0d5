"""The typed event catalogue: one class a fact, grouped by domain, imported from here.

`from workflows.events import DepositApproved`. Rows of the catalogue with alternatives are several classes. A new event
is its class and its name in `__all__` of the module it stands in.
"""

import typing as _typing

from workflows.events.base import *
from workflows.events.compliance import *
from workflows.events.contact import *
from workflows.events.derived import *
from workflows.events.game import *
from workflows.events.loyalty import *
from workflows.events.payment import *
from workflows.events.player import *
from workflows.events.reward import *
from workflows.events.score import *
from workflows.field_types import *
from workflows.public_names import public_names as _public_names

if not _typing.TYPE_CHECKING:  # a type checker reads the modules' lists, and takes a computed one for an empty one
    __all__ = [*_public_names(globals())]
