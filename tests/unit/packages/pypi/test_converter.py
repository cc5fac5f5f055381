"""Which wheels convert a model, and which serve what comes of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform
from tiffin.packages.lock import Inputs, Lock
from tiffin.packages.pins import Origin, WheelPin
from tiffin.packages.pypi.converter import with_converter
from tiffin.packages.pypi.requirements import Requirements

INPUTS = Inputs(
    requirements=("scikit-learn",), python="3.11", platform=Platform.parse("linux/amd64"), base="debian:bookworm"
)


def pin(name: str, version: str = "1") -> WheelPin:
    filename = f"{name}-{version}-py3-none-any.whl"
    return WheelPin(name=name, version=version, filename=filename, sha256=Digest.of(filename.encode()), size=1)


class Shelf:
    """An index where everything has version 1, unless a constraint says another; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Requirements] = []

    def resolve(self, requirements: Requirements) -> list[WheelPin]:
        self.asked.append(requirements)
        held = dict(each.text.split("==") for each in requirements.constraints)
        names = {each.name for each in requirements.wanted} | {"numpy"}
        return [pin(name, held.get(name, "1")) for name in sorted(names)]

    def fetch(self, pin: WheelPin) -> Path:
        raise AssertionError(pin)


def test_the_model_keeps_its_packages_and_the_image_gets_the_runtime_alone() -> None:
    index, before = Shelf(), Lock.make(INPUTS, [pin("scikit-learn", "1.9.1"), pin("numpy", "2.4")])
    lock = with_converter(before, index, Requirements.of(["scikit-learn"]))
    assert [str(one) for one in lock.wheels] == ["numpy==2.4", "onnxruntime==1"]
    assert {str(one) for one in lock.converter} == {
        "scikit-learn==1.9.1",
        "numpy==2.4",
        "skl2onnx==1",
        "onnxmltools==1",
        "onnx==1",
        "onnxruntime==1",
    }
    assert {each.text for each in index.asked[0].constraints} == {"scikit-learn==1.9.1", "numpy==2.4"}


def test_tools_come_from_the_indexes_that_the_project_names() -> None:
    index, asked = Shelf(), Requirements.of(["scikit-learn"])
    settings = msgspec.structs.replace(asked.settings, no_index=True)
    with_converter(Lock.make(INPUTS, [pin("numpy")]), index, msgspec.structs.replace(asked, settings=settings))
    assert [one.settings for one in index.asked] == [settings, settings]


def test_a_package_that_is_built_here_is_refused_by_name() -> None:
    lock = Lock.make(INPUTS, [pin("mine")], origins={"mine": Origin(source=Digest.of(b"mine"), path="mine")})
    with pytest.raises(ConfigError, match="needs mine") as caught:
        with_converter(lock, Shelf(), Requirements.of(["mine"]))
    assert "$.model.convert" in caught.value.message
