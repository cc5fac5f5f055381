"""What can be compared before it is there, and the conditions that come of it."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, NoReturn, Optional, Tuple, Union

from tiffin_pipeline.errors import PipelineError, a
from tiffin_pipeline.ports import MARK, PARAMETERS, Port, type_name


class Block(NamedTuple):
    """A body that lies in another: of a `branch`, a `loop` or a `group`."""

    name: str
    kind: str


Scope = Tuple[Block, ...]


class Facts(NamedTuple):
    """What is known of a value before it is there; `port` is None where only the run will tell its type."""

    source: Dict[str, Any]
    port: Optional[Port]
    says: str
    trace: Any
    scope: Scope = ()

    @property
    def kind(self) -> Any:
        """Its Python type, or None."""
        return self.port.kind if self.port else None

    @property
    def type(self) -> str:
        """Its type in words."""
        if self.port is None:
            return "value of any type"
        return "list[%s]" % self.port.type if self.port.many else self.port.type


class Operand:
    """What can be compared, and what an `if` or `for` of Python cannot ask yet."""

    def _facts(self) -> Facts:
        raise NotImplementedError

    def __eq__(self, other: object) -> "Condition":  # type: ignore[override]
        return compared(self, "==", other)

    def __ne__(self, other: object) -> "Condition":  # type: ignore[override]
        return compared(self, "!=", other)

    def __lt__(self, other: object) -> "Condition":
        return compared(self, "<", other)

    def __le__(self, other: object) -> "Condition":
        return compared(self, "<=", other)

    def __gt__(self, other: object) -> "Condition":
        return compared(self, ">", other)

    def __ge__(self, other: object) -> "Condition":
        return compared(self, ">=", other)

    def __and__(self, other: object) -> "Condition":
        return condition_of(self) & other

    def __or__(self, other: object) -> "Condition":
        return condition_of(self) | other

    def __invert__(self) -> "Condition":
        return ~condition_of(self)

    __hash__ = object.__hash__

    def __str__(self) -> str:
        facts = self._facts()
        if facts.port is not None and not facts.port.is_parameter:
            raise PipelineError(
                "%s is %s, and its path is not known before the pipeline runs" % (facts.says, a(facts.type)),
                "pass it to a step, and use its path there",
            )
        _marked.append(facts)
        return "⟦tiffin:%d⟧" % (len(_marked) - 1)

    def __format__(self, how: str) -> str:
        if how:
            raise PipelineError(
                "%s cannot be formatted by `:%s` before the pipeline runs" % (self._facts().says, how),
                "leave `:%s` away, or put the text together in a step" % how,
            )
        return str(self)

    def __bool__(self) -> NoReturn:
        raise _no_truth("%s is not known" % self._facts().says)

    def __iter__(self) -> NoReturn:
        raise PipelineError(
            "%s cannot be gone through before the pipeline runs" % self._facts().says,
            "write `with for_each(…) as item:` for `for item in …:`",
        )

    def __len__(self) -> NoReturn:
        raise PipelineError(
            "%s has no length before the pipeline runs" % self._facts().says,
            "count in a step that returns an int, and compare that",
        )

    def __contains__(self, item: object) -> NoReturn:
        raise PipelineError(
            "`in` cannot look into %s before the pipeline runs" % self._facts().says,
            "look in a step that returns a bool, and write `with when(…):`",
        )


_marked: List[Facts] = []


def facts_of(operand: Operand) -> Facts:
    """What is known of a value; of a call, that of its only output."""
    return operand._facts()  # noqa: SLF001 - with an underscore only since outputs are attributes beside it


def pieces_of(text: str) -> Tuple[Union[str, Facts], ...]:
    """A text taken apart at the values that were put into it."""
    parts = enumerate(MARK.split(text))
    return tuple(_marked[int(part)] if number % 2 else part for number, part in parts if part)


class Condition:
    """What `when` asks; put together with `&`, `|` and `~`."""

    def __init__(self, document: Dict[str, Any], values: Tuple[Facts, ...]) -> None:
        """Keep what the tool reads, and the values that it depends on."""
        self.document = document
        self.values = values

    def __and__(self, other: object) -> "Condition":
        return _together("every", self, condition_of(other))

    def __or__(self, other: object) -> "Condition":
        return _together("some", self, condition_of(other))

    def __invert__(self) -> "Condition":
        return Condition({"is": "not", "of": self.document}, self.values)

    def __bool__(self) -> NoReturn:
        raise _no_truth("a condition is neither true nor false")


def _no_truth(what: str) -> PipelineError:
    return PipelineError(
        "%s before the pipeline runs" % what,
        "write `with when(…):` for `if`, `with otherwise():` for `else`, "
        "and `(a) & (b)`, `(a) | (b)`, `~(a)` for `and`, `or`, `not`",
    )


def condition_of(given: object) -> Condition:
    """A condition as it is; of a bool that will be there, whether it is true."""
    if isinstance(given, Condition):
        return given
    if not isinstance(given, Operand):
        raise PipelineError(
            "%r is no condition: it is known before the pipeline runs" % (given,),
            "compare an output or an argument; or use an ordinary `if`",
        )
    facts = facts_of(given)
    if facts.kind in (None, bool):
        return compared(given, "==", True)
    raise PipelineError(
        "%s is %s, which is no condition" % (facts.says, a(facts.type)), "compare it: `when(value > 1)`"
    )


def _together(kind: str, left: Condition, right: Condition) -> Condition:
    sides = [one.document["of"] if one.document["is"] == kind else [one.document] for one in (left, right)]
    return Condition({"is": kind, "of": [*sides[0], *sides[1]]}, (*left.values, *right.values))


def compared(left: Operand, operator: str, right: object) -> Condition:
    """A comparison; raises PipelineError for one that could never hold."""
    sides = [facts_of(side) if isinstance(side, Operand) else side for side in (left, right)]
    kinds = [_comparable(side, operator) for side in sides]
    if None not in kinds and kinds[0] != kinds[1]:
        raise PipelineError(
            "%s is %s, and is compared with %s" % (facts_of(left).says, a(facts_of(left).type), _shown(sides[1])),
            "compare numbers with numbers, and texts with texts",
        )
    document = {"is": "compare", "left": _source(sides[0]), "operator": operator, "right": _source(sides[1])}
    return Condition(document, tuple(side for side in sides if isinstance(side, Facts)))


def _source(side: object) -> Dict[str, Any]:
    return side.source if isinstance(side, Facts) else {"from": "constant", "value": side}


def _shown(side: object) -> str:
    return (
        "%s, %s" % (side.says, a(side.type)) if isinstance(side, Facts) else "%r, %s" % (side, a(type_name(type(side))))
    )


def _comparable(side: object, operator: str) -> Optional[str]:
    """What a side is as far as comparisons care, which is as in CEL; None where only the run will tell."""
    kind: Any = side.kind if isinstance(side, Facts) else type(side)
    if isinstance(side, Facts) and side.port is None:
        return None
    if kind not in PARAMETERS and isinstance(side, Facts):
        hint = "compare in a step that returns a value"
        raise PipelineError("%s is %s, and files are not compared" % (side.says, a(side.type)), hint)
    if isinstance(side, str) and MARK.search(side):
        raise PipelineError("a text with values in it is not compared", "put it together in a step")
    if kind in (int, float):
        return "number"
    if kind in (str, bool) or (kind in (list, dict) and operator in ("==", "!=")):
        return type_name(kind)
    raise PipelineError("%s cannot be compared by `%s`" % (_shown(side), operator), "compare numbers, texts or bools")
