"""What is wrong in a journey is told at start-up: a sentence with the journey, the line and the mend."""

import pytest

from tests.support.outside_packages import Write, journey_of, line_of, mistakes
from workflows.errors import DesignError
from workflows.source.journey_loading import SHIPPED, load

# ---- verbs --------------------------------------------------------------------------------------

HEAD = """
import re
from typing import Annotated

from pydantic import Field

from workflows import Event


class Anything(Event): ...


class Mute(Form): ...


class Call(Form):
    'Call the player.'


class Coded(Form):
    'Which code?'
    code: Annotated[str, Field(pattern=re.compile('^a+$'))]


def regular(someone): ...


async def greet(someone): ...


"""
NO_SEGMENT = "put @segment above the function and name it here."
NO_EVENT = "is not a declared event type; use a class of workflows, declare one of your own, or name it in listens=."
NO_TYPE = "no event has the type Anything itself; name those it stands for."
NOTHING = "player.first(...) waits for nothing; name an event, such as DepositApproved."
NO_TEMPLATE = (
    "name the template of player.send(...) as a plain string, so that it can be checked before a player needs it."
)
NO_FORM = "player.ask needs a class that is a Form and that the module can see, not"
VERBS = (
    "amount, arm, ask, award, changed, event, first, fit, give_spin, grant, mark, matches, multiply, "
    "pause_promotions, refresh, revoke, score, send, sleep, spin, split, start, survey, until, usual, value, webhook"
)
WEEKDAYS = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"


def without_end(verb: str, limit: str = "within") -> str:
    return f"player.{verb}(...) waits without an end; add {limit}=, such as {limit}=days(1)."


def without_await(verb: str) -> str:
    return f"player.{verb}(...) does nothing without await; write await player.{verb}(...)."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("await player.event(DepositApproved)", without_end("event")),
        ("await player.event(DepositApproved, within=None)", without_end("event")),
        ("await player.first(DepositApproved, LossStreak)", without_end("first")),
        ("await player.ask(Call, team='vip')", without_end("ask", "due")),
        ("await player.event(Unheard, within=days(1))", f"Unheard {NO_EVENT}"),
        ("await player.event(LossStreak | Anything, within=days(1))", f"LossStreak | Anything {NO_EVENT}"),
        ("await player.event(within=days(1), kind=Call)", f"Call {NO_EVENT}"),
        ("await player.first(DepositApproved, Call, within=days(1))", f"Call {NO_EVENT}"),
        ("await player.event(Anything, within=days(1))", NO_TYPE),
        ("await player.first(within=days(1))", NOTHING),
        (
            "await player.event(DepositApproved, within=days(1), same=login.method)",
            "name the field of same= as a plain string, such as same='payment_id'.",
        ),
        (
            "await player.event(DepositApproved, within=days(1), same='payment_id')",
            "SessionLogin has no field payment_id by which same= could tie it to its run.",
        ),
        ("await player.send(login.method)", NO_TEMPLATE),
        ("await player.send(f'hello-{chapter}')", NO_TEMPLATE),
        ("await player.send(template=hello)", NO_TEMPLATE),
        (
            "await player.send('hello', via=[login.method])",
            "name the channels of via= as plain strings, so that they can be checked.",
        ),
        (
            "await player.send('hello', via=['emial'])",
            "there is no channel emial; the channels are email, in_app, popup, push, sms, telegram, viber, whatsapp.",
        ),
        ("await player.ask(dict, team='vip', due=days(1))", f"{NO_FORM} dict."),
        ("await player.ask(team='vip', due=days(1))", f"{NO_FORM} nothing."),
        (
            "await player.ask(Mute, team='vip', due=days(1))",
            "the form Mute asks nothing; write the question as its docstring.",
        ),
        (
            "await player.ask(Coded, team='vip', due=days(1))",
            (
                "the form Coded has ^a+$ run by Python's own engine, which one answer can keep busy for hours; give "
                "pattern= a plain string, and no regex_engine."
            ),
        ),
        ("player.send('hello')", without_await("send")),
        ("came = player.event(DepositApproved, within=days(1))", without_await("event")),
        ("return player.sleep(days(1))", without_await("sleep")),
        ("await player.split('x', a=1)", "player.split(...) decides at once; drop its await."),
        ("greet(player)", "greet(...) does nothing without await; write await greet(...)."),
        ("await player.sned('hello')", "Player has no sned; did you mean send."),
        ("await player.conjure(2)", f"Player has no conjure; a player can {VERBS}."),
        ("say = player.send", "player.send must be called where it stands, so that it can be checked."),
        ("await player.until('25:00')", "'25:00' is no time of day; write it as HH:MM, such as 15:00."),
        (
            "await player.until('15:00', weekday='fri')",
            f"'fri' is no weekday; write one of {WEEKDAYS}.",
        ),
        ("await player.matches('regular')", f"player.matches(...) takes a segment, not 'regular'; {NO_SEGMENT}"),
        ("await player.matches(segment=regular)", f"player.matches(...) takes a segment, not regular; {NO_SEGMENT}"),
        ("await player.matches()", f"player.matches(...) takes a segment, not nothing; {NO_SEGMENT}"),
        ("again(chapter=2)", "again(...) begins no chapter by itself; write return again(...)."),
        ("return again(chpter=2)", "again(chpter=...) has nowhere to go; add a parameter chpter with a default."),
    ],
)
def test_a_mistake_with_a_verb_is_told(package: Write, body: str, sentence: str) -> None:
    source = journey_of(f"await player.sleep(days(1))\n{body}", head=HEAD)
    assert mistakes(package(one=source)) == [f"Journey hello, line {line_of(source, body)}: {sentence}"]


