"""What is wrong with who may answer a question is told at start-up."""

import pytest

from tests.support.outside_packages import Write, journey_of, line_of, mistakes
from workflows.source.journey_loading import load

HEAD = """
class Mute(Form):
    'Anything?'


class Call(Form):
    'Call the player.'


"""


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "await player.ask(Call, team='vip', due=days(1), not_by=[Mute])",
            "not_by= names Mute, which this journey never asks; name a question that comes before.",
        ),
        (
            "await player.ask(Call, team='vip', due=days(1), not_by=['Call'])",
            "name the earlier questions of not_by= as a list of their forms, such as not_by=[Affordability].",
        ),
        (
            "await player.ask(Call, team='vip', due=days(1), approvals=0)",
            "approvals= is how many people must agree, 1 to 5.",
        ),
        (
            "await player.ask(Call, team='vip', due=days(1), skill='Anti Money')",
            "'Anti Money' names no skill that anybody can be given; use a-z, 0-9, '.', '_', '-'.",
        ),
    ],
)
def test_a_mistake_with_who_may_answer_is_told(package: Write, body: str, sentence: str) -> None:
    source = journey_of(f"await player.sleep(days(1))\n{body}", head=HEAD)
    assert mistakes(package(one=source)) == [f"Journey hello, line {line_of(source, body)}: {sentence}"]


def test_a_question_of_a_helper_may_be_named(package: Write) -> None:
    body = "await checked(player)\nawait player.ask(Call, team='vip', due=days(1), not_by=[Mute], approvals=2)"
    helper = "async def checked(p: Player) -> None:\n    await p.ask(Mute, team='vip', due=days(1))\n\n\n"
    assert load([package(one=journey_of(body, head=HEAD + helper))]).forms
