"""The house's rules, held by reading every file. Each failure says why the rule is there."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from activities.application_role import RIGHTS
from activities.tables import metadata
from tests.support.source_nodes import import_statements, imports, imports_at_run_time, nodes
from tests.support.table_owners import OWNERS, written, written_elsewhere
from workflows.rewards import Reward
from workflows.temporal_internals import ENGINE

ROOT = Path(__file__).parent.parent
#: Copies of what was held to the rules when it was released, and is never edited.
RELEASES = "workflows/journeys/releases"
LONGEST = 500

#: Who may import whom. Everything points one way, so that the core can be read, tested and replayed alone.
LAYERS = {
    "workflows": set[str](),
    "content": {"workflows"},
    "learning": {"workflows"},
    "activities": {"content", "learning", "workflows"},
    "stage": {"content", "learning", "workflows"},
    "api": {"activities", "content", "learning", "workflows"},
    "local": {"activities", "content", "workflows"},
    "worker": {"activities", "content", "workflows"},
    "cli": {"activities", "api", "content", "learning", "local", "stage", "worker", "workflows"},
    "migrations": {"activities"},
}
OURS = {*LAYERS, "tests", "bench"}
CORE = {"pydantic", "pydantic_core", "temporalio"}

#: What would make a decision depend on something that is not its argument, and what to do instead.
WORLD = {
    "asyncio.subprocess": "declare an effect in workflows/effects.py",
    "concurrent": "a run is one thread; start what runs beside it as a journey",
    "ftplib": "declare an effect in workflows/effects.py",
    "glob": "files are read in activities/ and handed in",
    "http": "declare an effect in workflows/effects.py",
    "io": "files are read in activities/ and handed in",
    "logging": "a run tells its story with JourneyRun.record, or logs by workflow.logger, which is silent in replay",
    "multiprocessing": "a run is one thread; start what runs beside it as a journey",
    "os": "settings are read in activities/settings.py and handed in",
    "pathlib": "files are read in activities/ and handed in",
    "random": "draw by a hash of what identifies the choice, as arm_of and Player.split do",
    "requests": "declare an effect in workflows/effects.py",
    "secrets": "draw by a hash of what identifies the choice, as arm_of and Player.split do",
    "shutil": "files are read in activities/ and handed in",
    "signal": "processes are the business of worker.py",
    "smtplib": "declare an effect in workflows/effects.py",
    "socket": "declare an effect in workflows/effects.py",
    "sqlite3": "storage is the business of activities/",
    "ssl": "declare an effect in workflows/effects.py",
    "subprocess": "declare an effect in workflows/effects.py",
    "sys": "the interpreter is the business of worker.py and cli/app.py",
    "tempfile": "files are read in activities/ and handed in",
    "threading": "a run is one thread; start what runs beside it as a journey",
    "time": "time is an argument: take now, or ask workflow.now() in a verb",
    "urllib": "declare an effect in workflows/effects.py",
    "uuid": "an identity is made of what it identifies, such as run id and step",
}
#: Reading code is done once, at start-up, by the registry. Nothing a run imports does it.
CODE_READERS = {"ast", "dis", "importlib", "inspect", "pkgutil", "symtable", "traceback"}
READS_CODE = {
    "workflows/source": CODE_READERS,
    # Whether a function is a coroutine, and its docstring; no source is read.
    "workflows/journey.py": {"inspect"},
    "workflows/declaration.py": {"inspect"},
}
#: Who may speak to Temporal, and why; all other decisions can be made where there is no Temporal.
ON_TEMPORAL = {
    "workflows/run.py": "it is the workflow that plays a journey",
    "workflows/run_state.py": "deliveries are its signals",
    "workflows/workflow_class.py": "it makes the class that the SDK registers",
    "workflows/background": "they are workflows that are no journeys",
    "workflows/temporal_internals.py": "it says how the SDK runs workflows",
}
#: The SDK plays runs in threads; whether a run's sandbox is closed is a matter of the thread that plays it.
PLAYS_IN_THREADS = {("workflows/temporal_internals.py", "threading")}
#: The one file that may use what the SDK does not promise to keep.
SDK_INTERNALS = "workflows/temporal_internals.py"
PRIVATE_NAME = re.compile(r'\b(workflow|activity|client)\._[A-Za-z]\w*|\bgetattr\([\w.]*instance, "_[A-Za-z]\w*"')
FROM_TEMPORAL = ("temporalio.workflow", "temporalio.common", "temporalio.exceptions")
IN_SANDBOX = "temporalio.worker.workflow_sandbox"
REWARDS = {reward.__name__ for reward in get_args(get_args(Reward)[0])}
#: Not "email", which is a field of a profile and a format too.
CHANNEL_NAMES = {"sms", "push", "in_app", "inapp"}
NAMES_CHANNELS = {
    "workflows/channels.py": "the table itself",
    "workflows/events/player.py": "an example of what a player opted in to",
    "api/integrations/fasttrack/to_events.py": "how another system calls our channels",
    "api/integrations/fasttrack/routes.py": "an example of its message",
    "activities/channel_adapters.py": "which provider's API takes which channel, by the settings",
    "local/demo/player_profiles.py": "how many of the demo's players opt in to what",
    "local/demo/report.py": "a figure of the demo",
    "workflows/gate/policies/gb.py": "the channels that a law is about",
    "workflows/gate/policies/us.py": "the channel that a law is about",
}
DRAWERS = {
    *("utils", "util", "utilities", "helpers", "common", "misc", "shared", "base_classes"),
    *("service", "services", "manager", "managers", "repository", "repositories", "schemas", "dtos"),
}

#: What tells in a test that it needs a server, by the server: the classes, fixtures and helpers behind one.
SERVERS = {
    "Postgres": {"Postgres", "postgres", "postgres_url", "module_postgres_url", "fresh_database"},
    "Temporal": {"TemporalServer", "temporal", "temporal_address", "time_skipping", "skipping"},
    "a stand-in process": {"bonus_engine", "bonus_engine_server", "catch_all", "running"},
}
#: The floors of tests/, by the servers that a test there needs at least, and may need besides.
FLOORS = {
    "unit": (set[str](), set[str]()),
    "stage": (set[str](), set[str]()),
    "postgres": ({"Postgres"}, {"a stand-in process"}),
    "temporal": ({"Temporal"}, {"Postgres", "a stand-in process"}),
    "seeds": (set[str](), {"Temporal", "Postgres", "a stand-in process"}),
}


@cache
def files() -> tuple[tuple[str, str], ...]:
    """Every Python file of ours, by its path in the repository, with its source."""
    # Not ROOT.rglob: the environment has ten times as many files.
    found = [path for name in OURS for path in (ROOT / f"{name}.py", *(ROOT / name).rglob("*.py")) if path.is_file()]
    inside = [path for path in sorted(found) if not path.is_relative_to(ROOT / RELEASES)]
    return tuple((path.relative_to(ROOT).as_posix(), path.read_text()) for path in inside)


def below(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def wrong_way(path: str, source: str) -> Iterator[str]:
    layer = path.partition("/")[0].removesuffix(".py")
    for line, name in imports(source):
        root = name.partition(".")[0]
        if layer in LAYERS and root in OURS - {layer} - LAYERS[layer]:
            *most, last = sorted(LAYERS[layer]) or ["nothing of ours"]
            allowed = f"{', '.join(most)} and {last}" if most else last
            yield (
                f"{path}:{line} imports {name}. {layer} may import {allowed}: imports point one way, from the edges to "
                "workflows, so that the core can be read, tested and replayed without the world. Move what is shared "
                "inwards, or hand it in as an argument."
            )


def impure(path: str, source: str) -> Iterator[str]:
    if not path.startswith("workflows/"):
        return
    for line, name in imports(source):
        at, root = f"{path}:{line} imports {name}.", name.partition(".")[0]
        for module, instead in WORLD.items():
            if below(name, module) and (path, module) not in PLAYS_IN_THREADS:
                yield (
                    f"{at} Every decision in workflows/ is a pure function of its arguments: the same facts must give "
                    f"the same run in production, on the stage and in replay. Instead: {instead}."
                )
        if root in CODE_READERS and not any(below_path(path, at) and root in which for at, which in READS_CODE.items()):
            yield (
                f"{at} Only workflows/source reads code and modules: it runs once, outside the sandbox, "
                "and nothing a run imports may do it, because it would do it again in every run."
            )
        if root == "temporalio" and not any(below_path(path, place) for place in ON_TEMPORAL):
            yield (
                f"{at} Only these of workflows/ do: "
                f"{'; '.join(f'{place}, because {reason}' for place, reason in ON_TEMPORAL.items())}. What is declared "
                "and decided needs no Temporal, so that it can be read, tested and rehearsed without it."
            )
        elif root == "temporalio" and not any(below(name, module) for module in FROM_TEMPORAL):
            if path == SDK_INTERNALS:
                continue
            yield (
                f"{at} The core speaks the workflow side of the SDK only, {', '.join(FROM_TEMPORAL)}; clients, "
                "workers and activities are the business of activities/ and worker.py."
            )
        if root not in sys.stdlib_module_names | CORE | OURS:
            yield (
                f"{at} The core stands on the standard library, pydantic and temporalio, so that a journey runs "
                "wherever they do. Do the work in activities/, behind an effect."
            )


def sdk_internals(path: str, source: str) -> Iterator[str]:
    """What of the SDK is private: its bridge, and every name with an underscore."""
    if path in {SDK_INTERNALS, "tests/unit/test_temporal_internals.py"}:
        return
    private = [(line, name) for line, name in imports(source) if below(name, "temporalio.bridge")]
    private += [(source[: match.start()].count("\n") + 1, match[0]) for match in PRIVATE_NAME.finditer(source)]
    for line, name in private:
        yield (
            f"{path}:{line} uses {name}, which the SDK does not promise to keep. Import it from {SDK_INTERNALS}, so "
            "that a new release of the SDK is looked at in one place."
        )


def below_path(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def junk_drawer(path: str, _: str) -> Iterator[str]:
    if path == "local/stand_in_processes.py":
        return  # there a service is the noun itself: a process of the local stack
    for part in Path(path).with_suffix("").parts:
        if part in DRAWERS:
            yield (
                f"{path}: {part} is the name of a drawer, not of a thing; whatever fits nowhere lands in it. Name the "
                "noun it is about, or put it beside the one place that uses it."
            )


def too_long(path: str, source: str) -> Iterator[str]:
    length = len(source.splitlines())
    if length > LONGEST:
        yield (
            f"{path} has {length} lines. A file that passes {LONGEST} has found a second idea: give that idea a name "
            "and a module of its own."
        )


def wrong_floor(path: str, source: str) -> Iterator[str]:
    tests, _, rest = path.partition("/")
    floor, _, name = rest.partition("/")
    if tests != "tests" or floor not in FLOORS or not name.startswith("test_"):
        return
    names = {node.arg for node in nodes(source) if isinstance(node, ast.arg)}
    names |= {alias.name for node in nodes(source) if isinstance(node, ast.ImportFrom) for alias in node.names}
    needs = {server for server, signs in SERVERS.items() if signs & names}
    least, besides = FLOORS[floor]
    for server in sorted(needs - least - besides):
        yield f"{path} needs {server}. Move the test to a floor that has it, so that {floor} stays as quick as it is."
    for server in sorted(least - needs):
        yield f"{path} needs no {server}. Move it to a lower floor, or to acceptance if it starts whole processes."


def scattered(path: str, source: str) -> Iterator[str]:
    if path in NAMES_CHANNELS or path.partition("/")[0] in {"tests", "bench"} or path.startswith("workflows/journeys/"):
        return
    if not any(name in source for name in CHANNEL_NAMES):
        return
    for node in nodes(source):
        if isinstance(node, ast.Constant) and node.value in CHANNEL_NAMES:
            yield (
                f"{path}:{node.lineno} names the channel {node.value!r}. What makes a channel differ is a column of "
                "CHANNELS in workflows/channels.py, so that a new channel is a row there and no search through the "
                "house. Ask the row, or add a column."
            )


def kind_by_name(path: str, source: str) -> Iterator[str]:
    if path.startswith(("workflows/rewards/", "workflows/journeys/", "tests/", "bench/")):
        return
    for node in import_statements(source):
        if isinstance(node, ast.ImportFrom) and below(node.module or "", "workflows.rewards"):
            for name in sorted(REWARDS & {alias.name for alias in node.names}):
                yield (
                    f"{path}:{node.lineno} imports {name}. What makes a reward differ stands in its model, as a "
                    "field or a method, so that a new kind touches its family's module and workflows/rewards/kinds.py."
                )


def modules() -> dict[str, str]:
    """Every module of ours by its dotted name, with its source."""
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): source for path, source in files()}


def imported_modules(name: str, sources: Mapping[str, str]) -> set[str]:
    """The modules of ours that one imports anywhere, also only for the type checker; `from a import b` may be a.b."""
    found = set[str]()
    for node in import_statements(sources[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.module:
            found |= {
                inner if (inner := f"{node.module}.{alias.name}") in sources else node.module for alias in node.names
            }
    return (found & sources.keys()) - {name}


def circles(sources: Mapping[str, str]) -> list[str]:
    """A sentence for each import that closes a circle, with the way round."""
    graph = {name: sorted(imported_modules(name, sources)) for name in sorted(sources)}
    found: list[str] = []
    done = set[str]()

    def follow(way: list[str]) -> None:
        for name in graph[way[-1]]:
            if name in way:
                circle = [*way[way.index(name) :], name]
                found.append(
                    f"{' imports '.join(circle)}. Files in a circle can only be read and changed together, an import "
                    "for the type checker alone included. Move what both need into a file of its own, or hand it in."
                )
            elif name not in done:
                follow([*way, name])
        done.add(way[-1])

    for name in graph:
        if name not in done:
            follow([name])
    return found


def told(path: str, source: str) -> list[str]:
    """Everything wrong with one file."""
    return [sentence for rule in RULES for sentence in rule(path, source)]


RULES = (
    *(wrong_way, impure, sdk_internals, junk_drawer, too_long, wrong_floor),
    *(scattered, kind_by_name, written_elsewhere),
)


@cache
def told_by() -> Mapping[str, Sequence[str]]:
    """Everything wrong with all files, by the rule; each file is read once for all of them."""
    found: dict[str, list[str]] = {rule.__name__: [] for rule in RULES}
    for path, source in files():
        for rule in RULES:
            found[rule.__name__] += rule(path, source)
    return found


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
def test_every_file_keeps_the_rules_of_the_house(rule: str) -> None:
    found = told_by()[rule]
    assert not found, "\n\n" + "\n\n".join(found)


def test_no_files_import_each_other_in_a_circle() -> None:
    found = circles(modules())
    assert not found, "\n\n" + "\n\n".join(found)


@pytest.mark.parametrize(
    ("sources", "way"),
    [
        ({"a": "import b", "b": "from c import x", "c": "def f():\n    import a"}, "a imports b imports c imports a."),
        (
            {"p": "", "p.a": "from p import b", "p.b": "if TYPE_CHECKING:\n    from p.a import A"},
            "p.a imports p.b imports p.a.",
        ),
    ],
)
def test_a_circle_is_told_with_the_way_round(sources: dict[str, str], way: str) -> None:
    (sentence,) = circles(sources)
    assert sentence.startswith(way)


def test_what_two_files_need_makes_no_circle() -> None:
    assert circles({"a": "import c", "b": "import a\nimport c", "c": "", "p": "from p.q import x", "p.q": ""}) == []


def test_every_table_has_an_owner_that_writes_it() -> None:
    assert OWNERS.keys() == metadata.tables.keys()
    sources = dict(files())
    for table, owner in OWNERS.items():
        assert table in {name for _, name in written(sources[owner])}, f"{owner} does not write {table}."


def test_the_application_has_rights_to_every_table() -> None:
    needed = metadata.tables.keys() | {"alembic_version"}
    assert RIGHTS.keys() == needed, "A table needs a line in RIGHTS of activities/application_role.py, or is refused."


def test_the_files_are_really_read() -> None:
    paths = {path for path, _ in files()}
    assert {path.partition("/")[0].removesuffix(".py") for path in paths} >= {*LAYERS, "tests"}
    assert {"workflows/player_state/state.py", "workflows/journeys/welcome.py", "tests/test_architecture.py"} <= paths


@pytest.mark.parametrize(
    ("path", "source", "why"),
    [
        ("workflows/x.py", "from activities.database import Database", "workflows may import nothing of ours"),
        ("workflows/journeys/x.py", "import worker", "workflows may import nothing of ours"),
        (
            "activities/x.py",
            "def f():\n    import api.app",
            "activities may import content, learning and workflows: imports",
        ),
        (
            "stage/x.py",
            "from activities import intake",
            "stage may import content, learning and workflows: imports",
        ),
        ("api/x.py", "from worker import engine", "api may import activities, content, learning and workflows"),
        ("worker.py", "import tests.support.player_events", "worker may import activities, content and workflows"),
        ("workflows/x.py", "import os.path", "settings are read in activities/settings.py"),
        ("workflows/x.py", "from time import monotonic", "time is an argument"),
        ("workflows/source/__init__.py", "import random", "draw by a hash"),
        ("workflows/x.py", "import logging", "a run tells its story"),
        ("workflows/x.py", "import importlib.util", "Only workflows/source reads code"),
        ("workflows/journey.py", "import pkgutil", "Only workflows/source reads code"),
        ("workflows/player_state/state.py", "import inspect", "Only workflows/source reads code"),
        ("workflows/run.py", "from temporalio import activity", "the workflow side of the SDK only"),
        ("workflows/background/x.py", "from temporalio.client import Client", "the workflow side of the SDK only"),
        ("workflows/run.py", f"import {IN_SANDBOX}", "the workflow side of the SDK only"),
        ("workflows/player.py", "from temporalio import workflow", "run.py, because it is the workflow that plays"),
        ("workflows/player_state/state.py", f"import {IN_SANDBOX}", "needs no Temporal"),
        ("stage/x.py", "from temporalio.bridge.proto import x", "from workflows/temporal_internals.py, so that"),
        ("api/x.py", "workflow" + "._Definition", "which the SDK does not promise to keep"),
        ("tests/x.py", "activity" + "._Definition", "which the SDK does not promise to keep"),
        ("activities/x.py", "self.client" + "._impl", "which the SDK does not promise to keep"),
        ("stage/x.py", "getattr" + '(run.instance, "_object", None)', "which the SDK does not promise to keep"),
        ("workflows/x.py", "import httpx", "the standard library, pydantic and temporalio"),
        ("activities/utils.py", "", "utils is the name of a drawer"),
        ("api/services/players.py", "", "services is the name of a drawer"),
        ("api/schemas.py", "", "schemas is the name of a drawer"),
        ("activities/x.py", "x = 1\n" * 501, "has 501 lines"),
        ("api/x.py", "from sqlalchemy import insert\ninsert(steps)", "steps, which belongs to activities/step_log.py"),
        ("api/x.py", "import sqlalchemy as sa\nsa.delete(tables.grants)", "belongs to activities/grant_rows.py"),
        ("cli/x.py", "from activities.tables import runs\nruns.update()", "belongs to activities/runs.py"),
        ("activities/x.py", "text('WITH a AS (UPDATE deliveries d SET x = 1)')", "belongs to activities/run_delivery"),
        ("activities/runs.py", "'INSERT INTO tasks (id) SELECT 1'", "tasks, which belongs to activities/tasks.py"),
        (
            "activities/x.py",
            "from sqlalchemy import update\nupdate(table)",
            "writes table, which is no table of OWNERS",
        ),
        ("tests/unit/test_x.py", "def test_x(postgres_url: str): ...", "needs Postgres"),
        ("tests/stage/test_x.py", "from tests.support.servers import running", "needs a stand-in process"),
        ("tests/postgres/test_x.py", "def test_x(postgres_url: str, temporal: Client): ...", "needs Temporal"),
        ("tests/temporal/test_x.py", "def test_x(postgres_url: str): ...", "needs no Temporal"),
        ("activities/x.py", 'KEYED = {"sms"}', "names the channel 'sms'"),
        ("stage/x.py", "from workflows.rewards import Gift", "What makes a reward differ"),
        ("stage/x.py", 'def f(channel):\n    return channel == "in_app"', "names the channel 'in_app'"),
    ],
)
def test_what_breaks_a_rule_is_told_with_its_reason(path: str, source: str, why: str) -> None:
    (sentence,) = told(path, source)
    assert why in sentence
    assert sentence.startswith(path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("workflows/x.py", "import asyncio\nimport hashlib\nimport pydantic"),
        ("workflows/run.py", "from temporalio import workflow"),
        ("workflows/source/verb_lint.py", "import ast\nimport inspect"),
        ("workflows/temporal_internals.py", "from temporalio.bridge.proto.workflow_activation import FireTimer"),
        ("activities/x.py", "import os\nimport httpx\nfrom workflows.rules.index import RuleIndex"),
        ("cli/app.py", "from api.app import create_app\nimport worker"),
        ("tests/test_x.py", "import activities\nimport cli"),
        ("api/x.py", "x = 1\n" * 500),
        ("activities/runs.py", "from sqlalchemy import update\nfrom activities.tables import runs\nupdate(runs)"),
        ("activities/loops/sweeper.py", "'SELECT id FROM players ORDER BY id FOR UPDATE SKIP LOCKED'"),
        ("activities/x.py", "seen.update(runs)\nclient.delete(runs)"),
        ("tests/unit/test_x.py", "'DELETE FROM runs'"),
        ("tests/unit/test_x.py", "def test_x(tmp_path: Path): ..."),
        ("tests/acceptance/test_x.py", "def test_x(postgres_url: str, temporal: Client): ..."),
        ("workflows/journeys/x.py", 'VIA = ["sms"]'),
        ("activities/x.py", "KEYED = {name for name, spec in CHANNELS.items() if spec.has_keys}"),
    ],
)
def test_what_keeps_the_rules_is_left_alone(path: str, source: str) -> None:
    assert told(path, source) == []


def test_a_journey_has_a_file_of_its_own_named_after_it() -> None:
    folder = ROOT / "workflows" / "journeys"
    assert not (folder / "__init__.py").read_text(), "Every run imports it again: what it holds, each run pays for."
    for path in sorted(folder.glob("*.py")):
        declared = [
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.AsyncFunctionDef) and any("journey(" in ast.unparse(d) for d in node.decorator_list)
        ]
        assert declared == ([] if path.stem in {"__init__", "segments"} else [path.stem]), (
            f"{path.name} declares {declared}: one journey a file, under the file's name, so that a designer finds it."
        )


def test_what_every_run_imports_is_passed_through_the_sandbox() -> None:
    sources = modules()
    reached, waiting = set[str](), ["workflows"]
    while waiting:
        module = waiting.pop()
        if module in sources and module not in reached:
            reached.add(module)
            waiting += [name for _, name in imports_at_run_time(sources[module]) if below(name, "workflows")]
    parts = {module.split(".")[1] for module in reached - {"workflows"}}
    assert parts == set(ENGINE), (
        "workflows/temporal_internals.py lists the modules that a run takes from the process instead of importing them "
        "anew: all that `import workflows` reaches, and only modules that hold no state of a run. Change ENGINE there."
    )
