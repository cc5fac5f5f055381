"""What would run code is refused by name; nothing in a file is run, however it is made."""

from __future__ import annotations

import _compat_pickle
import gzip
import io
import pickle
import struct
import warnings
import zlib
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib.numpy_pickle import NumpyUnpickler

from tiffin.errors import ConfigError, DeniedError, IntegrityError, UnsupportedError
from tiffin.models.allowed_imports import AllowedImports, reason
from tiffin.models.approve import approve
from tiffin.models.pickle_scan import scan_file
from unit.models import hostile_pickles as hostile

OURS = AllowedImports()
CONTAINERS = dict(hostile.containers())


def written(folder: Path, data: bytes, name: str = "m.pkl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("module", "name"), hostile.CALLED, ids=[":".join(names) for names in hostile.CALLED])
def test_a_name_that_no_model_needs_is_refused_however_it_is_called(tmp_path: Path, module: str, name: str) -> None:
    for number, data in enumerate(hostile.by_every_opcode(module, name)):
        kinds = ["sklearn-pickle", "sklearn-joblib"]
        for kind in kinds:
            path = written(tmp_path, data, f"{number}.pkl")
            with pytest.raises(DeniedError) as caught:
                approve(path, kind, OURS)
            scan = scan_file(path, kind)
            assert scan is not None
            said = [one.use.what for one in scan.refused(OURS)]
            assert any(text.endswith(f":{name}") for text in said), said
            assert str(path) in caught.value.message


def test_the_error_names_import_place_and_remedy(tmp_path: Path) -> None:
    path = written(tmp_path, hostile.malicious())
    with pytest.raises(DeniedError, match=r"os:system \(STACK_GLOBAL at byte 14\)") as caught:
        approve(path, "sklearn-pickle", OURS)
    assert 'allow-imports = ["os:system"]' in str(caught.value.hint)


def test_code_that_cloudpickle_kept_may_be_kept_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "python_model.pkl").write_bytes(b"ccloudpickle.cloudpickle\n_make_function\n.")
    with pytest.raises(DeniedError) as caught:
        approve(tmp_path / "python_model.pkl", "mlflow", AllowedImports())
    assert 'python_model="file.py"' in (caught.value.hint or "")


@pytest.mark.parametrize("what", hostile.DISGUISED)
def test_a_disguise_is_seen_through(tmp_path: Path, what: str) -> None:
    data, expected = hostile.DISGUISED[what]
    for kind in ("sklearn-pickle", "sklearn-joblib"):
        scan = scan_file(written(tmp_path, data), kind)
        assert scan is not None
        assert expected in " ".join(one.use.what for one in scan.refused(OURS)), scan


@pytest.mark.parametrize("what", hostile.MISTAKEN)
def test_what_lies_between_opcodes_is_followed_as_joblib_follows_it(tmp_path: Path, what: str) -> None:
    data, expected = hostile.MISTAKEN[what]
    scan = scan_file(written(tmp_path, data, "m.joblib"), "sklearn-joblib")
    assert scan is not None
    assert expected in " ".join(one.use.what for one in scan.refused(OURS)), scan


@pytest.mark.parametrize("what", hostile.UNFOLLOWED)
def test_what_cannot_be_followed_is_refused(tmp_path: Path, what: str) -> None:
    path = written(tmp_path, hostile.UNFOLLOWED[what], "m.joblib")
    with pytest.raises(IntegrityError, match=r"m\.joblib cannot be followed"):
        approve(path, "sklearn-joblib", OURS)


@pytest.mark.parametrize("name", CONTAINERS)
def test_code_is_found_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeniedError, match="system"):
        approve(written(tmp_path, CONTAINERS[name], name), "python", OURS)


