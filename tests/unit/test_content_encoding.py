"""Bodies as they travel: unpacked a piece at a time, whatever the pieces are, and never more than they may be."""

import asyncio
import gzip
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from api.content_encoding import ContentEncoding
from api.json_text import is_json, media_type_of, read_json
from api.json_types import find_unkept
from api.problems import Problem


def read(pieces: Sequence[bytes], encoding: str | None = "gzip") -> tuple[bytes, int, list[tuple[bytes, bytes]]]:
    """What an application gets of a body that comes in pieces: all of it, its longest piece, and the headers."""
    longest = 0
    body = b""
    headers: list[tuple[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        nonlocal longest, body, headers
        headers = scope["headers"]
        more = True
        while more:
            message = await receive()
            longest = max(longest, len(message["body"]))
            body += message["body"]
            more = message["more_body"]
        assert (await receive())["type"] == "http.disconnect"

    waiting: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise AssertionError("nothing is answered here")

    told = [] if encoding is None else [(b"content-encoding", encoding.encode())]
    scope = {"type": "http", "headers": [(b"content-type", b"text/x"), (b"content-length", b"7"), *told]}
    asyncio.run(ContentEncoding(app)(scope, receive, send))
    return body, longest, headers


@given(st.binary(max_size=200_000), st.integers(1, 5_000), st.integers(0, 9))
def test_a_gzipped_body_is_what_it_was_however_it_is_cut(body: bytes, size: int, level: int) -> None:
    packed = gzip.compress(body, level, mtime=0)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    unpacked, longest, headers = read([*pieces, b""])
    assert unpacked == body
    assert longest <= 64 * 1024
    assert headers == [(b"content-type", b"text/x")]


@pytest.mark.parametrize("encoding", [None, "identity", "", "Identity"])
def test_a_plain_body_passes_as_it_comes(encoding: str | None) -> None:
    assert read([b"ab", b"c"], encoding)[0] == b"abc"


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "GZIP, br", "x" * 500])
def test_another_encoding_is_refused_by_its_name(encoding: str) -> None:
    with pytest.raises(Problem) as told:
        read([b"abc"], encoding)
    assert told.value.status_code == 415
    assert f"Content-Encoding {encoding[:64].lower()} is not read here" in str(told.value.detail)


WHOLE = gzip.compress(b"x" * 100, mtime=0)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"plain"], 400),
        ([b""], 400),
        ([WHOLE[:-1]], 400),
        ([WHOLE[:5], b""], 400),
        ([WHOLE + b"x"], 400),
        ([WHOLE, b"x"], 400),
        ([WHOLE, WHOLE], 400),
        ([zlib.compress(b"x" * 100)], 400),
        ([gzip.compress(bytes(50_000_000), mtime=0)], 413),
    ],
    ids=range(9),
)
def test_what_cannot_be_unpacked_is_never_read_as_something_shorter(pieces: list[bytes], status: int) -> None:
    with pytest.raises(Problem) as told:
        read(pieces)
    assert told.value.status_code == status


def test_a_megabyte_of_zeros_is_a_body_like_others() -> None:
    assert read([gzip.compress(bytes(1024 * 1024), mtime=0)])[0] == bytes(1024 * 1024)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "APPLICATION/JSON",
        " Application/Json ; a=b",
        "application/vnd.cashier+json",
        "application/cloudevents+json",
        "application/A+JSON",
    ],
)
def test_what_says_json_is_json(content_type: str) -> None:
    assert is_json(media_type_of(content_type))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "json",
        "text/json",
        "application/xml",
        "application/jsonx",
        "application/json+xml",
        "application/x-ndjson",
        "application/+json",
        "application/ json",
        "application/json\n+json",
        "text/plain; application/json",
    ],
)
def test_what_does_not_say_json_is_none(content_type: str) -> None:
    assert not is_json(media_type_of(content_type))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == ({"a": 1}, False)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (rb'{"a": {"b/c": ["\ud83d"]}}', "/a/b~1c/0"),
        (rb'{"a": "x\uDE00y"}', "/a"),
        (rb'{"a": {"\ud83d": 1}}', "/a"),
        (rb'{"a": "\u0000"}', "/a"),
        (rb'["\ud83d\ude00", "\ude00\ud83d"]', "/1"),
    ],
)
def test_half_a_character_is_read_and_found(text: bytes, pointer: str) -> None:
    value, suspect = read_json(text)
    assert suspect
    found = find_unkept(value)
    assert found is not None
    assert found[0] == pointer
    assert found[1].isascii()
    assert found[1].endswith("cannot be kept.")


@pytest.mark.parametrize(
    "text", [rb'["\ud83d", NaN]', rb'["\ud83d"', b'["\xed\xa0\xbd", "\\ud83d"]', b'"\\ud83d' + b"[" * 99]
)
def test_half_a_character_makes_nothing_else_readable(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever either reader says
        read_json(text)


def test_nesting_beside_half_a_character_is_refused_and_no_crash() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever either reader says
        read_json(rb'["\ud83d",' + b"[" * 100_000 + b"]" * 100_000 + b"]")


@given(st.text(max_size=20), st.sampled_from(["\ud83d", "\ude00"]))
def test_whole_characters_are_never_taken_for_halves(text: str, half: str) -> None:
    assert find_unkept({"a": [text.replace("\x00", "")]}) is None
    assert find_unkept({"a": [text.replace("\x00", "") + half]}) is not None
