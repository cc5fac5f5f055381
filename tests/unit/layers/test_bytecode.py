from __future__ import annotations

import importlib.util
import itertools
import marshal
import os
import shutil
import subprocess
import sys
import tarfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tiffin.errors import CommandError
from tiffin.layers.bytecode import bytecode, cached_path, is_compiled, seen_path, sources_of_wheel, wheel_bytecode
from tiffin.layers.compiler import Compiled, Compiler, ProcessCompiler, Source
from tiffin.layers.entry import Entry
from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from tiffin.layers.write import write_layer
from unit.layers.shelf import Shelf
from unit.layers.zips import Zipped, parts, save, shuffled, zipped

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
SITE = "opt/venv/lib/site-packages"
HERE = ProcessCompiler([sys.executable], workers=2)
STDLIB = [path for path in sorted(Path(os.__file__).parent.glob("*.py")) if path.stat().st_size < 60_000]


def source(text: str | bytes, path: str = f"{SITE}/demo/x.py") -> Source:
    return Source(path=path, name=seen_path(path, PYTHON), data=text.encode() if isinstance(text, str) else text)


def unmarshalled(pyc: bytes) -> types.CodeType:
    code = marshal.loads(pyc[16:])  # noqa: S302 - it was made here
    assert isinstance(code, types.CodeType)
    return code


def contents(entries: Sequence[Entry]) -> dict[str, bytes]:
    return {entry.path: entry.open().read() for entry in entries}


def compiled(sources: Sequence[Source], compiler: Compiler = HERE) -> dict[str, bytes]:
    return contents(bytecode(sources, compiler, PYTHON))


def demo(folder: Path, *members: Zipped) -> WheelSource:
    return WheelSource(path=save(folder, zipped(parts(*members))), name="demo", version="1.0")


def test_bytecode_is_an_unchecked_hash_based_pyc() -> None:
    text = b"# -*- coding: latin-1 -*-\nx = '\xe9'\ndef f(): return x\n"
    (data,) = compiled([source(text)]).values()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(data[4:8], "little") == 0b01
    assert data[8:16] == importlib.util.source_hash(text)
    code = unmarshalled(data)
    assert code.co_filename == f"/opt/venv/lib/python{PYTHON}/site-packages/demo/x.py"
    space: dict[str, object] = {}
    exec(code, space)  # noqa: S102 - it is ours
    assert isinstance(space["f"], types.FunctionType)
    assert space["f"]() == "é"


def test_what_does_not_compile_is_left_out() -> None:
    bad = ["print 1", "x = (", "\0", b"\xff\xfe", "x = " + "(" * 500 + ")" * 500, "return 1"]
    sources = [source(text, f"{SITE}/bad{n}.py") for n, text in enumerate(bad)]
    assert list(compiled([*sources, source("x = 1")])) == [f"{SITE}/demo/__pycache__/x.{TAG}.pyc"]


def test_an_empty_source_compiles() -> None:
    assert len(compiled([source("")])) == 1


def test_nothing_comes_of_nothing() -> None:
    assert compiled([]) == {}
    assert wheel_bytecode([], HERE, PYTHON) == []


def runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


OTHERS = filter(None, (shutil.which(f"python3.{minor}") for minor in range(10, 15)))
INTERPRETERS = [sys.executable, *filter(runs, OTHERS)]
TWINS = [source("def f():\n class C: pass\n return C\nx = 'f.<locals>.C'\n", f"{SITE}/{n}.py") for n in "ab"]
STDLIB_SOURCES = [source(path.read_bytes(), f"{SITE}/{path.name}") for path in STDLIB]


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    return compiled(STDLIB_SOURCES)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_hash_seed_order_and_number_of_processes_do_not_matter(
    expected: dict[str, bytes], seed: str, workers: int
) -> None:
    env = shutil.which("env")
    assert env
    seeded = ProcessCompiler([env, f"PYTHONHASHSEED={seed}", sys.executable], workers)
    assert len(expected) > 50
    assert compiled(shuffled(STDLIB_SOURCES, workers), seeded) == expected


@pytest.mark.parametrize("python", INTERPRETERS)
def test_a_batch_does_not_depend_on_those_before_it(python: str) -> None:
    """Since CPython 3.12 strings of earlier files would show (cpython 78274), were it not for the forks."""
    batches = [[one] for one in [*STDLIB_SOURCES, *TWINS]]
    one, two = ProcessCompiler([python], 1), ProcessCompiler([python], 2)
    there = {compiled[0].path: compiled for compiled in one.compile(batches)}
    back = {compiled[0].path: compiled for compiled in two.compile(batches[::-1])}
    assert there == back


def test_bytecode_is_what_the_interpreter_makes_itself() -> None:
    path = STDLIB[0]
    (data,) = compiled([source(path.read_bytes())]).values()
    theirs = compile(path.read_bytes(), "x", "exec", dont_inherit=True)
    assert unmarshalled(data).co_code == theirs.co_code


def test_only_a_few_batches_are_read_ahead() -> None:
    pulled = itertools.count()
    last = [0]

    def batches() -> Iterator[list[Source]]:
        for _ in range(100):
            last[0] = next(pulled)
            yield [source("x = 1")]

    for done, _ in enumerate(ProcessCompiler([sys.executable], 2).compile(batches())):
        assert last[0] - done <= 5


