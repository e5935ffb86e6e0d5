"""What a key may do, and who acts with it; `api.key_lookup` finds the key of a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request
from fastapi.routing import APIRoute

from activities.actors import ENGINE, Actor
from activities.api_keys import NAME
from activities.audit.trail import current_act
from activities.people import actor_from, person_with_grants
from activities.player_tokens import PREFIX, PlayerTokens
from api.event_source_permissions import within
from api.problems import Problem

SCHEME: Final = "apiKey"
PLAYER_SCHEME: Final = "playerToken"
#: What a player's token may do: it is no scope that a key can have.
PLAYER: Final = "player"
CHALLENGE: Final = 'Bearer realm="journeys"'


@dataclass(frozen=True)
class Key:
    """A valid key: whose it is, of which brand, and what it may do."""

    id: str
    brand: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None
    #: Under which sources it may send events; none means any.
    sources: tuple[str, ...] = ()
    #: On whose tasks it may work; none means any team's. A skill it must have.
    teams: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    #: Whose browser asks, where it is no key but a player's token: it may do what players may, and nothing else.
    player_id: str | None = None

    def actor(self, name: str | None = None) -> Actor:
        """The key as who acts, under its own name or that of somebody it names."""
        return Actor(
            self.brand,
            name or self.name,
            "key",
            self.id,
            scopes=self.scopes,
            teams=frozenset(self.teams) or None,
            skills=frozenset(self.skills),
            key_id=self.id,
            key_name=self.name,
        )

    def may(self, scopes: tuple[str, ...]) -> bool:
        """Whether the key has any of `scopes`; `admin` has all."""
        return "admin" in self.scopes or not self.scopes.isdisjoint(scopes)

    def source_refusal(self, source: str) -> str | None:
        """Why the key may not send an event under this source, as a sentence; None when it may."""
        if not self.sources or within(source, self.sources):
            return None
        named = " or ".join(self.sources)
        return f"This key speaks for {named} alone; send the event under that source, or with a key for its own."


def player_key(tokens: PlayerTokens, authorization: str | None, now: datetime) -> Key | None:
    """What stands for a player's token; None for what is none, or over: then an API key is asked for."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(PREFIX):
        return None
    owner = tokens.read(token.strip(), now)
    if owner is None:
        return None
    scopes = frozenset({PLAYER})
    return Key("player", owner.brand, "player", scopes, owner.until, player_id=owner.player_id)


class Needs:
    """What an endpoint asks of a key; `api.app` reads it to document the endpoint, and no body is read before it."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> Key:
        """The key of the request. Raises `Problem` 403 when it has none of the scopes."""
        key: Key = request.state.key
        self.check(key)
        return key

    def check(self, key: Key) -> None:
        """Raise `Problem` 403 when a key has none of the scopes."""
        if (key.player_id is not None) != (self.scopes == (PLAYER,)):
            detail = (
                "This is for a player's own token." if key.player_id is None else "A player's token may not do this."
            )
            raise Problem("scope", detail, headers={"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'})
        if self.scopes and not key.may(self.scopes):
            needed = " or ".join(self.scopes)
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{" ".join(self.scopes)}"'
            raise Problem(
                "scope", f"This needs a key with the scope {needed}.", headers={"WWW-Authenticate": challenge}
            )


def scopes_asked(route: APIRoute) -> Iterator[Needs]:
    """What a route asks of a key, whichever of its dependencies asks."""
    waiting = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        if isinstance(dependant.call, Needs):
            yield dependant.call
        waiting += dependant.dependencies


def needs(*scopes: str) -> Any:
    """The dependency of an endpoint that asks for any one of `scopes`, or for just a valid key."""
    return Depends(Needs(*scopes))


def acts(*scopes: str, looked_up: bool = True) -> Any:
    """The dependency of an endpoint whose caller is remembered: the person named in X-Actor, or the key itself.

    Naming a person takes the scope `tasks:work`: it is for desks that serve many managers with one key. Whoever is
    registered here acts with what both they and the key may; unless `looked_up`, nobody is asked for, and the key acts
    under the name.
    """

    async def actor(
        request: Request,
        key: Annotated[Key, needs(*scopes)],
        x_actor: Annotated[
            str | None,
            Header(
                pattern=f"^{NAME}$",
                description="The person a desk tool acts for; without it, the key's own name acts.",
                examples=["olena@example.com"],
            ),
        ] = None,
    ) -> Actor:
        if x_actor is not None and not key.may(("tasks:work",)):
            raise Problem("scope", "Only a key with the scope tasks:work may act for a person in X-Actor.")
        if x_actor is not None and x_actor.casefold() == ENGINE:
            detail = f"In histories {ENGINE} is the engine itself; name the person who acts."
            raise Problem("invalid", detail, errors=[{"parameter": "X-Actor", "detail": detail}])
        acts_here = key.actor(x_actor)
        if x_actor is not None and looked_up:
            acts_here = await _registered(request, x_actor, acts_here, scopes)
        if (act := current_act()) is not None:
            act.actor = acts_here
        return acts_here

    return Depends(actor)


async def _registered(request: Request, who: str, named: Actor, scopes: tuple[str, ...]) -> Actor:
    """The person behind the name that a desk's key gives; the key itself where nobody is registered by that name."""
    engine = request.app.state.engine
    async with engine.database.reading() as connection:
        found = await person_with_grants(connection, named.brand, who, engine.clock())
    if found is None:
        return named
    person, grants = found
    if not person.active:
        raise Problem("scope", f"{person.email} works here no more; nobody acts for them.")
    actor = actor_from(person, named.brand, grants).through(named)
    if scopes and not actor.may(*scopes):
        raise Problem("scope", f"{person.email} has no role with the scope {' or '.join(scopes)}.")
    return actor
