"""TaskScripts of forms: what a file says, and which one somebody reads."""

from pathlib import Path

import pytest

from content.scripts import TaskScript, TaskScriptPart, load_scripts, script_for
from content.settings import SHIPPED_SCRIPTS
from workflows.errors import DesignError
from workflows.source.journey_loading import load
from workflows.task_kinds import HOUSE_FORMS


def test_steps_points_and_paragraphs_are_told_apart() -> None:
    script = TaskScript.of("en", "1. Ask.\n2. Listen.\n\nA long\nparagraph.\n\nAnother.\n- one\n- two\n")
    assert script.parts == (
        TaskScriptPart("steps", ("Ask.", "Listen.")),
        TaskScriptPart("paragraph", ("A long paragraph.",)),
        TaskScriptPart("paragraph", ("Another.",)),
        TaskScriptPart("points", ("one", "two")),
    )


def test_the_players_language_comes_first_then_the_readers_then_english(tmp_path: Path) -> None:
    for language in ("en", "uk"):
        (tmp_path / f"Call.{language}.md").write_text("Hello.")
    scripts = load_scripts(tmp_path)

    def chosen(*languages: str | None) -> str | None:
        script = script_for(scripts, "Call", *languages)
        return None if script is None else script.language

    assert chosen("uk-UA", "en") == "uk"
    assert chosen("pl", "uk") == "uk"
    assert chosen(None, "pl") == "en"
    assert script_for(scripts, "Letter", "en") is None


def test_a_folder_of_ones_own_replaces_what_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "HostCall.en.md").write_text("Ours.")
    scripts = load_scripts(tmp_path, SHIPPED_SCRIPTS)
    assert scripts["HostCall"]["en"].parts == (TaskScriptPart("paragraph", ("Ours.",)),)
    assert "uk" in scripts["HostCall"]


def test_a_file_that_names_no_form_and_language_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("?")
    with pytest.raises(DesignError, match=r"HostCall\.en\.md"):
        load_scripts(tmp_path)


def test_every_shipped_script_is_of_a_shipped_form_and_in_three_languages() -> None:
    forms = {name for known in load(("workflows.journeys",)).forms.values() for name in known} | HOUSE_FORMS.keys()
    for form, languages in load_scripts(SHIPPED_SCRIPTS).items():
        assert form in forms
        assert languages.keys() == {"en", "uk", "ru"}
