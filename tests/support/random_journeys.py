"""Small journeys nobody wrote, and histories for them, drawn from the designer's vocabulary."""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from textwrap import indent
from typing import Any

from hypothesis import strategies as st

from tests.support.conformance import Act, Answering, Happening, History, Moving, happens, registers
from workflows import (
    BadgeAwarded,
    ContactVerified,
    ContentViewed,
    ExclusionSet,
    SupportCaseClosed,
    SupportCaseOpened,
    days,
    hours,
    minutes,
)

HEADER = '''"""A journey nobody wrote."""

from typing import Literal

from workflows import (
    Again, BadgeAwarded, ContactVerified, ContentViewed, Form, Player, Sent, SupportCaseClosed, SupportCaseOpened,
    again, always, days, free_spins, goal, hours, journey, minutes, on, once, points,
)


class Opinion(Form):
    """What do you think?"""

    opinion: Literal["good", "bad"]


GOAL = goal(ContentViewed, within=days(2))


@journey(entry=once, ends_after=days(1))
async def other(player: Player, nothing: None) -> None:
    """Started by the other one."""
    await player.sleep(minutes(7))
    await player.mark("other", language=player.language)

'''

TEMPLATES = {
    "welcome": ["email", "in_app"],
    "verify-email": ["email"],
    "guide": ["email"],
    "content-news": ["email", "push"],
    "comeback-sms": ["sms"],
    "deposit-help": ["in_app", "push"],
}
WAITS = ["minutes(5)", "minutes(45)", "hours(1)", "hours(5)", "days(1)", "days(3)"]
REWARD = """\
granted = await player.grant(free_spins(5, max_win=500))
await player.mark("granted", status=granted.status, reason=granted.reason)"""
OTHER = """\
begun = await player.start("other")
await player.mark("begun", it=bool(begun), refused=begun.refused)"""
KINDS = ["ContactVerified", "ContentViewed", "SupportCaseOpened"]


def block(depth: int) -> st.SearchStrategy[str]:
    """One to three statements, one after the other."""
    return st.lists(statement(depth), min_size=1, max_size=3).map("\n".join)


def branch(head: str, depth: int, *, other: str | None = "else:") -> st.SearchStrategy[str]:
    """A condition with a block, and often another block."""
    otherwise = st.one_of(st.none(), block(depth)) if other else st.none()
    return st.tuples(block(depth), otherwise).map(
        lambda parts: (
            f"{head}\n{indent(parts[0], '    ')}"
            + ("" if parts[1] is None else f"\n{other}\n{indent(parts[1], '    ')}")
        )
    )


@st.composite
def sending(draw: st.DrawFn) -> str:
    template = draw(st.sampled_from(sorted(TEMPLATES)))
    channels = draw(st.permutations(TEMPLATES[template]))
    cut = draw(st.integers(1, len(channels)))
    fallback = f", fallback={channels[cut:]}" if channels[cut:] else ""
    about = ', about="table"' if template == "guide" else ""
    told = 'await player.mark("sent", went=list(sent.channels) if isinstance(sent, Sent) else sent.reasons)'
    return f'sent = await player.send("{template}", via={channels[:cut]}{fallback}{about})\n{told}'


@st.composite
def asking(draw: st.DrawFn) -> str:
    due = draw(st.sampled_from(["minutes(50)", "hours(4)", "days(2)"]))
    head = draw(st.sampled_from(["", ', escalate_to="head"']))
    return (
        f'answer = await player.ask(Opinion, team="desk", due={due}{head}, reason="Why not?")\n'
        'await player.mark("answered", opinion=answer.opinion if answer else None)'
    )


@st.composite
def matching(draw: st.DrawFn, depth: int) -> str:
    first, second = draw(st.permutations(KINDS))[:2]
    within = draw(st.sampled_from(WAITS))
    cases = [f"case {name}:\n{indent(draw(block(depth)), '    ')}" for name in (f"{first}()", f"{second}()", "None")]
    return f"match await player.first({first}, {second}, within={within}):\n{indent(chr(10).join(cases), '    ')}"


def statement(depth: int) -> st.SearchStrategy[str]:
    """One step, with a block below it while there is depth left."""
    wait, kind = st.sampled_from(WAITS), st.sampled_from(KINDS)
    flat = [
        sending(),
        asking(),
        st.sampled_from(
            [
                REWARD,
                "await player.grant(points(3))",
                'await player.refresh()\nawait player.mark("facts", language=player.language, tier=player.tier)',
                OTHER,
                'await player.until("10:30")',
                'await player.until("21:30", weekday="friday")',
                'await player.mark("here")',
            ]
        ),
        wait.map(lambda span: f"await player.sleep({span})"),
        st.tuples(kind, wait, st.sampled_from(["", ", fresh=True"])).map(
            lambda parts: f"await player.event({parts[0]}, within={parts[1]}{parts[2]})"
        ),
    ]
    if depth == 0:
        return st.one_of(flat)
    deep = [
        st.tuples(kind, wait).flatmap(
            lambda parts: branch(f"if await player.event({parts[0]}, within={parts[1]}):", depth - 1)
        ),
        st.integers(1, 9).flatmap(lambda n: branch(f'if player.split("s{n}", a={n}, b={10 - n}) == "a":', depth - 1)),
        matching(depth - 1),
    ]
    return st.one_of(*flat, *deep)


