# ruff: noqa: RUF001 - Russian and Ukrainian letters are meant
"""What people who work here read in a mail about a task or their morning, in the languages of the console.

A mail leaves the house, so it names a task and its time and nobody it is about; the link leads to the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from workflows.task_notices import OccasionName

LANGUAGES: Final = ("en", "uk", "ru")


@dataclass(frozen=True)
class NoticeText:
    """A mail to somebody who works here."""

    title: str
    body: str
    language: str


_TITLES: Final[Mapping[str, Mapping[OccasionName, str]]] = {
    "en": {
        "opened": "New in your team: {task}",
        "given": "For you: {task}",
        "unclaimed": "Nobody has it yet: {task}",
        "reminded": "Half of its time is over: {task}",
        "escalated": "Passed up to you: {task}",
        "breached": "Its time is over: {task}",
        "digest": "Your morning: {mine} yours, {overdue} late, {unclaimed} unclaimed",
    },
    "uk": {
        "opened": "Нове у вашій команді: {task}",
        "given": "Для вас: {task}",
        "unclaimed": "Ще ніхто не взяв: {task}",
        "reminded": "Минула половина часу: {task}",
        "escalated": "Передано вам: {task}",
        "breached": "Час минув: {task}",
        "digest": "Ваш ранок: ваших {mine}, прострочено {overdue}, нічиїх {unclaimed}",
    },
    "ru": {
        "opened": "Новое в вашей команде: {task}",
        "given": "Для вас: {task}",
        "unclaimed": "Ещё никто не взял: {task}",
        "reminded": "Прошла половина времени: {task}",
        "escalated": "Передано вам: {task}",
        "breached": "Время вышло: {task}",
        "digest": "Ваше утро: ваших {mine}, просрочено {overdue}, ничьих {unclaimed}",
    },
}
_TASK: Final[Mapping[str, str]] = {
    "en": "{task}, team {team}\nDue {due}\n\n{link}\n",
    "uk": "{task}, команда {team}\nСтрок {due}\n\n{link}\n",
    "ru": "{task}, команда {team}\nСрок {due}\n\n{link}\n",
}
#: For who is told because nobody of the team could be.
_INSTEAD: Final[Mapping[str, str]] = {
    "en": "Nobody of this team could be told: pass it on, or have somebody registered who may answer it.\n\n",
    "uk": "У цій команді не було кому сказати: передайте завдання або зареєструйте того, хто може відповісти.\n\n",
    "ru": "В этой команде некому было сказать: передайте задачу или зарегистрируйте того, кто может ответить.\n\n",
}
_DIGEST: Final[Mapping[str, str]] = {
    "en": "Yours: {mine}\nOf them due today: {today}\nLate: {overdue}\nUnclaimed in your teams: {unclaimed}"
    "\n\n{link}\n",
    "uk": "Ваших: {mine}\nЗ них на сьогодні: {today}\nПрострочено: {overdue}\nНічиїх у ваших командах: {unclaimed}"
    "\n\n{link}\n",
    "ru": "Ваших: {mine}\nИз них на сегодня: {today}\nПросрочено: {overdue}\nНичьих в ваших командах: {unclaimed}"
    "\n\n{link}\n",
}


def notice_text(occasion: OccasionName, locale: str, **told: object) -> NoticeText:
    """What somebody reads of an occasion: `task`, `team`, `due`, `link` of a task, numbers of a digest.

    With `instead` it is told to who leads, because nobody of the team could be told.
    """
    language = locale[:2] if locale[:2] in LANGUAGES else LANGUAGES[0]
    body = (_DIGEST if occasion == "digest" else _TASK)[language]
    before = _INSTEAD[language] if told.get("instead") else ""
    return NoticeText(_TITLES[language][occasion].format(**told), before + body.format(**told), language)