def test_a_mistake_in_a_helper_names_the_helpers_module(package: Write) -> None:
    name = package(
        one=journey_of("await wait_for(player)", head="from PACKAGE.helpers import wait_for"),
        helpers="from workflows import SessionLogin\n\n\nasync def wait_for(p):\n    await p.event(SessionLogin)\n",
    )
    assert mistakes(name) == [f"Journey hello, helpers, line 5: {without_end('event')}"]


def test_a_segment_by_a_name_of_the_functions_own_is_judged_when_it_is_asked(package: Write) -> None:
    source = journey_of(
        "which = regular if chapter > 1 else idle\nawait player.matches(which)\nawait within(player, idle)\n"
        "await player.matches(regular if chapter > 1 else idle)",
        head="""
        from workflows import segment

        which = 3

        @segment
        def regular(player):
            'Paid before.'
            return player.deposits > 0

        @segment
        def idle(player):
            'Gone for a week.'
            return player.quiet(SessionLogin, days(7))

        async def within(player, segment):
            return await player.matches(segment)
        """,
    )
    assert list(load([package(one=source)]).journeys) == ["hello"]


# ---- declarations -------------------------------------------------------------------------------

DECLARED = """\
from workflows import *
from workflows.events.compliance import Limit


@journey(
    {declaration}
)
{function}:
    pass
"""
HERE = "Journey hello, line 5"


@pytest.mark.parametrize(
    ("declaration", "sentence"),
    [
        ("on(SessionLogin), ends_after=days(1), control=101", "control is a percentage from 0 to 100, not 101."),
        ("on(SessionLogin), ends_after=days(0)", "ends_after must be a positive duration."),
        ("on(SessionLogin), ends_after=days(1), exit_on=[milestone(SessionLogin, 2)]", "exit_on takes event types"),
        ("on(Limit), ends_after=days(1)", "on(Limit): no event has this type itself; name the events it stands for."),
        ("on('session.login'), ends_after=days(1)", "on(...) takes an event class of workflows"),
        ("milestone(Form, 3), ends_after=days(1)", "milestone(...) takes an event class of workflows"),
        ("milestone(SessionLogin, 0), ends_after=days(1)", "A milestone counts from 1, not 0."),
        ("streak(SessionLogin, 1), ends_after=days(1)", "A streak has at least two events; use on(...) for one."),
        ("streak(SessionLogin, 2, broken_by=Limit), ends_after=days(1)", "streak(Limit): no event has this type"),
        ("inactive(SessionLogin, days(0)), ends_after=days(1)", "inactive(...) needs a positive duration"),
        ("on(milestone(SessionLogin, 3), where=bool), ends_after=days(1)", "would drop its where="),
        ("on(SessionLogin), ends_after=days(1), entry=every(days(0))", "every(...) needs a positive period"),
        ("on(SessionLogin), ends_after=days(1), goal=goal(SessionLogin, within=days(0))", "goal(...) needs a positive"),
        ("on(SessionLogin)", "importing it fails with TypeError: journey() missing 1 required keyword-only argument"),
        ("on(Unheard), ends_after=days(1)", "importing it fails with NameError: name 'Unheard' is not defined"),
    ],
)
def test_a_wrong_declaration_is_told_with_its_line(package: Write, declaration: str, sentence: str) -> None:
    source = DECLARED.format(declaration=declaration, function="async def hello(player, login)")
    (told,) = mistakes(package(one=source))
    assert sentence in told
    assert told.startswith(("one, line 5: ", "one, line 6: "))
    assert told.endswith(".")


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("def hello(player, login)", "one, line 5: Journey hello must be an async function: write `async def hello`."),
        (
            "async def hello(player)",
            f"{HERE}: a journey is called with the player and the event it begins with; write both parameters.",
        ),
        (
            "async def hello(player, login, chapter)",
            f"{HERE}: give the parameter chapter a default, because the first chapter begins without it.",
        ),
    ],
)
def test_a_function_that_cannot_be_played_is_told(package: Write, function: str, sentence: str) -> None:
    source = DECLARED.format(declaration="on(SessionLogin), ends_after=days(1)", function=function)
    assert mistakes(package(one=source)) == [sentence]


