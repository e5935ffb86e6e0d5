"""What holds for every player of every brand, whatever their law: the caps, the night and the ceilings of the house.

These are the numbers that the gate had before there were others, and that a No to profiling holds wherever a player is:
nobody has to know a player's country to hear them.
"""

from typing import Final

from workflows.gate.policy import Policy, complete

HOUSE: Final = complete(Policy(name="house"))
