"""`explain` and `diff`: what an image is made of, and what changed between two."""

from __future__ import annotations

import msgspec

from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.build.contents import ImageContents, read_contents
from tiffin.build.conversion import report_of
from tiffin.build.diff import Difference
from tiffin.build.diff import diff as compare
from tiffin.build.explain import Explanation
from tiffin.build.explain import explain as explain_contents


def explain(name: str, home: Home | None = None) -> Explanation:
    """Say what every byte of an image is; raises NotFoundError."""
    home = home or Home.of()
    explanation = explain_contents(contents(name, home))
    conversion = report_of(home.store, find_image(home.store, name).descriptor)
    return msgspec.structs.replace(explanation, conversion=conversion)


def diff(before: str, after: str, home: Home | None = None) -> Difference:
    """Say how the second image differs from the first; raises NotFoundError."""
    home = home or Home.of()
    return compare(contents(before, home), contents(after, home))


def contents(name: str, home: Home) -> ImageContents:
    """List everything in an image; what was listed once is remembered."""
    return read_contents(name, find_image(home.store, name), home.store, home.records("listings"))
