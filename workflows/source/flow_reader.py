"""Reading a journey's code into its flow, from the syntax tree: the journey is not run.

Helper coroutines are followed into wherever they are called, so a step they take in two places is two nodes.
"""

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any, get_type_hints

from workflows.declaration import Journey, again
from workflows.events import Event
from workflows.rewards import RewardBase
from workflows.run import JourneyRun
from workflows.source.branches import (
    OUTCOMES,
    Front,
    Way,
    alternatives,
    outcomes,
    pattern_words,
    stands_at,
    taken_by,
    takes_all,
    way_of,
)
from workflows.source.expressions import Names, plain
from workflows.source.flow import (
    UNKNOWN,
    Decision,
    Edge,
    EndNode,
    Flow,
    HelperCall,
    Node,
    Repeat,
    StartNode,
    StepNode,
    Value,
    numbered,
)

#: Verbs whose steps are named after nothing, and the parameters that name the steps of the others.
_NAMELESS = frozenset({"sleep", "until", "refresh"})
_NAMING = ("template", "reward", "form", "kind", "journey", "name")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_flow(journey: Journey) -> Flow:
    """The flow of a journey. What the reader does not know is drawn in the code's own words, never left out."""
    reader = _Reader()
    function: Any = journey.function
    tree = _tree_of(function)
    scope = _Scope(
        meaning=Names(_names_of(function), _assigned(tree)),
        players=frozenset(_parameters(tree)[:1]),
        offset=function.__code__.co_firstlineno - 1,
        calls=(function,),
    )
    front = reader.add(StartNode(), [])
    reader.end(reader.block(tree.body, front, scope) + scope.returns)
    chapters = any(isinstance(node, EndNode) and node.again for node in reader.nodes)
    if chapters:
        # Counts go on from chapter to chapter.
        reader.edges += [
            Edge(node, reader.nodes[0], "next chapter")
            for node in reader.nodes
            if isinstance(node, EndNode) and node.again is not None
        ]
    numbers = numbered(reader.nodes, reader.edges)
    return Flow(journey, tuple(reader.nodes), tuple(reader.edges), reader.groups, numbers)


# ---- reading --------------------------------------------------------------------------------------


@dataclass
class _Loop:
    leaving: Front = field(default_factory=list)
    again: Front = field(default_factory=list)


