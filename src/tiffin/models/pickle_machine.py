"""Follow a pickle opcode by opcode as an unpickler would, without making, importing or calling anything.

The machine keeps only what decides what is imported: names, the texts they may be made of, and which object is which.
Whatever it cannot follow it reports, so that nothing passes for want of understanding.
"""

from __future__ import annotations

import _compat_pickle
from collections.abc import Callable
from typing import Any

import msgspec

from tiffin.models.pickle_arrays import ArrayBytes, Made, announced
from tiffin.models.pickle_opcodes import PUSHES, UNKNOWN, BrokenPickleError, Source
from tiffin.models.pickle_stack import DEEPEST_STACK, Stack

_WIDEST = 64
_RENAMED_UNTIL = 2
WRAPPER = "joblib.numpy_pickle:NumpyArrayWrapper"
_MAKERS = {"copyreg:_reconstructor", "copyreg:__newobj__", "copyreg:__newobj_ex__"}
_NEWOBJ = 0x81
_FOLLOWED = {WRAPPER, "numpy:dtype"}


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Something a pickle does that runs code: an import `module:name`, or (`named` off) anything else, described."""

    what: str
    named: bool
    offset: int = 0
    opcode: str = ""

    @property
    def split(self) -> tuple[str, str]:
        """Module and name of an import."""
        module, _, name = self.what.partition(":")
        return module, name


class Name(msgspec.Struct, frozen=True):
    """A global that the pickle imports."""

    text: str


class Machine(Stack):
    """One unpickler's stack and memo; `uses` fills while it runs, and `calls` counts what it calls by name."""

    def __init__(self, source: Source, *, joblib: bool = False, persistent: bool = False, first: bytes = b"") -> None:
        """Follow the source, whose first opcode may have been read already.

        `joblib` follows arrays between opcodes, `persistent` permits persistent ids.
        """
        self.uses: dict[str, Use] = {}
        self.result: Any = UNKNOWN
        self.frame_left = 0
        self.calls = 0
        super().__init__(source)
        self._joblib = joblib
        self._persistent = persistent
        self._opcode = 0
        self._first = first
        self._names: dict[str, Name] = {}
        self._made: dict[str, Made] = {}

    def run(self) -> None:
        """Go on to the pickle's end; raises BrokenPickleError where an unpickler would fail or cannot be followed."""
        source, stack_limit = self._source, DEEPEST_STACK
        while True:
            self._at = source.position - len(self._first)
            self._opcode = (self._first or source.read(1))[0]
            self._first = b""
            source.budget.opcodes -= 1
            if source.budget.opcodes < 0:
                raise BrokenPickleError("it has more opcodes than any model")
            if read := PUSHES.get(self._opcode):
                self._stack.append(read(source))
            elif self._opcode == ord("."):
                return self._stop()
            elif action := ACTIONS.get(self._opcode):
                action(self)
            else:
                raise BrokenPickleError(f"byte {self._at} is no opcode ({self._opcode:#04x})")
            if len(self._stack) > stack_limit or len(self._marks) > stack_limit:
                raise BrokenPickleError("its stack is deeper than any model's")

    def _stop(self) -> None:
        self.result = self.pop()
        self.frame_left = max(self._source.frame_end - self._source.position, 0)

    def use(self, what: str, *, named: bool = False) -> None:
        """Report what the pickle does here, the first time it does it."""
        if what not in self.uses:
            if len(self.uses) >= _MOST_USES:
                raise BrokenPickleError("it imports more names than any model")
            self.uses[what] = Use(what=what, named=named, offset=self._at, opcode=TITLES[self._opcode])

    def name(self, module: Any, name: Any) -> Name | Made:
        """Import a global."""
        if not isinstance(module, str) or not isinstance(name, str):
            self.use("an import whose name is computed")
            return self._thing("")
        if self._protocol <= _RENAMED_UNTIL:
            if (module, name) in _compat_pickle.NAME_MAPPING:
                module, name = _compat_pickle.NAME_MAPPING[module, name]
            else:
                module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        text = f"{module}:{name}"
        self.use(text, named=True)
        return self._names.setdefault(text, Name(text))

    def call(self, callee: Any, arguments: Any) -> None:
        """Call something imported; a call of anything else is reported."""
        if not isinstance(callee, Name):
            self.use("a call of something that is not imported by name")
            self.push(self._thing(""))
            return
        made = callee.text
        self.calls += 1
        if made == WRAPPER and (self._opcode != _NEWOBJ or arguments != ()):
            self.use(f"{WRAPPER} used as joblib does not")
        if made in _MAKERS:
            first = arguments[0] if isinstance(arguments, tuple) and arguments else None
            if not isinstance(first, Name):
                self.use(f"{made} of a class that is not imported by name")
                self.push(self._thing(""))
                return
            made = first.text
        self.push(self._thing(made, arguments))

    def build(self, state: Any) -> None:
        """Give the top its state, and follow the array that joblib writes behind its announcement."""
        target = self.top()
        self.holds([state])
        self.changes(target)
        if not isinstance(target, Made) or target.of not in _FOLLOWED:
            return
        if target.of != WRAPPER:
            target.arguments = target.arguments if target.state is None else UNKNOWN
            target.state = state
            return
        if not isinstance(state, dict):
            raise BrokenPickleError(f"the array at byte {self._at} is announced as joblib does not")
        target.attributes = (target.attributes or {}) | state
        if self._joblib:
            self._stack[-1] = self._thing("numpy:ndarray")
            self._array(announced(target))

    def holds(self, items: list[Any]) -> None:
        """Report the class that announces arrays where it is a value: another maker could then announce one unseen."""
        if any(isinstance(item, Name) and item.text == WRAPPER for item in items):
            self.use(f"{WRAPPER} used as joblib does not")

    def changes(self, target: Any) -> None:
        """Report a change of something imported, which all who import it would see."""
        if isinstance(target, Name):
            self.use(f"a change of {target.text} itself")

    def _thing(self, made_of: str, arguments: Any = ()) -> Made:
        """Return an object: one of its own where its state matters, else the same for all of its class."""
        if made_of not in _FOLLOWED:
            return self._made.setdefault(made_of, Made(made_of))
        self._pay()
        return Made(made_of, arguments)

    def _pay(self) -> None:
        self._source.budget.values -= 1
        if self._source.budget.values < 0:
            raise BrokenPickleError("it has more arrays than any model")

    def _array(self, follows: ArrayBytes) -> None:
        source = self._source
        if source.position < source.frame_end:
            raise BrokenPickleError(f"the array at byte {self._at} is announced within a frame")
        if follows.objects:
            inner = Machine(source)
            inner.run()
            if inner.frame_left:
                raise BrokenPickleError(f"the array of objects at byte {self._at} ends within a frame")
            self.uses = {**inner.uses, **self.uses}
            return
        if follows.padded:
            source.skip(source.read(1)[0])
        source.skip(follows.size)

    def tuple_of(self, items: list[Any]) -> None:
        """Push a tuple, whole where it is small enough to matter."""
        self.holds(items)
        small = len(items) <= _WIDEST and self._source.budget.values > 0
        if small and items:
            self._source.budget.values -= 1
        self.push(tuple(items) if small else UNKNOWN)

    def fill(self, items: list[Any]) -> None:
        """Put pairs into the dict on top, which is kept where it is small and its keys are texts."""
        target = self.top()
        self.holds(items)
        self.changes(target)
        if not isinstance(target, dict) or "" in target:
            return
        pairs = dict(zip(items[::2], items[1::2], strict=False)) if all(type(k) is str for k in items[::2]) else None
        if pairs is None or len(target) + len(pairs) > _WIDEST:
            target.clear()
            target[""] = UNKNOWN
        else:
            target.update(pairs)

    def dictionary(self, items: list[Any]) -> None:
        """Push a dict of pairs."""
        kept = self._source.budget.values > 0
        self._source.budget.values -= kept
        self.push({} if kept else UNKNOWN)
        self.fill(items)

    def stored_elsewhere(self, key: Any) -> None:
        """Push what a persistent id stands for, where the format has such ids."""
        self.holds([key])
        if not self._persistent:
            self.use("a persistent id")
        is_class = isinstance(key, tuple) and key[:1] == ("module",) and len(key) > 1 and isinstance(key[1], Name)
        self.push(key[1] if is_class else self._thing("persistent"))  # torch before 1.6 kept source beside classes

    def instance(self) -> None:
        """Import a class and call it with what is above the mark."""
        module, name = self.line(), self.line()
        items = self.pop_mark()
        self.holds(items)
        self.call(self.name(module, name), tuple(items[:_WIDEST]))

    def made_of_class(self) -> None:
        """Call the class that is first above the mark with the rest."""
        items = self.pop_mark()
        if not items:
            raise BrokenPickleError(f"the opcode at byte {self._at} finds no class")
        self.holds(items[1:])
        self.call(items[0], tuple(items[1:_WIDEST]))

    def global_on_stack(self) -> None:
        """Import what the two texts on the stack name."""
        name, module = self.pop(), self.pop()
        self.push(self.name(module, name))

    def extension(self, size: int) -> None:
        """Report a name out of copyreg's registry, which a pickle does not tell."""
        self.use(f"extension {self.number(size)} of copyreg's registry")
        self.push(self._thing(""))

    def call_top(self, extra: int = 0) -> None:
        """Call what lies below the arguments; keyword arguments lie above them."""
        self.holds([self.pop() for _ in range(extra)])
        arguments = self.pop()
        self.call(self.pop(), arguments)

    def add(self, items: list[Any]) -> None:
        """Add items to what is now on top."""
        self.holds(items)
        self.changes(self.top())

    def unordered(self, items: list[Any]) -> None:
        """Push a list or a set of items."""
        self.holds(items)
        self.push(UNKNOWN)

    def refuse_buffer(self) -> None:
        """Report a buffer that is not in the file."""
        self.use("a buffer outside the file")
        self.push(UNKNOWN)


