"""Sweden: the gambling act (2018:1138).

- A bonus only at the first play with the licensee, and any discount or cashback is one (ch. 14 s. 9).
- No direct marketing to whom Spelpaus knows (ch. 15 s. 2), and the register is asked before every send: its answer is
  good for half a minute, as long as one attempt at an effect may last. What it lists is an exclusion of the kind
  `register`.

Whether a tournament with prizes is a bonus needs a lawyer; here it is one.
"""

from datetime import date, timedelta
from typing import Final

from workflows.gate.policy import policy

#: An effect's attempt is over by then.
_ONE_ATTEMPT: Final = timedelta(seconds=30)

POLICIES: Final = (
    policy(
        "SE",
        since=date(2019, 1, 1),
        jurisdiction="SE",
        first_bonus_only=True,
        registers={"spelpaus": _ONE_ATTEMPT},
    ),
)
