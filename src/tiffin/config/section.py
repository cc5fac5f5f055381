"""What every table of tiffin.toml shares."""

from __future__ import annotations

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A table of tiffin.toml: kebab-case keys, nothing unknown."""
