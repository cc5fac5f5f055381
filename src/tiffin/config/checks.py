"""What `[[check]]` names: requests that a server answers before it is ready, and the answers that are expected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tiffin.config.project import CheckSection
from tiffin.errors import ConfigError

MOST_BYTES = 4 << 20
"""How large one of these files may be: they lie in the image's small layer of metadata."""
FORMS = 'rows as `/predict` takes them ([[...]], [{...}] or {"rows": ...}), or {"inputs": [{"name", "shape", ...}]}'


class CheckTexts(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and the answer that is expected or nothing, as their files say them."""

    request: str
    expect: str
    tolerance: float


def check_mistakes(checks: Sequence[CheckSection]) -> Iterator[str]:
    """Say what is wrong with checks, each with its place in the file."""
    for number, check in enumerate(checks):
        place = f"at `$.check[{number}]"
        for key, path in (("request", check.request), ("expect", check.expect)):
            pure = PurePosixPath(path)
            if (not path and key == "request") or pure.is_absolute() or ".." in pure.parts:
                yield f"`{key}` is the path of a file below the project's folder - {place}.{key}`"
        if not check.tolerance >= 0:
            yield f"`tolerance` is not negative - {place}.tolerance`"


def read_checks(folder: Path, checks: Sequence[CheckSection]) -> tuple[CheckTexts, ...]:
    """Read the files that checks name; raises ConfigError with file and place where one will not do."""
    return tuple(_read_check(folder, check, f"$.check[{number}]") for number, check in enumerate(checks))


def _read_check(folder: Path, check: CheckSection, place: str) -> CheckTexts:
    request, document = _read(folder / check.request, f"{place}.request")
    if not _is_request(document):
        raise ConfigError(f"{folder / check.request} is no request - at `{place}.request`", f"write {FORMS}")
    expect = _read(folder / check.expect, f"{place}.expect")[0] if check.expect else ""
    return CheckTexts(request=request, expect=expect, tolerance=check.tolerance)


def _read(path: Path, place: str) -> tuple[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} has more than {MOST_BYTES >> 20} MiB - at `{place}`", "check fewer rows")
        text = path.read_text("utf-8")
        return text, json.loads(text)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror} - at `{place}`", "write the file, or leave the check out"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error} - at `{place}`", "it must be JSON in UTF-8") from error


def _is_request(document: Any) -> bool:
    """Say whether it has one of the forms that a server takes; what is in it only the model knows."""
    if isinstance(document, dict):
        rows = document.get("inputs", document.get("rows"))
        return isinstance(rows, list) and bool(rows)
    return isinstance(document, list) and bool(document)
