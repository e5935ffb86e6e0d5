"""A casino's past as one table of events, read from a file or handed over by the database.

CSV and NDJSON are read as `journeys import` reads them, Parquet by Polars. Whatever it was, the result is the same
table, ordered by time, without personal data, and every row of it is a valid event.
"""

import re
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl
from pydantic import ValidationError

from content.row_files import FileError, Row, RowFile, UnreadableRow
from content.row_mapping import RowMapping, column_name, instant
from stage.errors import StageError
from workflows.channels import CHANNELS
from workflows.errors import JourneysError
from workflows.events import CATALOGUE, DepositApproved, Event, PlayerRegistered, ProfileUpdated, parse_event
from workflows.gate.facts import SIGNS_OF_LIFE
from workflows.player_state.projection import UPDATED_FACTS

COLUMNS: Final[Mapping[str, pl.DataType]] = {
    "player_id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "type": pl.String(),
    "source": pl.String(),
    "id": pl.String(),
    "data": pl.String(),
}
SCHEMA: Final = pl.Schema(COLUMNS)
#: A CSV with these columns is taken for deposits without being told.
DEPOSIT_COLUMNS: Final = ("player_id", "ts_utc", "amount_usd")
SOURCE: Final = "/log"
SECOND: Final = timedelta(seconds=1)
#: A log may name its players as another system does; what is live asks for more.
_PLAYER: Final = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
#: How many faults are told in full; the rest is counted.
TOLD: Final = 3


@dataclass(frozen=True)
class Log:
    """Everything that happened, ordered by time and, at one time, as it stood in its source.

    `unreadable` rows were left out; `faults` says why the first of them were. `registered` registrations were made
    up and are no part of what was read.
    """

    name: str
    events: pl.DataFrame
    unreadable: int = 0
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    registered: int = 0

    @property
    def first(self) -> datetime:
        """When it begins."""
        return self._edge(0)

    @property
    def last(self) -> datetime:
        """When it ends."""
        return self._edge(-1)

    @property
    def types(self) -> dict[str, int]:
        """How many events of each type there are, by short type name."""
        counted = self.events.group_by("type").len().sort("type")
        return {CATALOGUE[kind].type: count for kind, count in counted.iter_rows()}

    @property
    def players(self) -> int:
        """How many players there are."""
        return self.events["player_id"].n_unique()

    def until(self, end: datetime) -> "Log":
        """The log without what happened at `end` or later."""
        return replace(self, events=self.events.filter(pl.col("at") < end))

    def has(self, kind: type[Event]) -> bool:
        """Whether anything of this kind is in it."""
        return bool((self.events["type"] == kind.wire_type).any())

    def registered_first(self) -> "Log":
        """The log with a registration one second before the first event of everybody who has none.

        The player it makes is opted in everywhere, speaks English and lives in UTC: what the log does not know
        must not keep a journey from being seen. It is told in the notices, because it makes the load a ceiling.
        """
        known = self.events.filter(pl.col("type") == PlayerRegistered.wire_type)["player_id"].unique()
        firsts = (
            self.events.filter(~pl.col("player_id").is_in(known.implode()))
            .group_by("player_id", maintain_order=True)
            .agg(
                pl.col("at").min() - SECOND, pl.col("data").str.extract(r'"currency":"([A-Z]{3})"').drop_nulls().first()
            )
        )
        if firsts.is_empty():
            return self
        made = [
            (player_id, at, *_registration(player_id, at, currency)) for player_id, at, currency in firsts.iter_rows()
        ]
        registrations = pl.DataFrame(made, schema=SCHEMA, orient="row")
        notice = (
            f"{len(made):,} players have no registration in the log. Each was registered one second before the first "
            "event: opted in on every channel, in English, on UTC time. Turn it off with --no-register-first."
        )
        return replace(
            self,
            events=pl.concat([registrations, self.events]).sort("at", maintain_order=True),
            notices=(*self.notices, notice),
            registered=len(made),
        )

    def shards(self, of: int) -> "list[Log]":
        """The log cut into shards of whole players; the same player is in the same shard on every machine."""
        players = self.events["player_id"].unique(maintain_order=True)
        numbers = pl.Series("shard", [zlib.crc32(player.encode()) % of for player in players], dtype=pl.UInt32)
        placed = self.events.join(pl.DataFrame([players, numbers]), on="player_id", how="left", maintain_order="left")
        parts = placed.partition_by("shard", as_dict=True, include_key=False, maintain_order=True)
        return [replace(self, events=parts[key]) for key in sorted(parts)]

    def save(self, path: Path) -> None:
        """Keep the table where other processes can read it."""
        self.events.write_ipc(path, compression="zstd")

    @classmethod
    def saved(cls, path: Path) -> "Log":
        """What `save` wrote."""
        return cls(path.name, pl.read_ipc(path))

    def _edge(self, index: int) -> datetime:
        moment: datetime = self.events["at"][index]
        return moment.astimezone(UTC)


