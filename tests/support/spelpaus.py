"""A national register in the test's own process."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import text

from activities.database import Database
from activities.providers.register import RegisterSubject, RegisterUnavailable

#: Settings under which it is asked; the address is never called.
ADDRESS = {"register_urls": {"spelpaus": "http://127.0.0.1:9"}, "register_token": "t", "register_hash_key": "k"}
#: What whoever asks in a transaction would hold.
_HELD = (
    "SELECT 1 FROM players WHERE brand = :brand AND id = :id FOR SHARE NOWAIT",
    "SELECT 1 FROM raffle_draws WHERE brand = :brand FOR SHARE NOWAIT",
    "SELECT 1 FROM raffle_winners WHERE brand = :brand FOR SHARE NOWAIT",
)


@dataclass
class Spelpaus:
    """It lists whom a test says, and fails where anybody keeps rows locked while it is asked."""

    database: Database
    listed: set[str] = field(default_factory=set)
    is_away: bool = False
    asked: list[str] = field(default_factory=list)
    #: What comes to pass before its answer is heard.
    meanwhile: Callable[[], object] = lambda: None

    async def lists(self, subject: RegisterSubject) -> bool:
        self.asked.append(subject.player_id)
        mine = {"brand": subject.brand, "id": subject.player_id}
        async with self.database.transaction() as connection:
            for held in _HELD:
                await connection.execute(text(held), mine)
        if self.is_away:
            raise RegisterUnavailable("The register spelpaus did not answer.")
        self.meanwhile()
        return subject.player_id in self.listed
