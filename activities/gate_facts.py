"""The gate's facts, read from the primary under the player's row lock."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.player_rows import write_place
from activities.tables import gate_decisions, grants, messages, players, runs
from activities.ways_out import EVERY_WAY, WaysOut
from workflows.channels import CHANNELS, Channel
from workflows.declaration import Journey
from workflows.effects import EffectInput
from workflows.gate.bonus_value import WITHIN
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import Contact, GateFacts, RegisterAnswer, facts_of, had_bonus
from workflows.gate.policy import NECESSARY, Policy
from workflows.gate.policy_book import PolicyBook
from workflows.json_object import JsonObject
from workflows.local_time import DAY, WEEK
from workflows.player_state.active_run import come_to
from workflows.player_state.decisions import Arm
from workflows.player_state.devices import devices_of, is_apple_token
from workflows.player_state.state import PlayerState


@dataclass(frozen=True)
class GatedPlayer:
    """A player as the gate sees one, with the personal data a message needs."""

    facts: GateFacts
    state: PlayerState
    profile: JsonObject
    #: Whether the run that asks is under way in the books.
    run_is_active: bool
    #: The release of its journey that it plays.
    release: int = 0


async def read(
    connection: AsyncConnection,
    request: EffectInput,
    journeys: Mapping[str, Journey],
    now: datetime,
    grant_id: str | None = None,
    *,
    registers: Mapping[str, RegisterAnswer] | None = None,
    policies: PolicyBook | None = None,
    yields: bool = False,
    ways: WaysOut = EVERY_WAY,
    drawn_as: str | None = None,
) -> GatedPlayer | None:
    """Lock the player's row and read what the gate asks for; None for a player we never heard of.

    With `grant_id` it is about that grant: whether the player had another before is read, and what others are worth
    where one of `policies` asks. That the run has come to this step is noted, where it waits for less from then on.
    `registers` are what national registers said. What `yields` lets journeys of a higher priority go first. `ways` are
    those of the deployment, `drawn_as` the brand under whose name holdouts are drawn, where it is another one.

    The lock is what makes the gate a barrier: an exclusion is either committed before and seen, or
    waits until this transaction has marked its message handed over. Keep the transaction short.
    """
    brand, player_id, run_id = request.brand, request.player_id, request.run_id
    row = (await connection.execute(_row_of(brand, player_id).with_for_update())).one_or_none()
    if row is None:
        return None
    state = PlayerState.from_json(brand, player_id, row.state)
    if (place := come_to(state.runs, run_id, request.step, journeys)) is not None:
        await write_place(connection, brand, player_id, run_id, place)
    # After the lock: whoever ends a run in the books holds the player's row, and what was read before may be stale.
    found = await _run_and_contacts(connection, brand, player_id, run_id, now)
    had = None if grant_id is None else await _had_bonus(connection, state, row.created_at, grants.c.id != grant_id)
    facts = facts_of(
        state,
        addresses=addresses(player_id, row.profile, ways=ways),
        contacts=[contact for one in found if (contact := one.contact) is not None],
        now=now,
        birth_date=_birth_date(row.profile),
        had_bonus=had,
        registers=registers,
        drawn_as=drawn_as,
    )
    ahead = await _ahead(connection, request, journeys, now) if yields else 0
    facts = replace(facts, arm=found[0].arm if found else None, ahead=ahead)
    if grant_id is not None and policies is not None and policies.of(brand, facts, now).counts_bonuses:
        facts = replace(facts, bonus_value=await _bonus_value(connection, state, grants.c.id != grant_id, now))
    active = any(one.state == "active" for one in found)
    release = max((one.version for one in found), default=0)
    return GatedPlayer(facts, state, row.profile, run_is_active=active, release=release)


def _row_of(brand: str, player_id: str) -> sa.Select[Any]:
    """What the gate reads of a player's row."""
    columns = (players.c.state, players.c.profile, players.c.created_at)
    return sa.select(*columns).where(players.c.brand == brand, players.c.id == player_id)


