"""Reading CDI specs from the folders where they lie: the rim of `cdi`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from tiffin.config.plain_yaml import LARGEST, read_yaml
from tiffin.engine.cdi import Known, Source, Spec, parse_spec
from tiffin.errors import ConfigError

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""Where specs lie, in the order in which they count: what is in the last one wins (CDI, SPEC.md, "Kubernetes")."""
VARIABLE = "TIFFIN_CDI_DIRS"
"""Other folders instead, with `:` between them."""


def cdi_folders(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Where specs are looked for."""
    return tuple(filter(None, environment.get(VARIABLE, "").split(":"))) or FOLDERS


def read_specs(folders: Sequence[str]) -> Known:
    """Read every spec; one that cannot be read is told by whoever misses a device."""
    sources, broken = [], []
    for priority, folder in enumerate(folders):
        for path in _files(Path(folder)):
            try:
                sources.append(Source(file=str(path), priority=priority, spec=_read(path)))
            except ConfigError as error:
                broken.append(error.message)
    return Known(sources=tuple(sources), broken=tuple(broken), folders=tuple(folders))


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.iterdir() if path.suffix in {".json", ".yaml"})
    except OSError:  # absent, mostly; a device that is missed names the folders
        return


def _read(path: Path) -> Spec:
    if path.suffix == ".yaml":
        return parse_spec(read_yaml(path), str(path))
    try:
        with path.open("rb") as file:
            return parse_spec(msgspec.json.decode(file.read(LARGEST)), str(path))
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "it must be JSON in UTF-8") from error
