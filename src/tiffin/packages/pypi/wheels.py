"""Which of a package's wheels suits an image best (platform compatibility tags: PEP 425, 600)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import BuildTag, InvalidWheelFilename, parse_wheel_filename

from tiffin.errors import ConfigError
from tiffin.packages.pypi.image_python import ImagePython

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""The minor of glibc 2.x -> the older name of the same promise."""
_OLDEST = {"x86_64": 5, "aarch64": 17}
"""The minor of the oldest glibc 2.x that wheels of a machine name."""


def platforms(machine: str, glibc: tuple[int, int]) -> Iterator[str]:
    """Yield the platform tags that a machine with this glibc 2.x runs, the best first."""
    for minor in range(glibc[1], _OLDEST[machine] - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"


def tags(python: ImagePython) -> list[Tag]:
    """Return every tag that an image takes, the best first; nothing of this machine's own Python goes in."""
    version, name = (3, python.minor), f"cp3{python.minor}"
    accepted = list(platforms(python.platform.machine, python.glibc))
    return [*cpython_tags(version, [name], accepted), *compatible_tags(version, name, accepted)]


def best(filenames: Iterable[str], python: ImagePython) -> str | None:
    """Return the wheel that suits the image best; None where none does."""
    ranks = {tag: rank for rank, tag in enumerate(tags(python))}
    ranked = [(*rank, filename) for filename in filenames if (rank := _rank(filename, ranks)) is not None]
    return max(ranked)[-1] if ranked else None


def misfits(filenames: Iterable[str], python: ImagePython) -> list[str]:
    """Return the wheels that no tag of theirs makes fit for an image, sorted."""
    ranks = dict.fromkeys(tags(python), 0)
    return sorted(filename for filename in filenames if _rank(filename, ranks) is None)


def refuse_misfits(filenames: Iterable[str], python: ImagePython) -> None:
    """Raise ConfigError for wheels that are for another interpreter, machine or C library than the image's."""
    if wrong := misfits(filenames, python):
        raise ConfigError(f"not for {python}: {', '.join(wrong)}", "`tiffin lock` chooses wheels that fit")


def _rank(filename: str, ranks: dict[Tag, int]) -> tuple[int, BuildTag] | None:
    """Rank a wheel by its best tag and then by its build number, greater is better."""
    try:
        _, _, build, offered = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    suits = [ranks[tag] for tag in offered if tag in ranks]
    return (-min(suits), build) if suits else None
