"""What people write: files of rows and their mappings, message templates, answers to forms."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import orjson
from babel import Locale
from jinja2 import DictLoader, TemplateSyntaxError
from pydantic import Field, TypeAdapter, ValidationError

from activities.importing.event_sender import EventItem
from activities.importing.file_import import SourceFile
from api.form_validation import faults_of
from api.json_types import Document
from content.row_files import FileError, RowFile
from content.row_mapping import MappingError, RowIds, RowMapping, RowRefused, mapping_of
from content.template_files import TemplateFiles, sandbox
from content.template_syntax import Declared, read_source
from content.variable_values import (
    Manner,
    VariableType,
    read,
    write_date,
    write_datetime,
    write_money,
    write_number,
    write_percent,
    write_plural,
)
from stage.backtest.event_log import play_back, read_log
from stage.errors import StageError
from tests.fuzz.doors import EVENTS, judged
from tests.fuzz.parser import FuzzedParser, as_text, split, told
from workflows.errors import JourneysError
from workflows.events import Pii
from workflows.forms import Form, travelling

FOLDER: Final = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
MAPPINGS: Final = [
    None,
    mapping_of(
        ["subject=player", "time=paid_at", "data.amount_minor=amount:minor", "data.payment_id=@id"],
        ["data.currency=EUR"],
        kind="payment.deposit_approved",
    ),
    mapping_of(["subject=p", "time=t:unix", "data.opted_in=o:list", "data.country=c:upper"], kind="player.registered"),
    mapping_of(["subject=p", "time=t", "type=k:lower", "data.changed=d:json", "data.duration=n:integer"]),
]
ENCODINGS: Final = (None, None, None, "utf-16", "windows-1251", "utf-8", "utf-32", "idna")


def sentence(fault: JourneysError) -> None:
    """What a person is told says something."""
    assert str(fault).endswith((".", "?"))


def written(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


def chosen(data: bytes) -> tuple[RowMapping | None, str | None, bytes]:
    first = data[0] if data else 0
    return MAPPINGS[first % len(MAPPINGS)], ENCODINGS[first // len(MAPPINGS) % len(ENCODINGS)], data[1:]


def rows(data: bytes) -> None:
    """A file as `journeys import` reads it: all of its rows, or a sentence."""
    mapping, encoding, content = chosen(data)
    path = written("rows", content)
    with suppress(FileError):
        plain = RowFile(path, encoding)
        lines = [row.line for row in plain.rows()]
        assert lines == sorted(set(lines))
    try:
        source = SourceFile(path, mapping, encoding)
        items = list(source.items())
    except (FileError, MappingError) as fault:
        sentence(fault)
        return
    assert len(items) == source.rows
    for item in items:
        if isinstance(item, EventItem):
            judged(orjson.loads(item.body), suspect=b"\\u0000" in item.body)
        else:
            assert item.reason.endswith((".", "?"))
        orjson.dumps(item.row, default=str)


def log(data: bytes) -> None:
    """The same file as `journeys rehearse` reads it: every row of the table is an event."""
    mapping, encoding, content = chosen(data)
    try:
        table = read_log(written("log", content), mapping, encoding)
    except (StageError, MappingError) as fault:
        sentence(fault)
        return
    for _, event in play_back(table.events):
        told(event.to_wire())


def mapping_file(data: bytes) -> None:
    """A mapping as a file and as options, a zone, and a row to map."""
    toml, options, zone, row = split(data, 4)
    try:
        mapping = mapping_of(
            as_text(options).split("\n") if options else (),
            file=written("mapping.toml", toml),
            zone=as_text(zone) or None,
        )
        if mapping is None:
            return
        mapping.check(None)
        cells = as_text(row).split(",")
        values = {column.name: cells[at % len(cells)] for at, column in enumerate(mapping.columns.values())}
        told(mapping.event(values, RowIds().of(values, "")))
    except (MappingError, RowRefused) as fault:
        sentence(fault)


MAPPING_SEED: Final = b"""type = "payment.deposit_approved"
source = "/old"
[map]
subject = "player"
time = "at:unix"
data.payment_id = "@id"
data.amount_minor = "sum:minor"
[set]
data.currency = "KWD"
"""

KINDS: Final = get_args(VariableType)
EXAMPLES: Final[dict[str, object]] = {
    "text": "Aces",
    "name": "Anna",
    "money": [500, "EUR"],
    "date": "2026-07-05",
    "datetime": "2026-07-05T18:00:00Z",
    "number": 21,
    "percent": 5.5,
    "url": "https://example.com/a",
}
DECLARED: Final = {kind: Declared(kind, may_be_absent=kind == "name") for kind in KINDS}
SHARED_PIECE: Final = "_shared/greeting.en.j2"
SOURCES: Final = {SHARED_PIECE: "{% if name %}Hello {{ name }}{% endif %}"}
LANGUAGES: Final = [Locale.parse(tag, sep="-") for tag in ("en", "ru", "uk", "en-GB", "ar")]
KYIV: Final = ZoneInfo("Europe/Kyiv")


def template(data: bytes) -> None:
    """A text that passes the check renders, with all its variables and with the fewest."""
    locale = LANGUAGES[(data[0] if data else 0) % len(LANGUAGES)]
    sources = SOURCES | {"t/push.en.j2": as_text(data[1:])}
    environment = sandbox(DictLoader(sources))
    reading = read_source(environment, "t/push.en.j2", sources, DECLARED, locale)
    if reading.problems:
        assert all(problem.startswith(("t/", "_shared/")) for problem in reading.problems)
        return
    try:
        text = environment.get_template("t/push.en.j2")
    except TemplateSyntaxError:
        return
    values = {kind: read(kind, EXAMPLES[kind]) for kind in KINDS}
    for given in (values, values | {"name": None}):
        context = {**given, "_manner": Manner(locale, KYIV)}
        for block in text.blocks.values():
            assert isinstance("".join(block(text.new_context(dict(context)))), str)


def declaration(data: bytes) -> None:
    """A template's folder with any declaration: what is wrong with it is told, with its file."""
    toml, text = split(data, 2)
    folder = FOLDER / "templates" / "fuzzed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.toml").write_bytes(toml)
    (folder / "push.en.j2").write_bytes(text)
    files = TemplateFiles([FOLDER / "templates"], ("en",))
    files.read_all()
    assert files.problems or files.templates
    assert all(problem.endswith(".") for problem in files.problems)


