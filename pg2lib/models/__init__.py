"""The registry of methods: one file a paper, one line here.

A file of your own joins without a line: name it in $PG2_METHODS (several with the path separator).
It holds a tuple METHODS of `models.base.Method`, as the files of this folder do.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path

from pg2lib.core.config import require_in
from pg2lib.core.files import UserError
from pg2lib.models.base import Method

FILES = ("pg2", "patn", "soft_gated")  # in the order of the tables


def load_file(path: str):
    """A method file from outside the package, as a module. UserError when it cannot be used."""
    path = Path(path).expanduser().resolve()
    name = f"pg2_methods_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise UserError(f"PG2_METHODS names {path}, which is not a file; correct the variable")
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not all(isinstance(method, Method) for method in getattr(module, "METHODS", [None])):
        raise UserError(f"{path} holds no tuple METHODS of models.base.Method; see adding-a-method")
    return module


def registry() -> dict[str, Method]:
    """All methods by name: those of FILES, then those of $PG2_METHODS."""
    modules = [importlib.import_module(f"pg2lib.models.{name}") for name in FILES]
    own = os.environ.get("PG2_METHODS", "").split(os.pathsep)
    modules += [load_file(path) for path in own if path]
    found = {}
    for module in modules:
        for method in module.METHODS:
            if method.name in found:
                raise UserError(f"two methods are called {method.name}; rename one")
            found[method.name] = method
    return found


METHODS = registry()


def find(name: str) -> Method:
    """The method of a name; UserError that lists all."""
    return METHODS[require_in("row", name, METHODS)]


def rows(paper: str = "PG2") -> tuple[str, ...]:
    """The rows of a paper's table, in its order; of PG2: Table 1."""
    return tuple(method.name for method in _of(paper) if method.against is None)


def ablations(paper: str = "PG2") -> tuple[str, ...]:
    """The rows of a paper that change one thing of another one."""
    return tuple(method.name for method in _of(paper) if method.against is not None)


def _of(paper):
    return (method for method in METHODS.values() if method.row and method.paper == paper)


def painted() -> tuple[str, ...]:
    """The rows and ablations of all papers, without the trainings that rows only start from."""
    return tuple(name for name, method in METHODS.items() if method.row)


def later_papers() -> tuple[str, ...]:
    """The papers after PG2, in the order of their rows."""
    papers = dict.fromkeys(method.paper for method in METHODS.values())
    return tuple(paper for paper in papers if paper != "PG2")


def successors(papers=None) -> tuple[str, ...]:
    """The rows of papers after PG2 (None: of all), each after the rows that stand beside it."""
    found = [name for paper in papers or later_papers() for name in rows(paper)]
    beside = [name for row in found for name in METHODS[row].beside]
    return tuple(dict.fromkeys(beside + found))


def chain(name: str) -> tuple[Method, ...]:
    """The methods that a row needs trained, in the order of training: those it refines, itself."""
    method = find(name)
    return (*(chain(method.start) if method.start else ()), method)


def chains(names) -> tuple[str, ...]:
    """The names of all methods that rows need trained, each once, in an order of training."""
    return tuple(dict.fromkeys(method.name for name in names for method in chain(name)))
