"""Small specimens of every kind, cut off at every byte: each piece is refused, by its name."""

from __future__ import annotations

import gzip
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np

from corpus import archives, models
from corpus.case import Case, Made
from corpus.debs import MEMBERS
from corpus.packages import DEB, WHEEL
from corpus.tars import END, file
from unit.layers.zips import Zipped, parts, zipped
from unit.models import hostile_pickles as hostile
from unit.packages.debian.makers import make_deb


def _joblib() -> bytes:
    out = io.BytesIO()
    joblib.dump([np.arange(9.0), {"a": 1}], out)
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.arange(3), b=np.array([{"x": 1}], dtype=object))
    return out.getvalue()


ONNX = models.onnx(models.field(2, b"graph") + models.field(1, models.field(4, b"Add")))
KERAS = models.keras(models.sequential(models.layer("Dense")))
SKOPS = models.skops(models.node("sklearn.svm._classes", "SVC"))
PT2 = hostile.zipped(
    {"m/data/sample_inputs/model.pt": hostile.zipped({"x/data.pkl": hostile.pickled(b"N")}), "m/models/m.json": b"{}"}
)
SPECIMENS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "a wheel": ("wheel", WHEEL, lambda: zipped(parts(Zipped("demo/x", b"x" * 40)))),
    "a package": ("deb", DEB, lambda: make_deb(MEMBERS[:4])),
    "a tar": ("layer", "layer.tar", lambda: file(b"a", b"1") + file(b"b/c", b"2") + END),
    "a packed tar": ("layer", "layer.tar.gz", lambda: gzip.compress(file(b"a", b"1") + END, mtime=0)),
    "arrays": ("weights", "m.npz", _npz),
    "weights": ("weights", "m.safetensors", lambda: models.safetensors({"a": models.tensor([2], 0, 8)}, bytes(8))),
    "a graph": ("model", "m.onnx", lambda: ONNX),
    "a network": ("model", "m.keras", lambda: KERAS),
    "a program of torch": ("model", "m.pt2", lambda: PT2),
    "weights of torch": (
        "weights",
        "m.pt",
        lambda: hostile.zipped({"a/data.pkl": hostile.pickled(b"N"), "a/data/0": b"1"}),
    ),
    "a joblib file": ("weights", "m.joblib", _joblib),
    "a pickle": ("weights", "m.pkl", lambda: pickle.dumps({"a": [1, 2.5, None], "b": "text"})),
    "an estimator of skops": ("model", "m.skops", lambda: SKOPS),
    "a SavedModel": ("model", "saved", lambda: models.saved_model("MatMul", "Add")),
    "an image in a tar": ("image", "image.tar", lambda: archives.saved()[: -len(END)]),
    "an index": (
        "layout",
        "layout",
        lambda: archives.index(archives.described(archives.manifest(), archives.MANIFEST, annotations=archives.NAME)),
    ),
}


def cases() -> Iterator[Case]:
    """Each specimen whole, and each of its beginnings."""
    for name, (reader, file_, make) in SPECIMENS.items():
        yield Case(f"{name}, whole", reader, file_, _placing(file_, make()))
        yield Case(f"{name}, cut off", f"every cut: {reader}", file_, _placing(file_, make()), ("every cut",))


def _placing(file_: str, data: bytes) -> Callable[[Path], Made]:
    return lambda _: placed(file_, data)


def placed(file_: str, data: bytes) -> Made:
    """Put what is no file of its own where it belongs."""
    if file_ == "saved":
        return {"saved_model.pb": data}
    if file_ == "layout":
        return {**archives.layout({}, archives.manifest()), "index.json": data}
    return data
