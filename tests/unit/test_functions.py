"""Reading a designer's function: its definition, what it is handed, and what it reads from outside."""

import ast
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from workflows.errors import DesignError
from workflows.source.functions import (
    arguments_of,
    default_values,
    defaults_of,
    definition_of,
    reads_name,
    values_read,
    written_function,
)

ROOT = Path(__file__).parent.parent.parent
ONE_READER = "workflows/source/functions.py"
LIMIT, OTHER = 5, 7


def wrapped(function: Any) -> Any:
    @wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


@wrapped
def helper(first: int, /, second: int = 2, *rest: int, third: int = 3, **more: int) -> bool:
    """Compares with what its module calls so, inside a function of its own."""
    return any(one > LIMIT for one in (first, second, third, *rest, *more.values()))


def call(text: str) -> ast.Call:
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call)
    return node


def test_a_wrapped_function_is_read_where_it_is_written() -> None:
    function = written_function(helper)
    assert function is not None
    definition = definition_of(function)
    lines = Path(__file__).read_text().splitlines()
    assert lines[definition.lineno - 1].startswith("def helper(")
    assert {name: ast.unparse(value) for name, value in defaults_of(definition).items()} == {
        "second": "2",
        "third": "3",
    }
    given = arguments_of(call("helper(1, x, third=y, fourth=z)"), definition)
    assert {name: ast.unparse(value) for name, value in given.items()} == {
        "first": "1",
        "second": "x",
        "third": "y",
        "fourth": "z",
    }
    assert values_read(function)["LIMIT"] == LIMIT
    assert "OTHER" not in values_read(function)
    assert default_values(function) == (2, 3)


@pytest.mark.parametrize("value", [lambda: None, len, print, None, 5, Path])
def test_what_has_no_definition_is_no_written_function(value: object) -> None:
    assert written_function(value) is None


@pytest.mark.parametrize(
    ("body", "reads"),
    [
        ("return login.type", True),
        ("return lambda: login.type", True),
        ("def inner():\n        return lambda: login\n    return inner", True),
        ("return lambda login: login.type", False),
        ("return [login for login in range(3)]", False),
        ("login = None", False),
        ("return 'login'", False),
    ],
)
def test_a_name_is_read_where_it_means_the_functions_own(body: str, *, reads: bool) -> None:
    [definition] = ast.parse(f"def made(player, login):\n    {body}").body
    assert isinstance(definition, ast.FunctionDef)
    assert reads_name(definition, "login") is reads


def test_a_name_without_a_value_is_told_by_name() -> None:
    def asks() -> Any:
        return late

    function: Any = asks
    with pytest.raises(DesignError, match="asks uses late, which has no value; give late its value above the function"):
        values_read(function)
    late = 1
    assert values_read(function) == {"late": late}


def test_nothing_else_asks_python_how_a_function_is_written() -> None:
    """Two readers would disagree about a helper one day, and a diagram would show what start-up did not check."""
    asking = {"findsource", "getclosurevars", "get_instructions", "getsource", "getsourcelines"}
    rooms = ["activities", "api", "cli", "content", "local", "stage", "workflows"]
    readers = {
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in asking
    }
    assert readers == {ONE_READER}
