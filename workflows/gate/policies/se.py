"""Sweden: the gambling act (2018:1138).

- A bonus only at the first play with the licensee, and any discount or cashback is one (ch. 14 s. 9).
- No direct marketing to whom Spelpaus knows (ch. 15 s. 2): an exclusion of the kind `register`, which the house's rule
  honours as soon as it is told. Asking the register before every send is not built.

Whether a tournament with prizes is a bonus needs a lawyer; here it is one.
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (policy("SE", since=date(2019, 1, 1), jurisdiction="SE", first_bonus_only=True),)