class _RunAndContact(NamedTuple):
    """The run that asks, beside one contact of the last week, if there was any."""

    state: str
    version: int
    arm: Arm
    handed_over_at: datetime | None
    channel: str | None
    run_id: str | None
    step: str | None

    @property
    def contact(self) -> Contact | None:
        """The contact, where there was one."""
        if self.handed_over_at is None or self.channel is None:
            return None
        return Contact(self.handed_over_at, self.channel, f"{self.run_id}/{self.step}")


async def _run_and_contacts(
    connection: AsyncConnection, brand: str, player_id: str, run_id: str, now: datetime
) -> list[_RunAndContact]:
    recent = sa.and_(
        messages.c.brand == brand,
        messages.c.player_id == player_id,
        messages.c.handed_over_at > now - WEEK,
        messages.c.message_class.not_in(NECESSARY),
    )
    told = await connection.execute(
        sa.select(
            runs.c.state,
            runs.c.version,
            runs.c.arm,
            messages.c.handed_over_at,
            messages.c.channel,
            messages.c.run_id,
            messages.c.step,
        )
        .select_from(runs.outerjoin(messages, recent))
        .where(runs.c.id == run_id)
    )
    return [_RunAndContact(*row) for row in told]


def _ids(state: PlayerState) -> list[str]:
    """Every account of the person at the brand."""
    return [state.player_id, *state.accounts]


async def _had_bonus(
    connection: AsyncConnection, state: PlayerState, heard_since: datetime, *other: sa.ColumnElement[bool]
) -> bool | None:
    """Whether the person had a bonus other than the one in question, at any of their accounts."""
    granted = sa.exists().where(
        grants.c.brand == state.brand, grants.c.player_id.in_(_ids(state)), grants.c.status != "refused", *other
    )
    granted_here = bool((await connection.execute(sa.select(granted))).scalar_one())
    others: list[PlayerState] = []
    if state.accounts:
        # Without a lock: what of a bonus is told to another account in this very moment comes as it would alone.
        mine = (players.c.brand == state.brand, players.c.id.in_(state.accounts))
        found = await connection.execute(sa.select(players.c.id, players.c.state, players.c.created_at).where(*mine))
        for row in found:
            others.append(PlayerState.from_json(state.brand, row.id, row.state))
            heard_since = max(heard_since, row.created_at)
    return had_bonus(state, *others, granted_here=granted_here, heard_since=heard_since)


async def _ahead(
    connection: AsyncConnection, request: EffectInput, journeys: Mapping[str, Journey], now: datetime
) -> int:
    """How many messages of the player, of runs under way of journeys that go first, wait for the morning."""
    mine = journeys.get(request.journey)
    above = [one.name for one in journeys.values() if mine is not None and one.priority > mine.priority]
    if not above:
        return 0
    told = gate_decisions.c
    last = (
        sa.select(told.effect_id, told.run_id, told.rule)
        .distinct(told.effect_id)
        .where(told.brand == request.brand, told.player_id == request.player_id, told.at > now - DAY)
        .where(told.journey.in_(above), told.run_id != request.run_id)
        # Of a message on several channels one may have gone at once; it counts as long as any waits.
        .order_by(told.effect_id, told.at.desc(), (told.rule == "quiet-hours").desc().nulls_last())
        .subquery()
    )
    waiting = sa.select(sa.func.count()).select_from(last.join(runs, runs.c.id == last.c.run_id))
    waiting = waiting.where(last.c.rule == "quiet-hours", runs.c.state == "active")
    return int((await connection.execute(waiting)).scalar_one())


