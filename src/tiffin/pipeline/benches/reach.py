"""Which names of its module a statement can reach, as Python's own compiler has it, and by which ways it may reach all.

Pure.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

_BARE = {"globals", "locals", "vars", "dir", "eval", "exec", "compile"}
"""Built-in functions by which a module's names can be had; attributes may be called so."""
_ANYWHERE = {
    "builtins",
    "currentframe",
    "f_back",
    "f_builtins",
    "f_globals",
    "f_locals",
    "get_objects",
    "get_referrers",
    "importlib",
    "inspect",
    "pkgutil",
    "runpy",
    "settrace",
    "setprofile",
    "tb_frame",
    "_current_frames",
    "_getframe",
    "__builtins__",
    "__globals__",
    "__import__",
    "__loader__",
    "__main__",
    "__spec__",
}
"""By these a module, its text, or whoever is calling can be had."""
_SOME = re.compile(rb"\bmodules\b|" + "|".join(sorted(_ANYWHERE)).encode())


class Doubt(Exception):  # noqa: N818 - it is no error: what is in doubt stays
    """A file may be looked at in ways that its text does not tell."""


def binds(text: str) -> frozenset[str]:
    """The names of its module that a statement binds, in its functions as well."""
    top, *inner = _scopes(symtable.symtable(text, "", "exec"))
    found = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    for scope in inner:
        found |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global() and symbol.is_assigned()}
    return frozenset(found)


def uses(text: str, statement: ast.stmt) -> frozenset[str]:
    """The names of its module that a statement may use: all that no function of its own has for itself."""
    top, *inner = _scopes(symtable.symtable(text, "", "exec"))
    found = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    for scope in inner:
        of_class = scope.get_type() == "class"  # where a name is the module's until it is the class's
        found |= {
            one.get_name() for one in scope.get_symbols() if one.is_global() or (of_class and one.is_referenced())
        }
    return frozenset(found.union(*_texts(statement)))


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for inner in table.get_children():
        yield from _scopes(inner)


def _texts(statement: ast.stmt) -> Iterator[set[str]]:
    """Names in texts: in annotations, in `__all__`, and after the @ by which pandas finds variables."""
    said: list[ast.AST] = []
    for node in ast.walk(statement):
        said += [one for one in (getattr(node, "annotation", None), getattr(node, "returns", None)) if one]
        if isinstance(node, ast.Name) and node.id == "__all__":
            said.append(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield set(re.findall(r"@(\w+)", node.value))
    for annotation in said:
        for node in ast.walk(annotation):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield set(re.findall(r"\w+", node.value))


def looks_elsewhere(data: bytes, module: str) -> bool:
    """Whether another file of the code may have a module, as far as its bytes tell: then it is to be looked at."""
    return any(part.encode() in data for part in module.split(".")) or _SOME.search(data) is not None


def looks_inside(tree: ast.Module, module: str, names: AbstractSet[str] = frozenset()) -> None:
    """Raise Doubt where code may have what is in a module by other ways than its names.

    `names` are those of the module itself that the code uses, where it is in that very module.
    """
    if names & _BARE:
        raise Doubt
    said = set(_said(tree, module))
    if said & _ANYWHERE or {"sys", "modules"} <= said | names:
        raise Doubt


def _said(tree: ast.Module, module: str) -> Iterator[str]:
    """All names and parts of names in code; raises Doubt for an import of the module, or of all that another has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for dotted in _imported(node):
                if _has(node, dotted, module):
                    raise Doubt
                yield from dotted.split(".")


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """What an import asks for, in full."""
    within = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
    return [".".join([*within, one.name]) for one in node.names]


def _has(node: ast.Import | ast.ImportFrom, dotted: str, module: str) -> bool:
    """Whether a module may be had by an import: its own, of a package around it, or of all that another has."""
    if isinstance(node, ast.ImportFrom) and node.level:
        return dotted.endswith("*") or not set(module.split(".")).isdisjoint(dotted.split("."))
    around = isinstance(node, ast.Import) and module.startswith(f"{dotted}.")
    return around or dotted == module or dotted.startswith(f"{module}.") or dotted.endswith("*")
