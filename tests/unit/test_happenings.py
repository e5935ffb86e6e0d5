# ruff: noqa: RUF001 - Russian and Ukrainian letters are meant
"""What pages of the console say of events, runs, messages and measures: sentences, in every language of the console."""

import ast
import re
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

import pytest
from fastapi.routing import APIRoute

from activities.run_problems import TROUBLES as TROUBLE_KINDS
from api.audit_trail import IMPERSONAL, PREVIEWS
from api.console import rendering
from api.console.code_texts import ACTIONS, ACTORS, DETAILS, NOWHERE, SOURCES, TERMS, TROUBLES, VALUES, term_text
from api.console.console import PAGES
from api.console.event_texts import CODES, EVENTS, FIELDS, OTHER_CONSENTS, REWARDS, TYPES, VERBS
from api.console.figure_values import figure_value
from api.console.happenings import happening, outcome_text, step_text
from api.console.measure_texts import COUNTED, PATTERNS, PERIODS, measure_text, measured_text
from api.console.rendering import LANGUAGES, speech_of
from api.players import PROTECTION
from api.timeline import EntryRow, Kind
from api.timeline_text import DELIVERIES, GRANTS, MESSAGES, REASONS, STAGES, STEPS, TASKS
from content.figure_words import NAMES, figure_text
from workflows import (
    cashback,
    days,
    deposit_match,
    free_bet,
    gift,
    hours,
    mini_game,
    multiplier,
    points,
    reload,
    tier_upgrade,
)
from workflows.channels import CHANNELS, ConsentChannel
from workflows.events import CATALOGUE, DepositApproved, RoundCompleted, SessionLogin
from workflows.rewards.kinds import KINDS, Reward
from workflows.rewards.play import Prize
from workflows.rules.measures import choices, count, day, distinct, gap, level, month, total, typical, week, week_days
from workflows.verb_table import VERBS as VERB_ROWS

OTHERS = [language for language in LANGUAGES if language != "en"]
#: Parts of rewards that have parts of their own, which no line shows.
NOT_TOLD = frozenset({"wager", "terms", "contribution", "kind"})
AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
#: Rewards that hold a word, a length of time, or parts of their own.
GIVEN: tuple[Reward, ...] = (
    deposit_match(100, 10_000, wager_basis="bonus_plus_deposit"),
    reload(50, 5_000, weekdays=["monday", "friday"]),
    cashback(10, 5_000),
    multiplier(2, hours(2)),
    tier_upgrade("7", lasts=days(30)),
    gift("7", value=2_000),
    free_bet(500, min_odds=1.5),
    mini_game("coin_flip", budget=500, prizes=[Prize(weight=1, reward=points(5)), Prize(weight=9)]),
)
#: Programs and other tests declare types of their own in the same process.
KINDS_OF_EVENTS = {kind.type: kind for kind in CATALOGUE.values() if kind.__module__.startswith("workflows.events.")}


def said_in_code() -> set[str]:
    """The texts that modules of the console ask the catalogue for by themselves."""
    found: set[str] = set()
    for path in rendering.HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="say" | "translated" | "several"), args=[asked, *_]):
                    found |= {str(one.value) for one in ast.walk(asked) if isinstance(one, ast.Constant)}
    # Names of fields and the like have no space.
    return {text for text in found if " " in text}


def texts() -> set[str]:
    """Everything a table says."""
    tables = (EVENTS, REWARDS, VERBS, FIELDS, OTHER_CONSENTS, PERIODS, REASONS, STEPS, MESSAGES, DELIVERIES, GRANTS)
    found = {text for table in (*tables, STAGES, TASKS, PROTECTION) for text in table.values()}
    found |= {text for table in (SOURCES, TROUBLES, TERMS, DETAILS, ACTIONS, ACTORS) for text in table.values()}
    found |= {*NOWHERE} | {text for table in VALUES.values() for text in table.values()}
    found |= {text for _, words in CODES.values() for text in words.values()}
    return found | {text for pair in COUNTED.values() for text in pair} | said_in_code()


def told(kind: Kind, name: str, detail: dict[str, Any], language: str = "en", journey: str | None = "win_back") -> str:
    return happening(EntryRow(AT, "id", kind, name, "win_back:acme:p-1:1", journey, detail), speech_of(language))


