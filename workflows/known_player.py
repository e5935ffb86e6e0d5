"""What a journey may know of its player: facts as of the last `refresh`, and the journey's own clock."""

from datetime import datetime

from workflows.run import JourneyRun


class KnownPlayer:
    """The facts of the player of one run. A journey gets a `Player`, which also can do something."""

    def __init__(self, run: JourneyRun) -> None:
        self._run = run

    @property
    def now(self) -> datetime:
        """When the last step was over, in UTC: the clock of a journey, which shows the same however often it is played.

        Any other clock would show another time when a chapter begins anew or the run moves to another release.
        """
        return self._run.clock

    @property
    def id(self) -> str:
        """The operator's id of the player."""
        return self._run.facts.player_id

    @property
    def language(self) -> str:
        """BCP 47 language tag, such as `en` or `uk`."""
        return self._run.facts.language

    @property
    def timezone(self) -> str | None:
        """IANA zone; None when the operator never sent one."""
        return self._run.facts.timezone

    @property
    def country(self) -> str | None:
        """ISO 3166 alpha-2 code."""
        return self._run.facts.country

    @property
    def currency(self) -> str:
        """ISO 4217 code of the player's wallet."""
        return self._run.facts.currency

    @property
    def tier(self) -> str | None:
        """Loyalty tier, as of the last `loyalty.tier_changed`."""
        return self._run.facts.tier

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes; None before the first round."""
        return self._run.facts.favourite_category

    @property
    def deposits(self) -> int:
        """How many deposits were approved so far."""
        return self._run.facts.deposits

    @property
    def mean_deposit_minor(self) -> int:
        """Mean approved deposit in minor units; 0 before the first."""
        facts = self._run.facts
        return facts.deposited_minor // facts.deposits if facts.deposits else 0

    @property
    def last_login(self) -> datetime | None:
        """When the player was last seen to log in."""
        return self._run.facts.last_login
