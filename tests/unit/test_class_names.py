"""A class is found by its name alone: no two in the product share one."""

import ast
from collections.abc import Iterable, Mapping

from tests.test_architecture import files


def shared_names(sources: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Names that more than one public class has, with the files that declare them."""
    places: dict[str, list[str]] = {}
    for path, source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def test_no_public_class_of_the_product_has_the_name_of_another() -> None:
    product = [(path, source) for path, source in files() if not path.startswith(("tests/", "bench/"))]
    assert shared_names(product) == {}, (
        "Whoever meets one of them in a trace or a search cannot tell which it is. Name each after what it is there."
    )


def test_a_name_that_two_classes_share_is_found() -> None:
    declared = [("a.py", "class Run: ...\nclass _Part: ..."), ("b.py", "class _Part: ...\nif x:\n    class Run: ...")]
    assert shared_names(declared) == {"Run": ["a.py", "b.py"]}