def an_event(name: str, language: str = "en", /, **data: object) -> str:
    return told("event", name, {"source": "/example", "id": "1", "history": False, "data": data}, language)


def test_every_type_of_event_has_a_word_and_no_other_has_one() -> None:
    assert EVENTS.keys() == KINDS_OF_EVENTS.keys()
    assert len(set(EVENTS.values())) == len(EVENTS), "Two types would read the same."
    assert TYPES.keys() == {kind.__name__ for kind in KINDS_OF_EVENTS.values()}


def test_every_verb_and_every_kind_of_reward_has_a_word() -> None:
    assert VERBS.keys() == VERB_ROWS.keys()
    assert set(REWARDS) == set(KINDS)


def test_every_kind_of_trouble_and_every_part_of_a_reward_has_a_word() -> None:
    assert TROUBLES.keys() == {*TROUBLE_KINDS}
    fields = {
        re.sub(r"_minor$|_x1000?$", "", name) for one in get_args(get_args(Reward)[0]) for name in one.model_fields
    }
    assert TERMS.keys() >= fields - {"kind"} - NOT_TOLD
    assert DETAILS.keys() >= {"reason", "until", "task_id", "team", "by", "version"}


def test_every_word_that_a_reward_holds_has_one_in_the_language_of_the_page() -> None:
    held: dict[str, set[str]] = {}
    for one in get_args(get_args(Reward)[0]):
        for name, field in one.model_fields.items():
            if get_origin(field.annotation) is Literal and name != "kind":
                held.setdefault(name, set()).update(get_args(field.annotation))
    assert held == {name: {*texts} for name, texts in VALUES.items()}


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("given", GIVEN, ids=lambda one: one.name)
def test_what_a_reward_holds_is_said_in_words_and_lengths_of_time(given: Reward, language: str) -> None:
    speech = speech_of(language)
    said = [term_text(name, value, "UAH", speech) for name, value in given.model_dump(mode="json").items()]
    line = ", ".join(filter(None, said))
    assert re.findall("[A-Za-z_]+", line.replace("UAH", "")) == []
    assert speech.time(given.valid) in line
    assert str(round(given.valid.total_seconds())) not in re.sub(r"\s", "", line)


def test_everything_that_people_do_in_the_console_has_a_word() -> None:
    names = {f"console.{route.name}" for part in PAGES for route in part.router.routes if isinstance(route, APIRoute)}
    assert names - IMPERSONAL - PREVIEWS <= ACTIONS.keys()


def test_every_consent_has_a_name() -> None:
    named = get_args(get_args(ConsentChannel)[0])
    assert {*CHANNELS, *OTHER_CONSENTS} == {name for one in named for name in (get_args(one) or (one,))}