@pytest.mark.parametrize(
    ("declaration", "sentence"),
    [
        ("entry='once'", "entry= is one of once, always, every(...) and per(...), not 'once'."),
        ("goal=3", "goal= is goal(...), such as goal(DepositApproved, within=days(7)), not 3."),
        ("listens=[Limit]", "no event has the type Limit; listens= names event classes."),
        ("listens=['login']", "no event has the type 'login'; listens= names event classes."),
    ],
)
def test_a_declaration_of_the_wrong_kind_is_told(package: Write, declaration: str, sentence: str) -> None:
    source = DECLARED.format(
        declaration=f"on(SessionLogin), ends_after=days(1), {declaration}", function="async def hello(player, login)"
    )
    assert mistakes(package(one=source)) == [f"{HERE}: {sentence}"]


def test_per_a_field_that_the_trigger_does_not_have_is_told(package: Write) -> None:
    declaration = "on(WithdrawalRequested), on(PasswordReset), ends_after=days(1), entry=per('payment_id')"
    source = DECLARED.format(declaration=declaration, function="async def hello(player, asked)")
    (told,) = mistakes(package(one=source))
    assert told == (
        "Journey hello, line 5: per('payment_id') lets nobody in by PasswordReset, which has no such field; "
        "name one of event_id, event_source, occurred_at, stage."
    )


def same_name(name: str, first: str, second: str) -> str:
    return f"Two journeys are called {name}, in {first} and in {second}: a journey's name is its identity, rename one."


def test_two_journeys_of_one_name_are_told_wherever_they_are(package: Write) -> None:
    one = journey_of("await player.sleep(days(1))")
    assert mistakes(package(one=one, two=one)) == [same_name("hello", "one, line 4", "two, line 4")]
    twice = one + "\n\n" + one.partition("\n")[2]
    first, second = (n for n, line in enumerate(twice.splitlines(), 1) if line.startswith("async def hello"))
    assert mistakes(package(one=twice)) == [same_name("hello", f"one, line {first}", f"one, line {second}")]


def test_the_name_of_a_shipped_journey_is_taken(package: Write) -> None:
    (told,) = mistakes(SHIPPED, package(one=journey_of("await player.sleep(days(1))").replace("hello", "welcome")))
    assert told.startswith("Two journeys are called welcome, in welcome, line ")


def test_two_streaks_that_would_share_one_count_are_told(package: Write) -> None:
    source = """
    from workflows import DepositFailed, RoundCompleted, days, hours, journey, streak

    @journey(streak(DepositFailed, 3, within=hours(1)), ends_after=days(1))
    async def one(player, failed): ...

    @journey(streak(DepositFailed, 3), ends_after=days(1))
    async def two(player, failed): ...

    @journey(streak(RoundCompleted, 3, name="engine.loss"), ends_after=days(1))
    async def unlucky(player, failed): ...
    """
    mend = "in different ways; give the streak of one of them a name= of its own, or share one declaration."
    assert mistakes(package(one=source)) == [
        f"Journey one and journey two count streak:payment.deposit_failed:3 {mend}",
        f"The engine and journey unlucky count streak:engine.loss:3 {mend}",
    ]


