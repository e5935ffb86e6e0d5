"""Why a task was opened is told in the language of the page, whichever release of a shipped journey wrote it."""

import ast
import re
from collections.abc import Iterator
from datetime import date
from itertools import combinations, product
from pathlib import Path
from typing import Final, get_args

import pytest
from pydantic import BaseModel

import activities
import workflows.journeys
from activities.double_reviews import _ALIKE
from activities.rewards import KEY_TAKEN
from api.console.rendering import LANGUAGES, speech_of
from api.console.task_reasons import SENTENCES, SIGNS, WORDS, task_reason
from content.readable_names import words
from learning.churn_features import REASONS
from workflows.effects import NEVER_ANSWERED
from workflows.events import Birthday, DepositFailed, PaymentReversed, RewardCodeFailed, RoundCompleted, SessionLogin
from workflows.events.compliance import HARM_INDICATORS
from workflows.field_types import Category
from workflows.journeys.churn_risk import said
from workflows.journeys.personal_days import POINTS, occasion_of
from workflows.journeys.vip_onboarding import Affordability
from workflows.player_state.harm_markers import MARKERS
from workflows.rules.patterns import choices_changed, days_changed, level_changed, week_of
from workflows.verb_results import PlayerScore

OTHERS: Final = [language for language in LANGUAGES if language != "en"]
SHIPPED: Final = Path(workflows.journeys.__file__).parent
ACTIVITIES: Final = Path(activities.__file__).parent
LATIN: Final = re.compile(r"[A-Za-z]{3,}")
#: What is a name or a code in every language.
NAMES: Final = re.compile(r"\b(VIP|Gold|SPRING10|book-of-tests|mug|p-\d+|Welcome)\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef
TODAY: Final = date(2026, 3, 9)


def codes(kind: type[BaseModel], field: str) -> list[str]:
    """What may stand in a field."""
    return [*get_args(kind.model_fields[field].annotation)]


def weeks(lately: int, before: int) -> dict[str, int]:
    """What is kept of the last four weeks that are over and of the eight before: the same of each."""
    now = week_of(TODAY)
    return {str(now - ago): lately if ago <= 4 else before for ago in range(1, 13)}


def patterns() -> list[str]:
    """What is seen when a player plays in another way, as the engine itself says it."""
    weekend, weekdays = 0b1100000, 0b0011111
    choices = {f"{week}/{'live' if lately else 'slot'}": 0b0010101 for week, lately in weeks(1, 0).items()}
    level = weeks(900, 300) | {f"{week}n": 1 for week in weeks(1, 1)}
    found = [
        days_changed(weeks(weekend, weekdays), TODAY, SessionLogin.__name__),
        choices_changed(choices, TODAY, RoundCompleted.__name__),
        *(
            level_changed(level, TODAY, f"The {what} of {RoundCompleted.__name__}")
            for what in ("stakes", "stake_minor")
        ),
    ]
    assert all(found), "Each is a change."
    return [str(one.why) for one in found]


#: What may stand in each hole, as the journeys' sources write it.
HOLES: Final = {
    "LATELY": ["28"],
    "alike": [" and ".join(chosen) for count in (1, 2, 3) for chosen in combinations(_ALIKE.values(), count)],
    "answer.score": ["0", "6"],
    "case.severity": ["1", "4"],
    "change.to": [*get_args(Category), "higher", "lower", "weekend", "weekdays"],
    "change.why": patterns(),
    "elder": ["p-1"],
    "failed.code": ["SPRING10"],
    "failed.failure": codes(DepositFailed, "failure"),
    "failed.reason": codes(RewardCodeFailed, "reason"),
    "gone.seconds // 86400": ["2", "21"],
    "grant.journey": ["welcome"],
    "grant.reason": [NEVER_ANSWERED, KEY_TAKEN],
    "late + 1": ["1", "3"],
    "newer": ["p-2"],
    "occasion": [occasion_of(Birthday.example()), *POINTS],
    "pace.happened": ["21"],
    "pace.usual": ["4"],
    "player.deposits": ["50"],
    "purchase.item": ["mug"],
    "purchase.price": ["2000"],
    # Who was rejected is asked nothing more.
    "review.outcome": [one for one in codes(Affordability, "outcome") if one != "reject"],
    "said(risk)": [
        *(said(PlayerScore(45, (one, other), estimated=False)) for one, other in REASONS.values()),
        said(PlayerScore(45, ("few deposits",), estimated=True)),
    ],
    "seen or 'from before they were dated'": [", ".join(SIGNS), "from before they were dated"],
    "sign.indicator": [*HARM_INDICATORS, *MARKERS],
    "undone.amount_minor": ["5000"],
    "undone.kind": codes(PaymentReversed, "kind"),
    "win.game_id": ["book-of-tests"],
    "win.win_minor": ["50000"],
}


def filled(text: ast.JoinedStr) -> Iterator[str]:
    """A text with everything that may stand in its holes."""
    parts = [
        HOLES[ast.unparse(one.value)] if isinstance(one, ast.FormattedValue) else [fixed(one)] for one in text.values
    ]
    yield from map("".join, product(*parts))


def fixed(part: ast.expr) -> str:
    assert isinstance(part, ast.Constant)
    return str(part.value)


class Source:
    """The source of a journey, and the reasons that its tasks are opened with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.functions = [
            one
            for one in ast.walk(ast.parse(path.read_text()))
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

    def reasons(self) -> Iterator[str]:
        """Each reason, with everything that may stand in its holes."""
        for function in self.functions:
            for node in ast.walk(function):
                match node:
                    case ast.Call(func=ast.Attribute(attr="ask"), keywords=keywords):
                        for one in keywords:
                            if one.arg == "reason":
                                yield from self._texts(one.value, function)

    def _texts(self, value: ast.expr, function: Function) -> Iterator[str]:
        match value:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr():
                yield from filled(value)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._texts(body, function)
                yield from self._texts(orelse, function)
            case ast.Name(id=name):
                found = [*self._given(name, function), *self._assigned(name, function)]
                assert found, f"{self.path}: nobody knows what {name} holds in {function.name}."
                for one, where in found:
                    yield from self._texts(one, where)
            case _:
                pytest.fail(f"{self.path}: no reason can be read from {ast.unparse(value)}.")

    def _given(self, name: str, function: Function) -> Iterator[tuple[ast.expr, Function]]:
        """What callers in the same module give for a parameter."""
        parameters = [one.arg for one in function.args.args]
        if name not in parameters:
            return
        for caller in self.functions:
            for node in ast.walk(caller):
                match node:
                    case ast.Call(func=ast.Name(id=function.name), args=args):
                        yield args[parameters.index(name)], caller

    def _assigned(self, name: str, function: Function) -> Iterator[tuple[ast.expr, Function]]:
        """What the function itself gives a name to."""
        for node in ast.walk(function):
            match node:
                case ast.Assign(targets=[ast.Name(id=known)], value=value) if known == name:
                    yield value, function


def shipped() -> list[Path]:
    return sorted(path for path in SHIPPED.rglob("*.py") if path.name != "__init__.py")


def form_texts(path: Path) -> Iterator[str]:
    """The question of each form in a journey's source, its name, its fields, and what may be chosen in them."""
    for form in ast.walk(ast.parse(path.read_text())):
        match form:
            case ast.ClassDef(name=name, bases=[ast.Name(id="Form")], body=body):
                yield words(name)
                yield ast.get_docstring(form) or pytest.fail(f"{name} asks nothing.")
                for field in body:
                    match field:
                        case ast.AnnAssign(target=ast.Name(id=named), annotation=annotation):
                            yield words(named)
                            chosen = (one.value for one in ast.walk(annotation) if isinstance(one, ast.Constant))
                            yield from (words(value) for value in chosen if isinstance(value, str))


def asked_by_the_engine() -> Iterator[str]:
    """Reasons of tasks that no journey opens; what a person or a player says is theirs."""
    for name in ("standalone_tasks.py", "double_reviews.py", "intake/deposit_checks.py", "loops/change_watch.py"):
        for node in ast.walk(ast.parse((ACTIVITIES / name).read_text())):
            match node:
                case ast.keyword(arg="reason", value=ast.JoinedStr() as written):
                    yield from filled(written)
                case ast.Assign(targets=[ast.Name(id="reason")], value=ast.JoinedStr() as written):
                    yield from filled(written)
                case ast.Assign(targets=[ast.Name(id="reason")], value=ast.Constant(value=str(text))):
                    yield text


def test_reasons_are_really_read_wherever_a_journey_writes_them() -> None:
    asking = {path.name for path in shipped() if "reason=" in path.read_text() and ".ask(" in path.read_text()}
    read = {path: [*Source(path).reasons()] for path in shipped()}
    assert {path.name for path, found in read.items() if found} == asking
    assert len({text for found in read.values() for text in found}) > 60
    assert any("releases" in path.parts and found for path, found in read.items())


@pytest.mark.parametrize("language", OTHERS)
def test_every_reason_that_a_shipped_journey_writes_is_said_in_the_language(language: str) -> None:
    speech = speech_of(language)
    told = {text for path in shipped() for text in Source(path).reasons()} | {*asked_by_the_engine()}
    left = {text: anew for text in told if LATIN.search(NAMES.sub("", anew := task_reason(text, speech)))}
    assert left == {}


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_and_word_of_a_reason_is_there_in_the_language(language: str) -> None:
    translated = speech_of(language).translated
    known = {*SENTENCES.values(), *(word for named in WORDS.values() for word in named.values())}
    assert [one for one in known if translated(one) == one] == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_form_of_a_shipped_journey_is_asked_in_the_language(language: str) -> None:
    translated = speech_of(language).translated
    said_anew = {text for path in shipped() for text in form_texts(path)}
    assert len(said_anew) > 70, "They are really read."
    assert sorted(text for text in said_anew if translated(text) == text) == []


def test_numbers_days_and_lists_are_said_as_the_language_has_them() -> None:
    silent = "Silent for 21 days, twice what is usual for this player."
    likely = f"{silent} 45 % likely not to come back: few deposits, the amounts of late."
    assert task_reason(silent, speech_of("ru")) == "Молчит 21 день, вдвое дольше обычного для этого игрока."
    assert task_reason(likely, speech_of("uk")) == (
        "Мовчить 21 день, удвічі довше, ніж зазвичай цей гравець. "
        "Імовірність, що не повернеться, 45 %: мало депозитів, суми останнього часу."
    )
    assert task_reason("A win of 50000 minor units.", speech_of("ru")) == (
        "Выигрыш; в минимальных единицах: 50\N{NO-BREAK SPACE}000."
    )


def test_in_english_and_of_no_known_shape_a_reason_stays_as_it_was_written() -> None:
    told = {text for path in shipped() for text in Source(path).reasons()}
    assert {task_reason(text, speech_of("en")) for text in told} == told
    theirs = ["Became a VIP candidate. And something else.", "Deposits tripled in a week.", "Просьба игрока."]
    assert [task_reason(one, speech_of("uk")) for one in theirs] == theirs
    assert [task_reason(one, speech_of("ru")) for one in (None, "")] == ["", ""]


def test_a_sign_that_only_the_sender_knows_stays_a_code() -> None:
    assert task_reason("Signs of harm: own_marker.", speech_of("ru")) == "Признаки вреда от игры: own_marker."
