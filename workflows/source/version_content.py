"""What a run of a journey plays, as a text that changes exactly when the run could: the content of a version.

It is the syntax of the journey's function and of everything in the journey packages that it reaches, without comments,
docstrings and places, and the plain values of the constants it names. Where the code lies does not matter, so a frozen
copy has the content of its original. Event classes are named and not looked into: they are contracts on the wire.
"""

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib.abc import InspectLoader
from types import ModuleType
from typing import Any, Final

from workflows.declaration import Journey
from workflows.errors import DesignError
from workflows.events import Event
from workflows.rules.segments import Segment
from workflows.run import JourneyRun

_PLAIN: Final = (bool, int, float, complex, str, bytes, Decimal, Fraction, date, time, timedelta)
_NO_CONTENT: Final = frozenset({"ctx", "type_comment", "kind", "type_ignores"})


@dataclass(frozen=True)
class ImportedName:
    """What a name of a module stands for: the attribute of a module, or a module itself."""

    module: str
    attribute: str | None


@dataclass
class SourceModule:
    """A module of the journey packages: its text, its syntax, and which of its statements give a name its value."""

    name: str
    text: str
    tree: ast.Module
    values: dict[str, Any]
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, ImportedName] = field(default_factory=dict)
    #: Statements that give no name a value and still do something, such as `PRIZES.append(...)`.
    loose: list[ast.stmt] = field(default_factory=list)

    @property
    def declares_events(self) -> bool:
        """Whether an event class is declared here."""
        return any(_is_event(value) and value.__module__ == self.name for value in self.values.values())


class JourneyPackages:
    """The modules below the packages of journeys, read when first asked for."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = tuple(names)
        self._read: dict[str, SourceModule] = {}

    def owns(self, module: str) -> bool:
        """Whether a module lies below one of the packages."""
        return any(module == name or module.startswith(f"{name}.") for name in self.names)

    def read(self, name: str) -> SourceModule:
        """A module of the packages."""
        if name not in self._read:
            self._read[name] = read_module(name)
        return self._read[name]


def read_module(name: str) -> SourceModule:
    """A module's source, with what each of its names stands for."""
    module = importlib.import_module(name)
    loader = module.__spec__.loader if module.__spec__ is not None else None
    text = (loader.get_source(name) if isinstance(loader, InspectLoader) else None) or ""
    found = SourceModule(name, text, ast.parse(text), vars(module))
    for statement in _without_docstring(found.tree.body):
        if for_type_checker(statement):
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            found.imports |= imported_names(statement, module)
            continue
        bound = {*_names_bound(statement)}
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom) and not _is_scope(statement):
                found.imports |= imported_names(node, module)
        for one in bound:
            found.bindings.setdefault(one, []).append(statement)
        if not bound:
            found.loose.append(statement)
    return found


def for_type_checker(node: ast.AST) -> bool:
    """Whether a statement is read by a type checker only."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imported_names(node: ast.Import | ast.ImportFrom, module: ModuleType) -> dict[str, ImportedName]:
    """What the names that an import of `module` gives stand for; of `from x import *` all that x has."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: ImportedName(
                alias.name if alias.asname else alias.name.partition(".")[0], None
            )
            for alias in node.names
        }
    base = absolute(node, module)
    found: dict[str, ImportedName] = {}
    for alias in node.names:
        if alias.name == "*":
            names = getattr(importlib.import_module(base), "__all__", None) or [
                one for one in vars(importlib.import_module(base)) if not one.startswith("_")
            ]
            found |= {one: ImportedName(base, one) for one in names}
        elif is_module(inner := f"{base}.{alias.name}"):
            found[alias.asname or alias.name] = ImportedName(inner, None)
        else:
            found[alias.asname or alias.name] = ImportedName(base, alias.name)
    return found


def absolute(node: ast.ImportFrom, module: ModuleType) -> str:
    """The module that `from … import` names, dots at its beginning resolved."""
    home = module.__package__ or ""
    return importlib.util.resolve_name("." * node.level + (node.module or ""), home)