def test_an_array_is_no_array_to_a_loader_that_knows_no_joblib(tmp_path: Path) -> None:
    data = hostile.pickled(hostile.wrapper(hostile.announcement()) + bytes(16))
    approve(written(tmp_path, data, "m.joblib"), "sklearn-joblib", OURS)
    with pytest.raises(DeniedError, match=r"joblib\.numpy_pickle:NumpyArrayWrapper"):
        approve(written(tmp_path, data), "sklearn-pickle", OURS)


def test_a_twin_that_calls_what_is_allowed_passes(tmp_path: Path) -> None:
    for data in hostile.by_every_opcode("collections", "OrderedDict"):
        approve(written(tmp_path, data), "sklearn-pickle", OURS)
        approve(written(tmp_path, data), "sklearn-joblib", OURS)


def test_a_project_may_allow_a_name_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path, hostile.pickled(hostile.called(hostile.by_stack("mypackage.steps", "Scaler"))))
    approve(path, "sklearn-pickle", AllowedImports.of(["mypackage.steps:Scaler"]))
    with pytest.raises(DeniedError):
        approve(path, "sklearn-pickle", AllowedImports.of(["mypackage.steps:Other"]))
    for wrong in ("mypackage", "mypackage.*:x", "a:b:c", ""):
        with pytest.raises(ConfigError, match=r"allow-imports"):
            AllowedImports.of([wrong])


def test_what_is_no_import_cannot_be_allowed(tmp_path: Path) -> None:
    path = written(tmp_path, hostile.pickled(b"\x82\x07"))
    with pytest.raises(DeniedError) as caught:
        approve(path, "sklearn-pickle", OURS)
    assert "allow-imports" not in str(caught.value.hint)


def test_a_pickle_cut_off_anywhere_is_refused_and_never_followed_beyond(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": [1.5, 2, None, "text" * 99], "b": (1, {2}, b"bytes")}, protocol=4)
    for end in range(len(whole)):
        with pytest.raises(IntegrityError):
            approve(written(tmp_path, whole[:end]), "sklearn-pickle", OURS)
    compressed = gzip.compress(whole)
    for end in range(len(compressed)):
        with pytest.raises((IntegrityError, DeniedError)):
            approve(written(tmp_path, compressed[:end], "m.joblib"), "sklearn-joblib", OURS)
    archive = hostile.zipped({"archive/data.pkl": whole})
    for end in range(0, len(archive), 3):
        with pytest.raises((IntegrityError, DeniedError)):
            approve(written(tmp_path, archive[:end], "m.pt"), "torch", OURS)


def test_bombs_are_refused_within_bounded_memory(tmp_path: Path) -> None:
    squeezer = zlib.compressobj(9)
    head = squeezer.compress(b"\x80\x04\x8e" + struct.pack("<Q", 9 << 30)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    block = squeezer.compress(bytes(1 << 22)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    with pytest.raises(IntegrityError, match="inflates to more"):
        approve(written(tmp_path, head + block * 999, "m.joblib"), "sklearn-joblib", OURS)


def test_a_length_beyond_the_file_reads_no_further_than_the_file(tmp_path: Path) -> None:
    for opcode in (b"\x8d", b"\x8e", b"\x96", b"\x95"):
        with pytest.raises(IntegrityError):
            approve(written(tmp_path, b"\x80\x05" + opcode + b"\xff" * 8), "sklearn-pickle", OURS)


def test_a_compression_that_is_not_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="lz4"):
        approve(written(tmp_path, b"\x04\x22\x4d\x18" + bytes(99), "m.joblib"), "sklearn-joblib", OURS)


@pytest.mark.parametrize("data", [b"PKless", b"{}", b"\x08\x07onnx", b"", b"tree\nversion=v4\n"])
def test_a_file_that_is_no_pickle_is_none_of_its_business(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data, "model.txt")
    assert scan_file(path) is None
    approve(path, "lightgbm", OURS)


def test_a_zip_that_two_readers_could_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    good = hostile.zipped({"archive/data.pkl": hostile.pickled(b"N")})
    for data in (good + b"x", hostile.zipped({"a": b""}) + good, good[:-2] + b"\x01\x00x"):
        with pytest.raises(IntegrityError):
            approve(written(tmp_path, data, "m.pt"), "torch", OURS)


def test_what_python_2_called_an_allowed_name_is_allowed_by_what_it_is_called_now() -> None:
    for module, name in _compat_pickle.NAME_MAPPING:
        assert reason(module, name, "joblib") is None
    for module in _compat_pickle.IMPORT_MAPPING:
        assert reason(module, "encode", "joblib") is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["sklearn-pickle", "sklearn-joblib"]))