def play_back(events: pl.DataFrame) -> Iterator[tuple[str, Event]]:
    """Every row as `(player id, event)`, in order."""
    for player_id, at, kind, source, event_id, data in events.iter_rows():
        yield (
            player_id,
            parse_event(kind, orjson.loads(data), event_id=event_id, event_source=source, occurred_at=at, stored=True),
        )


def read_log(path: Path, mapping: RowMapping | None = None, encoding: str | None = None) -> Log:
    """Read CSV, NDJSON or Parquet; which it is, the file itself says.

    Raises StageError with a sentence when it is none of them, is damaged, or nothing says what its columns mean.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return _parquet(path, mapping)
        return _rows(RowFile(path, encoding), mapping)
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}.") from None
    except FileError as error:
        raise StageError(str(error)) from None


def log_of_events(name: str, events: Iterable[tuple[str, Mapping[str, Any] | str]]) -> Log:
    """A log of `(where it stands, CloudEvent)` pairs; a text instead of an event says why there is none.

    Of two events with one source and id the first counts, as it does for intake.
    """
    builder = _LogBuilder()
    for where, event in events:
        builder.add(where, event)
    return builder.log(name)


async def log_of_stream(name: str, events: AsyncIterator[Mapping[str, Any]]) -> Log:
    """A log of CloudEvents that were kept, as they come, in their order."""
    builder = _LogBuilder(stored=True)
    number = 0
    async for event in events:
        number += 1
        builder.add(f"Event {number}", event)
    return builder.log(name)


@dataclass
class _LogBuilder:
    """Reads events one by one and makes a log of them."""

    #: Whether they were taken in before; then they are read as they were.
    stored: bool = False
    rows: list[tuple[str, datetime, str, str, str, str]] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    #: Facts that happen once: the player, the type, and which one.
    facts: set[tuple[str, str, str | None]] = field(default_factory=set)
    unreadable: int = 0
    repeated: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, where: str, cloud_event: Mapping[str, Any] | str) -> None:
        if isinstance(cloud_event, str):
            return self.refuse(where, cloud_event)
        try:
            player_id, event = _parsed(cloud_event, stored=self.stored)
        except JourneysError as refusal:
            return self.refuse(where, str(refusal))
        identity = (event.event_source, event.event_id)
        fact = (player_id, event.type, event.unique_value)
        if identity in self.seen or fact in self.facts:
            self.repeated += 1
            return None
        self.seen.add(identity)
        if event.unique_value is not None:
            self.facts.add(fact)
        data = orjson.dumps(_without_personal_data(event).to_wire()["data"]).decode()
        self.rows.append((player_id, event.occurred_at, event.wire_type, *identity, data))
        return None

    def refuse(self, where: str, why: str) -> None:
        self.unreadable += 1
        if len(self.faults) < TOLD:
            self.faults.append(f"{where}: {why}")

    def log(self, name: str) -> Log:
        events = pl.DataFrame(self.rows, schema=SCHEMA, orient="row").sort("at", maintain_order=True)
        notices = (f"{self.repeated:,} events were there twice and count once.",) if self.repeated else ()
        return _checked(Log(name, events, self.unreadable, tuple(self.faults), notices))


def _without_personal_data(event: Event) -> Event:
    """A profile update keeps what journeys may know: a zone that is blank would be one that was erased."""
    if not isinstance(event, ProfileUpdated):
        return event.redacted()
    changed = {name: value if name in UPDATED_FACTS else None for name, value in event.changed.items()}
    return event.model_copy(update={"changed": changed})


def _parsed(cloud_event: Mapping[str, Any], *, stored: bool) -> tuple[str, Event]:
    """The player and the typed event of a CloudEvent. Raises a JourneysError with a sentence."""
    missing = [name for name in ("type", "id", "source", "subject", "time") if not cloud_event.get(name)]
    if missing:
        raise StageError(f"The event has no {missing[0]}.")
    if not _PLAYER.fullmatch(str(cloud_event["subject"])):
        raise StageError("The event's subject is no player's id; give one of 1 to 64 characters in one line.")
    try:
        event = parse_event(
            str(cloud_event["type"]),
            cloud_event.get("data") or {},
            event_id=str(cloud_event["id"]),
            event_source=str(cloud_event["source"]),
            occurred_at=cloud_event["time"],
            stored=stored,
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise StageError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}.") from None
    if event.derived:
        raise StageError(f"{event.type} is computed from other events; give those instead.")
    return str(cloud_event["subject"]), event


def _checked(log: Log) -> Log:
    if log.events.is_empty():
        reasons = " ".join(log.faults)
        raise StageError(f"{log.name} holds no event that can be played. {reasons}".rstrip())
    return log


# ---- files -------------------------------------------------------------------------------------


def _parquet(path: Path, mapping: RowMapping | None) -> Log:
    try:
        table = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise StageError(f"{path} is not whole: {reason}. Get all of it again.") from None
    if mapping is not None:
        mapping.check(table.columns)
        rows = (Row(number, values) for number, values in enumerate(table.iter_rows(named=True), 1))
        return log_of_events(path.name, _events(rows, mapping, "Row"))
    if set(DEPOSIT_COLUMNS) <= set(table.columns):
        return _deposits(path.name, table.select(DEPOSIT_COLUMNS).with_row_index("place", offset=1), "Row")
    raise _unknown_columns(path, table.columns)


def _rows(file: RowFile, mapping: RowMapping | None) -> Log:
    if file.header is None:
        if mapping is not None:
            mapping.check(None)
        log = log_of_events(file.path.name, _events(file.rows(), mapping, "Line"))
    elif mapping is not None:
        log = log_of_events(file.path.name, _events(file.rows(), mapping.fitted(file.header), "Line"))
    else:
        log = _deposit_rows(file, {column_name(raw): raw for raw in file.header})
    return replace(log, notices=(*file.notices, *log.notices))


def _unknown_columns(path: Path, columns: Iterable[str]) -> StageError:
    return StageError(
        f"Nothing says what the columns of {path} mean ({', '.join(columns) or 'it is empty'}); add --type and --map, "
        "such as --type payment.deposit_approved --map subject=PLAYER_COLUMN --map time=TIME_COLUMN."
    )


def _events(
    rows: Iterable[Row | UnreadableRow], mapping: RowMapping | None, place: str
) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    for number, row in enumerate(rows, 1):
        where = f"{place} {row.line}"
        if isinstance(row, UnreadableRow):
            yield where, row.reason
        elif mapping is not None:
            try:
                yield where, mapping.event(row.values, f"row-{number}")
            except JourneysError as refusal:
                yield where, str(refusal)
        elif "specversion" in row.values:
            yield where, row.values
        else:
            yield where, "The object is not a CloudEvent; give it specversion 1.0, or map its fields with --map."


# ---- a plain log of deposits -------------------------------------------------------------------


def _deposit_rows(file: RowFile, written: Mapping[str, str]) -> Log:
    if not set(DEPOSIT_COLUMNS) <= set(written):
        raise _unknown_columns(file.path, written)
    # By columns: of a year of a big casino a table is made in a moment, of as many objects it is not.
    places: list[int] = []
    cells: list[list[str | None]] = [[] for _ in DEPOSIT_COLUMNS]
    columns = [(column, written[name]) for column, name in zip(cells, DEPOSIT_COLUMNS, strict=True)]
    broken: list[str] = []
    for row in file.rows():
        places.append(row.line)
        if isinstance(row, UnreadableRow):
            broken.append(f"Line {row.line}: {row.reason}")
        for column, raw in columns:
            column.append(None if isinstance(row, UnreadableRow) else row.values[raw] or None)
    table = pl.DataFrame(
        {"place": places, **dict(zip(DEPOSIT_COLUMNS, cells, strict=True))},
        schema={"place": pl.UInt32(), **dict.fromkeys(DEPOSIT_COLUMNS, pl.String())},
    )
    return _deposits(file.path.name, table, "Line", tuple(broken))


def _deposits(name: str, table: pl.DataFrame, place: str, broken: tuple[str, ...] = ()) -> Log:
    """Approved deposits in US dollars, by columns; `place` is the number of each row's line, or of the row."""
    amount = pl.col("amount_usd")
    # 1.000 is a thousand in some countries and one in others.
    plain = (
        amount.str.contains(r"^[0-9]{1,15}(\.[0-9]{1,20})?$") & ~amount.str.contains(r"\.[0-9]{3}$")
        if table.schema["amount_usd"] == pl.String()
        else pl.lit(value=True)
    )
    numbered = table.with_row_index("row", offset=1).with_columns(
        pl.col("player_id").cast(pl.String),
        pl.col("ts_utc").cast(pl.String).map_elements(_moment, return_dtype=pl.Datetime("us", "UTC")).alias("at"),
        amount.cast(pl.Float64, strict=False).mul(100).alias("cents"),
        plain.alias("plain"),
    )
    whole = pl.col("cents").round(0)
    right = (
        pl.col("player_id").str.contains(rf"^{_PLAYER.pattern}$")
        & pl.col("at").is_not_null()
        & pl.col("plain")
        & ((pl.col("cents") - whole).abs() < 1e-4)
        & (whole >= 0)
        & (whole < 2**53)
    ).fill_null(value=False)
    wrong = numbered.filter(~right)
    faults = (*broken, *_no_deposits(wrong, place))[:TOLD]
    row_id = pl.format("row-{}", pl.col("row"))
    cents = whole.cast(pl.Int64)
    events = (
        numbered.filter(right)
        .select(
            "player_id",
            "at",
            pl.lit(DepositApproved.wire_type).alias("type"),
            pl.lit(SOURCE).alias("source"),
            row_id.alias("id"),
            pl.format('{{"payment_id":"{}","amount_minor":{},"currency":"USD"}}', row_id, cents).alias("data"),
        )
        .cast(SCHEMA)
        .sort("at", maintain_order=True)
    )
    return _checked(Log(name, events, wrong.height, faults))


