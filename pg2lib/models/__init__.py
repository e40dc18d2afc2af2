"""The registry of methods: one file per paper, one line here.

Your own method files need no line: list them in $PG2_METHODS (joined by the path separator). Each
holds a tuple METHODS of `models.base.Method`, like the files in this folder.
"""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path

from pg2lib.core.config import require_in
from pg2lib.core.files import UserError
from pg2lib.models.base import Method

FILES = ("pg2", "patn", "soft_gated")  # in the order of the tables
NAME = r"[\w.,+=-]+"  # of a method: folders of the run store are named after it


def own_files() -> list[Path]:
    """The method files that $PG2_METHODS lists."""
    listed = os.environ.get("PG2_METHODS", "").split(os.pathsep)
    return [Path(path).expanduser().resolve() for path in listed if path]


def load_file(path: Path):
    """Import a method file from outside the package. Raises UserError if it cannot be used."""
    name = f"pg2_methods_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise UserError(f"PG2_METHODS names {path}, which is not a file; correct the variable")
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = getattr(module, "METHODS", None)
    if not isinstance(own, tuple) or not all(isinstance(method, Method) for method in own):
        raise UserError(f"{path} holds no tuple METHODS of models.base.Method; see adding-a-method")
    return module


def registry() -> dict[str, Method]:
    """All methods by name: first those in FILES, then those in $PG2_METHODS."""
    modules = [importlib.import_module(f"pg2lib.models.{name}") for name in FILES]
    modules += map(load_file, own_files())
    found = {}
    for module in modules:
        for method in module.METHODS:
            if not re.fullmatch(NAME, method.name):
                raise UserError(f"a method is called {method.name!r}; use letters, digits, .,+=-_")
            if method.name in found:
                raise UserError(f"two methods are called {method.name}; rename one")
            found[method.name] = method
    return found


METHODS = registry()


def find(name: str) -> Method:
    """The method with this name. Raises UserError, listing all, if there is none."""
    return METHODS[require_in("row", name, METHODS)]


def rows(paper: str = "PG2") -> tuple[str, ...]:
    """The rows of a paper's table, in order; for PG2, Table 1."""
    return tuple(method.name for method in _of(paper) if method.against is None)


def ablations(paper: str = "PG2") -> tuple[str, ...]:
    """A paper's ablations: rows that change one thing in another row."""
    return tuple(method.name for method in _of(paper) if method.against is not None)


def _of(paper):
    return (method for method in METHODS.values() if method.row and method.paper == paper)


def painted() -> tuple[str, ...]:
    """The rows and ablations of all papers, without trainings that only serve as starts."""
    return tuple(name for name, method in METHODS.items() if method.row)


def later_papers() -> tuple[str, ...]:
    """The papers after PG2, in the order of their rows."""
    papers = dict.fromkeys(method.paper for method in METHODS.values())
    return tuple(paper for paper in papers if paper != "PG2")


def successors(papers=None) -> tuple[str, ...]:
    """The rows of later papers (None: all), each preceded by the rows beside it."""
    found = [name for paper in papers or later_papers() for name in rows(paper)]
    beside = [name for row in found for name in METHODS[row].beside]
    return tuple(dict.fromkeys(beside + found))


def chain(name: str) -> tuple[Method, ...]:
    """The methods that a row needs trained, in training order: those it refines, then itself."""
    method = find(name)
    return (*(chain(method.start) if method.start else ()), method)


def chains(names) -> tuple[str, ...]:
    """Names of all methods that rows need trained, each once, in training order."""
    return tuple(dict.fromkeys(method.name for name in names for method in chain(name)))
