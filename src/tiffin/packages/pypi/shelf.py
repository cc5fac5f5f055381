"""Folders of wheels, shown to uv as indexes with hashes: where nobody tells it a hash, it unpacks the whole wheel.

A CPU build of torch in a find-links folder costs uv 15 seconds and 700 MB of cache, and its hash half a second.
"""

from __future__ import annotations

import html
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import msgspec
from packaging.utils import canonicalize_name

from tiffin.durable import renamed
from tiffin.oci.digest import Digest
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.wheels import best
from tiffin.progress import parallel


class Shelved(msgspec.Struct, frozen=True, array_like=True):
    """A file of a folder, and its sha256 where the image could use it; that is remembered by size and time."""

    name: str
    size: int
    mtime_ns: int
    sha256: str = ""


def shelved(settings: IndexSettings, python: ImagePython, cache: Path) -> IndexSettings:
    """Return the settings with folders of files put among the indexes; only where all of them are alike."""
    if settings.no_index or not settings.alike:
        return settings
    folders = {place: folder for place in settings.find_links if (folder := _folder(place))}
    indexes = [_index(folder, python, cache).as_uri() for folder in folders.values()]
    links = tuple(place for place in settings.find_links if place not in folders)
    return msgspec.structs.replace(settings, indexes=(*indexes, *settings.indexes), find_links=links)


def _folder(place: str) -> Path | None:
    if "://" in place and not place.startswith("file:"):
        return None
    path = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place).absolute()
    return path if path.is_dir() else None


def _index(folder: Path, python: ImagePython, cache: Path) -> Path:
    """Return a simple index (PEP 503) of the folder; its name is a digest of what it says, so it never changes."""
    files = _files(folder, python, cache / f"{Digest.of(str(folder).encode()).hex[:16]}.json")
    target = cache / Digest.of(msgspec.json.encode([str(folder), files])).hex[:16]
    if target.is_dir():
        return target
    pages: dict[str, list[str]] = defaultdict(list)
    for file in files:
        fragment = f"#sha256={file.sha256}" if file.sha256 else ""
        link = html.escape(f"file://{quote(str(folder / file.name))}{fragment}")
        pages[canonicalize_name(file.name.partition("-")[0])].append(f'<a href="{link}">{html.escape(file.name)}</a>')
    made = Path(tempfile.mkdtemp(dir=cache, prefix="."))
    for project, lines in pages.items():
        (made / project).mkdir()
        (made / project / "index.html").write_text("<!DOCTYPE html>\n" + "<br>\n".join(lines) + "\n", "utf-8")
    try:
        made.rename(target)
    except OSError:  # another process was quicker, with the same pages
        shutil.rmtree(made)
    return target


def _files(folder: Path, python: ImagePython, memory: Path) -> list[Shelved]:
    """Describe every distribution in a folder."""
    known = {each.name: each for each in _remembered(memory)}

    def describe(path: Path) -> Shelved:
        found = path.stat()
        seen = known.get(path.name)
        same = seen is not None and (seen.size, seen.mtime_ns) == (found.st_size, found.st_mtime_ns)
        digits = seen.sha256 if seen and same else ""
        if not digits and best([path.name], python):
            with path.open("rb") as stream:
                digits = Digest.of_stream(stream).hex
        return Shelved(path.name, found.st_size, found.st_mtime_ns, digits)

    files = [path for path in sorted(folder.iterdir()) if path.name.endswith((".whl", ".tar.gz")) and path.is_file()]
    described = parallel(describe, files)
    memory.parent.mkdir(parents=True, exist_ok=True)
    if described != list(known.values()):
        with renamed(memory) as file:
            file.write(msgspec.json.encode(described))
    return described


def _remembered(memory: Path) -> list[Shelved]:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=list[Shelved])
    except (OSError, msgspec.MsgspecError):
        return []
