"""Pickles that would run code, in every kind of file and under every name."""

# ruff: noqa: E501 - a row of a table is read best as one line

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator

import numpy as np

from corpus.case import Case, made
from unit.models import hostile_pickles as hostile

BAD = hostile.malicious()
ZERO = b"cos\nsystem\n(Vx\ntR."
"""The same of protocol 0, which has no mark."""


def cases() -> Iterator[Case]:
    """Every pickle of the unit tests, once, and hidden ones."""
    for module, name in hostile.CALLED:
        data = next(iter(hostile.by_every_opcode(module, name)))
        yield _case(f"{module}:{name}", "m.pkl", data, f"{module}:{name}")
    for what, (data, says) in {**hostile.DISGUISED, **hostile.MISTAKEN}.items():
        yield _case(what, "m.joblib", data, says)
    for what, data in hostile.UNFOLLOWED.items():
        yield _case(what, "m.joblib", data, "cannot be followed")
    for name, data in hostile.containers():
        yield _case(f"in {name}", name, data, "system")
    yield from _hidden()
    yield from _arrays()
    yield from _bypasses()


def _case(name: str, file: str, data: bytes, *says: str) -> Case:
    return Case(name, "weights", file, made(data), (file, *says))


def _hidden() -> Iterator[Case]:
    """Under names that say nothing, and before something that stops a scanner but no unpickler."""
    for file in ("weights.bin", "model", "data.txt", "m.safetensor", "m.npy.bak", "MODEL.PKL", "m.pkl.gz"):
        yield _case(f"a plain one in {file}", file, BAD, "os:system")
        yield _case(f"of protocol 0 in {file}", file, ZERO, "os:system")
    ruined = hostile.called(hostile.by_stack("os", "system")) + b"\xff"
    yield _case("code before something broken", "weights.bin", b"\x80\x04" + ruined, "os:system")
    yield _case("code before the end of the file", "weights.bin", BAD[:-1], "os:system")
    yield _case("protocol 0 before something broken", "weights.bin", ZERO[:-1] + b"\xff", "os:system")
    array = hostile.pickled(hostile.wrapper(hostile.announcement()) + hostile.HIDDEN.ljust(16, b"0"))
    yield _case("code where joblib sees an array and pickle does not", "m.bin", array, "os:system")
    yield _case("the same in a file for joblib or pickle", "m.pkl", array, "os:system")
    yield _case("after a hundred harmless ones", "m.pkl", hostile.pickled(b"N") * 100 + BAD, "os:system")
    yield _case("after a megabyte of nothing", "m.pkl", b"\x80\x04" + b"N0" * (1 << 19) + BAD[2:], "os:system")


def _zip(members: dict[str, bytes]) -> bytes:
    return hostile.zipped(members)


