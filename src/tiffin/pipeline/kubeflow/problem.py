"""One thing that cannot be done on Kubeflow."""

from __future__ import annotations

import msgspec

from tiffin.pipeline.graph import Place


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What cannot be, where it is written, and what to do about it."""

    message: str
    hint: str
    place: Place = Place()