def test_two_journeys_may_begin_with_the_same_streak(package: Write) -> None:
    source = """
    from workflows import DepositFailed, days, journey, streak

    @journey(streak(DepositFailed, 3), ends_after=days(1))
    async def one(player, failed): ...

    @journey(streak(DepositFailed, 3), ends_after=days(1))
    async def two(player, failed): ...
    """
    assert list(load([package(one=source)]).journeys) == ["one", "two"]


# ---- purity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import os", "os"),
        ("import os.path as p", "os.path"),
        ("from random import choice", "random"),
        ("import time", "time"),
        ("import uuid", "uuid"),
        ("import asyncio", "asyncio"),
        ("import httpx", "httpx"),
        ("import a_package_nobody_has", "a_package_nobody_has"),
        ("import activities", "activities"),
        ("from temporalio import activity", "temporalio.activity"),
        ("from temporalio.client import Client", "temporalio.client"),
    ],
)
def test_a_journey_that_imports_the_world_is_refused(package: Write, line: str, name: str) -> None:
    for head in (line, f"def helper():\n    {line}\n    return 1"):
        source = journey_of("await player.sleep(days(1))", head=head)
        (told,) = mistakes(package(one=source))
        assert told == (
            f"one, line {line_of(source, line)}: a journey may not import {name}, because replay must give the same "
            "run every time; leave the work to a verb of Player."
        )


def test_a_helper_module_is_held_to_the_same(package: Write) -> None:
    journey = journey_of("await player.sleep(days(1))", head="from PACKAGE import helpers")
    (told,) = mistakes(package(one=journey, helpers="\nimport socket\n"))
    assert told.startswith("helpers, line 2: a journey may not import socket, ")


def test_a_module_beside_the_named_package_must_be_named_too(package: Write) -> None:
    name = package(
        {"journeys.__init__": "", "journeys.one": "from PACKAGE.shared import WORD\n", "shared": "WORD = 1\n"}
    )
    (told,) = mistakes(f"{name}.journeys")
    assert told == (
        f"one, line 1: {name}.shared is not checked; name its package in JOURNEYS as well, "
        "so that a journey may import it."
    )
    assert load([f"{name}.journeys", f"{name}.shared"]).journeys == {}


def test_a_relative_import_is_followed_to_where_it_leads(package: Write) -> None:
    name = package({"journeys.__init__": "", "journeys.one": "from ..shared import WORD\n", "shared": "WORD = 1\n"})
    (told,) = mistakes(f"{name}.journeys")
    assert told.startswith(f"one, line 1: {name}.shared is not checked; ")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from workflows.source.journey_loading import load", "workflows.source.journey_loading"),
        ("from workflows.source import journey_loading", "workflows.source"),
        ("from workflows.source.verb_lint import read_verbs", "workflows.source.verb_lint"),
        ("import workflows.source.journey_loading", "workflows.source.journey_loading"),
        ("from workflows.temporal_internals import runner", "workflows.temporal_internals"),
    ],
)
def test_the_engines_own_machinery_is_not_a_journeys_business(package: Write, line: str, name: str) -> None:
    (told,) = mistakes(package(one=f"{line}\n"))
    assert told == (
        f"one, line 1: a journey may not import {name}, which is the engine's own; "
        "write it with the words of workflows."
    )


@pytest.mark.parametrize(
    ("imported", "call"),
    [
        ("from datetime import datetime", "datetime.now()"),
        ("from datetime import UTC, datetime as dt", "dt.now(UTC)"),
        ("from datetime import datetime", "datetime.utcnow()"),
        ("import datetime", "datetime.datetime.now()"),
        ("import datetime", "datetime.date.today()"),
        ("from datetime import date", "date.today()"),
    ],
)
def test_a_journey_that_reads_the_machines_clock_is_refused(package: Write, imported: str, call: str) -> None:
    statement = f"await player.mark('x', at=str({call}))"
    sources = [journey_of(statement, head=imported)]
    if " as " not in imported:
        sources.append(journey_of(f"{imported}\n{statement}"))
    for source in sources:
        (told,) = mistakes(package(one=source))
        assert told == (
            f"one, line {line_of(source, statement)}: {call.partition('(')[0]}() reads the machine's clock, and a "
            "replay would read another moment; use player.now, or the occurred_at of an event."
        )