def variable(data: bytes) -> None:
    """A value of each type of variable, written in each language."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = as_text(data)
    for kind in KINDS:
        found, phrase = None, "text"
        try:
            found = read(kind, value, "EUR")
        except ValueError as wanted:
            phrase = str(wanted)
        assert phrase.startswith(WANTED), phrase
        if found is None:
            continue
        for locale in LANGUAGES:
            assert isinstance(WRITERS[kind](Manner(locale, KYIV), found), str)


#: How the phrase goes on that begins with "the variable ... must be".
WANTED: Final = ("text", "a ", "an ", "at most", "money")
FORMS_OF_PLURAL: Final = dict.fromkeys(("zero", "one", "two", "few", "many", "other"), "spins")
WRITERS: Final[dict[str, Any]] = {
    **dict.fromkeys(("text", "name", "url"), lambda _, value: value),
    "money": write_money,
    "date": write_date,
    "datetime": write_datetime,
    "number": lambda manner, value: write_number(manner, value) + write_plural(manner, value, FORMS_OF_PLURAL),
    "percent": write_percent,
}


class Everything(Form):
    """A form with a field of every kind there is."""

    outcome: Literal["approve", "reject"]
    since: date | None = None
    note: Annotated[str, Pii(), Field(max_length=2_000)] = ""
    code: Annotated[str, Field(pattern=r"^([a-z]+[0-9]*)+$")] = "a1"
    amount: Annotated[int, Field(ge=0, le=10**9)] = 0
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    sure: bool = True
    tags: Annotated[set[Literal["a", "b", "c"]], Field(max_length=3, default_factory=set)]
    extra: Annotated[dict[str, list[int]], Field(default_factory=dict)]


ANSWER: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(Document)
SCHEMA: Final = Everything.model_json_schema()


def answer(data: bytes) -> None:
    """An answer to a form: it fits, and then it travels; or each fault is told, none of them at length."""
    try:
        given = ANSWER.validate_json(data)
    except ValidationError:
        return
    faults = faults_of(given, SCHEMA, Everything)
    told(faults)
    assert all(len(fault["detail"]) + len(fault["pointer"]) < 500 for fault in faults)
    if not faults:
        told(travelling(given, Everything, "ask:Everything#1"))


def pattern(data: bytes) -> None:
    """Any pattern of a form on any answer."""
    regex, text = split(data, 2)
    schema = {"type": "object", "properties": {"x": {"type": "string", "pattern": as_text(regex)}}}
    told(faults_of({"x": as_text(text)}, schema, None))


def row_seeds() -> Iterator[bytes]:
    table = b'player,paid_at,amount\np-1,2026-01-15T12:00:00Z,10.50\np-2,2026-01-15,"1,5"\n'
    yield b"\x01" + table
    yield b"\x01" + table.replace(b"\n", b"\r").replace(b",", b";")
    yield b"\x0d" + table.decode().encode("utf-16")
    yield b"\x01sep=;\n" + table + b'p-3,2026-01-15,"open\n'
    yield b"\x01player,paid_at,amount\np,0001-01-01T00:00:00+14:00,1\np,9999-12-31T23:59:59-14:00,1\n"
    yield b"\x00" + b"\n".join(orjson.dumps(event) for event in EVENTS[:4])
    yield b'\x02{"p":"p-1","t":1767225600,"o":"email, sms","c":"gb"}\n{"p":1,"t":"46082","o":[],"c":null}\n[1]\n'
    yield b'\x03{"p":"p-1","t":"2026-01-15","k":"player.profile_updated","d":"{\\"email\\":null}"}\n'
    yield b"\x00player_id,ts_utc,amount_usd\np,2026-01-15 12:00:00,9.99\np,0007-12-01,1\np,9999-01-01,1\n"


def row_file(name: str, run: Any) -> FuzzedParser:
    return FuzzedParser(name, run, list(row_seeds()))


TEMPLATE_SEED: Final = (
    b'\x00{% block title %}{{ text }}{% endblock %}{% block body %}{% include "_shared/greeting.en.j2" %}'
    b"{% if name and number == 1 %}{{ name }}{% elif not url %}{{ money | money }}{% else %}{{ 'a' ~ text }}{% endif %}"
    b'{{ number | plural(one="spin", other="spins") }} {{ date | date }} {{ percent | percent }}{% endblock %}'
)
DECLARATION_SEED: Final = (
    b'class = "service"\nchannels = ["push"]\n[variables]\nspins = { type = "number", fallback = 5 }\n'
    b"[example]\nspins = 5\n\x00{% block title %}T{% endblock %}{% block body %}{{ spins | number }}{% endblock %}"
)
PARSERS: Final = [
    row_file("row-files", rows),
    row_file("rehearsal-logs", log),
    FuzzedParser(
        "mappings",
        mapping_file,
        [
            MAPPING_SEED + b"\x00\x00Europe/Kyiv\x00p-1,1767225600,1.500",
            b"\x00subject=p\ntime=t\ntype=k\x00\x00p-1,0001-01-01T00:00:00+14:00,session.login",
            b"[map]\n" + b".".join([b"a"] * 1_500) + b' = "x"\x00',
            b"x = " + b"[" * 3_000 + b"\x00",
            b"\x00subject=p\ntime=t\x00" + b"a/" * 400 + b"\x00p-1,1767225600",
        ],
    ),
    FuzzedParser(
        "templates",
        template,
        [
            TEMPLATE_SEED,
            b"\x01{% block a %}{{ " + b"(" * 2_000 + b")" * 2_000 + b" }}{% endblock %}",
            b"\x01{% block a %}" + b"{% if text %}" * 400 + b"{% endif %}" * 400 + b"{% endblock %}",
            b"\x02{% block a %}{{ " + b" ~ ".join([b"text"] * 500) + b" }}{% endblock %}",
            b"\x02{% block a %}{% if " + b"not " * 1_500 + b"text %}{% endif %}{% endblock %}",
            b'\x00{% block a %}{{ number | plural(one="a", other="b", other="c") }}{% endblock %}',
            b"\x00{% block a %}{% if number == " + b"9" * 4_400 + b" %}a{% endif %}{% endblock %}",
            b"\x00{% block a %}{% if number > 1e999 %}a{% endif %}{% endblock %}",
        ],
        longest=5_120,  # compiled once, when a process starts
    ),
    FuzzedParser("template-declarations", declaration, [DECLARATION_SEED, b"x = " + b"[" * 3_000 + b"\x00"]),
    FuzzedParser(
        "variables",
        variable,
        [
            *(orjson.dumps(value) for value in EXAMPLES.values()),
            b'"http://["',
            b'"0001-01-01T00:00:00+14:00"',
            b'"9999-12-31T23:59:59-14:00"',
            b'"0001-01-01"',
            b"1e300",
            b'["5e10","EUR"]',
            b'[9223372036854775807,"XTS"]',
        ],
    ),
    FuzzedParser(
        "answers",
        answer,
        [
            b'{"outcome":"approve","since":"2026-01-15","note":"Seen.","tags":["a","b"],"extra":{"a":[1]}}',
            b'{"outcome":"x","code":"' + b"a" * 5_000 + b'!","share":2,"tags":["a","a"]}',
            b'{"outcome":"approve","amount":1e400,"since":"0000-00-00"}',
        ],
    ),
    FuzzedParser(
        "patterns",
        pattern,
        [
            b"^(a+)+$\x00" + b"a" * 3_000 + b"!",
            b"(?<=a)b\x00ab",
            b"((a{1,100}){1,100}){1,100}\x00a",
            b"\\p{L}+\x00\xc3\xa9",
        ],
    ),
]
