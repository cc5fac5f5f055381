"""Which names a pickled model may import: a list of the frameworks' own, since lists of what is bad always lose."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Collection
from pathlib import Path

import msgspec

from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest

LIST = "allowed_imports.toml"
_IMPORT = re.compile(r"([\w.]+):([\w.]+)")


class Allowance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of one framework that may be imported, and why; `only` limits them to one kind of file."""

    framework: str
    modules: str
    names: str
    reason: str
    never: tuple[str, ...] = ()
    only: str = ""


class AllowedImports(msgspec.Struct, frozen=True, kw_only=True):
    """The list that ships with tiffin and what a project adds to it, as `module:name`."""

    extra: frozenset[str] = frozenset()

    @classmethod
    def of(cls, extra: Collection[str]) -> AllowedImports:
        """Add a project's own names; raises ConfigError for one that is not `module:name`."""
        for name in extra:
            if not _IMPORT.fullmatch(name):
                raise ConfigError(
                    f"`{name}` is not `module:name` - at `$.model.allow-imports`",
                    'name each import whole, such as allow-imports = ["mypackage.steps:Scaler"]',
                )
        return cls(extra=frozenset(extra))

    @property
    def digest(self) -> Digest:
        """The same for the same list, so that a verdict can be remembered."""
        return Digest.of(_text() + "\n".join(sorted(self.extra)).encode())

    def allows(self, module: str, name: str, kind: str) -> bool:
        """Say whether a file of this kind may import the name."""
        return f"{module}:{name}" in self.extra or reason(module, name, kind) is not None


@functools.lru_cache(maxsize=4096)
def reason(module: str, name: str, kind: str) -> str | None:
    """Why the name is harmless in a file of this kind; None where nothing says that it is."""
    for allowance in _allowances():
        if (
            allowance.only in ("", kind)
            and _pattern(allowance.modules).fullmatch(module)
            and _pattern(allowance.names).fullmatch(name)
            and name not in allowance.never
        ):
            return allowance.reason
    return None


@functools.cache
def _text() -> bytes:
    return Path(__file__).with_name(LIST).read_bytes()


@functools.cache
def _allowances() -> list[Allowance]:
    return msgspec.convert(tomllib.loads(_text().decode())["allow"], list[Allowance])


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern when it is asked first: one model needs a few of them, and all take as long as a build."""
    return re.compile(text, re.ASCII)