def _no_deposits(wrong: pl.DataFrame, place: str) -> Iterator[str]:
    """What is said of the first rows that are no deposits; of rows that are not even rows, it was said before."""
    for where, player_id, at, paid in wrong.select("place", *DEPOSIT_COLUMNS).head(2 * TOLD).iter_rows():
        if (player_id, at, paid) != (None, None, None):
            yield (
                f"{place} {where}: {player_id!r}, {at!r}, {paid!r} is no deposit; it needs a player, a time such as "
                "2026-01-31T12:00:00Z and whole cents."
            )


def _moment(text: str) -> datetime | None:
    try:
        moment = instant(text)
    except ValueError:
        return None
    # An event lies in years that a calendar of ours knows; the row of one that does not is no event.
    return moment if 1970 <= moment.year <= 9000 else None


def _registration(player_id: str, at: datetime, currency: str | None) -> tuple[str, str, str, str]:
    made = PlayerRegistered(
        event_id=f"{player_id}-registered",
        event_source=SOURCE,
        occurred_at=at,
        timezone="UTC",
        currency=currency,
        opted_in=tuple(CHANNELS),
    )
    data = orjson.dumps(made.to_wire()["data"]).decode()
    return made.wire_type, made.event_source, made.event_id, data


# ---- who comes back by themselves --------------------------------------------------------------

