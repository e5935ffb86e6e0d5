"""Every parser on inputs that reach far into it and on what becomes of them when bytes are lost, doubled and changed.

`make fuzz` gives each of them many more, and sees which branches an input takes.
"""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.slowness import slowness
from tests.fuzz.parser import LONGEST_S, FuzzedParser, TooSlow
from tests.fuzz.parsers import PARSERS
from tests.support.examples import examples

#: A cut of an input: where it begins and ends, as parts of a thousand, and what stands there instead.
CUTS = st.lists(
    st.tuples(
        st.integers(0, 1_000),
        st.integers(0, 40),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from(
                [
                    b"",
                    b"\x00",
                    b"null",
                    b"[]",
                    b"{}",
                    b'"',
                    b"\\ud83d",
                    b"-1",
                    b"1e309",
                    b"0001-01-01T00:00:00+14:00",
                    b"9999-12-31T23:59:59-14:00",
                    b"\xe9",
                    b"\xef\xbb\xbf",
                    b"," * 500,
                    b"[" * 500,
                ]
            ),
        ),
    ),
    max_size=4,
)


@pytest.mark.parametrize("parser", PARSERS.values(), ids=lambda parser: parser.name)
def test_an_input_that_reaches_far_is_judged_in_no_time(parser: FuzzedParser) -> None:
    assert parser.seeds
    for seed in parser.seeds:
        parser.judge(seed)


@pytest.mark.parametrize("parser", PARSERS.values(), ids=lambda parser: parser.name)
@given(st.data())
@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
def test_whatever_comes_is_read_or_refused(parser: FuzzedParser, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(parser.seeds))
    for begin, length, instead in data.draw(CUTS):
        at, until = (len(text) * part // 1_000 for part in (begin, begin + length))
        text = text[:at] + instead + text[until:]
    parser.judge(text[: parser.longest])


def test_a_parser_that_takes_too_long_is_found() -> None:
    limit = LONGEST_S * slowness()

    def works(_: bytes) -> None:
        began = time.thread_time()
        while time.thread_time() < began + 1.1 * limit:
            pass

    with pytest.raises(TooSlow, match=r"^slow works longer"):
        FuzzedParser("slow", works, []).judge(b"")
