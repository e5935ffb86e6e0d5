"""Whatever is done to the entries of a chain behind its back is found, and nothing else is."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.audit.chain import NOTHING, ChainFault, ChainHead, Lane, Link, findings, hash_of
from tests.support.examples import examples

Heads = dict[Lane, ChainHead]


def chain(lane: Lane, texts: list[str]) -> list[Link]:
    """Entries as they are written."""
    links, last = list[Link](), NOTHING
    for n, text in enumerate(texts, start=1):
        told = f"[{n}] {text}"
        links.append(Link(*lane, n, last, hash_of(last, told), told))
        last = links[-1].hash
    return links


def written(sizes: list[int]) -> tuple[list[Link], Heads]:
    """The chains of some lanes, with their heads."""
    lanes = [("acme", number) for number in range(len(sizes))]
    chains = [chain(lane, [f"{lane} {n}" for n in range(size)]) for lane, size in zip(lanes, sizes, strict=True)]
    ends = [ChainHead(len(one), one[-1].hash if one else NOTHING) for one in chains]
    return [link for one in chains for link in one], dict(zip(lanes, ends, strict=True))


SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=4)


@given(SIZES)
@settings(max_examples=examples(50))
def test_what_nobody_touched_is_sound(sizes: list[int]) -> None:
    links, heads = written(sizes)
    assert list(findings(links, heads, heads)) == []


def edit(links: list[Link], _heads: Heads, dice: random.Random) -> None:
    at = dice.randrange(len(links))
    links[at] = links[at]._replace(text=links[at].text + ".")


def edit_with_its_hash(links: list[Link], _heads: Heads, dice: random.Random) -> None:
    at = dice.randrange(len(links))
    told = links[at].text + "."
    links[at] = links[at]._replace(text=told, hash=hash_of(links[at].prev, told))


def delete(links: list[Link], _heads: Heads, dice: random.Random) -> None:
    del links[dice.randrange(len(links))]


def swap(links: list[Link], _heads: Heads, dice: random.Random) -> None:
    """Two entries change places: what each says is said at the other's place."""
    one, other = dice.sample(range(len(links)), 2)
    first, second = links[one], links[other]
    links[one] = first._replace(text=second.text)
    links[other] = second._replace(text=first.text)


def cut_off(links: list[Link], _heads: Heads, dice: random.Random) -> None:
    """The newest entries of a lane are gone."""
    lane = dice.choice(links)[:2]
    mine = [link for link in links if link[:2] == lane]
    kept = mine[: dice.randrange(len(mine))]
    links[:] = [link for link in links if link[:2] != lane or link in kept]


def cut_off_in_front(links: list[Link], _heads: Heads, _dice: random.Random) -> None:
    del links[0]


def set_the_head_back(links: list[Link], heads: Heads, dice: random.Random) -> None:
    lane = dice.choice(links)[:2]
    heads[lane] = ChainHead(heads[lane].n - 1, NOTHING)


def invent(links: list[Link], _heads: Heads, dice: random.Random) -> None:
    at = dice.randrange(len(links))
    links.insert(at, links[at]._replace(text="invented"))


def lose_the_head(links: list[Link], heads: Heads, dice: random.Random) -> None:
    del heads[dice.choice(links)[:2]]


MUTATIONS = [
    *(edit, edit_with_its_hash, delete, swap, cut_off, cut_off_in_front),
    *(set_the_head_back, invent, lose_the_head),
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@given(sizes=SIZES, seed=st.integers(0, 2**32))
@settings(max_examples=examples(50))
def test_every_mutation_is_found(
    mutate: Callable[[list[Link], Heads, random.Random], None], sizes: list[int], seed: int
) -> None:
    links, heads = written([*sizes, 2])
    mutate(links, heads, random.Random(seed))
    assert list(findings(links, heads)) != []


def rewritten_from(links: list[Link], at: int) -> tuple[list[Link], Heads]:
    """What who may write all of it can do: another history from some entry on, sound in itself, with its head."""
    (lane,) = {link[:2] for link in links}
    texts = [link.text.partition("] ")[2] + ("." if number >= at else "") for number, link in enumerate(links)]
    again = chain(lane, texts)
    return again, {lane: ChainHead(len(again), again[-1].hash)}


@given(size=st.integers(1, 12), data=st.data())
@settings(max_examples=examples(50))
def test_a_chain_made_anew_is_found_by_an_anchor_alone(size: int, data: st.DataObject) -> None:
    links, heads = written([size])
    again, new_heads = rewritten_from(links, data.draw(st.integers(0, size - 1)))
    assert list(findings(again, new_heads)) == []
    assert [one.fault for one in findings(again, new_heads, heads)] == ["not as anchored"]


@given(size=st.integers(1, 12), more=st.integers(1, 12))
@settings(max_examples=examples(50))
def test_an_older_anchor_holds_for_a_chain_that_has_grown(size: int, more: int) -> None:
    _, anchor = written([size])
    links, heads = written([size + more])
    assert list(findings(links, heads, anchor)) == []
    cut, cut_heads = written([size - 1])
    assert [one.fault for one in findings(cut, cut_heads, anchor)] == ["not as anchored"]


def test_a_finding_says_what_and_where() -> None:
    assert ChainFault("edited", "acme", 3, 7).sentence == "Entry 7 of acme, lane 3, was edited."