def test_what_a_wheel_has_to_compile_is_chosen_by_path() -> None:
    chosen = ["a.py", "a/b.py", "a/_b2/__init__.py", "ä/ö.py", "a/testing/x.py", "tests.py", "a/conftest.py"]
    others = ["a/tests/x.py", "test/x.py", "a/test/b/c.py", "a-b/x.py", "a/x-y.py", "a.dist-info/x.py", "a/x.pyi", "x"]
    assert all(is_compiled(f"{SITE}/{path}") for path in chosen)
    assert not any(is_compiled(f"{SITE}/{path}") for path in others)
    assert not is_compiled("opt/venv/bin/x.py")
    assert not is_compiled("opt/venv/share/a/x.py")


def test_paths_are_those_of_the_interpreter() -> None:
    assert seen_path("opt/venv/lib/site-packages/a/b.py", "3.13") == "/opt/venv/lib/python3.13/site-packages/a/b.py"
    assert seen_path("usr/lib/python3.11/os.py", "3.11") == "/usr/lib/python3.11/os.py"
    assert cached_path("a/b.py", "3.13") == "a/__pycache__/b.cpython-313.pyc"
    assert cached_path("b.py", "3.9") == "__pycache__/b.cpython-39.pyc"


def test_each_wheel_gets_its_own_bytecode(tmp_path: Path) -> None:
    wheels = [demo(tmp_path, Zipped("demo/b.py", b"b = 2\n"), Zipped("demo/tests/t.py", b"t = 3\n"))] * 2
    found = wheel_bytecode(wheels, HERE, PYTHON)
    assert [sorted(pieces) for pieces in found] == [
        [f"{SITE}/demo/__pycache__/__init__.{TAG}.pyc", f"{SITE}/demo/__pycache__/b.{TAG}.pyc"]
    ] * 2
    assert found[0] == found[1]
    assert [one.path for one in sources_of_wheel(wheels[0], PYTHON)] == [
        f"{SITE}/demo/__init__.py",
        f"{SITE}/demo/b.py",
    ]


def test_a_source_of_a_wheel_that_does_not_compile_is_told(tmp_path: Path) -> None:
    (pieces,) = wheel_bytecode([demo(tmp_path, Zipped("demo/old.py", b"print 1\n"))], HERE, PYTHON)
    assert {path for path, data in pieces.items() if not data} == {f"{SITE}/demo/__pycache__/old.{TAG}.pyc"}


FILTER: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""CPython 3.11 knows the argument from 3.11.4 on."""


def test_the_interpreter_uses_the_bytecode_and_not_the_source(shelf: Shelf, tmp_path: Path) -> None:
    """The layers of a wheel and of its bytecode are unpacked, and the source is then changed to say otherwise."""
    wheel = demo(tmp_path, Zipped("demo/b.py", b"said = 'from the bytecode'\n"))
    (pieces,) = wheel_bytecode([wheel], HERE, PYTHON)
    entries = [Entry.of(path, data) for path, data in pieces.items()]
    for layer in (wheel_layer([wheel], shelf), write_layer(entries, shelf)):
        with shelf.open(layer) as tar:
            tar.extractall(tmp_path, **FILTER)  # noqa: S202 - a layer of our own
    (tmp_path / SITE / "demo/b.py").write_text("said = 'from the source'\n")
    (tmp_path / "opt/venv/lib" / f"python{PYTHON}").mkdir()
    seen = tmp_path / "opt/venv/lib" / f"python{PYTHON}" / "site-packages"
    seen.symlink_to("../site-packages")
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            f"import sys; sys.path.insert(0, {str(seen)!r}); import demo.b; print(demo.b.said)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "from the bytecode\n"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["/no/such/python"], "cannot start"),
        (["false"], "ended with status 1"),
        (["sh", "-c", "echo no user namespaces >&2; exit 7", "sh"], "status 7 .*no user namespaces"),
    ],
)
def test_an_interpreter_that_fails_is_a_command_error_with_its_words(argv: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why) as caught:
        list(ProcessCompiler(argv, 2).compile([[source("x = 1")]] * 20))
    assert "Python" in caught.value.message


def fragile(python: Path, end: str) -> list[str]:
    """Make an interpreter that dies of one name."""
    python.write_text(
        f"#!{sys.executable} -S\nimport os, sys, builtins\nreal = compile\n"
        f"def fragile(data, name, *rest):\n    if 'crash' in name: {end}\n    return real(data, name, *rest)\n"
        "builtins.compile = fragile\nexec(real(sys.argv[-1], 'worker', 'exec'))\n"
    )
    python.chmod(0o755)
    return [str(python)]


BATCH = [("a = 1", "a.py"), ("b = 1", "crash.py"), ("c = 1", "c.py")]


def test_a_source_that_crashes_the_compiler_costs_nobody_but_itself(tmp_path: Path) -> None:
    """The interpreter is made to die as it would of a bug."""
    batch = [source(*file) for file in BATCH]
    (found,) = ProcessCompiler(fragile(tmp_path / "python", "os.abort()"), 1).compile([batch])
    assert [(one.path, one.data is None) for one in found] == [("a.py", False), ("crash.py", True), ("c.py", False)]
    assert found[0] == Compiled(path="a.py", data=found[0].data)


def test_a_compiler_that_is_killed_is_an_error_and_no_other_bytecode(tmp_path: Path) -> None:
    """Files that are compiled alone come out otherwise than in their batch, so a kill must not part them."""
    batch = [source(*file) for file in BATCH]
    with pytest.raises(CommandError, match="perhaps memory ran out"):
        list(ProcessCompiler(fragile(tmp_path / "python", "os.kill(os.getpid(), 9)"), 1).compile([batch]))


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_an_abandoned_compilation_leaves_no_process() -> None:
    before = children()
    stream = ProcessCompiler([sys.executable], 2).compile([[source("x = 1")]] * 50)
    next(stream)
    assert children() > before
    stream.close()
    assert children() <= before