@dataclass
class _Scope:
    """One call of one function: what its names mean and where its `return` leads."""

    meaning: Names
    players: frozenset[str]
    offset: int
    calls: tuple[Any, ...]
    group: HelperCall | None = None
    results: dict[str, StepNode] = field(default_factory=dict)
    nested: dict[str, _Function] = field(default_factory=dict)
    loops: list[_Loop] = field(default_factory=list)
    returns: Front = field(default_factory=list)
    returned: list[StepNode | None] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.groups: dict[Node, HelperCall] = {}

    # ---- building --------------------------------------------------------------------------------

    def add(self, node: Node, front: Front, group: HelperCall | None = None) -> Front:
        self.nodes.append(node)
        if group is not None:
            self.groups[node] = group
        self.join(front, node)
        return [Way(node)]

    def join(self, front: Front, node: Node) -> None:
        self.edges += [Edge(loose.source, node, loose.words, loose.kinds, loose.happened) for loose in front]

    def end(self, front: Front) -> None:
        if front:
            self.add(EndNode(), front)

    # ---- statements ------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], front: Front, scope: _Scope) -> Front:
        for statement in body:
            if not front:
                break
            front = self.statement(statement, front, scope)
        return front

    def statement(self, node: ast.stmt, front: Front, scope: _Scope) -> Front:  # noqa: PLR0911 - one match over them all
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.nested[node.name] = node
                return front
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                return self.assigned(name, value, front, scope)
            case ast.Return(value=value):
                return self.left(value, front, scope)
            case ast.Break() | ast.Continue():
                loop = scope.loops[-1]
                (loop.leaving if isinstance(node, ast.Break) else loop.again).extend(front)
                return []
            case ast.Raise():
                self.end(front)
                return []
            case _ if not _matters(node, scope):
                return front
            case ast.If(test=test, body=body, orelse=orelse):
                yes, no = self.test(test, front, scope)
                return self.block(body, yes, scope) + self.block(orelse, no, scope)
            case ast.Match():
                return self.matched(node, front, scope)
            case ast.For() | ast.While():
                return self.repeated(node, front, scope)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=last):
                ends = self.block(orelse, self.block(body, front, scope), scope)
                for handler in handlers:
                    words = f"except {ast.unparse(handler.type)}" if handler.type else "except"
                    ends += self.block(handler.body, [Way(way.source, words) for way in front], scope)
                return self.block(last, ends, scope)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    front, _ = self.value(item.context_expr, front, scope)
                return self.block(body, front, scope)
        for expression in _expressions(node):
            front, _ = self.value(expression, front, scope)
        return front

    def assigned(self, name: str, value: ast.expr, front: Front, scope: _Scope) -> Front:
        front, step = self.value(value, front, scope)
        scope.results.pop(name, None)
        if step is not None:
            scope.results[name] = step
        elif scope.meaning.local[name] == 1:
            scope.meaning.bound[name] = scope.meaning.worth(value)
        return front

    def left(self, value: ast.expr | None, front: Front, scope: _Scope) -> Front:
        if isinstance(value, ast.IfExp) and (scope.group is None or _acts(value, scope)):
            yes, no = self.test(value.test, front, scope)
            return self.left(value.body, yes, scope) + self.left(value.orelse, no, scope)
        step: StepNode | None = None
        if value is not None:
            front, step = self.value(value, front, scope)
        if isinstance(value, ast.Call) and scope.meaning.worth(value.func).known is again and scope.group is None:
            self.add(EndNode(again=ast.unparse(value)), front)
        elif scope.group is None:
            self.end(front)
        else:
            scope.returns += front
            scope.returned.append(step)
        return []

    def repeated(self, node: ast.For | ast.While, front: Front, scope: _Scope) -> Front:
        loop = _Loop()
        first = len(self.nodes)
        if isinstance(node, ast.For):
            front, _ = self.value(node.iter, front, scope)
            first = len(self.nodes)
            words = f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
            head = Repeat(words, node.lineno + scope.offset)
            self.add(head, front, scope.group)
            inside, done = [Way(head, "each time")], [Way(head, "done")]
        elif isinstance(node.test, ast.Constant) and node.test.value:
            head = Repeat("again and again", node.lineno + scope.offset)
            inside, done = self.add(head, front, scope.group), list[Way]()
        else:
            inside, done = self.test(node.test, front, scope)
        scope.loops.append(loop)
        loop.again += self.block(node.body, inside, scope)
        scope.loops.pop()
        self.join(loop.again, self.nodes[first])
        return self.block(node.orelse, done, scope) + loop.leaving

    def matched(self, node: ast.Match, front: Front, scope: _Scope) -> Front:
        front, step = self.value(node.subject, front, scope)
        if step is not None and stands_at(front, step):
            source: Node = step
        else:
            source, step = Decision(plain(node.subject), node.lineno + scope.offset), None
            self.add(source, front, scope.group)
        left = alternatives(step)
        ends: Front = []
        open_ended = True
        for case in node.cases:
            taken = taken_by(case.pattern, left)
            part = taken_by(case.pattern, left, partly=True)
            way = way_of(source, step, part)
            if part != taken or not part or case.guard is not None:
                way = Way(source, pattern_words(case), way.kinds, way.happened)
            ends += self.block(case.body, [way], scope)
            if case.guard is None:
                left = [name for name in left if name not in taken]
                open_ended = open_ended and not takes_all(case.pattern)
        if open_ended and (left or not alternatives(step)):
            ends.append(way_of(source, step, left))
        return ends

    # ---- expressions -----------------------------------------------------------------------------

    def value(self, node: ast.expr, front: Front, scope: _Scope) -> tuple[Front, StepNode | None]:  # noqa: PLR0911 - the same
        """Take the steps an expression takes, in their order; the step whose result it is, if it is one's."""
        match node:
            case ast.Await(value=inner):
                return self.value(inner, front, scope)
            case ast.NamedExpr(target=ast.Name(id=name), value=inner):
                front = self.assigned(name, inner, front, scope)
                return front, scope.results.get(name)
            case ast.Name(id=name):
                return front, scope.results.get(name)
            case _ if not _acts(node, scope):
                return front, None
            case ast.IfExp(test=test, body=body, orelse=orelse):
                yes, no = self.test(test, front, scope)
                return self.value(body, yes, scope)[0] + self.value(orelse, no, scope)[0], None
            case ast.BoolOp():
                yes, no = self.test(node, front, scope)
                return yes + no, None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=verb)) if name in scope.players:
                return self.step(verb, node, front, scope)
            case ast.Call():
                for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                    front, _ = self.value(part, front, scope)
                return self.helper(node, front, scope)
        for part in _expressions(node):
            front, _ = self.value(part, front, scope)
        return front, None

    def step(self, verb: str, call: ast.Call, front: Front, scope: _Scope) -> tuple[Front, StepNode]:
        for part in (*call.args, *(keyword.value for keyword in call.keywords)):
            front, _ = self.value(part, front, scope)
        given = tuple(scope.meaning.worth(argument) for argument in call.args)
        named = {keyword.arg or "**": scope.meaning.worth(keyword.value) for keyword in call.keywords}
        seen = (value.known for value in (*given, *named.values()))
        kinds = tuple(known for known in seen if isinstance(known, type) and issubclass(known, Event))
        step = StepNode(verb, self.subject(verb, given, named, scope), call.lineno + scope.offset, given, named, kinds)
        return self.add(step, front, scope.group), step

    def subject(self, verb: str, given: Sequence[Value], named: Mapping[str, Value], scope: _Scope) -> str:
        if verb in _NAMELESS:
            return ""
        if verb == "first":
            return "|".join(map(_called, given))
        about = given[0] if given else next((named[word] for word in _NAMING if word in named), None)
        return "" if about is None else _called(self.reward(about, scope))

    def reward(self, value: Value, scope: _Scope) -> Value:
        """The reward a phrase makes, when its numbers are not known but its kind is."""
        if value.known is not UNKNOWN or not isinstance(value.code, ast.Call):
            return value
        phrase = scope.meaning.worth(value.code.func).known
        made = get_type_hints(phrase).get("return") if isinstance(phrase, FunctionType) else phrase
        if isinstance(made, type) and issubclass(made, RewardBase):
            return Value(value.words, made, value.code)
        return value

    def helper(self, call: ast.Call, front: Front, scope: _Scope) -> tuple[Front, StepNode | None]:
        found = _helper_of(call, scope)
        if found is None:
            return front, None
        tree, inner = found
        front = self.block(tree.body, front, inner) + inner.returns
        step = inner.returned[0] if len(inner.returned) == 1 else None
        return front, step if step is not None and stands_at(front, step) else None

    # ---- questions -------------------------------------------------------------------------------

    def test(self, node: ast.expr, front: Front, scope: _Scope) -> tuple[Front, Front]:  # noqa: PLR0911 - the same
        """Ask whether an expression holds: the ways on if it does, and if it does not."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                yes, no = self.test(inner, front, scope)
                return no, yes
            case ast.BoolOp(op=op, values=[first, *rest]) if _acts(node, scope):
                yes, no = self.test(first, front, scope)
                for part in rest:
                    if isinstance(op, ast.And):
                        yes, more = self.test(part, yes, scope)
                        no = no + more
                    else:
                        more, no = self.test(part, no, scope)
                        yes = yes + more
                return yes, no
            case ast.Compare(left=inner, ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]):
                after, step = self.value(inner, front, scope)
                if step is not None and step.verb in OUTCOMES and stands_at(after, step):
                    yes, no = outcomes(step)
                    return (no, yes) if isinstance(op, ast.Is) else (yes, no)
                front = after
            case ast.Compare(left=inner, ops=[ast.Eq()], comparators=[ast.Constant(value=str(part))]):
                front, step = self.value(inner, front, scope)
                if step is not None and step.verb == "split" and stands_at(front, step):
                    others = [name for name in alternatives(step) if name != part]
                    return [way_of(step, step, [part])], [way_of(step, step, others)]
            case _:
                front, step = self.value(node, front, scope)
                if step is not None and step.verb in OUTCOMES and stands_at(front, step):
                    return outcomes(step)
        if not front:
            return [], []
        asked = Decision(plain(node), node.lineno + scope.offset)
        self.add(asked, front, scope.group)
        return [Way(asked, "yes")], [Way(asked, "no")]


# ---- what the reader asks of the tree ---------------------------------------------------------------


@cache
def _tree_of(function: Any) -> _Function:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    return tree


def _names_of(function: Any) -> dict[str, Any]:
    return {**function.__globals__, **inspect.getclosurevars(function).nonlocals}


def _assigned(tree: _Function) -> Counter[str]:
    """How often each local name is given a value; a parameter is given one by the caller."""
    names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return Counter([*names, *_parameters(tree)])


def _parameters(tree: _Function) -> list[str]:
    return [a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)]


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword | ast.comprehension):
            yield from _expressions(child)


def _helper_of(call: ast.Call, scope: _Scope) -> tuple[_Function, _Scope] | None:
    """The helper a call leads to and what its names mean there; None if it takes no steps, or calls itself."""
    nested = scope.nested.get(call.func.id) if isinstance(call.func, ast.Name) else None
    function: Any = nested if nested is not None else scope.meaning.known(call.func)
    if function in scope.calls:
        return None
    if nested is not None:
        tree, names, offset = nested, scope.meaning.known_names, scope.offset
    elif _is_designers(function):
        tree, names, offset = _tree_of(function), _names_of(function), function.__code__.co_firstlineno - 1
    else:
        return None
    given = _given(tree, call)
    bound = {name: scope.meaning.worth(value) for name, value in given.items()}
    bound = {name: Names(names, Counter()).worth(value) for name, value in _defaults(tree).items()} | bound
    players = {name for name, value in given.items() if isinstance(value, ast.Name) and value.id in scope.players}
    inner = _Scope(
        meaning=Names(names, _assigned(tree), bound),
        # A function inside the journey sees the journey's player without being handed it.
        players=frozenset(players | (scope.players - set(_parameters(tree)) if nested is not None else set())),
        offset=offset,
        calls=(*scope.calls, function),
        group=HelperCall(tree.name, (ast.get_docstring(tree) or "").partition("\n")[0], scope.group),
        nested=dict(scope.nested) if nested is not None else {},
    )
    return (tree, inner) if any(_acts(statement, inner) for statement in tree.body) else None


def _is_designers(function: Any) -> bool:
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        return False
    module = function.__module__
    return module.startswith("workflows.journeys.") or not module.startswith("workflows.")


def _given(tree: _Function, call: ast.Call) -> dict[str, ast.expr]:
    positional = [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)]
    given = dict(zip(positional, call.args, strict=False))
    return given | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}


def _defaults(tree: _Function) -> dict[str, ast.expr]:
    positional = [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)]
    named = zip(tree.args.kwonlyargs, tree.args.kw_defaults, strict=True)
    given = dict(zip(reversed(positional), reversed(tree.args.defaults), strict=False))
    return given | {argument.arg: value for argument, value in named if value is not None}


def _acts(node: ast.AST, scope: _Scope) -> bool:
    """Whether a run takes a step somewhere in this code."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in scope.players:
                return True
            case ast.Call() if _helper_of(part, scope) is not None:
                return True
    return False


def _matters(node: ast.AST, scope: _Scope) -> bool:
    """Whether a run takes a step here, or goes another way because of it."""
    leaving = ast.Return | ast.Raise | ast.Break | ast.Continue
    return any(isinstance(part, leaving) for part in ast.walk(node)) or _acts(node, scope)


def _called(value: Value) -> str:
    known = value.known
    match known:
        case str():
            return known
        case RewardBase():
            return known.name
        case type() if issubclass(known, RewardBase):
            return str(known.model_fields["kind"].default)
        case type() if issubclass(known, JourneyRun):
            return known.definition.name
        case type():
            return known.__name__
    return value.words
