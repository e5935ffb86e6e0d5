"""The mutants of a module: mutmut writes them, all into one module that is imported in the place of the first.

Each function there looks up at every call which mutant is to be played, so that choosing one costs nothing.
"""

import difflib
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.format_utils import mangled_name_from_mutant_name, orig_function_and_class_names_from_key


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one function. `change` is its lines as they stand and as they become, told by `-` and `+`."""

    #: What mutmut calls it, with the module.
    name: str
    module: str
    #: With its class, where it has one.
    function: str
    change: str
    #: Of the changed function's source.
    digest: str

    @property
    def mutated(self) -> str:
        """The function as mutmut names it, whichever its mutant."""
        return mangled_name_from_mutant_name(self.name)


@dataclass(frozen=True, slots=True)
class MutatedModule:
    """A module with all its mutants."""

    name: str
    path: Path
    code: str
    mutants: tuple[Mutant, ...]


def source(module: str, root: Path) -> Path:
    """The file of a module below `root`."""
    return root.joinpath(*module.split(".")).with_suffix(".py")


def mutate(module: str, root: Path) -> MutatedModule:
    """Write the mutants of a module below `root`. Decorated functions and what is outside functions have none."""
    path = source(module, root)
    written = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
    lines = written.code.splitlines()
    mutants = []
    for name in written.mutant_names:
        mutated = mangled_name_from_mutant_name(name)
        original, changed = (
            lines[span.start - 1 : span.end]
            for span in map(written.line_span_by_function_name.__getitem__, (f"{mutated}__mutmut_orig", name))
        )
        function, owner = orig_function_and_class_names_from_key(f"{module}.{name}")
        mutants.append(
            Mutant(
                name=f"{module}.{name}",
                module=module,
                function=f"{owner}.{function}" if owner else function,
                change=_change(original, [line.replace(name, f"{mutated}__mutmut_orig") for line in changed]),
                digest=hashlib.sha256("\n".join(changed).encode()).hexdigest(),
            )
        )
    return MutatedModule(module, path, written.code, tuple(mutants))


def _change(before: Sequence[str], after: Sequence[str]) -> str:
    compared = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in compared if not line.startswith("@@"))


class _Loader(SourceFileLoader):
    def __init__(self, module: MutatedModule) -> None:
        super().__init__(module.name, str(module.path))
        self._code = module.code

    def get_code(self, fullname: str) -> CodeType:
        """Compile the mutants, and keep nothing: beside the module lies what its own source compiles to."""
        return compile(self._code, self.get_filename(fullname), "exec", dont_inherit=True)


class MutantImporter(MetaPathFinder):
    """Gives modules with their mutants to whoever imports them."""

    def __init__(self, modules: Sequence[MutatedModule]) -> None:
        self._modules: Mapping[str, MutatedModule] = {module.name: module for module in modules}

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What `importlib` asks of each module, ours or not."""
        del path, target
        module = self._modules.get(fullname)
        return None if module is None else spec_from_file_location(fullname, module.path, loader=_Loader(module))

    def install(self) -> None:
        """Stand before all others. Nobody may have imported the modules yet: they would keep what they have."""
        early = sorted(self._modules.keys() & sys.modules.keys())
        if early:
            raise RuntimeError(f"Imported before their mutants were: {', '.join(early)}.")
        sys.meta_path.insert(0, self)
