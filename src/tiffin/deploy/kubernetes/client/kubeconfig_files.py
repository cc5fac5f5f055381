"""Read kubeconfigs as kubectl does, and say which cluster, user and namespace they mean.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/: of several files the first to set
a value or to have an entry of a name wins, whole; paths are relative to the folder of the file that has them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.errors import ConfigError, NotFoundError

_LARGEST = 4 << 20
_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a file, and where it is: `FILE: users[dana]`."""

    values: dict[str, Any]
    file: Path
    place: str

    @property
    def where(self) -> str:
        """File and place, for errors."""
        return f"{self.file}: {self.place}"

    def text(self, key: str) -> str:
        """A text, or nothing; raises ConfigError for what is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, "must be a text", "put it in quotes")
        return value or ""

    def flag(self, key: str) -> bool:
        """A truth; raises ConfigError for what is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, "must be true or false", "write it without quotes")
        return bool(value)

    def part(self, key: str) -> Entry | None:
        """A part of this part; raises ConfigError for what is no table."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, "must be a table", "indent what belongs to it")
        return None if value is None else Entry(values=value, file=self.file, place=f"{self.place}.{key}")

    def path(self, key: str) -> Path | None:
        """A path, relative to the file's folder."""
        text = self.text(key)
        return self.file.parent / text if text else None

    def content(self, key: str) -> str:
        """What is written in base64 as `KEY-data`, or is in the file that KEY names; raises ConfigError."""
        if data := self.text(f"{key}-data"):
            try:
                return base64.b64decode("".join(data.split()), validate=True).decode("ascii")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise self.wrong(
                    f"{key}-data", f"is no base64 of PEM: {error}", f"`base64 -w0 FILE`, or use {key}"
                ) from error
        path = self.path(key)
        try:
            return path.read_text(encoding="ascii") if path else ""
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no PEM"
            raise self.wrong(
                key, f"names {path}, which cannot be read: {reason}", "let it name a file in PEM"
            ) from error

    def wrong(self, key: str, what: str, hint: str) -> ConfigError:
        """The error for one of the values."""
        return ConfigError(f"{self.where}.{key} {what}", hint)


class Kubeconfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one file says, or several together."""

    files: tuple[Path, ...] = ()
    current: str = ""
    clusters: dict[str, Entry] = {}
    users: dict[str, Entry] = {}
    contexts: dict[str, Entry] = {}

    def over(self, other: Kubeconfig) -> Kubeconfig:
        """Lay this over another: what it does not say is said by that."""
        return Kubeconfig(
            files=self.files + other.files,
            current=self.current or other.current,
            clusters={**other.clusters, **self.clusters},
            users={**other.users, **self.users},
            contexts={**other.contexts, **self.contexts},
        )


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster, user and namespace of a context."""

    context: str
    cluster: Entry
    user: Entry
    namespace: str


def read_kubeconfig(path: str, env: Mapping[str, str]) -> Kubeconfig:
    """Read the file named, or those of KUBECONFIG, or the one at home; what is absent of the latter says nothing."""
    merged = Kubeconfig()
    for file in places(path, env):
        try:
            merged = merged.over(_read(file))
        except FileNotFoundError as error:
            if path:
                raise NotFoundError(f"there is no kubeconfig {file}", "name one that there is") from error
    return merged


def places(path: str, env: Mapping[str, str]) -> Sequence[Path]:
    """Where kubeconfigs are looked for."""
    if path:
        return [Path(path)]
    if named := [part for part in env.get("KUBECONFIG", "").split(":") if part]:
        return [Path(part) for part in dict.fromkeys(named)]
    home = env.get("HOME", "")
    return [Path(home, ".kube", "config")] if home else []


def choose(config: Kubeconfig, context: str = "") -> Choice:
    """Find the cluster and user of a context, the current one where none is named; raises ConfigError."""
    files = ", ".join(map(str, config.files))
    name = context or config.current
    if not name:
        raise ConfigError(
            f"{files}: there is no current context", f"use `--context`, one of: {_names(config.contexts)}"
        )
    if name not in config.contexts:
        whose = "" if context else ", which is the current one"
        raise ConfigError(f"{files}: there is no context {name!r}{whose}", f"there are: {_names(config.contexts)}")
    entry = config.contexts[name]
    cluster = _named(entry, "cluster", config.clusters)
    if cluster is None:
        raise entry.wrong("cluster", "is missing", f"name one of: {_names(config.clusters)}")
    nobody = Entry(values={}, file=entry.file, place=entry.place)
    user = _named(entry, "user", config.users) or nobody
    return Choice(context=name, cluster=cluster, user=user, namespace=entry.text("namespace") or "default")


def _named(entry: Entry, key: str, there: Mapping[str, Entry]) -> Entry | None:
    name = entry.text(key)
    if name and name not in there:
        raise entry.wrong(key, f"is {name!r}, which there is not", f"there are: {_names(there)}")
    return there.get(name)


def _names(there: Mapping[str, Entry]) -> str:
    return ", ".join(sorted(there)) or "none"


def _read(file: Path) -> Kubeconfig:
    import yaml  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: PLC0415 - few commands need it

    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ConfigError(f"{file} has more than {_LARGEST} bytes", "name a kubeconfig")
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except FileNotFoundError:
        raise
    except (OSError, yaml.YAMLError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(
            f"cannot read the kubeconfig {file}: {reason}", "`kubectl config view` shows what is wrong"
        ) from error
    return _parse(file, {} if document is None else document)


def _parse(file: Path, document: Any) -> Kubeconfig:
    if not isinstance(document, dict) or document.get("kind", "Config") != "Config":
        raise ConfigError(f"{file} is no kubeconfig", "it must be a table of `kind: Config`")
    whole = Entry(values=document, file=file, place="$")
    found = {section: dict(_entries(file, document, section)) for section in _SECTIONS}
    return Kubeconfig(files=(file,), current=whole.text("current-context"), **found)


def _entries(file: Path, document: dict[str, Any], section: str) -> list[tuple[str, Entry]]:
    """The entries of a section, by name; of two by one name the first one counts."""
    listed = document.get(section) or []
    if not isinstance(listed, list):
        raise ConfigError(f"{file}: {section} must be a list", f"begin each of {section} with `- name:`")
    entries = []
    for index, item in enumerate(listed):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise ConfigError(
                f"{file}: {section}[{index}] has no name", "give it `name:`, in quotes where it is a number"
            )
        name, key = item["name"], _SECTIONS[section]
        values = item.get(key) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"{file}: {section}[{name}].{key} must be a table", "indent what belongs to it")
        entries.append((name, Entry(values=values, file=file, place=f"{section}[{name}]")))
    return entries[::-1]
