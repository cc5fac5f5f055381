"""What a format is to detection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tiffin.models.model import Model


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of model: files by their usual suffixes, or folders by the file that marks them.

    `read` is given the path and the first bytes of the file, or of the folder's mark. It returns None for what is not
    of this format, and raises UnsupportedError for what is but cannot be served, saying what to do instead.
    """

    name: str
    read: Callable[[Path, bytes], Model | None]
    suffixes: tuple[str, ...] = ()
    mark: str = ""
