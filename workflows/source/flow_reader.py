"""Reading a journey's code into its flow, from the syntax tree: the journey is not run.

Helper coroutines are followed into wherever they are called, so a step they take in two places is two nodes.
"""

import ast
from collections.abc import Iterator, Sequence

from workflows.declaration import Journey, again
from workflows.events import Event
from workflows.source.branches import (
    Way,
    Ways,
    alternatives,
    branches_on,
    pattern_words,
    stands_at,
    taken_by,
    takes_all,
    way_of,
)
from workflows.source.call_scope import Loop, Scope, helper_call, scope_of
from workflows.source.expressions import plain
from workflows.source.flow_graph import (
    Decision,
    Edge,
    EndNode,
    Flow,
    HelperCall,
    Node,
    Repeat,
    StartNode,
    StepNode,
    numbered,
)


def read_flow(journey: Journey) -> Flow:
    """The flow of a journey. What the reader does not know is drawn in the code's own words, never left out."""
    reader = FlowReader()
    definition, scope = scope_of(journey)
    start = StartNode()
    reader.end(reader.block(definition.body, reader.add(start, []), scope) + scope.returns)
    # Counts go on from chapter to chapter.
    chapters = [node for node in reader.nodes if isinstance(node, EndNode) and node.again is not None]
    reader.edges += [Edge(chapter, start, "next chapter") for chapter in chapters]
    numbers = numbered(reader.nodes, reader.edges)
    return Flow(journey, tuple(reader.nodes), tuple(reader.edges), reader.groups, numbers)


