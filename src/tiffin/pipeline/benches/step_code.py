"""What of a project's code a step is given, and known by: kept for its content as all code is, and found once."""

from __future__ import annotations

import os
import re

import msgspec

from tiffin import __version__
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.pipeline.benches.code import Code, keep_with
from tiffin.store.records import Records


class StepCode(msgspec.Struct, frozen=True, kw_only=True):
    """The code of a step; `lines` are the true numbers of the lines of the file that is shorter in it."""

    code: Code
    file: str = ""
    lines: tuple[int, ...] = ()

    def as_written(self, text: str, folder: str) -> str:
        """A line of a log with the file's numbers as its writer knows them; `folder` is where the step saw it."""
        if not self.lines:
            return text
        file = re.escape(f"{folder}/{self.file}")
        return re.sub(rf'({file}(?:", line |:))(\d+)\b', self._numbered, text)

    def _numbered(self, found: re.Match[str]) -> str:
        number = int(found[2])
        return found[1] + str(self.lines[number - 1] if 0 < number <= len(self.lines) else number)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a step before; of one that has all of the code nothing."""

    digest: Digest | None = None
    file: str = ""
    lines: tuple[int, ...] = ()


def all_of_it(code: Code, module: str, function: str) -> StepCode:  # noqa: ARG001 - whatever it is
    """Give a step all of the code."""
    return StepCode(code=code)


def step_code(records: Records, code: Code, module: str, function: str) -> StepCode:
    """Have the code of a function lie in a folder: all but what the function cannot reach of its own module."""
    key = Digest.of(encode(["step-code", __version__, code.digest, module, function]))
    known = records.get(key, _Known)
    if known is not None and (found := _there(code, known)):
        return found
    from tiffin.pipeline.benches.slices import slice_of  # noqa: PLC0415 - most runs find everything as it was

    part = slice_of(code.python(), module, function)
    if part is None:
        records.put(key, _Known())
        return StepCode(code=code)
    kept = keep_with(code, part.path, part.data)
    records.put(key, _Known(digest=kept.digest, file=part.path, lines=part.lines))
    return StepCode(code=kept, file=part.path, lines=part.lines)


def _there(code: Code, known: _Known) -> StepCode | None:
    """What was found before, where it still lies."""
    if known.digest is None:
        return StepCode(code=code)
    path = code.path.with_name(known.digest.hex)
    if not path.is_dir():
        return None
    os.utime(path)
    return StepCode(code=Code(digest=known.digest, path=path), file=known.file, lines=known.lines)
