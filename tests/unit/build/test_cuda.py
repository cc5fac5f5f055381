from __future__ import annotations

import pytest

from tiffin.build.cuda import Cuda, cuda_labels, cuda_of
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin


def pin(text: str) -> WheelPin:
    name, _, version = text.partition("==")
    return WheelPin(name=name, version=version, filename=f"{text}.whl", sha256=Digest.of(text.encode()), size=1)


@pytest.mark.parametrize(
    ("wheels", "version", "driver"),
    [
        (["torch==2.9.0", "nvidia-cuda-runtime-cu12==12.8.90", "nvidia-cublas-cu12==12.8.4.1"], "12.8", "525.60.13"),
        (["torch==2.13.0", "nvidia-cuda-runtime==13.0.96"], "13.0", "580.65.06"),
        (["torch==2.5.1+cu118"], "11.8", "450.80.02"),
        (["cupy-cuda12x==13.6.0"], "12", "525.60.13"),
        (["xgboost==3.1.0", "nvidia-nccl-cu12==2.28.3"], "12", "525.60.13"),
        (["jax-cuda13-plugin==0.8.0"], "13", "580.65.06"),
        (["nvidia-cuda-runtime==99.1.0"], "99.1", ""),
    ],
)
def test_wheels_of_cuda_say_the_driver_they_need(wheels: list[str], version: str, driver: str) -> None:
    assert cuda_of(map(pin, wheels)) == Cuda(version=version, driver=driver)


@pytest.mark.parametrize("wheel", ["torch==2.13.0+cpu", "numpy==2.3.0", "cuda-pathfinder==1.3", "focus-cure==12"])
def test_other_wheels_say_nothing_of_cuda(wheel: str) -> None:
    assert cuda_labels([pin(wheel)]) == {}


def test_the_labels_name_release_and_driver() -> None:
    assert cuda_labels([pin("nvidia-cuda-runtime-cu12==12.4.127")]) == {
        "dev.tiffin.cuda": "12.4",
        "dev.tiffin.cuda.driver": ">=525.60.13",
    }
