"""Errors are documented, and their codes and exit statuses are one to one."""

from __future__ import annotations

import re
from pathlib import Path

from tiffin.errors import TiffinError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"


def kinds() -> list[type[TiffinError]]:
    return [TiffinError, *TiffinError.__subclasses__()]


def test_every_code_has_an_anchor_and_its_exit_status_in_the_reference() -> None:
    rows = re.findall(r'<a id="([\w-]+)"></a>`([\w-]+)` \| (\d+)', PAGE.read_text())
    assert [(kind.code, kind.code, str(kind.exit_status)) for kind in kinds()] == rows


def test_no_two_codes_share_an_exit_status() -> None:
    assert len({kind.exit_status for kind in kinds()}) == len(kinds())
