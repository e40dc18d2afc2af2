"""The code that determines a result: the definitions a function reaches through imports.

The hash of a step's code covers only the functions, classes and constants of this project that its
entry points use, directly or indirectly: an unrelated function, a docstring, an annotation, a
comment or formatting changes no key. Calls through an object's attribute (a method's `generate`, a
module imported by its name) cannot be followed; they are separate entry points.
"""

import ast
import hashlib
import importlib.util
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
NAME = PACKAGE.name
# Lists of methods and readers affect no single result: steps name their own.
IGNORED = {(f"{NAME}.models", "FILES"), (f"{NAME}.data.prepare", "READERS")}
TEMPLATES = {f"{NAME}.results.notes": "note_texts"}  # template folders of modules


@dataclass(frozen=True)
class Module:
    """A source file: its top-level definitions, what its names import, and the rest."""

    name: str
    definitions: dict = field(default_factory=dict)  # name -> list of nodes
    imports: dict = field(default_factory=dict)  # name -> (module, name in it or "*" for all)
    effects: list = field(default_factory=list)  # statements that run at import


def entry(function) -> tuple[str, str]:
    """The entry point (module, name) of a module-level function, or of a functools.partial."""
    function = getattr(function, "func", function)
    name = function.__qualname__.split(".")[0]
    return function.__module__, "*" if "<" in name else name


@cache
def source(module: str) -> Path | None:
    """Source file of a module of this project, or of an external method file; else None."""
    if module == NAME or module.startswith(f"{NAME}."):
        path = PACKAGE.joinpath(*module.split(".")[1:])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    elif module.startswith("pg2_methods_"):
        return Path(sys.modules[module].__file__)
    return None


def hashes(*entries: tuple[str, str]) -> dict[str, str]:
    """Module -> hash of those of its definitions that the entry points reach.

    An entry is (module, name); the name "*" takes the whole module.
    """
    reached, pending = {}, list(entries)
    while pending:
        module, name = pending.pop()
        if (module, name) in IGNORED or source(module) is None or name in reached.get(module, ()):
            continue
        code, used = reach(module, name)
        reached.setdefault(module, {})[name] = code
        pending += used
    for module in TEMPLATES.keys() & reached.keys():
        texts = sorted(source(module).with_name(TEMPLATES[module]).glob("*.txt"))
        reached[module] |= {path.name: path.read_text(encoding="utf-8") for path in texts}
    return {
        module: hashlib.sha256(repr(sorted(names.items())).encode()).hexdigest()[:12]
        for module, names in sorted(reached.items())
    }


@cache
def reach(module: str, name: str) -> tuple[str, tuple]:
    """The code of one top-level name of a module, and the (module, name) it uses."""
    parsed = parse(module, source(module).read_text(encoding="utf-8"))
    if name == "*":
        return "", tuple((module, n) for n in (*parsed.definitions, *parsed.imports, ""))
    if name == "" or name in parsed.definitions:  # "": what runs at import
        nodes = parsed.definitions[name] if name else parsed.effects
        used = uses(parsed, nodes)
        return "\n".join(map(as_text, nodes)), (*used, *([(module, "")] if name else []))
    if name in parsed.imports:
        return "", (parsed.imports[name],)
    return "", ((f"{module}.{name}", "*"),)  # a module of this package, else nothing


def as_text(node) -> str:
    """A part of a syntax tree as text, the same in every version of Python. Versions differ in
    the quotes of ast.unparse, in fields, empty where nothing new is used, and in whether an
    f-string holds empty texts."""
    if isinstance(node, list):
        return f"[{', '.join(map(as_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    given = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, ast.JoinedStr):
        given["values"] = [v for v in node.values if getattr(v, "value", None) != ""]
    return f"{type(node).__name__}({', '.join(f'{k}={as_text(v)}' for k, v in given.items())})"


@cache
def parse(module: str, text: str) -> Module:
    """The top level of a source text, without docstrings and function annotations."""
    parsed, tree = Module(module), ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        match getattr(node, "body", None):
            case [ast.Expr(ast.Constant(str())), *rest]:
                node.body = rest
    for node in flat(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            parsed.imports.update(imported(node, module))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            parsed.definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for target in getattr(node, "targets", None) or [node.target]:
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        parsed.definitions.setdefault(each.id, []).append(node)
        else:
            parsed.effects.append(node)
    return parsed


def flat(body):
    """Top-level statements, including those inside if, try and with."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from flat(getattr(node, part, []))
        else:
            yield node


def imported(node, module: str) -> dict:
    """Names bound by an import statement: name -> (module, name in it or "*")."""
    if isinstance(node, ast.Import):
        names = ((each.asname, each.name, each.name.split(".")[0]) for each in node.names)
        return {alias or top: (whole if alias else top, "*") for alias, whole, top in names}
    is_package = source(module) and source(module).name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    found = {}
    for each in node.names:
        whole = f"{origin}.{each.name}"
        found[each.asname or each.name] = (whole, "*") if source(whole) else (origin, each.name)
    return found


def uses(parsed: Module, nodes) -> tuple:
    """The (module, name) that nodes of a module refer to."""
    imports = dict(parsed.imports)
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                imports.update(imported(inner, parsed.name))
    found = []
    for first, *attributes in (chain for node in nodes for chain in names(node)):
        if first in imports:
            module, name = imports[first]
            while name == "*" and attributes:  # the module's attribute, or a module below it
                name = attributes.pop(0)
                if source(f"{module}.{name}"):
                    module, name = f"{module}.{name}", "*"
            found.append((module, name))
        elif first in parsed.definitions:
            found.append((parsed.name, first))
    return tuple(dict.fromkeys(found))


def names(node):
    """The names in code, each with its attributes: a.b.c as [a, b, c]."""
    if isinstance(node, ast.Name | ast.Attribute):
        chain = ast.unparse(node).split(".")
        if all(part.isidentifier() for part in chain):
            yield chain
            return
    for child in ast.iter_child_nodes(node):  # also of an attribute of an expression's result
        yield from names(child)


def notebook_entries(cells) -> list[tuple[str, str]]:
    """The entry points of a notebook: names of this project used in its code cells."""
    lines = "\n".join(cells).splitlines()
    text = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
    parsed = parse("notebook", text)
    nodes = [node for nodes in parsed.definitions.values() for node in nodes] + parsed.effects
    found = [use for use in uses(parsed, nodes) if use[0] != "notebook"]
    return found + [target for target in parsed.imports.values() if target[1] != "*"]