async def _bonus_value(
    connection: AsyncConnection, state: PlayerState, other: sa.ColumnElement[bool], now: datetime
) -> int | None:
    """What bonuses of the last 30 days are worth at all of the person's accounts, other than the one in question.

    None where one was of another currency than the player has now: nobody can add the two up.
    """
    mine = (grants.c.brand == state.brand, grants.c.player_id.in_(_ids(state)), other)
    given = (grants.c.status.not_in(("refused", "revoked")), grants.c.created_at > now - WITHIN)
    foreign = grants.c.currency.is_distinct_from(state.facts.get("currency"))
    worth = sa.select(
        sa.func.coalesce(sa.func.sum(grants.c.value_minor), 0), sa.func.bool_or(foreign & (grants.c.value_minor > 0))
    )
    found, is_mixed = (await connection.execute(worth.where(*mine, *given))).one()
    return None if is_mixed else int(found)


def _birth_date(profile: JsonObject) -> date | None:
    """What the profile says, None where it says nothing that is a date."""
    try:
        return date.fromisoformat(str(profile.get("birth_date")))
    except ValueError:
        return None


@dataclass(frozen=True)
class WatchedPlayer:
    """A player as the gate would see one if a run that only a shadow plays stood in the place of the live one."""

    facts: GateFacts
    state: PlayerState


async def read_beside(
    connection: AsyncConnection,
    brand: str,
    player_id: str,
    beside: str,
    own: Sequence[Contact],
    now: datetime,
    *,
    policies: PolicyBook,
    ways: WaysOut = EVERY_WAY,
) -> WatchedPlayer | None:
    """Read what the gate asks for without a lock, as for a run that plays instead of `beside`; None without a player.

    What the live run has sent does not count against the caps, and `own`, what the other one would have sent, does.
    For nothing that is done: an exclusion may be committed meanwhile.
    """
    row = (await connection.execute(_row_of(brand, player_id))).one_or_none()
    if row is None:
        return None
    state = PlayerState.from_json(brand, player_id, row.state)
    others = sa.select(messages.c.handed_over_at, messages.c.channel, messages.c.run_id, messages.c.step).where(
        messages.c.brand == brand,
        messages.c.player_id == player_id,
        messages.c.handed_over_at > now - WEEK,
        messages.c.message_class.not_in(NECESSARY),
        messages.c.run_id != beside,
    )
    contacts = [Contact(c.handed_over_at, c.channel, f"{c.run_id}/{c.step}") for c in await connection.execute(others)]
    reachable = addresses(player_id, row.profile, ways=ways)
    facts = facts_of(
        state,
        addresses=reachable,
        contacts=[*contacts, *own],
        now=now,
        birth_date=_birth_date(row.profile),
        had_bonus=await _had_bonus(connection, state, row.created_at, grants.c.run_id != beside),
        drawn_as=policies.drawn_as(brand),
    )
    if policies.of(brand, facts, now).counts_bonuses:
        facts = replace(facts, bonus_value=await _bonus_value(connection, state, grants.c.run_id != beside, now))
    return WatchedPlayer(facts, state)


async def read_to_show(connection: AsyncConnection, brand: str, player_id: str, now: datetime) -> GateFacts | None:
    """What the gate asks for before a message that was sent is shown, without a lock; None without a player.

    Contacts and earlier bonuses are not read: neither stands against showing. Nothing is given by these facts.
    """
    return (await read_page_to_show(connection, brand, [player_id], now)).get(player_id)


async def read_page_to_show(
    connection: AsyncConnection, brand: str, player_ids: Collection[str], now: datetime
) -> dict[str, GateFacts]:
    """What `read_to_show` reads, of several players at once; of whom we never heard nothing is said."""
    some = (players.c.brand == brand, players.c.id.in_(player_ids))
    rows = await connection.execute(sa.select(players.c.id, players.c.state, players.c.profile).where(*some))
    states = ((PlayerState.from_json(brand, row.id, row.state), row.profile) for row in rows)
    return {state.player_id: _shown(state, profile, now) for state, profile in states}


