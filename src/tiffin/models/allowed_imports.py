"""Which names a pickled model may import: a list of the frameworks' own, since lists of what is bad always lose."""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib
from collections.abc import Collection

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
    for allowance, modules, names in _patterns():
        if (
            allowance.only in ("", kind)
            and modules.fullmatch(module)
            and names.fullmatch(name)
            and name not in allowance.never
        ):
            return allowance.reason
    return None


@functools.cache
def _text() -> bytes:
    return importlib.resources.files("tiffin.models").joinpath(LIST).read_bytes()


@functools.cache
def _patterns() -> list[tuple[Allowance, re.Pattern[str], re.Pattern[str]]]:
    allowances = msgspec.convert(tomllib.loads(_text().decode())["allow"], list[Allowance])
    return [(one, re.compile(one.modules, re.ASCII), re.compile(one.names, re.ASCII)) for one in allowances]
