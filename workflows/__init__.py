"""The designer's vocabulary: everything a journey is written with, in one import.

Each module lists its own words in `__all__`. All of them together are pinned by a test; adding one is a decision,
removing one breaks journeys elsewhere.
"""

import typing as _typing

from workflows.declaration import *
from workflows.events.base import Event as Event
from workflows.events.compliance import *
from workflows.events.contact import *
from workflows.events.derived import *
from workflows.events.game import *
from workflows.events.loyalty import *
from workflows.events.payment import *
from workflows.events.player import *
from workflows.events.reward import *
from workflows.events.score import *
from workflows.experiments import *
from workflows.figures.targets import *
from workflows.forms import *
from workflows.gate.policy import *
from workflows.journey import *
from workflows.local_time import *
from workflows.loyalty.missions import *
from workflows.loyalty.point_currencies import *
from workflows.loyalty.raffles import *
from workflows.loyalty.shop_items import *
from workflows.loyalty.tier_ladders import *
from workflows.loyalty.tournaments import *
from workflows.loyalty.wheels import *
from workflows.player import *
from workflows.public_names import public_names as _public_names
from workflows.rewards.cash_and_bonus import *
from workflows.rewards.deposits import *
from workflows.rewards.loyalty import *
from workflows.rewards.play import *
from workflows.rewards.sizing import *
from workflows.rules.calendar_rules import *
from workflows.rules.measures import *
from workflows.rules.segments import *
from workflows.rules.triggers import *
from workflows.run_journal import *
from workflows.scores import *
from workflows.send_choices import *
from workflows.verb_results import *

if not _typing.TYPE_CHECKING:  # a type checker reads the modules' lists, and takes a computed one for an empty one
    __all__ = [*_public_names(globals())]