_MOST_USES = 10_000


def _tuple(count: int) -> Callable[[Machine], None]:
    return lambda m: m.tuple_of([m.pop() for _ in range(count)][::-1])


def _line_number(machine: Machine) -> int:
    text = machine.line()
    if not (text.isascii() and text.isdigit() and len(text) < 12):  # noqa: PLR2004 - digits of a memo's number
        raise BrokenPickleError(f"{text[:20]!r} is no number")
    return int(text)


_TABLE: list[tuple[int, str, Callable[[Machine], Any]]] = [
    (ord("("), "MARK", Machine.mark),
    (ord("0"), "POP", lambda m: m.pop() if m._stack else m.pop_mark()),  # noqa: SLF001 - its own table
    (ord("1"), "POP_MARK", Machine.pop_mark),
    (ord("2"), "DUP", lambda m: m.push(m.top())),
    (ord("c"), "GLOBAL", lambda m: m.push(m.name(m.line(), m.line()))),
    (0x93, "STACK_GLOBAL", Machine.global_on_stack),
    (ord("i"), "INST", Machine.instance),
    (ord("o"), "OBJ", Machine.made_of_class),
    (ord("R"), "REDUCE", Machine.call_top),
    (0x81, "NEWOBJ", Machine.call_top),
    (0x92, "NEWOBJ_EX", lambda m: m.call_top(1)),
    (ord("b"), "BUILD", lambda m: m.build(m.pop())),
    (0x82, "EXT1", lambda m: m.extension(1)),
    (0x83, "EXT2", lambda m: m.extension(2)),
    (0x84, "EXT4", lambda m: m.extension(4)),
    (ord("P"), "PERSID", lambda m: m.stored_elsewhere(m.line())),
    (ord("Q"), "BINPERSID", lambda m: m.stored_elsewhere(m.pop())),
    (ord("p"), "PUT", lambda m: m.put(_line_number(m))),
    (ord("q"), "BINPUT", lambda m: m.put(m.number(1))),
    (ord("r"), "LONG_BINPUT", lambda m: m.put(m.number(4))),
    (0x94, "MEMOIZE", Machine.memoize),
    (ord("g"), "GET", lambda m: m.get(_line_number(m))),
    (ord("h"), "BINGET", lambda m: m.get(m.number(1))),
    (ord("j"), "LONG_BINGET", lambda m: m.get(m.number(4))),
    (ord(")"), "EMPTY_TUPLE", _tuple(0)),
    (0x85, "TUPLE1", _tuple(1)),
    (0x86, "TUPLE2", _tuple(2)),
    (0x87, "TUPLE3", _tuple(3)),
    (ord("t"), "TUPLE", lambda m: m.tuple_of(m.pop_mark())),
    (ord("l"), "LIST", lambda m: m.unordered(m.pop_mark())),
    (0x91, "FROZENSET", lambda m: m.unordered(m.pop_mark())),
    (ord("}"), "EMPTY_DICT", lambda m: m.dictionary([])),
    (ord("d"), "DICT", lambda m: m.dictionary(m.pop_mark())),
    (ord("s"), "SETITEM", lambda m: m.fill([m.pop(), m.pop()][::-1])),
    (ord("u"), "SETITEMS", lambda m: m.fill(m.pop_mark())),
    (ord("a"), "APPEND", lambda m: m.add([m.pop()])),
    (ord("e"), "APPENDS", lambda m: m.add(m.pop_mark())),
    (0x90, "ADDITEMS", lambda m: m.add(m.pop_mark())),
    (0x80, "PROTO", Machine.protocol),
    (0x95, "FRAME", Machine.frame),
    (0x97, "NEXT_BUFFER", Machine.refuse_buffer),
    (0x98, "READONLY_BUFFER", Machine.top),
]
ACTIONS = {code: action for code, _, action in _TABLE}
TITLES = {code: title for code, title, _ in _TABLE}