def is_module(name: str) -> bool:
    """Whether a dotted name is a module rather than something in one."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def content_hash(journey: Journey, packages: JourneyPackages) -> str:
    """The name of the version that a journey's present code is: 32 hexadecimal digits.

    Raises `DesignError` where code that a run would play lies beside event classes.
    """
    content = _Content(journey, packages)
    content.reach(journey.function.__module__, journey.name)
    return hashlib.blake2b("\0".join(content.lines).encode(), digest_size=16).hexdigest()


class _Content:
    """Collects, from the journey's function on, each statement it reaches once."""

    def __init__(self, journey: Journey, packages: JourneyPackages) -> None:
        self.journey = journey
        self.packages = packages
        self.lines: list[str] = []
        self._seen: set[tuple[str, str]] = set()
        self._statements: set[int] = set()
        self._modules: set[str] = set()

    def reach(self, module_name: str, name: str) -> None:
        """Collect what a name of a module stands for."""
        if (module_name, name) in self._seen:
            return
        self._seen.add((module_name, name))
        module = self.packages.read(module_name)
        value = module.values.get(name)
        if (words := self._by_name_alone(value)) is not None:
            self.lines.append(words)
            return
        if (plain := plain_text(value)) is not None and name in module.values:
            self.lines.append(f"{name}={plain}")
        if name in module.imports:
            self._reach_import(module.imports[name])
        for statement in module.bindings.get(name, ()):
            self._collect(module, statement)
        if module_name not in self._modules:
            self._modules.add(module_name)
            for statement in module.loose:
                self._collect(module, statement)

    def _by_name_alone(self, value: Any) -> str | None:
        """What stands for a thing that a run knows by its name and asks others about."""
        if _is_event(value):
            return f"event {value.type}"
        if isinstance(value, Segment):
            return f"segment {value.name}"
        if isinstance(value, type) and issubclass(value, JourneyRun) and hasattr(value, "definition"):
            other = value.definition.name
            return None if other == self.journey.name else f"journey {other}"
        return None

    def _reach_import(self, imported: ImportedName) -> None:
        module, name = imported.module, imported.attribute
        if not self.packages.owns(module) or self.packages.read(module).declares_events:
            self.lines.append(f"{module}:{name or ''}")
            self._refuse_unfrozen(module, name)
        elif name is not None:
            self.reach(module, name)

    def _refuse_unfrozen(self, module: str, name: str | None) -> None:
        """Refuse code that a run would play and a release would not freeze."""
        if name is None or not self.packages.owns(module):
            return
        declared = self.packages.read(module)
        value = declared.values.get(name)
        if name in declared.bindings and self._by_name_alone(value) is None and plain_text(value) is None:
            raise DesignError(
                f"{self.journey.name}: {name} lies in {module} beside event classes, which a release never freezes; "
                "move the event classes into a module of their own."
            )

    def _collect(self, module: SourceModule, statement: ast.stmt) -> None:
        if id(statement) in self._statements:
            return
        self._statements.add(id(statement))
        self.lines.append(canonical(statement))
        attributed = {id(node.value) for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for imported in imported_names(node, importlib.import_module(module.name)).values():
                    self._reach_import(imported)
            elif isinstance(node, ast.Attribute):
                self._reach_attribute(module, node)
            elif isinstance(node, ast.Name):
                self.reach(module.name, node.id)
                if id(node) not in attributed and (whole := self._module_of(module, node)) is not None:
                    for name in {**whole.bindings, **whole.imports}:
                        self.reach(whole.name, name)

    def _reach_attribute(self, module: SourceModule, node: ast.Attribute) -> None:
        """`offers.SPINS`, where `offers` is a module of the packages."""
        owner = self._module_of(module, node.value)
        if owner is not None and not is_module(f"{owner.name}.{node.attr}"):
            self.reach(owner.name, node.attr)

    def _module_of(self, module: SourceModule, node: ast.expr) -> SourceModule | None:
        """The module of the packages that an expression stands for."""
        name = None
        if isinstance(node, ast.Name) and node.id in module.imports and module.imports[node.id].attribute is None:
            name = module.imports[node.id].module
        elif isinstance(node, ast.Attribute) and (owner := self._module_of(module, node.value)) is not None:
            name = f"{owner.name}.{node.attr}"
        return self.packages.read(name) if name and self.packages.owns(name) and is_module(name) else None


def canonical(node: Any) -> str:
    """A piece of syntax as text, without docstrings and places: the same in every Python that can read it."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__} {node.value!r}"
    if isinstance(node, ast.AST):
        parts = [
            f"{name}={canonical(_without_docstring(value) if name == 'body' and isinstance(value, list) else value)}"
            for name, value in ast.iter_fields(node)
            if name not in _NO_CONTENT and value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(map(canonical, node))}]"
    return repr(node)


def plain_text(value: Any) -> str | None:
    """A constant as text; None for what is no plain value."""
    if value is None or isinstance(value, _PLAIN):
        return f"{type(value).__name__} {value!r}"
    if not isinstance(value, tuple | list | set | frozenset | dict):
        return None
    inside = [one for pair in value.items() for one in pair] if isinstance(value, dict) else [*value]
    parts = [plain_text(one) for one in inside]
    if None in parts:
        return None
    ordered = sorted(map(str, parts)) if isinstance(value, set | frozenset) else map(str, parts)
    return f"{type(value).__name__}[{','.join(ordered)}]"


def _is_event(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Event) and bool(getattr(value, "type", ""))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def _is_scope(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)


def _names_bound(statement: ast.AST) -> Iterator[str]:
    """The names of its module that a statement gives a value, without those of the scopes inside it."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    if isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement.id
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.Lambda):
            yield from _names_bound(child)
