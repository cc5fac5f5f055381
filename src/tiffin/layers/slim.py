"""What of a wheel serving does not need: its tests, headers and static libraries, told by rules over paths.

* *Tests*: a folder called `test` or `tests` with modules of tests below it (`test_*.py`, `*_test.py`, `conftest.py`),
  with everything in it. `numpy.testing` is no such folder; `tensorflow/_api/v2/test`, the public `tf.test`, and a
  folder `test` of pictures have no such modules.
* *Headers*: `.h`, `.hh`, `.hpp`, `.hxx`, `.cuh`, except those of libraries that compile CUDA when they run.
* *Static libraries*: `lib*.a`, with the same exception.

A wheel that is at hand also tells what it imports: a tests folder that a module outside of it names in an import
statement stays (`numba.testing` needs `numba.tests`), and so does what that folder imports in turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from tiffin.layers.wheel_names import SITE

TESTS, HEADERS, STATIC = KINDS = ("tests", "headers", "static libraries")

_COMPILE_AT_RUN_TIME = "cupy|cupyx|nvidia|triton"
"""Packages whose headers NVRTC or the device linker reads in a running service, with no compiler in the image."""
_TEST_FOLDER = re.compile(r"(?P<folder>(?:.*?/)?tests?)/(?P<rest>.*)", re.DOTALL)
_TEST_MODULE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py", re.DOTALL)
_BUILT_AGAINST = re.compile(
    rf"(?!(?:.*/)?site-packages/(?:{_COMPILE_AT_RUN_TIME})/).*(?:\.(?:h|hh|hpp|hxx|cuh)|/lib[^/]*\.a)"
)
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]+))", re.MULTILINE
)
_NAME = re.compile(rb"([\w.]+)(?:\s+as\s+\w+)?")


def spare(paths: Collection[str], needed: Collection[str] = ()) -> dict[str, str]:
    """Say which of these paths serving does not need, and of which of `KINDS` each is; `needed` tests folders stay."""
    folders = tests_folders(paths) - set(needed)
    found = {}
    for path in paths:
        if tests_folder(path) in folders:
            found[path] = TESTS
        elif _BUILT_AGAINST.fullmatch(path):
            found[path] = STATIC if path.endswith(".a") else HEADERS
    return found


def tests_folder(path: str) -> str:
    """Return the topmost folder above a path that is called `test` or `tests`; "" where there is none."""
    match = _TEST_FOLDER.fullmatch(path)
    return match["folder"] if match else ""


def tests_folders(paths: Iterable[str]) -> set[str]:
    """Find the folders with modules of tests."""
    found = set()
    for path in paths:
        match = _TEST_FOLDER.fullmatch(path)
        if match and _TEST_MODULE.fullmatch(match["rest"]):
            found.add(match["folder"])
    return found


def needed_tests(paths: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    """Find the tests folders that modules outside of them import, and so on from there; `read` gives a source."""
    folders = tests_folders(paths)
    needed: set[str] = set()
    todo = [path for path in paths if path.endswith(".py") and tests_folder(path) not in folders]
    while folders and todo:
        imported = {tests_folder(f"{name}/") for path in todo for name in imports(path, read(path))}
        new = (imported & folders) - needed
        needed |= new
        todo = [path for path in paths if path.endswith(".py") and tests_folder(path) in new]
    return needed


def imports(path: str, source: bytes) -> Iterator[str]:
    """Yield the modules, as paths without a suffix, that import statements with `test` in them may mean."""
    package = path.rpartition("/")[0]
    for match in _IMPORT.finditer(source):
        dots, module, names, plain = match.groups()
        if b"test" not in match[0]:
            continue
        if plain is not None:
            yield from (f"{SITE}/{_slashed(name[1])}" for name in _NAME.finditer(plain))
            continue
        start = SITE
        if dots:
            start = package.rsplit("/", len(dots) - 1)[0] if len(dots) > 1 else package
        start = f"{start}/{_slashed(module)}".rstrip("/")
        yield start
        yield from (f"{start}/{_slashed(name[1])}" for name in _NAME.finditer(names))


def _slashed(name: bytes) -> str:
    return name.decode("utf-8", "replace").replace(".", "/")
