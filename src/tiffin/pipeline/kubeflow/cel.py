"""The part of CEL that Kubeflow's compiler writes, as conditions of a graph.

    expression = and ("||" and)*        and = relation ("&&" relation)*
    relation   = operand [("==" | "!=" | "<" | "<=" | ">" | ">=") operand]
    operand    = "!" operand | "(" expression ")" | literal | value path | cast "(" expression ")"
    value      = "inputs.parameter_values" "[" text "]" | "string_value" | "parseJson" "(" expression ")"
    path       = ("[" (text | integer) "]" | "." name)*          cast = "int" | "double" | "string"

Anything else of the language (https://github.com/google/cel-spec) is refused with its column: half understood is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from tiffin.pipeline.graph import Compare, Condition, Constant, Every, Not, Operator, Part, Some, Source, Text


class NotRead(ValueError):  # noqa: N818 - a finding that the caller gives a place
    """An expression that is not read, and from which column on."""

    def __init__(self, reason: str, column: int) -> None:
        super().__init__(f"{reason} in column {column + 1}")


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value comes from, and its type; the type of what lies within another value is empty, for nobody says."""

    source: Source
    type: str = ""


Lookup = Callable[[str], Typed | None]
"""What gives an input parameter of the task by name; None for one that is not given."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>==|!=|<=|>=|&&|\|\||[<>!()\[\].,-])
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_OPERATORS: dict[str, Operator] = {"==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LITERALS = {"true": True, "false": False}
_CASTS = {"int": "int", "double": "float", "string": "str"}
_DEEPEST = 64


def read_condition(expression: str, lookup: Lookup) -> Condition:
    """Read a `triggerPolicy.condition`; raises NotRead."""
    parser = _Parser(expression, lookup)
    found = parser.expression()
    parser.end()
    return parser.as_condition(found, 0)


def read_selector(expression: str, value: Typed) -> Typed:
    """Read a `parameterExpressionSelector`, in which `string_value` is the value as text; raises NotRead."""
    parser = _Parser(expression, lambda _name: None, value)
    found = parser.expression()
    parser.end()
    return parser.as_value(found, 0)


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str, lookup: Lookup, selected: Typed | None = None) -> None:
        self._lookup, self._selected = lookup, selected
        self._tokens = _tokens(text)
        self._at, self._depth = 0, 0

    def expression(self) -> Condition | Typed:
        """Several alternatives, of which one has to hold."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("it is nested too deep")
        found = self._several("||", self._and, lambda parts: Some(of=parts))
        self._depth -= 1
        return found

    def end(self) -> None:
        """Be at the end."""
        if self._kind != "end":
            self._unexpected()

    def as_condition(self, found: Condition | Typed, column: int) -> Condition:
        """Take a truth value for the condition that it is true."""
        if not isinstance(found, Typed):
            return found
        if found.type not in {"bool", ""}:
            raise NotRead(f"a value of type {found.type} is no condition", column)
        return Compare(left=found.source, operator="==", right=Constant(value=True))

    def as_value(self, found: Condition | Typed, column: int) -> Typed:
        """Have a value, and no condition."""
        if isinstance(found, Typed):
            return found
        raise NotRead("a condition is compared or taken apart", column)

    def _and(self) -> Condition | Typed:
        return self._several("&&", self._relation, lambda parts: Every(of=parts))

    def _several(
        self,
        sign: str,
        inner: Callable[[], Condition | Typed],
        join: Callable[[tuple[Condition, ...]], Condition],
    ) -> Condition | Typed:
        column = self._column
        found = inner()
        if self._word != sign:
            return found
        parts = [self.as_condition(found, column)]
        while self._take(sign):
            column = self._column
            parts.append(self.as_condition(inner(), column))
        return join(tuple(parts))

    def _relation(self) -> Condition | Typed:
        column = self._column
        left = self._operand()
        operator = _OPERATORS.get(self._word)
        if operator is None:
            return left
        self._at += 1
        right_column = self._column
        right = self.as_value(self._operand(), right_column)
        if self._word in _OPERATORS:
            self._refuse("comparisons cannot be chained")
        return Compare(left=self.as_value(left, column).source, operator=operator, right=right.source)

    def _operand(self) -> Condition | Typed:
        column = self._column
        if self._take("!"):
            negations = 1
            while self._take("!"):
                negations += 1
            inner = self.as_condition(self._operand(), column)
            return Not(of=inner) if negations % 2 else inner
        if self._take("("):
            found = self.expression()
            self._expect(")")
            return self._path(found, column) if isinstance(found, Typed) else found
        if self._kind == "name":
            return self._path(self._named(), column)
        return _literal(self._written())

    def _written(self) -> Any:
        """A value that is written down."""
        if self._kind == "text":
            return _unquoted(self._next())
        negative = self._take("-")
        if self._kind == "number":
            return -self._number() if negative else self._number()
        return self._unexpected()

    def _named(self) -> Typed:
        column = self._column
        name = self._next()
        if name in _LITERALS:
            return _literal(_LITERALS[name])
        if name == "inputs":
            return self._input(column)
        if name == "string_value" and self._selected is not None:
            return Typed(source=self._selected.source, type=self._selected.type or "json")
        if self._take("("):
            inner = self.as_value(self.expression(), column)
            self._expect(")")
            if name == "parseJson":
                return _parsed(inner)
            if name in _CASTS:
                return _cast(inner, name, column)
        raise NotRead(f"{name!r} is not known", column)

    def _input(self, column: int) -> Typed:
        self._expect(".")
        if self._next() != "parameter_values":
            raise NotRead("only inputs.parameter_values is read", column)
        if self._take("."):
            name = self._next()
        else:
            self._expect("[")
            if self._kind != "text":
                self._refuse("an input's name is a text")
            name = _unquoted(self._next())
            self._expect("]")
        found = self._lookup(name)
        if found is None:
            raise NotRead(f"there is no value for the input {name!r}", column)
        return found

    def _path(self, found: Typed, column: int) -> Typed:
        """What lies within a value, as far as it is gone into."""
        path: list[str | int] = []
        while self._word in {"[", "."}:
            if self._take("."):
                if self._kind != "name":
                    self._refuse("a name is missing")
                path.append(self._next())
                continue
            self._at += 1
            key = (
                self._number() if self._kind == "number" else _unquoted(self._next()) if self._kind == "text" else None
            )
            if not isinstance(key, str | int):
                self._refuse("a text or a whole number is missing")
            path.append(key)
            self._expect("]")
        if path and found.type not in {"dict", "list", "status", ""}:
            raise NotRead(f"nothing lies within a value of type {found.type}", column)
        return _within(found, tuple(path)) if path else found

    # The tokens.

    @property
    def _word(self) -> str:
        return self._tokens[self._at][1] if self._kind == "sign" else ""

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def _column(self) -> int:
        return self._tokens[self._at][2]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _number(self) -> int | float:
        text = self._next()
        return int(text) if text.isdecimal() else float(text)

    def _take(self, sign: str) -> bool:
        if self._word != sign:
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._refuse(f"{sign!r} is missing")

    def _unexpected(self) -> NoReturn:
        text = self._tokens[self._at][1]
        self._refuse(f"{text!r} is not read here" if text else "the expression ends too soon")

    def _refuse(self, reason: str) -> NoReturn:
        raise NotRead(reason, self._column)


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """Each token's kind, text and column, and an end that no token is."""
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise NotRead(f"{text[at]!r} is not read", at)
        kind = match.lastgroup
        found.append((kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, ("end", "", len(text))]


def _unquoted(literal: str) -> str:
    return _ESCAPE.sub(lambda match: _escaped(match[1]), literal[1:-1])


def _escaped(code: str) -> str:
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    return chr(int(code, 8)) if code[0] in "0123" and len(code) > 1 else _ESCAPES.get(code, code)


def _literal(value: Any) -> Typed:
    return Typed(source=Constant(value=value), type=type(value).__name__)


def _parsed(value: Typed) -> Typed:
    """What a text says in JSON. The text of a value that is no text is its JSON, and so says the value itself."""
    if value.type == "str":
        return Typed(source=Part(of=value.source, path=()))
    return Typed(source=value.source, type="" if value.type == "json" else value.type)


def _within(value: Typed, path: tuple[str | int, ...]) -> Typed:
    source = value.source
    if isinstance(source, Part):
        return Typed(source=Part(of=source.of, path=(*source.path, *path)))
    return Typed(source=Part(of=source, path=path))


def _cast(value: Typed, name: str, column: int) -> Typed:
    """A cast that changes nothing that can be compared, or one of something that is known already."""
    type_ = _CASTS[name]
    if value.type == type_ or (value.type, type_) == ("int", "float"):
        return Typed(source=value.source, type=type_)
    if isinstance(value.source, Constant):
        return _literal(_converted(value.source.value, type_, column))
    if type_ == "str" and value.type in {"int", "float", "bool"}:
        return Typed(source=Text(pieces=(value.source,)), type="str")
    what = f"type {value.type}" if value.type else "no declared type"
    raise NotRead(f"{name}() of a value of {what} is not done here", column)


def _converted(value: Any, type_: str, column: int) -> Any:
    try:
        if type_ == "str":
            return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
        return int(value) if type_ == "int" else float(value)
    except (TypeError, ValueError) as error:
        raise NotRead(f"{value!r} is no number", column) from error
