"""The source of a version: copies of a journey's module and of every module of the packages it imports.

The copies import each other, so that nobody's later edit reaches them. Modules of event classes are not copied, for
these are contracts on the wire: the copies go on importing them from where they are.
"""

import ast
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workflows.declaration import Journey
from workflows.errors import DesignError
from workflows.source.version_content import JourneyPackages, SourceModule, absolute, for_type_checker, is_module


@dataclass(frozen=True)
class FrozenSource:
    """The files of a version by their names, without `.py`; `main` holds the journey."""

    main: str
    files: Mapping[str, str]


def frozen_source(journey: Journey, packages: JourneyPackages, package: str) -> FrozenSource:
    """The files of a version that is to be imported as `package`.

    Raises `DesignError` for source that cannot be frozen, with what to write instead.
    """
    modules = _imported_modules(journey, packages)
    names = _file_names([*modules])
    files = {names[name]: _Rewriting(module, names, package).text() for name, module in modules.items()}
    return FrozenSource(names[journey.function.__module__], files)


def _imported_modules(journey: Journey, packages: JourneyPackages) -> dict[str, SourceModule]:
    """The modules to copy, the journey's own first."""
    first = packages.read(journey.function.__module__)
    if first.declares_events:
        raise DesignError(
            f"{journey.name}: {first.name} declares event classes beside the journey, and a release never freezes "
            "those; move them into a module of their own and import them."
        )
    found, waiting = {first.name: first}, [first]
    while waiting:
        module = waiting.pop(0)
        for name in _imports(module, packages):
            if name not in found and not packages.read(name).declares_events:
                found[name] = packages.read(name)
                waiting.append(found[name])
    return found


def _imports(module: SourceModule, packages: JourneyPackages) -> Iterator[str]:
    """The modules of the packages that one imports when it runs."""
    for node in _at_run_time(module.tree):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        else:
            base = absolute(node, importlib.import_module(module.name))
            inner = [f"{base}.{alias.name}" for alias in node.names]
            named = [name if packages.owns(name) and is_module(name) else base for name in inner]
        yield from dict.fromkeys(name for name in named if packages.owns(name))


def _at_run_time(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not for_type_checker(child):
            yield from _at_run_time(child)


def _file_names(modules: list[str]) -> dict[str, str]:
    """A file for each module: its last name, or the whole of its name where two have the same."""
    last = [name.rpartition(".")[2] for name in modules]
    return {
        name: short if last.count(short) == 1 else name.replace(".", "_")
        for name, short in zip(modules, last, strict=True)
    }


class _Rewriting:
    """Rewrites the imports of one module and leaves every other character as it is."""

    def __init__(self, module: SourceModule, names: Mapping[str, str], package: str) -> None:
        self.module = module
        self.names = names
        self.package = package

    def text(self) -> str:
        """The module's text as it stands in the release."""
        lines = [line.encode() for line in self.module.text.splitlines(keepends=True)]
        nodes = [node for node in ast.walk(self.module.tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in sorted(nodes, key=lambda one: (one.lineno, one.col_offset), reverse=True):
            instead = self._instead(node)
            if instead is None:
                continue
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            before = lines[node.lineno - 1][: node.col_offset]
            after = lines[node.end_lineno - 1][node.end_col_offset :]
            lines[node.lineno - 1 : node.end_lineno] = [before + instead.encode() + after]
        return b"".join(lines).decode()

    def _instead(self, node: ast.Import | ast.ImportFrom) -> str | None:
        """What to write in place of an import; None where it may stay."""
        if isinstance(node, ast.Import):
            if not any(alias.name in self.names for alias in node.names):
                return None
            return "; ".join(self._import(alias) for alias in node.names)
        base = absolute(node, importlib.import_module(self.module.name))
        apart = {alias: self.names.get(f"{base}.{alias.name}") for alias in node.names}
        if base not in self.names and not any(apart.values()):
            return None if not node.level else self._from(base, node.names)
        written = [
            f"from {self.package} import {file} as {alias.asname or alias.name}"
            for alias, file in apart.items()
            if file
        ]
        rest = [alias for alias, file in apart.items() if not file]
        if rest:
            source = f"{self.package}.{self.names[base]}" if base in self.names else base
            written.append(self._from(source, rest))
        return "; ".join(written)

    def _from(self, source: str, aliases: list[ast.alias]) -> str:
        return ast.unparse(ast.ImportFrom(module=source, names=aliases, level=0))

    def _import(self, alias: ast.alias) -> str:
        if alias.name not in self.names:
            return ast.unparse(ast.Import(names=[alias]))
        if alias.asname is None and "." in alias.name:
            base, _, name = alias.name.rpartition(".")
            raise DesignError(
                f"{self.module.name}: a release cannot follow `import {alias.name}`; write `from {base} import {name}`."
            )
        return f"import {self.package}.{self.names[alias.name]} as {alias.asname or alias.name}"
