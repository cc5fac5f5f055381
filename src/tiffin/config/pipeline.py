"""What `[pipeline]` may say beyond its types, each mistake with its place. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec

from tiffin.config.cron import Cron
from tiffin.config.section import Section
from tiffin.errors import ConfigError

FILE = "pipeline.py"
_MODULE = re.compile(r"[^\W\d]\w*\.py")
_NAME = re.compile(r"[^\W\d]\w*")
_REPOSITORY = re.compile(r"(?:localhost|[^/\s@]*[.:][^/\s@]*)/[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_TAGGED = re.compile(r"(?:localhost|(?![./])[^/\s@]*[.:][^/\s@]*)/[^\s]*[:@][^/\s]+$", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_DATES = (dt.date, dt.time)


class PipelineSection(Section, frozen=True, kw_only=True):
    """Which pipeline the project has, and how `tiffin pipeline` runs it.

    `name` is the function's where the file has several; `include` is what its steps read of the project beside what
    `[image] include` names. `cache` is the repository of a registry that shares results; `jobs` is how many steps run
    at once, 0 for one a processor. `arguments` are values of its parameters.

    `schedule`, in `time_zone`, and `watch`, files, folders and tags of registries, say when `tiffin pipeline watch`
    begins a run; data has to be still for `settle_seconds` before.
    """

    file: str = FILE
    name: str = ""
    include: tuple[str, ...] = ()
    cache: str = ""
    jobs: Annotated[int, msgspec.Meta(ge=0)] = 0
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    schedule: str = ""
    time_zone: str = ""
    watch: tuple[str, ...] = ()
    settle_seconds: Annotated[float, msgspec.Meta(ge=0)] = 5


def pipeline_mistakes(section: PipelineSection) -> Iterator[str]:
    """Say what is wrong with `[pipeline]`, each with its place in the file."""
    place = "at `$.pipeline"
    if not _MODULE.fullmatch(section.file):
        yield f"`file` is a Python file beside this one, such as {FILE!r} - {place}.file`"
    if section.name and not _NAME.fullmatch(section.name):
        yield f"{section.name!r} is no name of a function - {place}.name`"
    for pattern in section.include:
        if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
            yield f"`{pattern}` leaves the project's folder - {place}.include`"
    if section.cache and not _REPOSITORY.fullmatch(section.cache):
        yield f"{section.cache!r} is no repository: REGISTRY/NAME, without a tag - {place}.cache`"
    yield from _argument_mistakes(section.arguments, f"{place}.arguments")
    yield from _trigger_mistakes(section, place)


def _argument_mistakes(arguments: Mapping[str, Any], place: str) -> Iterator[str]:
    for name, value in arguments.items():
        if not _NAME.fullmatch(name):
            yield f"{name!r} is no name of a parameter - {place}`"
        if wrong := unfit(value):
            yield f"`{name}` is {wrong}, which no parameter takes - {place}.{name}`"


def _trigger_mistakes(section: PipelineSection, place: str) -> Iterator[str]:
    if section.schedule:
        yield from _schedule_mistakes(section.schedule, place)
    elif section.time_zone:
        yield f"`time-zone` is that of `schedule`, which is missing - {place}.time-zone`"
    if section.time_zone and not _ZONE.fullmatch(section.time_zone):
        yield f"{section.time_zone!r} is no time zone, such as 'Europe/Berlin' - {place}.time-zone`"
    if not math.isfinite(section.settle_seconds):
        yield f"`settle-seconds` is a number of seconds - {place}.settle-seconds`"
    for number, watched in enumerate(section.watch):
        if wrong := watch_mistake(watched):
            yield f"{watched!r} {wrong} - {place}.watch[{number}]`"
    if len(set(section.watch)) < len(section.watch):
        yield f"something is watched twice - {place}.watch`"


def _schedule_mistakes(schedule: str, place: str) -> Iterator[str]:
    try:
        Cron.parse(schedule)
    except ConfigError as error:
        yield f"{error.message}; {error.hint} - {place}.schedule`"


def watch_mistake(watched: str) -> str:
    """Say what is wrong with something to watch; "" where nothing is."""
    if not watched.strip() or "\0" in watched:
        return "is no path"
    if "*" in watched:
        return "is a pattern; name the folder"
    if not is_tag(watched):
        return ""
    if "@" in watched:
        return "names a digest, which never means anything else; name a tag"
    repository, _, tag = watched.rpartition(":")
    if not (_REPOSITORY.fullmatch(repository) and _TAG.fullmatch(tag)):
        return "is no tag of a registry, REGISTRY/NAME:TAG; write a path as ./PATH"
    return ""


def is_tag(watched: str) -> bool:
    """Whether what is watched is REGISTRY/NAME:TAG, and no path; `./` before a path says so in case of doubt."""
    return bool(_TAGGED.match(watched))


def unfit(value: Any) -> str:
    """Say what of a value no JSON could say; "" where it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return "no finite number"
    if isinstance(value, _DATES):
        return "a date; write it as text"
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((wrong for part in parts if (wrong := unfit(part))), "")
