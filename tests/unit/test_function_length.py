"""A function fits on a screen; the few that do not are named here with their reason."""

import ast
from collections.abc import Iterator

from tests.test_architecture import files

LONGEST = 50
#: Functions that may be longer; no more than three.
LONG = {
    ("cli/import_events.py", "import_events"): "every option of the command is a parameter with its own help",
    ("cli/rehearse.py", "rehearse"): "every option of the command is a parameter with its own help",
    ("workflows/journey.py", "journey"): "every declaration of a journey is a parameter, explained in one docstring",
}


def lengths(path: str, source: str) -> Iterator[tuple[tuple[str, str], int]]:
    """Every function of a file with its lines, from its name to its end."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (path, node.name), (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    product = [(path, source) for path, source in files() if not path.startswith(("tests/", "bench/", "migrations/"))]
    found = {function: length for path, source in product for function, length in lengths(path, source)}
    assert len(found) > 1_500
    assert {function for function, length in found.items() if length > LONGEST} == LONG.keys(), (
        "Give a part of the function a name of its own, or take out of LONG what is short by now."
    )
    assert len(LONG) <= 3


def test_a_long_function_is_found() -> None:
    source = "class C:\n    async def f(self):\n" + "        x = 1\n" * 50
    assert dict(lengths("x.py", source)) == {("x.py", "f"): 51}
