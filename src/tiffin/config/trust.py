"""Whose signatures a machine requires: `trust.toml` among the user's configuration, and which of its rules is meant."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from tiffin.errors import ConfigError

FILE = "trust.toml"
Keys = str | tuple[str, ...]
"""Files of public keys, of which any one is enough; none at all where nothing is required."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole trust.toml: `require` of every image, but for repositories, by their names or how these begin."""

    require: Keys = ()
    repositories: dict[str, Keys] = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A signature by one of these keys is required; `said` is the file and the place that require it."""

    keys: tuple[Path, ...]
    said: str


def read_policy(file: Path) -> Policy:
    """Read a trust.toml; raises ConfigError, with the place, for anything else: it is never passed by."""
    try:
        return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Policy)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{file}: {error}", 'it may have `require = "key.pub"` and a table [repositories]') from error


def rule_of(policy: Policy, name: str, file: Path) -> Rule | None:
    """Return what a policy requires of a repository: the longest name that it begins with decides, else `require`."""
    begins = [said for said in policy.repositories if name == said or name.startswith(f"{said.rstrip('/')}/")]
    if not begins:
        return make_rule(policy.require, file, "require")
    said = max(begins, key=len)
    return make_rule(policy.repositories[said], file, f'[repositories] "{said}"')


def make_rule(keys: Keys, file: Path, place: str) -> Rule | None:
    """Find the keys, whose paths begin at the file's folder; None where there are none."""
    named = (keys,) if isinstance(keys, str) else keys
    if not any(named):
        return None
    return Rule(keys=tuple(file.parent / Path(key).expanduser() for key in named if key), said=f"{file}, {place}")
