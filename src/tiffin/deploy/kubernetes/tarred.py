"""Copies by a container's own `tar`, where it has no Python: what `tree` does at that end, in words for tar.

Where a copy goes is decided here, by asking whether there is a folder; tar unpacks under the names that it is sent.
"""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tiffin.deploy.kubernetes.copying import Plan, Work
from tiffin.engine.embedded.tree import is_content, name_of

IsFolder = Callable[[str], bool]


def by_tar(plan: Plan, work: Work, is_folder: IsFolder) -> tuple[tuple[str, ...], Work]:
    """What to run in the container for a plan, and our end of it."""
    path = "/" + plan["path"].lstrip("/")
    if plan["act"] == "unpack":
        return ("tar", "-xf", "-", "-C", path), work
    if plan["act"] == "send":
        return _sending(path, work, whole=is_content(path) or (not plan["named"] and is_folder(path)))
    folder, name = _destination(path, plan["source"], is_folder)
    return ("tar", "-xf", "-", "-C", folder), work if name == "." else named(work, name)


def _sending(path: str, work: Work, *, whole: bool) -> tuple[tuple[str, ...], Work]:
    """A folder is sent as what is in it, all else under its name, which the receiving end replaces."""
    if whole:
        return ("tar", "-cf", "-", "-C", path, "."), work
    found = PurePosixPath(path)
    return ("tar", "-cf", "-", "-C", str(found.parent), "--", found.name), work


def _destination(path: str, source: str, is_folder: IsFolder) -> tuple[str, str]:
    """Where it goes, and under which name: into a folder that is there, else under that very name."""
    if is_folder(path):
        return path, "." if is_content(source) and Path(source).is_dir() else name_of(source)
    found = PurePosixPath(path.rstrip("/"))
    return str(found.parent), found.name


def named(work: Work, name: str) -> Work:
    """The same end, with what it sends as `.` under a name."""

    def whole(out: BinaryIO) -> None:
        reading, writing = os.pipe()
        failed: list[Exception] = []

        def send() -> None:
            try:
                with os.fdopen(writing, "wb") as stream:
                    work(stream)
            except Exception as error:  # noqa: BLE001 - raised below, in the thread that was asked
                failed.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            with os.fdopen(reading, "rb") as stream:
                _rename(stream, out, name)
        except tarfile.ReadError:
            thread.join()
            if not failed:  # else it ended early, and why is known
                raise
        finally:
            thread.join()
        if failed:
            raise failed[0]

    return whole


def _rename(stream: BinaryIO, out: BinaryIO, name: str) -> None:
    with (
        tarfile.open(fileobj=stream, mode="r|") as given,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as made,
    ):
        for member in given:
            member.name = f"{name}{member.name.removeprefix('.')}"
            member.pax_headers = {key: value for key, value in member.pax_headers.items() if key != "path"}
            made.addfile(member, given.extractfile(member) if member.isreg() else None)
