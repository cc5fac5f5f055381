"""Whatever CPython's own unpickler asks for is seen by the machine that only reads, or the file is refused."""

from __future__ import annotations

import _compat_pickle
import copyreg
import functools
import io
import operator
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tiffin.models.pickle_opcodes import Budget
from tiffin.models.pickle_scan import Scan, _Scanner
from unit.models import hostile_pickles as hostile
from unit.models.opcode_streams import stream

HARMLESS: dict[tuple[str, str], Any] = {
    ("builtins", "str"): str,
    ("builtins", "list"): list,
    ("collections", "OrderedDict"): OrderedDict,
    ("functools", "partial"): functools.partial,
    ("operator", "concat"): operator.concat,
}
"""What is really given to an unpickler that asks, so that it can compute the next name."""


class Inert:
    """Stands for everything else: it takes whatever is done to it."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return self

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    append = extend = add = __setstate__


class Peekable(io.BufferedReader):
    """A stream as `open` gives it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))  # type: ignore[arg-type]  # it is as good as raw


class Asking:
    """Makes an unpickler tell what it asks for."""

    asked: list[tuple[str, str]]

    def find_class(self, module: str, name: str) -> Any:
        self.asked.append((module, name))
        return HARMLESS.get((module, name), Inert)

    def persistent_load(self, _: object) -> Any:
        return Inert()


class InC(Asking, pickle.Unpickler):
    """CPython's unpickler in C: in frames and lines it reads otherwise from what can be peeked into."""


class InPython(Asking, pickle._Unpickler):  # type: ignore[name-defined,misc]  # typeshed does not have it
    """CPython's unpickler in Python, which joblib builds upon."""


READERS: list[tuple[type[Any], type[Any]]] = [(InC, io.BytesIO), (InC, Peekable), (InPython, io.BytesIO)]


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    """Give the numbers that streams use for extensions a meaning."""
    for number in range(1, 9):
        copyreg.add_extension("os", f"extension{number}", number)
    yield
    for number in range(1, 9):
        copyreg.remove_extension("os", f"extension{number}", number)
    copyreg.clear_extension_cache()


def asked_by(data: bytes, unpickler: type[Any] = InC, stream_: type[Any] = io.BytesIO) -> list[tuple[str, str]]:
    """Load one pickle after the other, as far as CPython goes, and tell what it asked for."""
    source, asked = stream_(data), list[tuple[str, str]]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            while source.tell() < len(data):
                reader = unpickler(source, buffers=[b"x"] * 9)
                reader.asked = asked
                reader.load()
        except Exception:  # noqa: BLE001 - whatever ends it, what it asked before is what counts
            return asked
    return asked


def seen(data: bytes) -> Scan:
    return _Scanner("pickle", Budget()).scan(io.BytesIO(data), "stream")


def is_refused(scan: Scan) -> bool:
    """Whether no list can make it pass: it is broken, or imports what has no name."""
    return bool(scan.broken) or any(one.use.what.startswith(("an import", "extension")) for one in scan.found)


def check(data: bytes) -> bool:
    """Hold what C asked for against what was seen; returns whether there was anything to hold."""
    scan = seen(data)
    if is_refused(scan):
        return False
    asked = [names for reader, stream_ in READERS for names in asked_by(data, reader, stream_)]
    names = {one.use.what for one in scan.found}
    for module, name in asked:
        renamed = _compat_pickle.NAME_MAPPING.get((module, name))
        module_now, name_now = renamed or (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
        assert {f"{module}:{name}", f"{module_now}:{name_now}"} & names, (data, module, name, names)
    return bool(asked)


@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 1 << 64))
def test_c_asks_for_nothing_that_was_not_seen(seed: int) -> None:
    event(f"held: {check(stream(Random(seed)))}")  # noqa: S311 - keeps no secret


def test_many_streams_are_followed_to_their_end_and_ask_for_something() -> None:
    """The property above would hold of a machine that refuses everything."""
    held = sum(check(stream(Random(number))) for number in range(4000))  # noqa: S311 - keeps no secret
    assert held > 600


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 5))
def test_c_asks_for_nothing_unseen_of_noise(data: bytes, protocol: int) -> None:
    check(b"\x80" + bytes([protocol]) + data)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_c_asks_for_nothing_unseen_of_damaged_pickles(data: st.DataObject) -> None:
    names = data.draw(st.sampled_from(hostile.CALLED))
    bytes_ = bytearray(data.draw(st.sampled_from(list(hostile.by_every_opcode(*names)))))
    for _ in range(data.draw(st.integers(0, 3))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(bytes_))


@pytest.mark.parametrize("protocol", range(6))
def test_names_of_python_2_are_renamed_by_the_protocol_that_renames_them(protocol: int) -> None:
    scan = seen(hostile.pickled(hostile.by_global("__builtin__", "eval"), protocol=protocol))
    renamed = "builtins" if protocol < 3 else "__builtin__"
    assert [one.use.what for one in scan.found] == [f"{renamed}:eval"]


def test_c_forgets_the_rest_of_a_frame_that_a_name_goes_beyond() -> None:
    """So a name that seems to be a framework's is another's: such a stream is refused."""
    data = hostile.UNFOLLOWED["a name across the end of a frame, of which C reads the second half"]
    assert asked_by(data) == [("subprocess", "Popen")]
    assert is_refused(seen(data))


def test_a_line_beyond_ascii_is_read_as_no_name() -> None:
    """Python reads `V` as Latin-1 with escapes, not as UTF-8: what it would import has another name."""
    scan = seen("Vé\nVx\n\x93.".encode("latin-1"))
    assert is_refused(scan)
    assert asked_by("Vé\nVx\n".encode() + b"\x93.") == [("Ã©", "x")]