@st.composite
def heads(draw: st.DrawFn) -> str:
    """What a journey called `drawn` declares, down to its docstring."""
    entry = draw(st.sampled_from(["once", "always"]))
    exits = draw(st.sampled_from(["", ", exit_on=[SupportCaseClosed]"]))
    ends = draw(st.sampled_from(["days(1)", "days(9)"]))
    return (
        f"@journey(on(BadgeAwarded), entry={entry}{exits}, ends_after={ends}, goal=GOAL)\n"
        "async def drawn(player: Player, badge: BadgeAwarded, chapter: int = 1) -> Again | None:\n"
        '    """Nobody knows what for."""\n'
    )


BODIES = st.lists(statement(2), min_size=2, max_size=5)


def module(head: str, body: list[str], *, chapters: bool) -> str:
    """The source of a module with one journey, and the one it may start."""
    told = "\n".join([*body, "if chapter < 3:\n    return again(chapter=chapter + 1)"] if chapters else body)
    return f"{HEADER}\n{head}{indent(told, '    ')}\n    return None\n"


def journeys() -> st.SearchStrategy[str]:
    """The source of a module with one journey called `drawn`, and the one it may start."""
    return st.builds(module, heads(), BODIES, chapters=st.booleans())


@st.composite
def edited_journeys(draw: st.DrawFn) -> tuple[str, str]:
    """Such a module and what became of it: statements inserted, removed, moved or written anew."""
    head, chapters, body = draw(heads()), draw(st.booleans()), draw(BODIES)
    after = list(body)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(after) - 1))
        match draw(st.sampled_from(["insert", "remove", "move", "rewrite"])):
            case "insert":
                after.insert(at, draw(statement(1)))
            case "remove" if len(after) > 1:
                del after[at]
            case "move":
                after.insert(draw(st.integers(0, len(after) - 1)), after.pop(at))
            case _:
                after[at] = draw(statement(2))
    return module(head, body, chapters=chapters), module(head, after, chapters=chapters)


FACTS: list[dict[str, Any]] = [{}, {"opted_in": ["email"]}, {"timezone": None}, {"phone": None}]
OFFSETS = [minutes(3), minutes(31), hours(2), hours(7), hours(14), days(1), days(2) + hours(3), days(5)]
EVENTS: list[tuple[Any, dict[str, Any]]] = [
    (ContactVerified, {}),
    (ContentViewed, {}),
    (SupportCaseOpened, {}),
    (SupportCaseClosed, {}),
    (BadgeAwarded, {}),
]


MOVES = st.lists(st.sampled_from(OFFSETS), unique=True, min_size=1, max_size=4).map(
    # Between what happens to players, so that neither comes before the other by chance.
    lambda offsets: [
        Moving(offset + minutes(1), "drawn", 1 + number % 2) for number, offset in enumerate(sorted(offsets), start=1)
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A player who is known, enters by day or by night, and to whom a few things happen then.

    Nothing happens at a full minute: waits end there, and which of two things of one instant comes first is nobody's
    promise.
    """
    begins = draw(st.sampled_from([minutes(0), hours(12) + minutes(10)]))
    facts: dict[str, Any] = draw(st.sampled_from(FACTS))
    acts: list[Act] = [registers(mode="history", **facts), happens(begins, BadgeAwarded)]
    second = minutes(0.5)
    for offset in sorted(draw(st.lists(st.sampled_from(OFFSETS), unique=True, max_size=5))):
        after = begins + offset + second
        match draw(st.integers(0, 9)):
            case 0:
                acts.append(happens(after, ExclusionSet, kind="self_exclusion", scope="brand"))
            case 1 | 2 | 3:
                answer = {"opinion": draw(st.sampled_from(["good", "bad"]))}
                acts.append(Answering(after, "Opinion", answer, if_open=True))
            case _:
                acts.append(Happening(after, draw(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=2))))
    return acts


def moved_by(history: History, moves: list[Moving]) -> History:
    """A player's history in which every run of the journey is told to move at these moments."""
    return sorted([*history, *moves], key=lambda act: act.after)


def write(folder: Path, source: str) -> str:
    """Make the source importable; the name of its package."""
    name = f"drawn_{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    package = folder / name
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "play.py").write_text(source)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return name


#: How often a package was played here, for its players' names.
PLAYED: defaultdict[str, Iterator[int]] = defaultdict(count)


def players_of(package: str, drawn: Sequence[History]) -> dict[str, History]:
    """The players of one example, whom no other has, and who have the same names where the SEED is the same.

    Which arm each is in, and how long each waits for a moment that comes for many, hangs on the name.
    """
    tried = next(PLAYED[package])
    return {f"{package[-6:]}-{tried}-{number}": history for number, history in enumerate(drawn)}
