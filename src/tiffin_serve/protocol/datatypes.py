"""The datatypes of the Open Inference Protocol and which values each can hold."""

from __future__ import annotations

from enum import Enum

import msgspec


class Kind(Enum):
    """What the values of a datatype are in JSON."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "str"


class Datatype(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One datatype, of which there is one object: bytes an element, `struct` code, and the least and greatest value.

    `exact` is the greatest magnitude up to which a float type holds every whole number.
    """

    name: str
    kind: Kind
    size: int
    code: str
    low: float = 0
    high: float = 1
    exact: int = 0


def _integers() -> list[Datatype]:
    signed = [
        Datatype(
            name=f"INT{bits}",
            kind=Kind.INT,
            size=bits // 8,
            code=code,
            low=-(2 ** (bits - 1)),
            high=2 ** (bits - 1) - 1,
        )
        for bits, code in ((8, "b"), (16, "h"), (32, "i"), (64, "q"))
    ]
    unsigned = [
        Datatype(name=f"UINT{bits}", kind=Kind.INT, size=bits // 8, code=code, low=0, high=2**bits - 1)
        for bits, code in ((8, "B"), (16, "H"), (32, "I"), (64, "Q"))
    ]
    return signed + unsigned


def _floats() -> list[Datatype]:
    greatest = {
        "FP16": 65504.0,
        "BF16": 3.3895313892515355e38,
        "FP32": 3.4028234663852886e38,
        "FP64": 1.7976931348623157e308,
    }
    return [
        Datatype(
            name=name, kind=Kind.FLOAT, size=size, code=code, low=-greatest[name], high=greatest[name], exact=exact
        )
        for name, size, code, exact in (
            ("FP16", 2, "e", 2**11),
            ("BF16", 2, "", 2**8),
            ("FP32", 4, "f", 2**24),
            ("FP64", 8, "d", 2**53),
        )
    ]


DATATYPES: dict[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        Datatype(name="BOOL", kind=Kind.BOOL, size=1, code="?"),
        *_integers(),
        *_floats(),
        Datatype(name="BYTES", kind=Kind.TEXT, size=0, code=""),
    )
}
"""Every datatype by its name; BF16, the upper half of an FP32, is sent in binary form only, as `struct` knows none."""


def accepts(wanted: Datatype, sent: Datatype) -> bool:
    """Say whether a tensor sent as one datatype may be read as another without losing anything.

    Whole numbers may become floats (each value is checked to fit exactly) and narrow types may become wide ones.
    """
    if wanted == sent:
        return True
    if wanted.kind is Kind.FLOAT:
        return sent.kind is Kind.INT or (sent.kind is Kind.FLOAT and sent.size < wanted.size)
    if wanted.kind is Kind.INT and sent.kind is Kind.INT:
        return wanted.low <= sent.low and sent.high <= wanted.high
    return False
