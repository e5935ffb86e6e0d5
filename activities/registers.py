"""Asks national registers about players before something is sold or given, and excludes whom they list.

An answer is kept in the memory of this process for as long as the policy that asked for it says, and nowhere else.
Registers are asked outside of any transaction.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import httpx

from activities.clock import Clock
from activities.intake.receipts import Receipt
from activities.providers.breaker import Breaker
from activities.providers.register import (
    Register,
    RegisterGateway,
    RegisterSubject,
    RegisterUnavailable,
    identity_of,
)
from activities.settings import Settings
from workflows.errors import DesignError, JourneysError
from workflows.events import Event, ExclusionSet
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import GateFacts, RegisterAnswer
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.gate.reasons import Reason
from workflows.gate.register_check import registers_to_ask
from workflows.json_object import JsonObject

logger = logging.getLogger(__name__)

#: Registers are asked about so many players at once.
ASKED_AT_ONCE: Final = 10
#: How long a prize waits for registers that do not answer, where nobody waits for it at a page; then it is withheld.
REGISTER_PATIENCE: Final = timedelta(hours=1)
#: Players whose answers a process remembers; about 30 MB.
MOST: Final = 100_000
#: How long whom a register lists is excluded; it is asked again afterwards, where an exclusion ends by its time.
LISTED_FOR: Final = timedelta(days=1)
#: Under which source the exclusion stands that a register's answer is. Nobody posts under it.
SOURCE: Final = "engine:register"


class Ingests(Protocol):
    """What takes events in: `Intake`, which itself writes down how far messages have come."""

    async def ingest(self, brand: str, events: Sequence[tuple[str, Event]], now: datetime, /) -> list[Receipt]:
        """Take in events of players of a brand."""
        ...


class AboutPlayer(Protocol):
    """Whatever says whom it is about: an effect, a press of a button, a place in a draw."""

    @property
    def brand(self) -> str:
        """The brand."""
        ...

    @property
    def player_id(self) -> str:
        """The player."""
        ...


@dataclass(frozen=True)
class ToAsk:
    """What must be asked before a decision can be made: about whom, by the profile, and which registers."""

    profile: JsonObject = field(repr=False)
    names: Sequence[str]


class AskFirst(JourneysError):
    """Registers must be asked before it can be decided: leave the transaction with it, ask, and begin again."""

    def __init__(self, players: Mapping[str, ToAsk]) -> None:
        self.players = players
        super().__init__(f"Registers must be asked about {len(players)} players first.")


@dataclass(frozen=True)
class _About:
    """A player."""

    brand: str
    player_id: str


class Registers:
    """The registers of a deployment, by name, with what they said lately."""

    def __init__(self, registers: Mapping[str, Register], intake: Ingests, clock: Clock, hash_key: str) -> None:
        self.registers = registers
        self.intake = intake
        self.clock = clock
        self._hash_key = hash_key
        self._answers: dict[tuple[str, str], dict[str, RegisterAnswer]] = {}

    @classmethod
    def over(
        cls,
        http: httpx.AsyncClient,
        settings: Settings,
        intake: Ingests,
        clock: Clock,
        *,
        patience: timedelta = timedelta.max,
    ) -> "Registers":
        """The registers that have an address in the settings, each waited for no longer than `patience`.

        Raises DesignError.
        """
        timeout = min(patience, settings.provider_timeout)
        return cls(register_gateways(settings, http, timeout), intake, clock, settings.register_hash_key)

    def known(self, request: AboutPlayer) -> Mapping[str, RegisterAnswer]:
        """What registers said lately of the player of an effect or a press, by name."""
        return self._answers.get((request.brand, request.player_id), {})

    def said_in(self, brand: str) -> Callable[[str], Mapping[str, RegisterAnswer]]:
        """What registers said lately of each player of a brand, by name."""
        return lambda player_id: self.known(_About(brand, player_id))

    def said_since(self, brand: str, begun: datetime, now: datetime) -> Callable[[str], Mapping[str, RegisterAnswer]]:
        """The same, with what was said since `begun` as if it were said now.

        For what only chooses: whoever gives something by it asks once more.
        """

        def said(player_id: str) -> Mapping[str, RegisterAnswer]:
            answers = self.known(_About(brand, player_id))
            return {name: replace(one, at=now) if one.at >= begun else one for name, one in answers.items()}

        return said

    def presumed(self, now: datetime) -> Mapping[str, RegisterAnswer]:
        """What is taken for their answers before they are asked: that none of those that we can ask lists a player."""
        return {name: RegisterAnswer(listed=False, at=now) for name in self.registers}

    def wanted(
        self,
        decisions: Iterable[Allowed | Refusal | Wait],
        facts: GateFacts | None,
        policy: Policy,
        now: datetime,
    ) -> list[str]:
        """The registers to ask before these decisions can be made: those that the gate misses, and that we can ask."""
        if facts is None or not policy.registers:
            return []
        if not any(isinstance(one, Refusal) and one.reason == Reason.REGISTER_UNKNOWN for one in decisions):
            return []
        return [one for one in registers_to_ask(facts.registers or {}, policy, now) if one in self.registers]

    async def ask(self, request: AboutPlayer, profile: JsonObject, names: Iterable[str]) -> None:
        """Ask registers about the player of an effect or a press, remember what they say, and exclude whom one lists.

        Raises RegisterUnavailable where one does not say; what the others said is remembered. Call it outside of any
        transaction.
        """
        subject = RegisterSubject(request.brand, request.player_id, identity_of(profile, self._hash_key))
        asked = [*names]
        answers = await asyncio.gather(*(self.registers[name].lists(subject) for name in asked), return_exceptions=True)
        now = self.clock()
        said = {
            name: RegisterAnswer(one, now) for name, one in zip(asked, answers, strict=True) if isinstance(one, bool)
        }
        self._remember(subject, said)
        for name in (name for name, one in said.items() if one.listed):
            await self._exclude(name, subject, now)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def ask_about(self, brand: str, players: Mapping[str, ToAsk], *, insist: bool = True) -> None:
        """Ask registers about players, some at once. Raises RegisterUnavailable where one does not say, if we `insist`.

        What others said is remembered. Call it outside of any transaction.
        """
        room = asyncio.Semaphore(ASKED_AT_ONCE)

        async def about(player_id: str, to_ask: ToAsk) -> None:
            async with room:
                await self.ask(_About(brand, player_id), to_ask.profile, to_ask.names)

        asking = (about(player_id, to_ask) for player_id, to_ask in players.items())
        for came in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(came, RegisterUnavailable) and not insist:
                logger.warning("%s", came)
            elif isinstance(came, BaseException):
                raise came

    def _remember(self, subject: RegisterSubject, said: Mapping[str, RegisterAnswer]) -> None:
        key = (subject.brand, subject.player_id)
        # The newest last, so that the oldest are let go first.
        self._answers[key] = {**self._answers.pop(key, {}), **said}
        while len(self._answers) > MOST:
            del self._answers[next(iter(self._answers))]

    async def _exclude(self, name: str, subject: RegisterSubject, now: datetime) -> None:
        """Have the player excluded as if the account service had told it: runs stop, in every brand of the group."""
        event = ExclusionSet(
            event_id=f"{name}:{subject.player_id}:{now.isoformat()}",
            event_source=SOURCE,
            occurred_at=now,
            kind="register",
            scope="national",
            until=now + LISTED_FOR,
        )
        await self.intake.ingest(subject.brand, [(subject.player_id, event)], now)


def without_address(policies: PolicyBook, settings: Settings, now: datetime) -> list[str]:
    """A sentence for each register that a policy in force asks and that has no address: nobody is sold to under it."""
    return [
        f"REGISTER_URLS has no address for the register {register}, which the policy {' and '.join(names)} asks: "
        "nothing is sold or given to its players."
        for register, names in policies.registers(now).items()
        if register not in settings.register_urls
    ]


def register_gateways(settings: Settings, http: httpx.AsyncClient, timeout: timedelta) -> dict[str, Register]:
    """The registers that have an address. Raises DesignError where what they are asked with is missing."""
    if settings.register_urls and not (settings.register_token.strip() and settings.register_hash_key.strip()):
        raise DesignError(
            "Registers of REGISTER_URLS are asked with REGISTER_TOKEN, and told keyed hashes under REGISTER_HASH_KEY; "
            "set both, each 24 random bytes or more: `openssl rand -base64 32`."
        )
    return {
        name: RegisterGateway(name, url, settings.register_token, http, timeout=timeout, breaker=Breaker(name))
        for name, url in settings.register_urls.items()
    }
