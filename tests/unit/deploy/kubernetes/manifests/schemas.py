"""Strict validation of objects: Kubernetes' own schemas by version, and those of custom resources."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

CUSTOM = Path(__file__).parents[4] / "foreign" / "kubernetes" / "crd-schemas"


def assert_valid(thing: dict[str, Any], version: tuple[int, int]) -> None:
    """Raise where an object has a field that is unknown, of another type, or missing."""
    _validator(thing["apiVersion"], thing["kind"], version).validate(thing)


@cache
def _validator(api: str, kind: str, version: tuple[int, int]) -> Draft202012Validator:
    """Read a schema once; kubernetes_validate.validate does the same anew for every object."""
    custom = CUSTOM / f"crd-{kind}-{api.rpartition('/')[2]}.json"
    if custom.exists():
        return Draft202012Validator(json.loads(custom.read_text()))
    name = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
    return Draft202012Validator(_read(version, f"{kind.lower()}-{name}"), registry=_definitions(version))


@cache
def _definitions(version: tuple[int, int]) -> Registry[Any]:
    registry: Registry[Any] = Resource.from_contents(_read(version, "_definitions")) @ Registry()
    return registry.crawl()


def _read(version: tuple[int, int], name: str) -> Any:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    return json.loads((folder / f"v{version[0]}.{version[1]}.0-local-strict" / f"{name}.json").read_text())
