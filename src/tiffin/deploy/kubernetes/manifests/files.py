"""Objects as text: one stream of YAML, or a folder that kustomize builds on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tiffin.deploy.kubernetes.manifests.names import Object
from tiffin.durable import renamed

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@:+-]*(?<!:)|[0-9]+(?:[KMGT]i|m|s)")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan"})


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML has no types
    """Writes no anchors, and quotes what any reader of YAML, old or new, might take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's interface
        """Write a value out wherever it stands."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        """Indent lists below their key."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Represent text: YAML 1.1, 1.2 and Go's reader disagree on `y`, `1e3`, `0o7`; between quotes they all agree."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')
    return node


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    """Write objects as one stream of documents, their keys in the order in which they were made."""
    return "---\n".join(_one(thing) for thing in objects)


def kustomize(objects: Iterable[Object]) -> dict[str, str]:
    """Write a base for kustomize: file name to YAML, one file an object, and `kustomization.yaml` that lists them."""
    made = {f"{thing['kind'].lower()}-{thing['metadata']['name']}.yaml": _one(thing) for thing in objects}
    listing = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(made),
    }
    return {"kustomization.yaml": _one(listing), **made}


def write_base(objects: Iterable[Object], folder: Path) -> list[str]:
    """Write a base for kustomize into a folder, and return the files; those of an earlier one are written over."""
    written = []
    for name, text in kustomize(objects).items():
        with renamed(folder / name) as file:
            file.write(text.encode())
        written.append(str(folder / name))
    return written


def _one(thing: Mapping[str, Any]) -> str:
    text: str = yaml.dump(dict(thing), Dumper=_Dumper, sort_keys=False, width=160, allow_unicode=True)
    return text
