"""The syntax of a source, for the many rules that read it one after the other."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache


@lru_cache(maxsize=1)
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Every node of a source, the outer before the inner.

    Only the last source is remembered, because those of the whole house would fill the memory: hold all rules against
    one file before the next.
    """
    return tuple(ast.walk(ast.parse(source)))


@cache
def import_statements(source: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Every import of a source, inside functions too."""
    return tuple(node for node in nodes(source) if isinstance(node, ast.Import | ast.ImportFrom))


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Every module a source imports, with its line; `from temporalio import x` is temporalio.x."""
    return imported(import_statements(source))


def imported(statements: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in statements:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif not isinstance(node, ast.ImportFrom):
            continue
        elif node.module == "temporalio":
            yield from ((node.lineno, f"temporalio.{alias.name}") for alias in node.names)
        elif node.module:
            yield node.lineno, node.module


def imports_at_run_time(source: str) -> Iterator[tuple[int, str]]:
    """As `imports`, without what only a type checker reads."""
    for part in ast.parse(source).body:
        if not (isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING"):
            yield from imported(ast.walk(part))