def test_any_bytes_end_in_a_verdict(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str) -> None:
    path = written(tmp_path_factory.getbasetemp(), b"\x80\x04" + data, "fuzz.pkl")
    assert scan_file(path, kind) is not None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_pickle_ends_in_a_verdict(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name, whole = data.draw(st.sampled_from(sorted(CONTAINERS.items())))
    bytes_ = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(bytes_), name)
    for kind in ("sklearn-joblib", "sklearn-pickle", "python"):
        try:
            scan_file(path, kind)
        except UnsupportedError:
            continue


class Inert(dict[Any, Any]):
    """Stands for whatever else a file names: it takes any arguments and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, _: object) -> None:
        """Take any state."""


class Recorder(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib's own unpickler, which notes what it is told to import, and imports only what reading arrays needs."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__("", stream, ensure_native_byte_order=True)
        self.imported: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.imported.add(f"{module}:{name}")
        if (module, name) == hostile.WRAPPER or name in {"dtype", "ndarray", "_reconstruct"}:
            return super().find_class(module, name)
        return Inert


def ordinary() -> list[bytes]:
    """Small joblib files with arrays of numbers, of texts, of records and of objects between their opcodes."""
    records = np.zeros(2, dtype=[("a", "f8"), ("b", "i4")])
    values = [
        np.arange(3.0),
        np.array(["a", "bb"]),
        records,
        np.array([None, {1: "x"}], dtype=object),
        OrderedDict(a=1),
    ]
    files = []
    for value in [*values, values]:
        out = io.BytesIO()
        joblib.dump(value, out)
        files.append(out.getvalue())
    return files


def test_the_scan_sees_what_joblib_imports_of_an_ordinary_file(tmp_path: Path) -> None:
    for bytes_ in ordinary():
        loader = Recorder(io.BytesIO(bytes_))
        loader.load()
        scan = scan_file(written(tmp_path, bytes_, "o.joblib"), "sklearn-joblib")
        assert scan is not None
        assert not scan.broken
        assert {one.use.what for one in scan.found} == loader.imported


@settings(max_examples=300, deadline=None, derandomize=True)  # numpy itself may crash on a type it has never seen
@given(st.data())
def test_joblib_imports_nothing_that_the_scan_did_not_see(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    bytes_ = bytearray(data.draw(st.sampled_from(ORDINARY)))
    for _ in range(data.draw(st.integers(0, 3))):
        where = data.draw(st.integers(0, len(bytes_) - 1))
        bytes_[where : where + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(PIECES))
    scan = scan_file(written(tmp_path_factory.getbasetemp(), bytes(bytes_), "d.joblib"), "sklearn-joblib")
    assert scan is not None
    loader = Recorder(io.BytesIO(bytes(bytes_)))
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        loader.load()
    if not scan.broken:
        assert loader.imported <= {one.use.what for one in scan.found}


ORDINARY = ordinary()
PIECES = [bytes([number]) for number in range(256)] + [
    hostile.HIDDEN,
    hostile.by_stack(*hostile.WRAPPER),
    b"h\x00b",
    b"}b",
    b"\x94",
    b"0",
    b"2",
    b"\x95" + bytes(8),
]
"""What a damaged file has in place of some bytes: any byte, or opcodes that change what follows."""
