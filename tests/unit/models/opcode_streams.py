"""Streams of opcodes as nobody's pickler writes them: every opcode, in orders that mostly keep an unpickler going."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

TEXTS = ["os", "system", "builtins", "str", "collections", "OrderedDict", "a.b", "eval", "__builtin__", "", "é", "x\ny"]
NAMES = [("os", "system"), ("builtins", "str"), ("builtins", "list"), ("collections", "OrderedDict"), ("a.b", "C.d")]
NAMES += [("functools", "partial"), ("operator", "concat"), ("__builtin__", "eval"), ("copy_reg", "_reconstructor")]
VALUES = [b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"K\x07", b"M\x01\x02", b"J\xff\xff\xff\xff", b"I7\n"]
VALUES += [b"I01\n", b"L7L\n", b"F1.5\n", b"G" + bytes(8), b"\x8a\x01\x05", b"\x8a\x00", b"\x8b\x01\x00\x00\x00\x02"]
VALUES += [b"C\x02os", b"B\x02\x00\x00\x00os", b"\x8e" + struct.pack("<Q", 2) + b"os"]
Steps = list[tuple[Callable[[Random], bytes], int, int]]
"""Makers of bytes, with how many values these take from the stack and how many they give."""


def text(random: Random) -> bytes:
    """A text in one of the ways there are."""
    value = random.choice(TEXTS) if random.random() < 0.97 else "n" * random.choice([255, 512, 513])
    data = value.encode("utf-8", "surrogatepass")
    line = value.encode("raw-unicode-escape").replace(b"\n", b"\\u000a")
    ways = [
        b"X" + struct.pack("<I", len(data)) + data,
        b"\x8d" + struct.pack("<Q", len(data)) + data,
        b"V" + line + b"\n",
        b"S" + repr(value).encode("ascii", "backslashreplace") + b"\n",
        b"T" + struct.pack("<I", len(data)) + data,
    ]
    if len(data) < 256:
        ways += [b"\x8c" + bytes([len(data)]) + data] * 6 + [b"U" + bytes([len(data)]) + data]
    return random.choice(ways)


def value(random: Random) -> bytes:
    """Something that is no text."""
    return random.choice(VALUES)


def imported(random: Random) -> bytes:
    """An import by two lines, or by two texts on the stack."""
    module, name = random.choice(NAMES)
    if random.random() < 0.4:
        return f"c{module}\n{name}\n".encode()
    return b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"


def _key(random: Random, size: int = 1) -> bytes:
    return random.randrange(6).to_bytes(size, "little")


_PLAIN: Steps = [
    (text, 0, 1),
    (text, 0, 1),
    (value, 0, 1),
    (imported, 0, 1),
    (imported, 0, 1),
    (lambda _: b"\x93", 2, 1),
    (lambda _: b"R", 2, 1),
    (lambda r: imported(r) + text(r) + b"\x85R", 0, 1),
    (lambda r: b"\x8c\x08builtins\x8c\x03str\x93" + text(r) + b"\x85R", 0, 1),
    (lambda r: text(r) + text(r) + b"\x86", 0, 1),
    (lambda _: b"\x81", 2, 1),
    (lambda _: b"\x92", 3, 1),
    (lambda _: b"b", 2, 1),
    (lambda _: b"}b", 1, 1),
    (lambda _: b"0", 1, 0),
    (lambda _: b"2", 1, 2),
    (lambda _: b"\x85", 1, 1),
    (lambda _: b"\x86", 2, 1),
    (lambda _: b"\x87", 3, 1),
    (lambda _: b"a", 2, 1),
    (lambda _: b"s", 3, 1),
    (lambda r: b"h" + _key(r), 0, 1),
    (lambda r: b"j" + _key(r, 4), 0, 1),
    (lambda r: b"g%d\n" % r.randrange(6), 0, 1),
    (lambda r: b"\x80" + bytes([r.randrange(6)]), 0, 0),
]
_NUMBERED: Steps = [
    (lambda r: b"q" + _key(r), 1, 1),
    (lambda r: b"r" + _key(r, 4), 1, 1),
    (lambda r: b"p%d\n" % r.randrange(6), 1, 1),
]
_MEMOIZED: Steps = [(lambda _: b"\x94", 1, 1), (lambda _: b"\x94", 1, 1), (lambda r: imported(r) + b"\x94", 0, 1)]
_RARE: Steps = [
    (lambda _: b"\x98", 1, 1),
    (lambda r: b"\x82" + bytes([r.randrange(1, 9)]), 0, 1),
    (lambda _: b"\x83\x07\x00", 0, 1),
    (lambda _: b"\x84\x07\x00\x00\x00", 0, 1),
    (lambda _: b"Pid\n", 0, 1),
    (lambda _: b"Q", 1, 1),
    (lambda _: b"\x97", 0, 1),
    (lambda r: b"\x95" + struct.pack("<Q", r.randrange(40)), 0, 0),
]
_MARKED: list[tuple[Callable[[Random], bytes], int]] = [
    (lambda _: b"t", 1),
    (lambda _: b"l", 1),
    (lambda _: b"\x91", 1),
    (lambda _: b"1", 0),
    (lambda r: f"i{f'{r.choice(NAMES)[0]}'}\n{r.choice(NAMES)[1]}\n".encode(), 1),
    (lambda _: b"o", 1),
    (lambda _: b"e", 0),
    (lambda _: b"u", 0),
    (lambda _: b"\x90", 0),
    (lambda _: b"d", 1),
]
"""What takes all that is above the mark."""


def stream(random: Random) -> bytes:
    """One to three pickles, one after the other, and sometimes something behind or a byte that is another."""
    data = b"".join(_pickle(random) for _ in range(random.choice([1, 1, 1, 2, 3])))
    if random.random() < 0.1:
        data += random.randbytes(random.randrange(9))
    if random.random() < 0.25:
        at = random.randrange(len(data))
        data = data[:at] + bytes([random.randrange(256)]) + data[at + random.randrange(2) :]
    return data


def _pickle(random: Random) -> bytes:
    out = [b"\x80" + bytes([random.randrange(6)])] if random.random() < 0.9 else []
    depths, steps = [0], _PLAIN + random.choice([_NUMBERED, _MEMOIZED])
    out += [_step(random, depths, steps) for _ in range(random.randrange(1, 30))]
    return b"".join(out) + (b"N" if not depths[-1] else b"") + b"."


def _step(random: Random, depths: list[int], steps: Steps) -> bytes:
    """Choose what the stack allows, which `depths` has by its marks, and change it."""
    if len(depths) > 1 and random.random() < 0.2:
        make, gives = random.choice(_MARKED)
        depths.pop()
        depths[-1] += gives
        return make(random)
    if random.random() < 0.07:
        depths.append(0)
        return b"("
    fitting = [one for one in (_RARE if random.random() < 0.01 else steps) if one[1] <= depths[-1]]
    if not fitting:
        depths[-1] += 1
        return text(random)
    make, takes, gives = random.choice(fitting)
    depths[-1] += gives - takes
    return make(random)
