"""A name that stands twice in one JSON object is found, whatever stands around it, and nothing is taken for one."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.json_text import read_json
from api.json_types import find_unkept
from content.duplicate_json_names import mark_repeated_names
from tests.support.examples import examples

NAMES = st.text(max_size=4) | st.sampled_from(["a", '"', "\\", ":", '":', '\\":', " ", '" :'])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(NAMES, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def written(value: object, colon: str) -> tuple[str, bool]:
    """A value as JSON, objects being tuples of pairs, and whether a name is in one twice."""
    if isinstance(value, tuple):
        parts = [(json.dumps(name), *written(inner, colon)) for name, inner in value]
        twice = len({name for name, _ in value}) < len(value)
        text = ",".join(f"{name}{colon}{inner}" for name, inner, _ in parts)
        return "{" + text + "}", twice or any(found for *_, found in parts)
    if isinstance(value, list):
        inner = [written(one, colon) for one in value]
        return "[" + ",".join(text for text, _ in inner) + "]", any(found for _, found in inner)
    return json.dumps(value), False


@settings(max_examples=examples(300))
@given(value=VALUES, colon=st.sampled_from([":", ": ", " :", "\n:\t"]))
def test_exactly_what_repeats_a_name_is_found(value: object, colon: str) -> None:
    text, twice = written(value, colon)
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # half a character: read_json looks at what another parser made of it
    marked = mark_repeated_names(text.encode(), parsed)
    assert (marked is not None) is twice


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b'{"amount_minor":100,"amount_minor":999999}', "/amount_minor"),
        (b'{"data":{"opted_in" : false, "opted_in" : true}}', "/data/opted_in"),
        (b'{"data":{"a\\\\":1,"a\\\\":2}}', "/data/a\\"),
        (b'{"data":[{"a":"\\ud83d","b":1},{"c":1,"c":1}]}', "/data/1/c"),
    ],
)
def test_it_is_told_where_a_name_stands_twice(text: bytes, where: str) -> None:
    value, suspect = read_json(text)
    assert suspect
    found = find_unkept(value)
    assert found is not None
    assert (found[0], found[1].partition(" in ")[0]) == (where, "Write this name once")


def test_prose_that_looks_like_names_is_no_fault() -> None:
    text = b'{"note":"he said \\":\\" and \\" : and :","smile":":)","other":{"note":": "}}'
    value, suspect = read_json(text)
    assert not suspect
    assert value == json.loads(text)
