"""What stands against something, in the language of the page: titles of problems, and what people meet in the console.

The API says it in English; here it is recognised by its shape. What is of no known shape is shown as the API says it.
"""

import re
from typing import Final

from api.console.kept_sentences import said_anew, shapes_of
from api.console.speech import Speech

#: What endpoints say, and what it is called in the catalogues; a hole is what its group holds.
SENTENCES: Final = {
    r"There is no such (?:absence|draft|message|person|player|run|task)\b[^.]*\.": (
        "There is no such thing in this brand, or it is not yours to see."
    ),
    r"There is no (?:journey|segment|template|experiment) \S+ "
    r"(?:Did you mean \S+\?|GET \S+ lists what is deployed\.)": (
        "There is no such thing in this brand, or it is not yours to see."
    ),
    r"(?P<who>\S+) has claimed the task; ask them to release it, or reassign it\.": (
        "%(who)s has claimed the task; ask them to give it back, or pass it on."
    ),
    r"The task is \w+; it can only be read and commented\.": "The task is closed; it can only be read and commented.",
    r"The task is at version \d+ now; read it again and decide anew\.": (
        "The task has changed meanwhile; read it again and decide anew."
    ),
    r"(?P<who>\S+) gave another answer; it stands, and the journey goes on with it\.": (
        "%(who)s gave another answer; it stands, and the journey goes on with it."
    ),
    r"This task is for the team (?P<team>\S+), which \S+ is not in\.": (
        "This task is for the team %(team)s, which you are not in."
    ),
    r"This task asks for the skill (?P<skill>\S+), which \S+ does not have now\.": (
        "This task asks for the skill %(skill)s, which you do not have now."
    ),
    r"\S+ gave this answer(?: as \S+)?; it waits for another pair of eyes\.": (
        "You gave this answer; it waits for another pair of eyes."
    ),
    r"\S+ answered \S+(?: as \S+)?; this asks for another pair of eyes\.": (
        "You answered an earlier step; this asks for another pair of eyes."
    ),
    r"It can be answered by (?P<who>\S+(?:, \S+)*)\.": "It can be answered by %(who)s.",
    r"Nobody who may is registered; `docs/people.md` says how\.": "Nobody who may is registered.",
    **{
        re.escape(same): same
        for same in (
            "The journey is over for this player; the task will be closed without an answer.",
            "The answer does not fit the form; correct what errors lists.",
            "Only the due time of a task that somebody opened by hand can be moved.",
            "You have answered this task; there is nothing left to keep.",
            "The player was erased: no task about them is opened any more.",
            "The player was erased: nothing about them is noted any more.",
            "There is no such page, or it is not yours to see.",
            "No page is yours in this brand; ask whoever manages people to give you a role.",
            "Choose who takes the task over.",
            "Write something to note it.",
            "Say why: it stands in the history of the journey.",
            "Choose which group is tried again.",
            "This journey cannot be drawn here; its numbers stand beside.",
            "Choose what is given, and write its name.",
            "Write the number of the ticket, and nothing of the person.",
            "This form is older than your sign-in; go back, reload the page and send it again.",
            "The form cannot be read; reload the page and send it again.",
            "This form was sent by another site; open the console and do it there.",
            "Write the moment as 2026-01-31T10:00.",
            "Postgres does not answer. Nothing was changed; try again.",
            "This is a mistake of the console, not yours; it is in the log of the API.",
        )
    },
}
_PARTS: Final = shapes_of(SENTENCES)


def problem_text(detail: str, speech: Speech) -> str:
    """What a problem says, in a language of the console; in English as the API says it."""
    if speech.language == "en":
        return detail
    return said_anew(detail, _PARTS, lambda text, held: speech.say(text, **held))