@dataclass(frozen=True)
class Receiver:
    """A player to whom something is given that no run gives, with what national registers are asked by."""

    facts: GateFacts
    policy: Policy
    profile: JsonObject = field(repr=False)


async def read_receivers(
    connection: AsyncConnection,
    brand: str,
    player_ids: Collection[str],
    now: datetime,
    *,
    policies: PolicyBook,
    said: Callable[[str], Mapping[str, RegisterAnswer]],
) -> dict[str, Receiver]:
    """What the gate asks for before it is given at a press or a draw; of whom we never heard nothing is said.

    `said` is what registers said of a player. Earlier bonuses are read where a policy goes by them, contacts never.
    Nothing is locked: whoever gives by these facts holds the players' rows.
    """
    columns = (players.c.id, players.c.state, players.c.profile, players.c.created_at)
    some = (players.c.brand == brand, players.c.id.in_(player_ids))
    rows = (await connection.execute(sa.select(*columns).where(*some))).all()
    states = {row.id: PlayerState.from_json(brand, row.id, row.state) for row in rows}
    return {
        row.id: await _receiver(connection, states[row.id], row.profile, row.created_at, now, policies, said)
        for row in rows
    }


async def of_locked(
    connection: AsyncConnection,
    brand: str,
    states: Mapping[str, PlayerState],
    now: datetime,
    *,
    policies: PolicyBook,
    said: Callable[[str], Mapping[str, RegisterAnswer]],
) -> dict[str, Receiver]:
    """What `read_receivers` reads, of players whose rows are locked here with these states."""
    columns = (players.c.id, players.c.profile, players.c.created_at)
    some = (players.c.brand == brand, players.c.id.in_(states))
    rows = (await connection.execute(sa.select(*columns).where(*some))).all()
    return {
        row.id: await _receiver(connection, states[row.id], row.profile, row.created_at, now, policies, said)
        for row in rows
    }


async def _receiver(
    connection: AsyncConnection,
    state: PlayerState,
    profile: JsonObject,
    heard_since: datetime,
    now: datetime,
    policies: PolicyBook,
    said: Callable[[str], Mapping[str, RegisterAnswer]],
) -> Receiver:
    facts = _shown(state, profile, now, policies.drawn_as(state.brand))
    facts = replace(facts, registers=said(state.player_id))
    policy = policies.of(state.brand, facts, now)
    if policy.first_bonus_only:
        facts = replace(facts, had_bonus=await _had_bonus(connection, state, heard_since))
    return Receiver(facts, policy, profile)


def _shown(state: PlayerState, profile: JsonObject, now: datetime, drawn_as: str | None = None) -> GateFacts:
    reachable, born = addresses(state.player_id, profile), _birth_date(profile)
    return facts_of(state, addresses=reachable, contacts=(), now=now, birth_date=born, drawn_as=drawn_as)


def addresses(player_id: str, profile: JsonObject, *, ways: WaysOut = EVERY_WAY) -> dict[Channel, str]:
    """Where a player can be reached. A push gateway finds the player's devices by the player's id.

    A push service that does not is given their tokens, one a line.
    """
    at: dict[Channel, str | None] = {
        channel: player_id if spec.address_field is None else profile.get(spec.address_field)
        for channel, spec in CHANNELS.items()
        if channel not in ways.closed
    }
    if ways.by_device:
        tokens = [one for one in devices_of(profile) if not ways.apple_alone or is_apple_token(one)]
        at |= {channel: "\n".join(tokens) for channel, spec in CHANNELS.items() if spec.to_devices}
    return {channel: address for channel, address in at.items() if address}


def decision_record(decision: Allowed | Refusal) -> JsonObject:
    """What is stored of a decision: the rule that spoke, what it saw, and under which policy."""
    refusal = decision if isinstance(decision, Refusal) else None
    return {
        "rule": refusal.rule if refusal else None,
        "detail": refusal.detail if refusal else None,
        "seen": dict(decision.seen),
        "policy": decision.policy,
    }