@pytest.mark.parametrize("name", CODES)
def test_every_code_an_event_may_bring_has_a_word(name: str) -> None:
    field, words = CODES[name]
    annotation = KINDS_OF_EVENTS[name].model_fields[field].annotation
    assert get_origin(annotation) is Literal
    assert set(words) == set(get_args(annotation))


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_that_pages_say_stays_in_english(language: str) -> None:
    speech = speech_of(language)
    # A hole alone is the same everywhere.
    same = {text for text in texts() if speech.translated(text) == text}
    assert same <= {"%", "%(money)s", "%(event)s: %(counted)s", "%(event)s: %(name)s"}
    assert len(texts()) > 250


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_reads_as_a_sentence(name: str, language: str) -> None:
    example = KINDS_OF_EVENTS[name].example().model_dump(mode="json", by_alias=True)
    sentence = an_event(name, language, **example)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "_" not in sentence
    assert "/example" not in sentence


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Something else: parrot fed."),
        ("uk", "Інше: parrot fed."),
        ("ru", "Другое: parrot fed."),
    ],
)
def test_an_event_that_nobody_knows_is_named_plainly(language: str, sentence: str) -> None:
    assert an_event("pet.parrot_fed", language) == sentence


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "en",
            [
                "Deposit failed, 20.00 EUR, the bank declined it.",
                "Entered “Win back”, because of this: deposit failed, in the control group, which gets no offers.",
                "“Win back”, waiting for the first of “Deposit arrived”, “Login”: did not happen in time.",
                "E-mail “Welcome” was not sent: the player did not opt in to this channel.",
                "Free spins is being wagered.",
                "Task “Affordability” was answered by Olena — “Done”.",
                "Left “Win back”: “Deposit arrived” ended it.",
            ],
        ),
        (
            "uk",
            [
                "Депозит не пройшов, 20,00 EUR, банк відмовив.",
                (
                    "Увійшов до сценарію «Win back», причина: депозит не пройшов"
                    ", у контрольній групі, яка не отримує пропозицій."
                ),
                "«Win back», очікування першої з подій «Депозит надійшов», «Вхід»: не сталося вчасно.",
                "Лист «Welcome»: не надіслано — гравець не давав згоди на цей канал.",
                "Безкоштовні обертання: відіграється.",
                "Завдання «Платоспроможність»: відповів Olena — «Done».",
                "Вийшов зі сценарію «Win back»: завершено через подію «Депозит надійшов».",
            ],
        ),
        (
            "ru",
            [
                "Депозит не прошёл, 20,00 EUR, банк отказал.",
                (
                    "Вошёл в сценарий «Win back», причина: депозит не прошёл, в контрольной группе, "
                    "которая не получает предложений."
                ),
                "«Win back», ожидание первого из событий «Депозит поступил», «Вход»: не произошло вовремя.",
                "Письмо «Welcome»: не отправлено — игрок не давал согласия на этот канал.",
                "Бесплатные вращения: отыгрывается.",
                "Задача «Платёжеспособность»: ответил Olena — «Done».",
                "Вышел из сценария «Win back»: завершено из-за события «Депозит поступил».",
            ],
        ),
    ],
)
def test_what_happened_is_a_sentence_in_the_language_of_the_page(language: str, sentences: list[str]) -> None:
    entered = {"arm": "control", "trigger": {"type": "payment.deposit_failed"}}
    waited = "first:DepositApproved|SessionLogin#1"
    assert sentences == [
        an_event("payment.deposit_failed", language, amount_minor=2000, currency="EUR", failure="declined"),
        told("run", "entered", entered, language),
        told("step", waited, {"outcome": "timed_out"}, language),
        told("message", "welcome", {"channel": "email", "status": "suppressed", "reason": "no_consent"}, language),
        told("grant", "free_spins", {"status": "confirmed", "stage": "wagering"}, language),
        told("task", "Affordability", {"action": "completed", "actor": "Olena", "comment": "Done."}, language),
        told("run", "ended", {"outcome": "exit_on:payment.deposit_approved"}, language),
    ]


def test_codes_that_nobody_knows_are_read_out_without_underscores() -> None:
    assert told("message", "welcome", {"channel": "pigeon", "status": "lost_at_sea"}) == "Pigeon “Welcome” lost at sea."
    assert told("task", "Call", {"action": "sung_to", "actor": "Olena"}) == "Task “Call” sung to."
    assert step_text("hum:low_tone#2", speech_of("en")) == "hum “Low tone”"
    assert outcome_text("split:offer#1", "sent", speech_of("en")) == "“Sent”", "A part of a split has its own name."
    assert outcome_text("event:SessionLogin#1", "SessionLogin", speech_of("en")) == "Login"


@pytest.mark.parametrize(
    ("measure", "in_english", "in_ukrainian"),
    [
        (
            total(DepositApproved, "amount_minor", last=days(30)),
            "Deposit arrived: amount in total, in the last 30 days",
            "Депозит надійшов: сума разом, за 30 днів",
        ),
        (count(SessionLogin, per=month), "Login: how many, this month", "Вхід: скільки разів, цього місяця"),
        (
            distinct(RoundCompleted, "game_id", per=week),
            "Round of a game: game, how many different ones, this week",
            "Раунд гри: гра, скільки різних, цього тижня",
        ),
        (
            count(RoundCompleted, where=lambda one: one.win_minor > 0, last=days(1), name="winning"),
            "Round of a game: how many of “Winning”, in the last 1 day",
            "Раунд гри: скільки разів, «Winning», за 1 день",
        ),
        (gap(SessionLogin), "Login: usual gap between days with it", "Вхід: звичний проміжок між такими днями"),
        (
            typical(RoundCompleted, "stake_minor"),
            "Round of a game: stake as it usually is",
            "Раунд гри: ставка, як зазвичай",
        ),
    ],
)
def test_what_a_rule_measures_is_said_in_words(measure: Any, in_english: str, in_ukrainian: str) -> None:
    assert measure_text(measure.key, speech_of("en")) == in_english
    assert measure_text(measure.key, speech_of("uk")) == in_ukrainian