def _bypasses() -> Iterator[Case]:
    """Ways round scanners of zips; picklescan's are CVE-2025-1716, -1889, -1944, -1945, -10155, -10156 and -10157."""
    yield _case(
        "CVE-2025-1889: a pickle of another suffix in a zip",
        "m.pt",
        _zip({"m/data.pkl": hostile.pickled(b"N"), "m/config.p": BAD}),
        "os:system",
    )
    yield _case(
        "a pickle with no suffix in a zip",
        "m.pt",
        _zip({"m/data.pkl": hostile.pickled(b"N"), "m/data/0": BAD}),
        "os:system",
    )
    yield _case("data.pkl in capitals, as miniz finds it", "m.pt", _zip({"m/DATA.PKL": BAD}), "os:system")
    yield _case("an array of objects with no suffix", "m.npz", _zip({"x": hostile.with_objects()}), "system")
    yield _case("a zip with no suffix in a zip", "m.pt2", _zip({"m/x": _zip({"y/data.pkl": BAD})}), "os:system")
    good = _zip({"m/data.pkl": BAD})
    crc = good.index(b"PK\x01\x02") + 16
    local = good.index(b"PK\x03\x04")
    flags = good.index(b"PK\x01\x02") + 8
    for name, data, says in [
        ("CVE-2025-10156: a wrong CRC", good[:crc] + b"\0\0\0\0" + good[crc + 4 :], "CRC"),
        (
            "CVE-2025-1944: another name in the local header",
            good.replace(b"m/data.pkl", b"m/data.txt", 1),
            "cannot be read",
        ),
        (
            "CVE-2025-1945: flags of encryption in the directory",
            good[:flags] + b"\x01\0" + good[flags + 2 :],
            "cannot be read",
        ),
        (
            "CVE-2025-1945: flags of encryption in the local header",
            good[: local + 6] + b"\x01\0" + good[local + 8 :],
            "",
        ),
        ("an unknown method", good[: flags + 2] + b"\x63\0" + good[flags + 4 :], "cannot be read"),
        ("bytes behind it", good + b"x", "behind"),
        ("a comment", good[:-2] + b"\x01\0c", "behind"),
        ("a comment that is an end", good[:-2] + b"\x16\0" + good[-22:-2] + b"\0\0", ""),
    ]:
        for file in ("m.pt", "weights.bin"):
            yield _case(f"a zip with {name} in {file}", file, data, says)
    yield _case("a zip with bytes before it", "m.pt", b"x" + good, "")
    yield _case("a pickle that an index of torch names", "m.pt2", _zip({
        "m/data/weights/model_weights_config.json": b'{"config": {"w": {"path_name": "weight_0", "use_pickle": true}}}',
        "m/data/weights/WEIGHT_0": ZERO, "m/archive_format": b"pt2"}), "os:system")  # fmt: skip
    yield _case("an object that an index of torch names", "m.pt2", _zip({
        "m/data/constants/model_constants_config.json": b'{"config": {"w": {"path_name": "opaque_obj_0", "use_pickle": false}}}',
        "m/data/constants/opaque_obj_0": ZERO, "m/archive_format": b"pt2"}), "os:system")  # fmt: skip
    yield _case("an index of torch that names what is not there", "m.pt2", _zip({
        "m/data/weights/model_weights_config.json": b'{"config": {"w": {"path_name": "../x", "use_pickle": true}}}'}), "not there")  # fmt: skip
    yield _case("two members of one name", "m.pt", _twice(), "twice")
    yield _case("four zips in each other", "m.pt2", _nested(4), "within zips")
    yield _case("a directory of a hundred megabytes", "m.pt", _claiming(100 << 20), "")
    yield _case("a hundred thousand members", "m.pt", _crowd(), "")
    yield _case("a tar of torch's oldest format", "m.pt", _tar({"sys_info": hostile.pickled(b"N"), "pickle": BAD}), "")
    for method, name in [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")]:
        whole = hostile.zipped({"m/data.pkl": BAD * 9}, method)
        yield _case(f"a member of {name}", "m.pt", whole, "os:system")
        yield _case(f"a damaged member of {name}", "m.pt", whole[:60] + b"\xff" * 9 + whole[69:], "m.pt")


def _twice() -> bytes:
    return _zip({"m/data.pkl": hostile.pickled(b"N"), "m/data.pkx": BAD}).replace(b"data.pkx", b"data.pkl")


def _nested(depth: int) -> bytes:
    data = BAD
    for _ in range(depth):
        data = _zip({"x/data.pkl": data})
    return data


def _claiming(size: int) -> bytes:
    whole = _zip({"m/data.pkl": BAD})
    return whole[:-10] + size.to_bytes(4, "little") + whole[-6:]


def _crowd() -> bytes:
    one = _zip({"m/data.pkl": hostile.pickled(b"N")})
    at = one.index(b"PK\x01\x02")
    entry, end = one[at:-22], one[-22:]
    directory = entry * 400_000
    return one[:at] + directory + end[:8] + b"\xff\xff\xff\xff" + len(directory).to_bytes(4, "little") + end[16:]


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _arrays() -> Iterator[Case]:
    """Arrays of objects whose headers say so in ways that only numpy understands."""
    for descr in ("'|O'", "'O8'", "'object'", "'\\x4f'", "'|' 'O'", "'f8,O'", "[('a', '<f8'), ('b', 'O')]", "[('a', [('b', '\\x7cO')])]", "'object_'", "('O', (1,))", "{'names': ['a'], 'formats': ['O']}", "u'O'", "['O']", "None"):  # fmt: skip
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}"
        yield _case(f"an array of {descr}", "m.npy", _npy(text), "os:system")
    yield _case("an array with a header of gigabytes", "m.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff", "header")
    yield _case("an array with a header nested deep", "m.npy", _npy("(" * 5000), "os:system")
    yield _case("an array with signs without end", "m.npy", _npy("-" * 60_000 + "1"), "os:system")
    out = io.BytesIO()
    np.save(out, np.array([hostile.Runs()], dtype=object), allow_pickle=True)
    yield _case("an array of objects", "m.npy", out.getvalue(), "system")
    yield _case(
        "an array of objects in a pickle", "m.pkl", pickle.dumps(np.array([hostile.Runs()], dtype=object)), "system"
    )


def _npy(header: str) -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + BAD
