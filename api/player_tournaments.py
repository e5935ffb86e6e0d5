"""Tournaments and boards as players see them, each under a token of their own.

Others appear under an alias that is another one on each board, or without one where they do not want to be shown.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import standings
from activities.leaderboards import MOST_COUNTED, BoardAliases, MyPlace, Placed, place_of, top_of
from activities.loyalty_limits import used_of
from activities.player_commands import PlayerCommand
from activities.tournaments import TournamentRow, read_tournament, read_tournaments, seats_of
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key
from api.player_requests import IfNoneMatch, Player, Pressed, PressKey, answer, me, player_of, press
from api.problems import COMMON, documented, missing
from api.tournaments import PRIZE
from workflows.loyalty.tournament_prizes import PrizeTerms, TournamentTerms
from workflows.loyalty.tournaments import Instance, Tournament, board_of
from workflows.player_state.state import PlayerState

router = APIRouter(prefix="/v1/me", tags=["loyalty"])

Registration = Literal["open", "registered", "automatic", "closed", "lost"]


class PlaceView(BaseModel):
    """A row of a board. No `position`: it is not known exactly. No `name`: the player does not want to be shown."""

    position: int | None = None
    name: str | None = None
    score: int
    is_me: bool = False


class MyPlaceView(BaseModel):
    """Where the player stands."""

    position: int | None = Field(None, description="None while the score is below what the board asks for.")
    position_exact: bool = Field(description="Deep places of large boards are read off marks that are seconds old.")
    score: int
    points_won: int = 0
    name: str | None = Field(None, description="What others see; None where the player does not want to be shown.")
    prize: str | None = Field(None, description=PRIZE)


class TournamentCard(BaseModel):
    """An instance in the lobby."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "weekly_race:2026-01-12",
                    "tournament": "weekly_race",
                    "words": "The best single win against its stake.",
                    "opens_at": "2026-01-12T00:00:00Z",
                    "closes_at": "2026-01-19T00:00:00Z",
                    "phase": "running",
                    "registration": "registered",
                    "registration_count": 412,
                    "score": 1250,
                    "prizes": [{"first": 1, "last": 1, "points": 5000}],
                    "ties": "first_to_reach",
                }
            ]
        }
    )

    id: str
    tournament: str
    words: str
    opens_at: datetime
    closes_at: datetime
    phase: str = Field(description="scheduled, running, grace, closing, paying, done or cancelled.")
    registration: Registration
    registration_count: int = Field(
        description=f"Who asked to be in it; where nobody asks, who has a place. Counted up to {MOST_COUNTED:,}."
    )
    least_players: int = 1
    most_players: int | None = None
    score: int | None = None
    prizes: list[PrizeTerms]
    ties: str
    product: str | None = None


class BoardView(BaseModel):
    """A board: the first hundred, the player, and who stands around."""

    id: str
    tournament: str
    phase: str
    opens_at: datetime
    closes_at: datetime
    provisional: bool = Field(description="Places may still change.")
    me: MyPlaceView | None = None
    top: list[PlaceView]
    around: list[PlaceView]
    prizes: list[PrizeTerms]


class PeriodQuery(BaseModel):
    """Which period's board."""

    model_config = ConfigDict(extra="forbid")

    period: Literal["current", "previous"] = "current"


class NameBody(BaseModel):
    """Whether boards show an alias for the player, or nothing."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"shown": False}]})

    shown: bool = Field(strict=True)


@router.get("/tournaments", response_model=list[TournamentCard], responses=COMMON)
async def my_tournaments(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The tournaments and boards that are on, and those that open next; none while the player is protected or out."""
    state, now = await me(engine, key)
    declared = () if state.left_alone(now) else engine.intake.rules.loyalty.tournaments.values()
    shown = [
        (one, instance)
        for one in declared
        for instance in (one.newest(now), one.next(one.newest(now)))
        if now < instance.cut
    ]
    async with engine.database.reading() as connection:
        rows = await read_tournaments(connection, [board_of(key.brand, instance.id) for _, instance in shown])
        seated = await _seated(engine, connection, key.brand, shown, rows, now)
    cards = [
        _card(one, instance, rows.get(board_of(key.brand, instance.id)), state, now, seated[instance.id])
        for one, instance in shown
    ]
    return answer(cards, if_none_match)


