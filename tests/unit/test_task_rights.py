"""Who may answer a task: its team, its skill, and never twice the same pair of eyes."""

from typing import Any

import pytest

from workflows.task_rights import Signature, refusal

ANNA: dict[str, Any] = {"name": "anna@x", "signer_id": "a", "teams": {"vip"}, "skills": {"aml"}}
CHECKED = Signature("b", "boris@x", "ask:Affordability#1")


def rule_against(who: dict[str, Any], team: str = "vip", skill: str | None = "aml", *signatures: Signature) -> Any:
    refused = refusal(team, skill, **who, signatures=signatures)
    return refused and refused.rule


def test_somebody_of_the_team_with_the_skill_may() -> None:
    assert rule_against(ANNA) is None
    assert rule_against(ANNA | {"skills": ()}, skill=None) is None


def test_a_key_without_teams_may_work_for_any() -> None:
    assert rule_against(ANNA | {"teams": None}, team="vip-head") is None
    assert rule_against(ANNA | {"teams": set()}) == "team", "in no team is not in any"


@pytest.mark.parametrize(
    ("who", "rule"),
    [({"teams": {"bingo"}}, "team"), ({"skills": {"safer-gambling"}}, "skill"), ({"skills": ()}, "skill")],
)
def test_another_team_or_a_missing_skill_is_refused(who: dict[str, Any], rule: str) -> None:
    assert rule_against(ANNA | who) == rule


def test_who_answered_before_is_known_by_id_whatever_name_they_go_by() -> None:
    assert rule_against(ANNA, "vip", "aml", CHECKED) is None
    assert rule_against(ANNA | {"signer_id": "b"}, "vip", "aml", CHECKED) == "earlier"


def test_who_answered_before_there_were_ids_is_known_by_name() -> None:
    old = Signature("name:Anna@x", "Anna@x", "ask:Affordability#1")
    assert rule_against(ANNA, "vip", "aml", old) == "earlier"


def test_who_gave_the_answer_is_no_second_pair_of_eyes() -> None:
    assert rule_against(ANNA, "vip", "aml", Signature("a", "anna@x")) == "again"


def test_the_sentence_names_the_step_and_the_name_that_was_used() -> None:
    refused = refusal("vip", None, **ANNA | {"signer_id": "b"}, signatures=[CHECKED])
    assert refused is not None
    assert refused.sentence == ("anna@x answered ask:Affordability#1 as boris@x; this asks for another pair of eyes.")
