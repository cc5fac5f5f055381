"""Bytecode as entries of a layer: which sources are compiled, under which names, and where the result goes.

A wheel lies in /opt/venv/lib/site-packages, but an interpreter sees it through its own path, which is a link to that
(docs/reference/image.md). The file name inside bytecode is the one that the interpreter sees.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from tiffin.layers.compiler import Compiler, Source
from tiffin.layers.entry import Entry
from tiffin.layers.wheel import Wheel, WheelSource
from tiffin.layers.wheel_names import PREFIX, SITE

_BATCH_SIZE, _BATCH_COUNT = 512 << 10, 128
"""Bytes and number of sources that make a batch full: some 50 ms of work, against 1 ms to start on it."""
_TESTS = {"test", "tests"}


def wheel_bytecode(wheels: Sequence[WheelSource], compiler: Compiler, python: str) -> list[dict[str, bytes]]:
    """Compile wheels for an interpreter such as `3.11`; what comes of each depends on it and the interpreter only.

    That is bytecode by its path; nothing (`b""`) for a source that does not compile, whose path it is all the same.
    """
    owners: deque[dict[str, bytes]] = deque()
    found: list[dict[str, bytes]] = [{} for _ in wheels]

    def feed() -> Iterator[list[Source]]:
        for wheel, pieces in zip(wheels, found, strict=True):
            for batch in _batches(sources_of_wheel(wheel, python)):
                owners.append(pieces)
                yield batch

    for compiled in compiler.compile(feed()):
        owners.popleft().update((cached_path(one.path, python), one.data or b"") for one in compiled)
    return found


def bytecode(sources: Iterable[Source], compiler: Compiler, python: str) -> list[Entry]:
    """Compile sources, such as a standard library or a user's code, for an interpreter such as `3.11`."""
    ordered = sorted(sources, key=lambda source: source.path.encode())
    return [
        Entry.of(cached_path(one.path, python), one.data)
        for compiled in compiler.compile(_batches(ordered))
        for one in compiled
        if one.data is not None
    ]


def sources_of_wheel(wheel: WheelSource, python: str) -> Iterator[Source]:
    """Yield a wheel's sources that `is_compiled` chooses, by path."""
    with Wheel.opened(wheel) as opened:
        chosen = [entry for entry in opened.entries() if is_compiled(entry.path)]
        for entry in sorted(chosen, key=lambda entry: entry.path.encode()):
            if entry.open:
                with entry.open() as stream:
                    yield Source(path=entry.path, name=seen_path(entry.path, python), data=stream.read())


def is_compiled(path: str) -> bool:
    """Say whether a path of a layer is compiled: what `import` finds in site-packages, except tests.

    That is a .py file whose folders and name are identifiers, so that no template or data file is taken for a module,
    and none of whose folders is called `test` or `tests`. A module that is left out still works; it loads more slowly.
    """
    if not (path.startswith(f"{SITE}/") and path.endswith(".py")):
        return False
    *folders, name = path[len(SITE) + 1 : -len(".py")].split("/")
    return name.isidentifier() and all(folder.isidentifier() and folder not in _TESTS for folder in folders)


def seen_path(path: str, python: str) -> str:
    """Translate a path of a layer to the name by which the interpreter knows it."""
    inside = path.removeprefix(f"{SITE}/")
    return f"/{path}" if inside == path else f"/{PREFIX}/lib/python{python}/site-packages/{inside}"


def cached_path(path: str, python: str) -> str:
    """Say where the interpreter looks for the bytecode of a source (PEP 3147)."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.cpython-{python.replace('.', '')}.pyc"


def _batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Cut sources into batches, at places that depend on the sources alone."""
    batch: list[Source] = []
    size = 0
    for source in sources:
        batch.append(source)
        size += len(source.data)
        if size >= _BATCH_SIZE or len(batch) >= _BATCH_COUNT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
