"""What holds for every player of every brand, whatever their law: the caps, the night and the ceilings of the house.

These are the numbers that the gate had before there were others.
"""

from typing import Final

from workflows.gate.policy import Policy, complete

HOUSE: Final = complete(Policy(name="house"))
