"""What of a wheel serving does not need, and what only looks like it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tiffin.layers.slim import HEADERS, STATIC, TESTS, imports, needed_tests, spare
from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from unit.layers.shelf import Shelf
from unit.layers.zips import INFO, Zipped, parts, save, zipped

SITE = "opt/venv/lib/site-packages"
SPARE = {
    "numpy/tests/__init__.py": TESTS,
    "numpy/tests/test_all.py": TESTS,
    "numpy/testing/tests/test_utils.py": TESTS,
    "numpy/testing/tests/data/a.npy": TESTS,
    "scipy/_lib/tests/_helper.so": TESTS,
    "scipy/_lib/tests/conftest.py": TESTS,
    "joblib/test/data/a.pkl": TESTS,
    "joblib/test/test_a.py": TESTS,
    "tests/api_test.py": TESTS,
    "torch/include/a.hpp": HEADERS,
    "numpy/_core/include/numpy/arrayobject.h": HEADERS,
    "torch/lib/libdnnl.a": STATIC,
}
KEPT = [
    "numpy/testing/__init__.py",
    "numpy/testing/_private/utils.py",
    "numpy/tests.py",
    "pandas/testing.py",
    "pandas/conftest.py",
    "tensorflow/_api/v2/test/__init__.py",
    "mydata/test/images/1.png",
    "latest/test_x.py",
    "cupy/_core/include/cupy/complex.cuh",
    "nvidia/cuda_runtime/include/cuda.h",
    "nvidia/cuda_runtime/lib/libcudadevrt.a",
    "triton/backends/nvidia/include/cuda.h",
    "data/a.h5",
    "data/model.a",
    "spice/models.lib",
]


def test_tests_headers_and_static_libraries_are_told_from_what_is_called_alike() -> None:
    found = spare([f"{SITE}/{path}" for path in [*SPARE, *KEPT]])
    assert {path.removeprefix(f"{SITE}/"): what for path, what in found.items()} == SPARE


@pytest.mark.parametrize(
    ("statement", "meant"),
    [
        ("from .tests import run", "demo/sub/tests"),
        ("    from . import tests", "demo/sub/tests"),
        ("from ..tests.support import (\n    a,\n    b,\n)", "demo/tests/support"),
        ("from .. import (\n  x as y,\n  test\n)", "demo/test"),
        ("import os, other.tests.a as t", "other/tests/a"),
        ("from other import tests  # why", "other/tests"),
    ],
)
def test_import_statements_are_followed(statement: str, meant: str) -> None:
    source = f"x = 1\n{statement}\n".encode()
    assert f"{SITE}/{meant}" in set(imports(f"{SITE}/demo/sub/__init__.py", source))


def test_words_are_no_imports() -> None:
    assert not list(imports(f"{SITE}/demo/a.py", b'"""Run demo.tests."""\nx = "from demo import tests"\nimport os\n'))


def test_tests_that_are_imported_stay_and_so_does_what_they_import() -> None:
    sources = {
        "a/__init__.py": b"from a.testing import run\n",
        "a/testing/__init__.py": b"def run():\n    from a.tests.support import x\n",
        "a/tests/support.py": b"from a.b.tests import y\n",
        "a/tests/test_a.py": b"",
        "a/b/tests/conftest.py": b"",
        "a/c/tests/test_c.py": b"from a.d.tests import z\n",
        "a/d/tests/test_d.py": b"",
    }
    found = needed_tests([f"{SITE}/{path}" for path in sources], lambda path: sources[path.removeprefix(f"{SITE}/")])
    assert found == {f"{SITE}/a/tests", f"{SITE}/a/b/tests"}


def test_a_slim_layer_lacks_them_and_its_record_says_so(shelf: Shelf, tmp_path: Path) -> None:
    members = [Zipped("demo/a.py", b"from demo.needed.tests import x"), Zipped("demo/tests/test_a.py", b"1")]
    members += [Zipped("demo/needed/tests/test_b.py", b"2"), Zipped("demo/a.h", b"3"), Zipped("demo/liba.a", b"4")]
    wheel = WheelSource(path=save(tmp_path, zipped(parts(*members))), name="demo", version="1.0")
    full, slim = wheel_layer([wheel], shelf), wheel_layer([wheel], shelf, slim=True)
    left_out = shelf.files(full).keys() - shelf.files(slim).keys()
    assert left_out == {f"{SITE}/demo/{name}" for name in ("tests/test_a.py", "a.h", "liba.a")}
    record = shelf.files(slim)[f"{SITE}/{INFO}/RECORD"][1].decode()
    assert {f"{SITE}/{row[0]}" for row in csv.reader(io.StringIO(record))} == shelf.files(slim).keys()
