"""Which GPUs a container gets: out of what is asked, what the image declares and what this machine has. Pure.

A GPU is a CDI device of a class `gpu`; NVIDIA's is meant where there are several vendors' and nobody says which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from tiffin.engine.cdi import GENERATE, Known, parse_name
from tiffin.engine.declared import DRIVER, GpuNeed, declared_gpu
from tiffin.errors import ConfigError, NotFoundError, TiffinError, UnsupportedError

NVIDIA = "nvidia.com/gpu"
ALL = "all"
_NONE = "none"
_UUID = re.compile(r"(?:GPU|MIG)-[A-Za-z0-9/-]+")
_INDEX = re.compile(r"\d+(?::\d+)?")
"""A GPU, or a part of one (MIG), by its place."""
_HINT = "write it as `all`, `2` (how many), `0,1` or `device=0` (which), `GPU-…` or `none`"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What `--gpus` says: so many, or which by index or UUID; `all` is one of the names."""

    count: int = 0
    names: tuple[str, ...] = ()


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine has: CDI's specs, and the version of NVIDIA's driver, empty where there is none.

    A machine that cannot be looked at from here, such as one of a remote engine, has no sight at all.
    """

    known: Known
    driver: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The devices that a container gets, by their whole names, and a word for people, where there is one to say."""

    devices: tuple[str, ...] = ()
    word: str = ""


def parse_gpus(text: str) -> Asked | None:
    """Read what `--gpus` says; nothing is said by the empty text. Raises ConfigError."""
    if not text:
        return None
    if text == _NONE:
        return Asked()
    if text.isdecimal() and int(text):
        return Asked(count=int(text))
    names = tuple(text.removeprefix("device=").split(","))
    listed = text.startswith("device=") or len(names) > 1
    if names == (ALL,) or all(_UUID.fullmatch(name) or (listed and _INDEX.fullmatch(name)) for name in names):
        return Asked(names=names)
    raise ConfigError(f"not a choice of GPUs: {text!r}", _HINT)


def choose(image: str, labels: Mapping[str, str], asked: Asked | None, sight: Sight | None) -> Choice:
    """Decide which GPUs a container of the image gets.

    What is asked for and what the image requires is given or refused, with the reason; what it could also do without
    is given where it is there. Raises ConfigError, NotFoundError, UnsupportedError.
    """
    need, image = declared_gpu(labels), image.partition("@")[0]
    if asked is not None:
        if need is GpuNeed.REQUIRED and asked == Asked():
            raise ConfigError(f"the model of {image} needs a GPU, and `--gpus none` gives it none", "leave it out")
        return Choice(devices=_given(asked, labels, sight, image))
    if need is GpuNeed.REQUIRED:
        try:
            return Choice(devices=_given(Asked(names=(ALL,)), labels, sight, image))
        except TiffinError as error:
            raise type(error)(f"the model of {image} needs a GPU: {error.message}", error.hint) from error
    if need is GpuNeed.OPTIONAL:
        return _if_there(image, labels, sight)
    return Choice(word=_unused(image, labels, sight) if need is GpuNeed.UNSAID else "")


def lacking(sight: Sight) -> TiffinError | None:
    """Why this machine has no GPU to give: no driver, no spec that says so; None where it has one."""
    if kind_of(sight.known):
        return None
    broken = "".join(f"; {reason}" for reason in sight.known.broken)
    if not sight.driver:
        return NotFoundError(
            f"this machine has no driver of NVIDIA's (/proc/driver/nvidia is absent) and no CDI spec of a GPU{broken}",
            "install the driver and the NVIDIA Container Toolkit; `nvidia-smi` says whether the driver works",
        )
    return NotFoundError(
        f"driver {sight.driver} is here, and no CDI spec in {' or '.join(sight.known.folders)} names a GPU{broken}",
        f"`{GENERATE}`, of the NVIDIA Container Toolkit",
    )


def kind_of(known: Known) -> str:
    """The kind of this machine's GPUs, empty where there are none; raises ConfigError for one of several."""
    kinds = [kind for kind in known.kinds() if kind.endswith("/gpu")]
    if NVIDIA in kinds or not kinds:
        return NVIDIA if kinds else ""
    if len(kinds) > 1:
        raise ConfigError(f"there are GPUs of {', '.join(kinds)}", f"say which: `--device {kinds[0]}=all`")
    return kinds[0]


def countable(known: Known) -> tuple[str, ...]:
    """The GPUs out of which so many are taken, in their order: by index where they have one.

    None where there are none, or of several vendors and nobody says which.
    """
    try:
        kind = kind_of(known)
    except ConfigError:
        return ()
    return _counted(known.names(kind)) if kind else ()


def _counted(there: Sequence[str]) -> tuple[str, ...]:
    single = [name for name in there if name != ALL]
    return tuple(sorted((name for name in single if name.isdecimal()), key=int) or single)


def too_old(driver: str, label: str) -> bool:
    """Say whether a driver is older than an image's label (`>=525.60.13`) asks for; one that is not known is not."""
    least, own = _numbers(label.removeprefix(">=")), _numbers(driver)
    return bool(least and own) and own < least


def _given(asked: Asked, labels: Mapping[str, str], sight: Sight | None, image: str) -> tuple[str, ...]:
    """The devices that are asked for; raises where they cannot be given."""
    if asked == Asked():
        return ()
    if sight is None:
        return tuple(f"{NVIDIA}={name}" for name in asked.names or map(str, range(asked.count)))
    if error := lacking(sight):
        raise error
    kind = kind_of(sight.known)
    if kind == NVIDIA and too_old(sight.driver, labels.get(DRIVER, "")):
        raise UnsupportedError(
            f"NVIDIA's driver {sight.driver} is older than the CUDA of {image} needs ({labels[DRIVER]})",
            "upgrade the driver, or build the image with packages for an older CUDA",
        )
    names = _names(asked, kind, sight.known.names(kind))
    for name in names:
        sight.known.find(name)
    return names


def _names(asked: Asked, kind: str, there: Sequence[str]) -> tuple[str, ...]:
    """Whole names; `all` is a device of its own in most specs, and else it is every one."""
    single = [name for name in there if name != ALL]
    if asked.names == (ALL,) and ALL not in there:
        return tuple(f"{kind}={name}" for name in single)
    if not asked.count:
        return tuple(f"{kind}={name}" for name in asked.names)
    counted = _counted(there)
    if len(counted) < asked.count:
        raise NotFoundError(f"{asked.count} GPUs are asked for, and there are {len(counted)}", "`--gpus all` takes all")
    return tuple(f"{kind}={name}" for name in counted[: asked.count])


def _if_there(image: str, labels: Mapping[str, str], sight: Sight | None) -> Choice:
    if sight is None:
        return Choice(word=f"{image} starts without a GPU; `--gpus all` gives it those of the engine's machine")
    try:
        return Choice(devices=_given(Asked(names=(ALL,)), labels, sight, image))
    except TiffinError as error:
        return Choice(word=f"{image} starts without a GPU: {error.message}")


def _unused(image: str, labels: Mapping[str, str], sight: Sight | None) -> str:
    """A word about an image that brings CUDA and says nothing, on a machine that has a GPU."""
    if sight is None or DRIVER not in labels or lacking(sight):
        return ""
    return f"{image} brings CUDA and gets no GPU; `--gpus all` gives it this machine's"


def check_devices(names: Sequence[str]) -> tuple[str, ...]:
    """Devices as `--device` names them; raises ConfigError for one that is no CDI name."""
    for name in names:
        parse_name(name)
    return tuple(names)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