IDLE_DAYS: Final = (7, 14, 30, 60, 90)
RETURN_DAYS: Final = 30


def natural_return(log: Log) -> dict[int, tuple[int, int]]:
    """By whole idle days: how many silences grew so long, and how many ended within the next 30 days.

    A day is a calendar day in UTC on which the player showed a sign of life. A silence whose 30 days are not
    wholly inside the log is left out, because nobody knows how it ended.
    """
    signs = [kind.wire_type for kind in CATALOGUE.values() if kind.type in SIGNS_OF_LIFE]
    days = (
        log.events.filter(pl.col("type").is_in(signs))
        .select("player_id", pl.col("at").dt.date().alias("day"))
        .unique()
        .sort("player_id", "day")
        .with_columns((pl.col("day").shift(-1).over("player_id") - pl.col("day")).dt.total_days().alias("gap"))
        .with_columns((pl.lit(log.last.date()) - pl.col("day")).dt.total_days().alias("seen"))
    )
    found: dict[int, tuple[int, int]] = {}
    for idle in IDLE_DAYS:
        silences = days.filter(
            (pl.col("gap").is_null() | (pl.col("gap") > idle)) & (pl.col("seen") >= idle + RETURN_DAYS)
        )
        found[idle] = silences.height, silences.filter(pl.col("gap") <= idle + RETURN_DAYS).height
    return found
