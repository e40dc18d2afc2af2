"""Which code decides a result: the definitions that a function reaches through the imports.

The hash of a step's code covers the functions, classes and constants of this project that its
entry points use, directly or through others, and nothing else: a new function beside them, a
docstring, an annotation, a comment or a layout changes no key. Calls through an object's attribute
(a method's `generate`, a module imported by its name) cannot be followed; they are entry points of
their own.
"""

import ast
import hashlib
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
NAME = PACKAGE.name
# Which methods there are changes no result of another one: steps name theirs.
IGNORED = {(f"{NAME}.models", "FILES")}


@dataclass(frozen=True)
class Module:
    """A source file: its top-level definitions, what its names import, and the rest."""

    name: str
    definitions: dict = field(default_factory=dict)  # name -> list of nodes
    imports: dict = field(default_factory=dict)  # name -> (module, name or None)
    effects: list = field(default_factory=list)  # statements that run at import


def entry(function) -> tuple[str, str]:
    """The entry point (module, name) of a module-level function, or of a functools.partial."""
    function = getattr(function, "func", function)
    name = function.__qualname__.split(".")[0]
    return function.__module__, "*" if "<" in name else name


@cache
def source(module: str) -> Path | None:
    """The file of a module of this project, or of a method file from outside; else None."""
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
    reached = {}
    pending = list(dict.fromkeys(entries))
    while pending:
        module, name = pending.pop()
        if (module, name) in IGNORED or source(module) is None or name in reached.get(module, ()):
            continue
        names = reached.setdefault(module, {})
        names[name] = ""
        texts, used = reach(module, name)
        names[name] = texts
        pending += used
    return {
        module: hashlib.sha256(repr(sorted(names.items())).encode()).hexdigest()[:12]
        for module, names in sorted(reached.items())
    }


@cache
def reach(module: str, name: str) -> tuple[str, tuple]:
    """The code of one top-level name of a module, and the (module, name) that it uses."""
    parsed = parse(module, source(module).read_text(encoding="utf-8"))
    if name == "*":
        used = [(module, each) for each in (*parsed.definitions, *parsed.imports)]
        return "", (*used, (module, ""))
    if name == "":  # what runs at import
        return bare(parsed.effects), tuple(uses(parsed, parsed.effects))
    if name in parsed.definitions:
        nodes = parsed.definitions[name]
        return bare(nodes), (*uses(parsed, nodes), (module, ""))
    if name in parsed.imports:
        target, attribute = parsed.imports[name]
        return "", ((target, attribute or "*"),)
    if source(f"{module}.{name}"):
        return "", ((f"{module}.{name}", "*"),)
    return "", ()


@cache
def parse(module: str, text: str) -> Module:
    """The top level of a source text."""
    parsed = Module(module)
    package = module if (source(module) or Path()).name == "__init__.py" else None
    for node in flat(ast.parse(text).body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            parsed.imports.update(imported(node, package or module.rpartition(".")[0]))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            parsed.definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        parsed.definitions.setdefault(each.id, []).append(node)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            parsed.effects.append(node)
    return parsed


def flat(body):
    """Top-level statements, those inside if, try and with among them."""
    for node in body:
        inner = [getattr(node, part, []) for part in ("body", "orelse", "finalbody")]
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in inner:
                yield from flat(part)
        else:
            yield node


def imported(node, package: str) -> dict:
    """What an import statement binds: name -> (module, name in it, or None for the module)."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: (
                alias.name if alias.asname else alias.name.split(".")[0],
                None,
            )
            for alias in node.names
        }
    module = node.module or ""
    if node.level:
        module = ".".join([package.rsplit(".", node.level - 1)[0], *([module] if module else [])])
    found = {}
    for alias in node.names:
        whole = f"{module}.{alias.name}"
        is_module = source(whole) is not None
        found[alias.asname or alias.name] = (whole, None) if is_module else (module, alias.name)
    return found


def uses(parsed: Module, nodes) -> list:
    """The (module, name) that nodes of a module refer to."""
    found, imports = [], dict(parsed.imports)
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                imports.update(imported(inner, parsed.name.rpartition(".")[0]))
    for node in nodes:
        visit(node, parsed, imports, found)
    return list(dict.fromkeys(found))


def visit(node, parsed, imports, found):
    """Add what a node refers to; annotations of functions are left out, they decide nothing."""
    if isinstance(node, ast.arg):
        return
    if isinstance(node, ast.Attribute):
        chain, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            chain.append(base.attr)
            base = base.value
        if isinstance(base, ast.Name) and imports.get(base.id, (None, 0))[1] is None:
            module = imports[base.id][0]
            while chain:
                name = chain.pop()
                if source(f"{module}.{name}") is None:
                    found.append((module, name))
                    return
                module = f"{module}.{name}"
            found.append((module, "*"))
            return
    if isinstance(node, ast.Name):
        if node.id in imports:
            module, name = imports[node.id]
            found.append((module, name or "*"))
        elif node.id in parsed.definitions:
            found.append((parsed.name, node.id))
    for part, value in ast.iter_fields(node):
        if part == "returns":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                visit(child, parsed, imports, found)


def bare(nodes) -> str:
    """The code of nodes without docstrings, annotations of functions, comments and layout."""
    texts = []
    for node in nodes:
        tree = ast.parse(ast.unparse(node))
        for inner in ast.walk(tree):
            if isinstance(inner, ast.arg):
                inner.annotation = None
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                inner.returns = None
            body = getattr(inner, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                    inner.body = body[1:] or [ast.Pass()]
        texts.append(ast.unparse(tree))
    return "\n".join(texts)


def notebook_entries(cells) -> list[tuple[str, str]]:
    """The entry points of a notebook: what the code of its cells refers to in this project."""
    lines = "\n".join(cells).splitlines()
    text = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
    parsed = parse("notebook", text)
    nodes = [node for nodes in parsed.definitions.values() for node in nodes] + parsed.effects
    found = [use for use in uses(parsed, nodes) if use[0] != "notebook"]
    return found + [(module, name or "*") for module, name in parsed.imports.values() if name]
