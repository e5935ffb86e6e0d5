"""What a message template may say: an allow-list over Jinja's syntax tree, checked before anything is compiled.

Allowed: text, declared variables, the six filters, `if` with comparisons, `~`, and `include` of a shared piece.
Everything else is refused, attributes and calls among them, so the known ways out of Jinja's sandbox (indirect
`str.format`, `|attr`) have no words to be written in. A variable that may be absent is printed only under an `if`
that asks for it, and a typed value only through the filter that writes its type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from babel import Locale
from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Environment

from content.variable_values import VariableType, plural_categories

SHARED = "_shared"
#: Statements and expressions within each other.
DEEPEST = 32
_NUMBER_TOO_LARGE = "a number too large to be read; write a smaller one"

_TAKES: dict[str, frozenset[VariableType]] = {
    "money": frozenset({"money"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"datetime"}),
    "number": frozenset({"number"}),
    "percent": frozenset({"percent"}),
    "plural": frozenset({"number"}),
}
_PRINTED_AS_THEY_ARE: frozenset[VariableType] = frozenset({"text", "name", "url"})
# Equality never fails, whatever the types and even on an absent value; an order would.
_COMPARISONS = frozenset({"eq", "ne"})


@dataclass(frozen=True)
class Declared:
    """What the syntax check needs to know of a variable."""

    type: VariableType
    may_be_absent: bool


@dataclass
class TemplateReading:
    """What a file turned out to hold: its blocks, the variables it uses, and what is wrong with it."""

    blocks: frozenset[str] = frozenset()
    uses: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def read_source(
    environment: Environment,
    file: str,
    sources: Mapping[str, str],
    declared: Mapping[str, Declared],
    locale: Locale,
    trees: dict[str, nodes.Template] | None = None,
) -> TemplateReading:
    """Judge one file; the problems are sentences that name the file, the line and the mend.

    `trees` are the files parsed already, by file. What is parsed here is put there: many texts share a piece, and
    whoever compiles a text need not parse it again.
    """
    reading = TemplateReading()
    reader = _Reader(environment, sources, declared, locale, reading, file, {} if trees is None else trees)
    tree = reader.parse(file)
    if tree is None:
        return reading
    blocks = [node for node in tree.body if isinstance(node, nodes.Block)]
    reading.blocks = frozenset(block.name for block in blocks)
    for node in tree.body:
        if not isinstance(node, nodes.Block) and not _is_blank(node):
            reader.complain(node, "stands outside the blocks; move it into one")
    for block in blocks:
        reader.statements(block.body, frozenset())
    return reading


def _depth(tree: nodes.Node) -> int:
    """How deep a tree is, no further than is needed to see that it is too deep."""
    level: list[nodes.Node] = [tree]
    depth = 0
    while level and depth <= DEEPEST:
        depth += 1
        level = [child for node in level for child in node.iter_child_nodes()]
    return depth


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(child, nodes.TemplateData) and not child.data.strip() for child in node.nodes
    )


class _Reader:
    def __init__(
        self,
        environment: Environment,
        sources: Mapping[str, str],
        declared: Mapping[str, Declared],
        locale: Locale,
        reading: TemplateReading,
        file: str,
        trees: dict[str, nodes.Template],
    ) -> None:
        self._environment = environment
        self._sources = sources
        self._declared = declared
        self._locale = locale
        self._reading = reading
        self._file = file
        self._trees = trees
        self._inside_shared = False

    def parse(self, file: str) -> nodes.Template | None:
        if file in self._trees:
            return self._trees[file]
        try:
            tree = self._environment.parse(self._sources[file], filename=file)
        except TemplateSyntaxError as error:
            self._reading.problems.append(f"{file}, line {error.lineno}: {error.message}; correct the syntax.")
            return None
        except ValueError:
            # Python refuses to read a whole number of more than some thousand digits.
            self._reading.problems.append(f"{file}: holds {_NUMBER_TOO_LARGE}.")
            return None
        except RecursionError:
            tree = None
        # Before anything walks it: neither this check nor Python's own compiler goes as deep as an author may write.
        if tree is None or _depth(tree) > DEEPEST:
            self._reading.problems.append(f"{file}: is nested more than {DEEPEST} deep; write it flatter.")
            return None
        for const in tree.find_all(nodes.Const):
            # It would be compiled to `inf`, a name that nothing has.
            if isinstance(const.value, float) and not isfinite(const.value):
                self._reading.problems.append(f"{file}, line {const.lineno}: holds {_NUMBER_TOO_LARGE}.")
                return None
        self._trees[file] = tree
        return tree

    def complain(self, node: nodes.Node, what: str) -> None:
        self._reading.problems.append(f"{self._file}, line {node.lineno}: {_called(node)} {what}.")

    def statements(self, body: list[nodes.Node], present: frozenset[str]) -> None:
        for node in body:
            match node:
                case nodes.Output(nodes=children):
                    for child in children:
                        self._printed(child, present)
                case nodes.If():
                    self._if(node, present)
                case nodes.Include():
                    self._include(node, present)
                case _:
                    self.complain(node, "is not allowed; use text, declared variables, filters, if and include")

    def _if(self, node: nodes.If, present: frozenset[str]) -> None:
        self._condition(node.test)
        self.statements(node.body, present | _asserted(node.test))
        for branch in node.elif_:
            self._if(branch, present)
        self.statements(node.else_, present)

    def _include(self, node: nodes.Include, present: frozenset[str]) -> None:
        file = node.template.value if isinstance(node.template, nodes.Const) else None
        if self._inside_shared or not isinstance(file, str) or not file.startswith(f"{SHARED}/"):
            self.complain(node, f'may only name a shared piece, once: {{% include "{SHARED}/greeting.en.j2" %}}')
            return
        if file not in self._sources:
            self.complain(node, f"names {file}, which does not exist; write it or correct the name")
            return
        tree = self.parse(file)
        if tree is None:
            return
        outer, self._file, self._inside_shared = self._file, file, True
        self.statements(tree.body, present)
        self._file, self._inside_shared = outer, False

    def _printed(self, node: nodes.Node, present: frozenset[str]) -> None:
        match node:
            case nodes.TemplateData() | nodes.Const():
                pass
            case nodes.Name():
                kind = self._variable(node, present)
                if kind is not None and kind not in _PRINTED_AS_THEY_ARE:
                    self.complain(node, f"is a {kind} printed raw; write it as {{{{ {node.name} | {kind} }}}}")
            case nodes.Filter():
                self._filter(node, present)
            case nodes.Concat(nodes=parts):
                for part in parts:
                    self._printed(part, present)
            case nodes.CondExpr():
                self._condition(node.test)
                self._printed(node.expr1, present | _asserted(node.test))
                if node.expr2 is not None:
                    self._printed(node.expr2, present)
            case _:
                self.complain(node, "is not allowed; print text, declared variables and filtered variables")

    def _filter(self, node: nodes.Filter, present: frozenset[str]) -> None:
        takes = _TAKES.get(node.name)
        if takes is None:
            self.complain(node, f"does not exist; the filters are {', '.join(sorted(_TAKES))}")
            return
        if not isinstance(node.node, nodes.Name):
            self.complain(node, "may only follow the name of a variable")
            return
        kind = self._variable(node.node, present)
        if kind is not None and kind not in takes:
            self.complain(node, f"writes {' or '.join(sorted(takes))}, but {node.node.name} is declared as {kind}")
        if node.args or node.dyn_args is not None or node.dyn_kwargs is not None:
            self.complain(node, 'takes no positional arguments; plural takes its forms by name, one="spin"')
            return
        forms = {str(pair.key) for pair in node.kwargs}
        if any(not (isinstance(pair.value, nodes.Const) and isinstance(pair.value.value, str)) for pair in node.kwargs):
            self.complain(node, "takes plain text only")
        if len(forms) < len(node.kwargs):
            self.complain(node, "is given one of its forms twice; write each once")
        needed = plural_categories(self._locale) if node.name == "plural" else frozenset[str]()
        if needed - forms or forms - needed - ({"other"} if needed else frozenset()):
            wanted = ", ".join(sorted(needed)) or "no arguments"
            self.complain(node, f"takes {wanted} in {self._locale.language}, but is given {', '.join(sorted(forms))}")

    def _condition(self, node: nodes.Node) -> None:
        match node:
            case nodes.Name():
                self._variable(node, frozenset({node.name}))
            case nodes.Const():
                pass
            case nodes.Not(node=inner):
                self._condition(inner)
            case nodes.And(left=left, right=right) | nodes.Or(left=left, right=right):
                self._condition(left)
                self._condition(right)
            case nodes.Compare(expr=expr, ops=[nodes.Operand(op=op, expr=other)]) if op in _COMPARISONS:
                self._condition(expr)
                self._condition(other)
            case _:
                self.complain(node, "is not allowed in a condition; compare a declared variable with a value")

    def _variable(self, node: nodes.Name, present: frozenset[str]) -> VariableType | None:
        declared = self._declared.get(node.name)
        if declared is None:
            self.complain(node, "is not declared; add it to [variables] of template.toml or correct the name")
            return None
        self._reading.uses.add(node.name)
        if declared.may_be_absent and node.name not in present:
            self.complain(node, f"may be absent; print it inside {{% if {node.name} %}} or give it a fallback")
        return declared.type


def _called(node: nodes.Node) -> str:
    match node:
        case nodes.Name(name=name):
            return f"{{{{ {name} }}}}"
        case nodes.Filter(name=name):
            return f"the filter {name}"
        case nodes.Getattr(attr=attr):
            return f"the attribute .{attr}"
        case nodes.Include():
            return "include"
        case nodes.Output():
            return "text"
        case _:
            return f"a {type(node).__name__.lower()}"


def _asserted(test: nodes.Node) -> frozenset[str]:
    """The variables that are certainly there when the test holds."""
    match test:
        case nodes.Name(name=name):
            return frozenset({name})
        case nodes.And(left=left, right=right):
            return _asserted(left) | _asserted(right)
        case nodes.Compare(expr=nodes.Name(name=name), ops=[nodes.Operand(op="eq", expr=nodes.Const())]):
            return frozenset({name})
        case _:
            return frozenset()
