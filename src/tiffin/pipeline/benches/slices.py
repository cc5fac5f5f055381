"""A step's own code: its module less the other steps and the pipeline, where nothing in it can reach them. Pure.

What is made is what a step is given, so that no key can lie; where a file may be looked at in ways that its text does
not tell, the step is given all of it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tiffin.pipeline.benches.reach import Doubt, binds, looks_elsewhere, looks_inside, uses
from tiffin.pipeline.graph import LANGUAGE, is_ready

_WORDS = {"out", "path", "value"}
"""What may stand in the arguments of a command beside constants: each makes a word, and does nothing else."""
_INERT = (
    ast.Constant,
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.Dict,
    ast.UnaryOp,
    ast.BinOp,
    ast.arguments,
    ast.arg,
    ast.keyword,
    ast.expr_context,
    ast.operator,
    ast.unaryop,
)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A module as one step is given it; `lines` has for each of its lines the number of the one that was written."""

    path: str
    data: bytes
    lines: tuple[int, ...]


class _Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of a module: its text, where it begins, the names that it binds and may use.

    `optional` stays only where it is used. `imported` are the names that it has of the language.
    """

    text: tuple[str, ...]
    lines: tuple[int, ...]
    binds: frozenset[str]
    uses: frozenset[str]
    tree: ast.stmt
    optional: bool = False
    imported: tuple[ast.alias, ...] = ()


def slice_of(sources: Mapping[str, bytes], module: str, function: str) -> Slice | None:
    """The module of a step as the step needs it; None where it is to have all of it.

    `sources` are all Python files of the code, by path. A step that comes with the language has the classes of the
    project, which a model may be made of, and no other step.
    """
    path = _defining(sources, module)
    if path is None:
        return None
    if is_ready(module):
        module, function = path.removesuffix(".py").removesuffix("/__init__").replace("/", "."), ""
    try:
        for other, data in sources.items():
            if other != path and looks_elsewhere(data, module):
                looks_inside(_parsed(data), module)
        kept = _reached(_pieces(sources[path]), module, function)
    except (Doubt, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Slice(
        path=path,
        data="".join(f"{line}\n" for piece in kept for line in piece.text).encode(),
        lines=tuple(line for piece in kept for line in piece.lines),
    )


def _defining(sources: Mapping[str, bytes], module: str) -> str | None:
    """The file of a module; of one that comes with the language, the only file that could know any steps."""
    stem = module.replace(".", "/")
    found = [path for path in (f"{stem}.py", f"{stem}/__init__.py") if path in sources]
    if is_ready(module):
        found = [path for path, data in sources.items() if LANGUAGE.encode() in data]
    return found[0] if len(found) == 1 else None


def _parsed(data: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are the writer's to hear where it runs
        return ast.parse(data)


def _pieces(data: bytes) -> list[_Piece]:
    """The statements of a module; raises Doubt for one whose lines are not its own."""
    if tokenize.detect_encoding(io.BytesIO(data).readline)[0] != "utf-8" or re.search(rb"\r(?!\n)", data):
        raise Doubt
    tree, lines = _parsed(data), data.decode().split("\n")
    language = _Language(tree)
    pieces, end = [], 0
    for statement in tree.body:
        start = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))])
        if start <= end:
            raise Doubt
        end = statement.end_lineno or start
        pieces.append(_piece(statement, lines[start - 1 : end], start, language))
    language.trust(pieces)
    return pieces


def _piece(statement: ast.stmt, text: list[str], start: int, language: _Language) -> _Piece:
    numbers = tuple(range(start, start + len(text)))
    optional = language.defines(statement)
    if optional and isinstance(statement, ast.FunctionDef):
        text, numbers = _plain(statement, text, numbers)
    joined = "\n".join(text) + "\n"
    alone = _parsed(joined.encode()).body
    if [ast.dump(one) for one in alone] != [ast.dump(statement)]:
        raise Doubt
    return _Piece(
        text=tuple(text),
        lines=numbers,
        binds=binds(joined) | ({"__doc__"} if _only_says(statement) else set()),
        uses=uses(joined, alone[0]),
        tree=alone[0],
        optional=optional or _only_as_main(statement) or _only_says(statement),
        imported=tuple(statement.names) if isinstance(statement, ast.ImportFrom) and _is_ours(statement) else (),
    )


def _plain(step: ast.FunctionDef, text: list[str], numbers: tuple[int, ...]) -> tuple[list[str], tuple[int, ...]]:
    """A step under its decorator alone: what that is told is not done in the container, or is part of the key."""
    decorator = step.decorator_list[0]
    if isinstance(decorator, ast.Call):
        step.decorator_list = [decorator.func]
    below = step.lineno - numbers[0]
    return [f"@{ast.unparse(step.decorator_list[0])}", *text[below:]], (numbers[0], *numbers[below:])


class _Language:
    """What a module has of `tiffin_pipeline`, by the names that it has for it."""

    def __init__(self, tree: ast.Module) -> None:
        self._names: dict[str, str] = {}
        self._modules: set[str] = set()
        for statement in tree.body:
            if isinstance(statement, ast.ImportFrom) and _is_ours(statement):
                self._names |= {one.asname or one.name: one.name for one in statement.names}
            elif isinstance(statement, ast.Import):
                self._modules |= {one.asname or one.name for one in statement.names if one.name == LANGUAGE}

    def called(self, node: ast.expr) -> str:
        """What the language calls this; empty for what is none of it."""
        match node:
            case ast.Name(id=name):
                return self._names.get(name, "")
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in self._modules:
                return name
        return ""

    def defines(self, statement: ast.stmt) -> bool:
        """Whether a statement does nothing but define a step, a pipeline or a command."""
        match statement:
            case ast.FunctionDef(decorator_list=[decorator], args=args, returns=returns):
                function = decorator.func if isinstance(decorator, ast.Call) else decorator
                header = [args, *([returns] if returns else []), *_arguments(decorator)]
                return self.called(function) in {"step", "pipeline"} and all(map(self._is_inert, header))
            case ast.Assign(targets=[ast.Name()], value=ast.Call() as call):
                return self.called(call.func) == "command" and all(map(self._is_inert, _arguments(call)))
        return False

    def trust(self, pieces: Sequence[_Piece]) -> None:
        """Raise Doubt where a name of the language, or of what it defines, may come to mean something else."""
        owned = {*self._names, *self._modules}
        for piece in pieces:
            owned |= piece.binds if piece.optional else set()
        for name in owned:
            if sum(name in piece.binds for piece in pieces) > 1:
                raise Doubt

    def _is_inert(self, node: ast.AST) -> bool:
        """Whether making this value changes nothing else."""
        if isinstance(node, ast.Call):
            return self.called(node.func) in _WORDS and all(map(self._is_inert, _arguments(node)))
        return isinstance(node, _INERT) and all(map(self._is_inert, ast.iter_child_nodes(node)))


def _arguments(node: ast.expr) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        yield from node.args
        yield from node.keywords


def _is_ours(statement: ast.ImportFrom) -> bool:
    return statement.module == LANGUAGE and statement.level == 0


def _only_says(statement: ast.stmt) -> bool:
    """Whether a statement is a text and does nothing, as what a module says of itself."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def _only_as_main(statement: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`, which a module of steps never is."""
    match statement:
        case ast.If(
            test=ast.Compare(
                left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
            ),
            orelse=[],
        ):
            return True
    return False


