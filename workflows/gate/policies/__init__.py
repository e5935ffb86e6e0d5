"""The policies the engine comes with, one module a jurisdiction; each module says where its numbers come from.

They are no legal advice. What a law leaves open is off, and the module's docstring says so.
"""

from typing import Final

from workflows.gate.policies import br, ca_on, de, es, gb, gdpr, mt, nl, se, us
from workflows.gate.policies.house import HOUSE
from workflows.gate.policy import Policy

__all__ = ["HOUSE", "SHIPPED"]

SHIPPED: Final[tuple[Policy, ...]] = tuple(
    one for module in (gb, mt, se, nl, de, es, ca_on, br, us, gdpr) for one in module.POLICIES
)