@router.get("/tournaments/{instance_id}", response_model=BoardView, responses={**COMMON, **documented(404)})
async def my_tournament(instance_id: str, engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The board of an instance: its first hundred, the player's own place, and five above and below."""
    declared, instance = _known(engine, instance_id)
    return answer(await _board(engine, key, declared, instance), if_none_match)


@router.get("/leaderboards/{name}", response_model=BoardView, responses={**COMMON, **documented(404)})
async def my_leaderboard(
    name: str,
    engine: EngineOf,
    key: Player,
    query: Annotated[PeriodQuery, Query()],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The board of the present period of a tournament or leaderboard, or of the one before."""
    declared = engine.intake.rules.loyalty.tournaments.get(name)
    if declared is None:
        raise missing("leaderboard")
    newest = declared.newest(engine.clock())
    instance = newest if query.period == "current" else declared.before(newest)
    return answer(await _board(engine, key, declared, instance), if_none_match)


@router.post("/tournaments/{instance_id}/register", responses={**COMMON, **documented(404, 409, 429)})
async def take_seat(instance_id: str, engine: EngineOf, key: Player, idempotency_key: PressKey) -> Pressed:
    """Take a seat; what counts counts from this moment on. Pressed twice is as good as once."""
    command = PlayerCommand(key.brand, player_of(key), idempotency_key, "register", instance_id)
    return Pressed.model_validate(await press(engine, key, command))


@router.put("/board-name", responses={**COMMON, **documented(429)})
async def put_board_name(body: NameBody, engine: EngineOf, key: Player) -> NameBody:
    """Show an alias for the player on boards, or nothing. Places stay: only the name goes."""
    engine.presses.take(key)
    known, now = await me(engine, key)
    if known.name_shown == body.shown:
        return body
    player_id = player_of(key)
    async with (
        engine.database.transaction() as connection,
        engine.intake.locked(connection, key.brand, [player_id], now) as players,
    ):
        if (state := players.states.get(player_id)) is not None:
            players.record(player_id, state.show_name(now, shown=body.shown))
    return body


def _known(engine: ApiEngine, instance_id: str) -> tuple[Tournament, Instance]:
    found = engine.intake.rules.loyalty.instance_named(instance_id)
    if found is None:
        raise missing("tournament")
    return found


async def _board(engine: ApiEngine, key: Key, declared: Tournament, instance: Instance) -> BoardView:
    """A board for one player; of one who is protected or out nothing but the frame."""
    state, now = await me(engine, key)
    board, aliases = board_of(key.brand, instance.id), engine.board_aliases
    place: MyPlace | None = None
    prize: str | None = None
    top: Sequence[Placed] = ()
    async with engine.database.reading() as connection:
        row = await read_tournament(connection, board)
        final = row is not None and row.entries is not None
        if not state.left_alone(now):
            least = _terms(declared, row).least_score
            top = await top_of(connection, board, final=final, least=least)
            place = await place_of(
                connection, engine.rulers, key.brand, state.player_id, board, final=final, least=least
            )
            prize = await _prize(connection, key.brand, instance.id, place)
    return BoardView(
        id=instance.id,
        tournament=declared.name,
        phase=_phase(instance, row, now),
        opens_at=instance.opens,
        closes_at=instance.closes,
        provisional=not final and (row is None or row.state != "cancelled"),
        me=None if place is None else _my_place(place, prize, aliases.of(board, state.player_id)),
        top=[_place(aliases, board, one, state) for one in top],
        around=[] if place is None else [_place(aliases, board, one, state) for one in place.around],
        prizes=_terms(declared, row).prizes,
    )


async def _seated(
    engine: ApiEngine,
    connection: AsyncConnection,
    brand: str,
    shown: Sequence[tuple[Tournament, Instance]],
    rows: Mapping[int, TournamentRow],
    now: datetime,
) -> dict[str, int]:
    """How many are in each instance: its seats where they are numbered, who asked to be in it, else who has a place."""
    numbered = {seats_of(one.id): one.id for declared, one in shown if declared.most_players is not None}
    taken = await used_of(connection, brand, [*numbered]) if numbered else {}
    seated = {instance: taken.get(seats, 0) for seats, instance in numbered.items()}
    for declared, one in shown:
        if one.id in seated:
            continue
        board = board_of(brand, one.id)
        if declared.opt_in:
            seated[one.id] = await engine.entry_counts.of(connection, board)
        elif now < one.opens:
            seated[one.id] = 0
        else:
            least = _terms(declared, rows.get(board)).least_score
            seated[one.id] = await engine.entry_counts.of(connection, board, least=least)
    return seated


def _card(
    declared: Tournament, instance: Instance, row: TournamentRow | None, state: PlayerState, now: datetime, seated: int
) -> TournamentCard:
    entries = {} if state.loyalty is None else state.loyalty.entries
    entry = entries.get(instance.id)
    registration: Registration = "open" if declared.opt_in else "automatic"
    if entry is not None:
        registration = "lost" if entry.out else "registered"
    elif now >= instance.closes or (row is not None and row.state != "open"):
        registration = "closed"
    terms = _terms(declared, row)
    return TournamentCard(
        id=instance.id,
        tournament=declared.name,
        words=declared.said(state.facts.get("language")),
        opens_at=instance.opens,
        closes_at=instance.closes,
        phase=_phase(instance, row, now),
        registration=registration,
        registration_count=seated,
        least_players=terms.least_players,
        most_players=declared.most_players,
        score=None if entry is None else entry.score(declared).score,
        prizes=terms.prizes,
        ties=terms.ties,
        product=terms.product,
    )


def _terms(declared: Tournament, row: TournamentRow | None) -> TournamentTerms:
    """What was promised when it opened; of one that is to come, what is declared."""
    return TournamentTerms.of(declared) if row is None else row.terms


def _phase(instance: Instance, row: TournamentRow | None, now: datetime) -> str:
    if row is not None:
        return row.phase(now)
    return "scheduled" if now < instance.opens else "running" if now < instance.closes else "closing"


async def _prize(connection: AsyncConnection, brand: str, instance_id: str, place: MyPlace | None) -> str | None:
    """What became of a player's prize."""
    if place is None or place.me.place is None or place.outcome is None:
        return None
    said = {place.me.place: place.outcome}
    return (await standings.prize_states(connection, brand, instance_id, said))[place.me.place]


def _my_place(place: MyPlace, prize: str | None, alias: str | None) -> MyPlaceView:
    return MyPlaceView(
        position=place.me.place,
        position_exact=place.exact,
        score=place.me.score,
        points_won=place.points,
        prize=prize,
        name=alias if place.me.named else None,
    )


def _place(aliases: BoardAliases, board: int, one: Placed, state: PlayerState) -> PlaceView:
    name = aliases.of(board, one.player_id) if one.named else None
    return PlaceView(position=one.place, name=name, score=one.score, is_me=one.player_id == state.player_id)