class FlowReader:
    """Reads statements in their order. Each method takes the ways that lead to its code and returns those out of it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.groups: dict[Node, HelperCall] = {}

    # ---- building --------------------------------------------------------------------------------

    def add(self, node: Node, ways: Ways, group: HelperCall | None = None) -> Ways:
        """Put a node at the end of the ways."""
        self.nodes.append(node)
        if group is not None:
            self.groups[node] = group
        self.join(ways, node)
        return [Way(node)]

    def join(self, ways: Ways, node: Node) -> None:
        """Lead the ways to a node."""
        self.edges += [Edge(way.source, node, way.words, way.kinds, way.happened) for way in ways]

    def end(self, ways: Ways) -> None:
        """End a run that comes by these ways."""
        if ways:
            self.add(EndNode(), ways)

    # ---- statements ------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], ways: Ways, scope: Scope) -> Ways:
        """Read one statement after another, until no run comes any further."""
        for statement in body:
            if not ways:
                break
            ways = self.statement(statement, ways, scope)
        return ways

    def statement(self, node: ast.stmt, ways: Ways, scope: Scope) -> Ways:
        """Read a statement."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.nested[node.name] = node
                return ways
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                return self.assignment(name, value, ways, scope)
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                self.departure(node, ways, scope)
                return []
            case _ if scope.matters(node):
                return self.compound(node, ways, scope)
        return ways

    def compound(self, node: ast.stmt, ways: Ways, scope: Scope) -> Ways:
        """Read a statement that holds others, or steps."""
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                yes, no = self.condition(test, ways, scope)
                return self.block(body, yes, scope) + self.block(orelse, no, scope)
            case ast.Match():
                return self.match(node, ways, scope)
            case ast.For() | ast.While():
                return self.loop(node, ways, scope)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=last):
                ends = self.block(orelse, self.block(body, ways, scope), scope)
                for handler in handlers:
                    words = f"except {ast.unparse(handler.type)}" if handler.type else "except"
                    ends += self.block(handler.body, [Way(way.source, words) for way in ways], scope)
                return self.block(last, ends, scope)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    ways, _ = self.expression(item.context_expr, ways, scope)
                return self.block(body, ways, scope)
        return self.parts(node, ways, scope)

    def assignment(self, name: str, value: ast.expr, ways: Ways, scope: Scope) -> Ways:
        """Read `name = value`, and keep what the name then stands for."""
        ways, step = self.expression(value, ways, scope)
        scope.results.pop(name, None)
        if step is not None:
            scope.results[name] = step
        elif scope.names.local[name] == 1:
            scope.names.bound[name] = scope.names.value_of(value)
        return ways

    def departure(self, node: ast.Return | ast.Raise | ast.Break | ast.Continue, ways: Ways, scope: Scope) -> None:
        """Read what leaves the function or the loop, so that no way leads on from here."""
        match node:
            case ast.Return(value=value):
                self.result(value, ways, scope)
            case ast.Raise():
                self.end(ways)
            case ast.Break():
                scope.loops[-1].leaving.extend(ways)
            case ast.Continue():
                scope.loops[-1].again.extend(ways)

    def result(self, value: ast.expr | None, ways: Ways, scope: Scope) -> None:
        """Read what is returned: the end of the run, its next chapter, or the way back out of a helper."""
        if isinstance(value, ast.IfExp) and (scope.group is None or scope.takes_steps(value)):
            yes, no = self.condition(value.test, ways, scope)
            self.result(value.body, yes, scope)
            self.result(value.orelse, no, scope)
            return
        step: StepNode | None = None
        if value is not None:
            ways, step = self.expression(value, ways, scope)
        if scope.group is not None:
            scope.returns += ways
            scope.returned.append(step)
        elif isinstance(value, ast.Call) and scope.names.known(value.func) is again:
            self.add(EndNode(again=ast.unparse(value)), ways)
        else:
            self.end(ways)

    def loop(self, node: ast.For | ast.While, ways: Ways, scope: Scope) -> Ways:
        """Read a loop, whose end leads back to its head."""
        line = node.lineno
        if isinstance(node, ast.For):
            ways, _ = self.expression(node.iter, ways, scope)
        head = len(self.nodes)
        if isinstance(node, ast.For):
            repeat = Repeat(f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}", line)
            self.add(repeat, ways, scope.group)
            inside, done = [Way(repeat, "each time")], [Way(repeat, "done")]
        elif isinstance(node.test, ast.Constant) and node.test.value:
            inside, done = self.add(Repeat("again and again", line), ways, scope.group), []
        elif not ways:
            return []
        else:
            inside, done = self.condition(node.test, ways, scope)
            if len(self.nodes) == head:
                # It asks about a step before the loop: the question is asked again each time, and is a way out then.
                repeat = Repeat(f"while {ast.unparse(node.test)}", line)
                self.add(repeat, ways, scope.group)
                inside, done = [Way(repeat, "each time")], [Way(repeat, "done")]
        loop = Loop()
        scope.loops.append(loop)
        loop.again += self.block(node.body, inside, scope)
        scope.loops.pop()
        self.join(loop.again, self.nodes[head])
        return self.block(node.orelse, done, scope) + loop.leaving

    def match(self, node: ast.Match, ways: Ways, scope: Scope) -> Ways:
        """Read the cases of a `match`, each with the ways out of the step, or of the question, that it takes."""
        ways, step = self.expression(node.subject, ways, scope)
        source: Node
        if step is not None and stands_at(ways, step):
            source = step
        else:
            source, step = Decision(plain(node.subject), node.lineno), None
            self.add(source, ways, scope.group)
        left = alternatives(step)
        ends: Ways = []
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

    def expression(self, node: ast.expr, ways: Ways, scope: Scope) -> tuple[Ways, StepNode | None]:
        """Take the steps an expression takes, in their order; the step whose result it is, if it is one's."""
        match node:
            case ast.Await(value=inner):
                return self.expression(inner, ways, scope)
            case ast.NamedExpr(target=ast.Name(id=name), value=inner):
                ways = self.assignment(name, inner, ways, scope)
                return ways, scope.results.get(name)
            case ast.Name(id=name):
                return ways, scope.results.get(name)
            case ast.Call() if scope.takes_steps(node):
                return self.call(node, ways, scope)
        return (self.choice(node, ways, scope) if scope.takes_steps(node) else ways), None

    def choice(self, node: ast.expr, ways: Ways, scope: Scope) -> Ways:
        """Take the steps of an expression that may take some of them only."""
        match node:
            case ast.IfExp(test=test, body=body, orelse=orelse):
                yes, no = self.condition(test, ways, scope)
                return self.expression(body, yes, scope)[0] + self.expression(orelse, no, scope)[0]
            case ast.BoolOp():
                yes, no = self.condition(node, ways, scope)
                return yes + no
        return self.parts(node, ways, scope)

    def parts(self, node: ast.AST, ways: Ways, scope: Scope) -> Ways:
        """Take the steps of every expression directly below a node."""
        for part in _expressions(node):
            ways, _ = self.expression(part, ways, scope)
        return ways

    def call(self, call: ast.Call, ways: Ways, scope: Scope) -> tuple[Ways, StepNode | None]:
        """Take the steps before a call and of its arguments, then those of the verb or helper that is called."""
        if isinstance(call.func, ast.Attribute) and not isinstance(call.func.value, ast.Name):
            ways, _ = self.expression(call.func.value, ways, scope)
        for part in (*call.args, *(keyword.value for keyword in call.keywords)):
            ways, _ = self.expression(part, ways, scope)
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=verb) if name in scope.players:
                step = _step(verb, call, scope)
                return self.add(step, ways, scope.group), step
        helper = helper_call(call, scope)
        if helper is None:
            return ways, None
        definition, inner = helper
        ways = self.block(definition.body, ways, inner) + inner.returns
        returned = inner.returned[0] if len(inner.returned) == 1 else None
        return ways, returned if returned is not None and stands_at(ways, returned) else None

    # ---- questions -------------------------------------------------------------------------------

    def condition(self, node: ast.expr, ways: Ways, scope: Scope) -> tuple[Ways, Ways]:
        """Ask whether an expression holds: the ways on if it does, and if it does not."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                yes, no = self.condition(inner, ways, scope)
                return no, yes
            case ast.BoolOp() if scope.takes_steps(node):
                return self.chain(node, ways, scope)
        asked, answer = _asked(node)
        ways, step = self.expression(asked, ways, scope)
        if step is not None and stands_at(ways, step) and (branches := branches_on(step, answer=answer)) is not None:
            return branches
        if not ways:
            return [], []
        decision = Decision(plain(node), node.lineno)
        self.add(decision, ways, scope.group)
        return [Way(decision, "yes")], [Way(decision, "no")]

    def chain(self, node: ast.BoolOp, ways: Ways, scope: Scope) -> tuple[Ways, Ways]:
        """Ask what `and` or `or` joins, one after the other, as far as the answer is still open."""
        first, *rest = node.values
        yes, no = self.condition(first, ways, scope)
        for part in rest:
            if isinstance(node.op, ast.And):
                yes, more = self.condition(part, yes, scope)
                no = no + more
            else:
                more, no = self.condition(part, no, scope)
                yes = yes + more
        return yes, no


def _step(verb: str, call: ast.Call, scope: Scope) -> StepNode:
    arguments = tuple(scope.names.value_of(argument) for argument in call.args)
    keywords = {keyword.arg or "**": scope.names.value_of(keyword.value) for keyword in call.keywords}
    known = (value.known for value in (*arguments, *keywords.values()))
    kinds = tuple(kind for kind in known if isinstance(kind, type) and issubclass(kind, Event))
    return StepNode(verb, scope.subject(verb, arguments, keywords), call.lineno, arguments, keywords, kinds, call)


def _asked(node: ast.expr) -> tuple[ast.expr, bool | str]:
    """What a condition asks about, and with which answer it holds: something, nothing, or the part of that name."""
    match node:
        case ast.Compare(left=inner, ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]):
            return inner, isinstance(op, ast.IsNot)
        case ast.Compare(left=inner, ops=[ast.Eq()], comparators=[ast.Constant(value=str(part))]):
            return inner, part
    return node, True


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword | ast.comprehension):
            yield from _expressions(child)
