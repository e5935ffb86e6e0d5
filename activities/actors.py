"""Who acts: a person or an API key, in one brand, with what they may do there.

Every history names actors by `name`; who counts as one pair of eyes is told by `id` alone.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

#: Whom histories name where nobody acted; no key and no person is called so.
ENGINE: Final = "engine"
ActorKind = Literal["person", "key", "engine", "command"]


@dataclass(frozen=True)
class Actor:
    """Who acts, and in which brand.

    `teams` of None is any team's. The trap: a key that names somebody nobody has registered here (`X-Actor`) acts under
    that name and is still the key; two such names are one pair of eyes.
    """

    brand: str
    #: How histories name them: a person's address, a key's name, or whom the key names.
    name: str
    kind: ActorKind = "key"
    #: The person's id, or the key's.
    id: str = ""
    scopes: frozenset[str] = frozenset()
    teams: frozenset[str] | None = None
    skills: frozenset[str] = frozenset()
    #: The key that was used, if any: its id and its name.
    key_id: str | None = None
    key_name: str | None = None

    def may(self, *scopes: str) -> bool:
        """Whether the actor has any of `scopes`; `admin` has all."""
        return "admin" in self.scopes or not self.scopes.isdisjoint(scopes)

    def through(self, key: "Actor") -> "Actor":
        """The person, acting by means of a desk's key: both must have what is asked."""
        teams = self.teams if key.teams is None else key.teams & (self.teams or frozenset())
        return replace(
            self,
            scopes=self.scopes if "admin" in key.scopes else self.scopes & key.scopes,
            teams=teams,
            skills=self.skills & key.skills,
            key_id=key.key_id,
            key_name=key.key_name,
        )


def engine_in(brand: str) -> Actor:
    """The engine itself, where nobody acted."""
    return Actor(brand, ENGINE, "engine", ENGINE)


def command_of(brand: str, user: str) -> Actor:
    """Whoever runs a command on a machine of the deployment, by the name they are logged in under there."""
    return Actor(brand, f"cli:{user}", "command", f"cli:{user}")