def _reached(pieces: Sequence[_Piece], module: str, function: str) -> list[_Piece]:
    """What stays of a module for one of its functions, or for none; raises Doubt where it may look at the rest."""
    kept = {number for number, piece in enumerate(pieces) if not piece.optional}
    names = ({function} if function else set()).union(*(pieces[number].uses for number in kept))
    while more := {n for n, piece in enumerate(pieces) if n not in kept and _is_wanted(piece, names)}:
        kept |= more
        names = names.union(*(pieces[number].uses for number in more))
    staying = [pieces[number] for number in sorted(kept)]
    if function and not any(function in piece.binds for piece in staying):
        raise Doubt
    looks_inside(ast.Module([piece.tree for piece in staying], []), module, names)
    return [narrow for piece in staying if (narrow := _narrowed(piece, names))]


def _is_wanted(piece: _Piece, names: set[str]) -> bool:
    return "__file__" in names if _only_as_main(piece.tree) else not piece.binds.isdisjoint(names)


def _narrowed(piece: _Piece, names: set[str]) -> _Piece | None:
    """An import of the language has only what is used of it: what a new step imports changes no other."""
    if not piece.imported:
        return piece
    used = sorted(ast.unparse(one) for one in piece.imported if (one.asname or one.name) in names)
    if not used:
        return None
    return msgspec.structs.replace(piece, text=(f"from {LANGUAGE} import {', '.join(used)}",), lines=piece.lines[:1])