@pytest.mark.parametrize(
    ("imported", "call", "instead"),
    [
        ("from temporalio import workflow", "workflow.now()", "read another moment there; use player.now"),
        ("from temporalio import workflow", "workflow.time()", "read another moment there; use player.now"),
        ("from temporalio.workflow import now", "now()", "read another moment there; use player.now"),
        ("from temporalio import workflow", "workflow.random()", "do it again; use a verb"),
        ("from temporalio import workflow", "await workflow.sleep(60)", "do it again; use a verb"),
        ("from temporalio import workflow as w", "await w.wait_condition(bool)", "do it again; use a verb"),
    ],
)
def test_what_no_journal_keeps_is_refused(package: Write, imported: str, call: str, instead: str) -> None:
    source = journey_of(call, head=imported)
    (told,) = mistakes(package(one=source))
    name = call.partition("(")[0].rpartition(".")[2].removeprefix("await ")
    assert told == (
        f"one, line {line_of(source, call)}: a journey may not call workflow.{name}() of temporalio: a later chapter "
        f"plays the journey from the top, and would {instead}."
    )


def test_two_orders_of_steps_may_be_kept_apart(package: Write) -> None:
    source = journey_of("if workflow.patched('x'):\n    await player.mark('x')", head="from temporalio import workflow")
    load([package(one=source)])


@pytest.mark.parametrize("call", ["open('x')", "print('x')", "input()", "eval('1')", "__import__('os')"])
def test_a_journey_that_reaches_out_by_a_builtin_is_refused(package: Write, call: str) -> None:
    source = journey_of(call)
    (told,) = mistakes(package(one=source))
    assert told == (
        f"one, line {line_of(source, call)}: a journey may not call {call.partition('(')[0]}(), it would run again "
        "with every replay; use a verb."
    )


# ---- what cannot be imported ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["casino_nowhere", "casino_nowhere.journeys", "casino-journeys", "", ".relative"])
def test_a_package_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(DesignError) as refusal:
        load([name])
    assert str(refusal.value) == (
        f"JOURNEYS names {name}, but it cannot be imported: install the package or add its folder to PYTHONPATH."
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("from workflows import DepositAproved", "workflows has no DepositAproved; did you mean DepositApproved?"),
        (
            "from workflows.events import Zz",
            "workflows.events has no Zz; an event of your own is a subclass of Event.",
        ),
        (
            "from workflows.rules.triggers import Zz",
            "workflows.rules.triggers has no Zz; an event of your own is a subclass of Event.",
        ),
        (
            "from workflows.rools import on",
            "there is no workflows.rools; everything a journey is written with is imported from workflows.",
        ),
    ],
)
def test_a_word_nobody_declares_is_told_where_it_is_imported(package: Write, line: str, sentence: str) -> None:
    assert mistakes(package(one=f"\n{line}\n")) == [f"one, line 2: {sentence}"]


def test_a_module_that_fails_is_told_without_the_paths_of_this_machine(package: Write) -> None:
    told = mistakes(
        package(one="\n\nWORD = 1 / 0\n", three="def :\n", two="from PACKAGE.words import MISSING\n", words="")
    )
    mend = "Mend this line first."
    assert told == [
        f"one, line 3: importing it fails with ZeroDivisionError: division by zero. {mend}",
        "three, line 1: this is not Python: invalid syntax.",
        f"two, line 1: importing it fails with ImportError: cannot import name 'MISSING' from 'words'. {mend}",
    ]


def test_all_mistakes_of_all_packages_are_told_together(package: Write) -> None:
    both = journey_of("player.send('hello')\nawait player.event(SessionLogin)", head="import os")
    other = journey_of("await player.send(1)").replace("hello", "other")
    first, second = package(one=both, two="from workflows import Nothing\n"), package(one=other)
    told = mistakes(first, "nowhere", second)
    assert [line.partition(": ")[0] for line in told] == [
        "one, line 2",
        "two, line 1",
        "JOURNEYS names nowhere, but it cannot be imported",
        f"Journey hello, line {len(both.splitlines()) - 1}",
        f"Journey hello, line {len(both.splitlines())}",
        f"Journey other, line {len(other.splitlines())}",
    ]