def test_every_way_to_measure_has_words_and_a_key_of_another_shape_is_read_out() -> None:
    measures = [
        *(count(SessionLogin, per=day), total(DepositApproved, "amount_minor"), distinct(RoundCompleted, "game_id")),
        *(typical(RoundCompleted, "stake_minor"), gap(SessionLogin), week_days(SessionLogin)),
        *(choices(RoundCompleted, "category"), level(RoundCompleted, "stake_minor")),
    ]
    assert {one.how for one in measures} == COUNTED.keys()
    assert {one.how for one in measures if one.is_pattern} == PATTERNS
    for one in measures:
        assert "_" not in measure_text(one.key, speech_of("ru")), one
    assert measure_text("score_of_tomorrow", speech_of("en")) == "Score of tomorrow"


def test_what_was_measured_is_said_in_its_unit_and_never_as_a_0_that_says_nothing() -> None:
    english, russian = speech_of("en"), speech_of("ru")
    money, usual = total(DepositApproved, "amount_minor").key, gap(SessionLogin).key
    pattern, games = week_days(SessionLogin).key, distinct(RoundCompleted, "game_id").key
    given: dict[str, Any] = {"currency": "EUR", "is_known": True, "speech": english}
    assert measured_text(money, 123_450, **given) == "1,234.50 EUR"
    assert measured_text(money, 123_450, **given | {"speech": russian}).replace("\xa0", " ") == "1 234,50 EUR"
    assert measured_text(usual, 3 * 86_400, **given) == "3 days"
    assert measured_text(usual, 0, **given | {"is_known": False}) == "not known yet"
    assert measured_text(pattern, 0, **given | {"is_known": False}) == "no change is seen"
    assert measured_text(pattern, 1, **given | {"speech": russian}) == "в последнее время изменилось"
    assert measured_text(games, 1_200, **given) == "1,200"


@pytest.mark.parametrize(
    ("name", "value", "currency", "said"),
    [
        ("churn_30", 0.4267, "", ("42.7 %", "42,7 %", "42,7 %")),
        ("goal_difference", -0.0123, "", ("-1.2 points", "-1,2 в. п.", "-1,2 п. п.")),
        ("ngr", 12_345_678.0, "EUR", ("123,456.78 EUR", "123 456,78 EUR", "123 456,78 EUR")),
        ("ngr", 1_500.0, "JPY", ("1,500 JPY", "1 500 JPY", "1 500 JPY")),
        ("nps", 12.4, "", ("+12", "+12", "+12")),
        ("active_days_7", 2.34, "", ("2.3", "2,3", "2,3")),
        ("recognition_p50", 42.04, "", ("42.0 s", "42,0 с", "42,0 с")),
        ("recognition_p95", 600, "", ("10 min", "10 хв", "10 мин")),
        ("recognition_p99", 10_800, "", ("3.0 h", "3,0 год", "3,0 ч")),
        ("registered", 1_234_567.0, "", ("1,234,567", "1 234 567", "1 234 567")),
    ],
)
def test_a_figure_has_the_unit_and_the_numbers_of_the_language(
    name: str, value: float, currency: str, said: tuple[str, ...]
) -> None:
    shown = [figure_value(name, value, currency, speech_of(language)) for language in LANGUAGES]
    assert tuple(one.replace("\xa0", " ") for one in shown) == said


@pytest.mark.parametrize("name", NAMES)
def test_no_figure_has_a_number_where_there_is_none(name: str) -> None:
    assert figure_value(name, None, "", speech_of("uk")) == figure_text(name, None) == "\N{EN DASH}"
