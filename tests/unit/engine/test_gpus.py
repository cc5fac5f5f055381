"""Which GPUs a container gets: what is asked, what the image declares, what the machine has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tiffin.engine.cdi import Device, Known, Source, Spec
from tiffin.engine.declared import DRIVER, GPU
from tiffin.engine.gpu_sight import driver_version
from tiffin.engine.gpus import Asked, Choice, Sight, choose, countable, parse_gpus, too_old
from tiffin.errors import ConfigError, NotFoundError, TiffinError, UnsupportedError


def known(*names: str, kind: str = "nvidia.com/gpu") -> Known:
    spec = Spec(cdi_version="0.5.0", kind=kind, devices=tuple(Device(name=name) for name in names))
    return Known(sources=(Source(file=f"/etc/cdi/{kind}.yaml", priority=0, spec=spec),), folders=("/etc/cdi",))


TWO = Sight(known=known("0", "1", "GPU-1234", "all"), driver="550.54.15")
BARE = Sight(known=Known(folders=("/etc/cdi", "/var/run/cdi")))
DRIVEN = Sight(known=BARE.known, driver="550.54.15")
CUDA13 = {GPU: "required", DRIVER: ">=580.65.06"}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", None),
        ("none", Asked()),
        ("all", Asked(names=("all",))),
        ("2", Asked(count=2)),
        ("0,1", Asked(names=("0", "1"))),
        ("device=1", Asked(names=("1",))),
        ("device=0:1", Asked(names=("0:1",))),
        ("GPU-12ab-34", Asked(names=("GPU-12ab-34",))),
        ("device=GPU-12ab,0", Asked(names=("GPU-12ab", "0"))),
    ],
)
def test_a_choice_is_read(text: str, asked: Asked | None) -> None:
    assert parse_gpus(text) == asked


def test_so_many_are_taken_of_single_gpus_in_the_order_of_their_indices() -> None:
    assert countable(known("10", "9", "GPU-1234", "all")) == ("9", "10")
    assert countable(known("GPU-1234", "GPU-5678", "all")) == ("GPU-1234", "GPU-5678")
    assert countable(BARE.known) == ()
    several = known("0", kind="amd.com/gpu"), known("0", kind="intel.com/gpu")
    assert countable(Known(sources=tuple(source for one in several for source in one.sources))) == ()


@pytest.mark.parametrize("text", ["0", "some", "-1", "device=", "0,", "all,1", "GPU"])
def test_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a choice of GPUs"):
        parse_gpus(text)


@pytest.mark.parametrize(
    ("asked", "names"),
    [("all", ["all"]), ("1", ["0"]), ("2", ["0", "1"]), ("device=1", ["1"]), ("GPU-1234", ["GPU-1234"]), ("none", [])],
)
def test_what_is_asked_for_is_given(asked: str, names: list[str]) -> None:
    choice = choose("iris", {}, parse_gpus(asked), TWO)
    assert choice.devices == tuple(f"nvidia.com/gpu={name}" for name in names)


def test_all_means_every_one_where_no_device_is_called_so() -> None:
    sight = Sight(known=known("0", "1", kind="amd.com/gpu"))
    assert choose("iris", {}, parse_gpus("all"), sight).devices == ("amd.com/gpu=0", "amd.com/gpu=1")


def test_gpus_of_two_other_vendors_are_asked_for_by_name() -> None:
    sources = (*known("0", kind="amd.com/gpu").sources, *known("0", kind="intel.com/gpu").sources)
    with pytest.raises(ConfigError, match=re.escape("there are GPUs of amd.com/gpu, intel.com/gpu")):
        choose("iris", {}, parse_gpus("all"), Sight(known=Known(sources=sources)))


@pytest.mark.parametrize(
    ("asked", "sight", "error", "said"),
    [
        ("3", TWO, NotFoundError, "3 GPUs are asked for, and there are 2"),
        ("device=7", TWO, NotFoundError, "has the device nvidia.com/gpu=7"),
        ("all", BARE, NotFoundError, "/proc/driver/nvidia is absent"),
        ("all", DRIVEN, NotFoundError, "driver 550.54.15 is here, and no CDI spec in /etc/cdi or /var/run/cdi"),
    ],
)
def test_what_cannot_be_given_is_refused_with_the_reason(
    asked: str, sight: Sight, error: type[TiffinError], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        choose("iris", {}, parse_gpus(asked), sight)


def test_a_model_that_requires_a_gpu_gets_all_unless_it_is_told_which() -> None:
    assert choose("iris", {GPU: "required"}, None, TWO).devices == ("nvidia.com/gpu=all",)
    assert choose("iris", {GPU: "required"}, parse_gpus("1"), TWO).devices == ("nvidia.com/gpu=0",)


@pytest.mark.parametrize(
    ("labels", "sight", "said", "hint"),
    [
        (
            {GPU: "required"},
            BARE,
            "the model of iris needs a GPU: this machine has no driver of NVIDIA's",
            "nvidia-smi",
        ),
        (
            {GPU: "required"},
            DRIVEN,
            "the model of iris needs a GPU: driver 550.54.15 is here",
            "nvidia-ctk cdi generate",
        ),
        (CUDA13, TWO, "driver 550.54.15 is older than the CUDA of iris needs (>=580.65.06)", "upgrade the driver"),
    ],
)
def test_a_model_that_requires_a_gpu_and_gets_none_is_refused(
    labels: dict[str, str], sight: Sight, said: str, hint: str
) -> None:
    with pytest.raises(TiffinError, match=re.escape(said)) as caught:
        choose("iris", labels, None, sight)
    assert hint in (caught.value.hint or "")


def test_none_for_a_model_that_requires_one_is_a_contradiction() -> None:
    with pytest.raises(ConfigError, match="`--gpus none` gives it none"):
        choose("iris", {GPU: "required"}, parse_gpus("none"), TWO)


def test_an_optional_gpu_is_given_where_it_is_there_and_missed_with_a_word() -> None:
    assert choose("iris", {GPU: "optional"}, None, TWO) == Choice(devices=("nvidia.com/gpu=all",))
    without = choose("iris", {GPU: "optional"}, None, DRIVEN)
    assert without.devices == ()
    assert without.word.startswith("iris starts without a GPU: driver 550.54.15 is here")
    old = choose("iris", CUDA13 | {GPU: "optional"}, None, TWO)
    assert (old.devices, "is older than" in old.word) == ((), True)


def test_a_driver_too_old_is_no_hindrance_to_somebody_who_asks_for_none() -> None:
    assert choose("iris", {DRIVER: ">=999"}, parse_gpus("none"), TWO) == Choice()
    with pytest.raises(UnsupportedError, match="is older than"):
        choose("iris", {DRIVER: ">=999"}, parse_gpus("all"), TWO)


def test_an_image_that_brings_cuda_and_says_nothing_gets_a_word_where_there_is_a_gpu() -> None:
    assert "brings CUDA and gets no GPU" in choose("iris", {DRIVER: ">=525"}, None, TWO).word
    assert choose("iris", {DRIVER: ">=525"}, None, BARE) == Choice()
    assert choose("iris", {DRIVER: ">=525", GPU: "none"}, None, TWO) == Choice()
    assert choose("iris", {}, None, TWO) == Choice()


def test_on_another_machine_devices_are_named_and_not_looked_for() -> None:
    assert choose("iris", {GPU: "required"}, None, None).devices == ("nvidia.com/gpu=all",)
    assert choose("iris", {}, parse_gpus("2"), None).devices == ("nvidia.com/gpu=0", "nvidia.com/gpu=1")
    assert "starts without a GPU" in choose("iris", {GPU: "optional"}, None, None).word


def test_a_label_of_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"label dev.tiffin.gpu is 'perhaps'"):
        choose("iris", {GPU: "perhaps"}, None, TWO)


def test_versions_of_drivers_compare_as_numbers() -> None:
    assert too_old("525.60.13", ">=535")
    assert not too_old("1000.1", ">=580.65.06")
    assert not too_old("580.65.06", ">=580.65.06")
    assert not too_old("unknown", ">=580")
    assert not too_old("550", "")


def test_the_driver_says_its_version(tmp_path: Path) -> None:
    assert driver_version(tmp_path / "nvidia") == ""
    assert driver_version(tmp_path) == "unknown"
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    )
    assert driver_version(tmp_path) == "580.95.05"
