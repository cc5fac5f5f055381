"""What an importer of a pipeline takes, and what it says of it, with the values that its task is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import Argument, Constant, Importer
from tiffin.pipeline.meaning.rendering import rendered

INPUT = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^']+)'|\"([^\"]+)\")\]\}\}")
"""A parameter's place in a text, as Kubeflow writes it."""


def address_of(importer: Importer, values: Mapping[str, Any], task: str) -> str:
    """Where an importer looks: a constant, or one of its own inputs; raises ConfigError where that is nothing."""
    if isinstance(importer.uri, Constant):
        return str(importer.uri.value)
    if isinstance(importer.uri, Argument) and importer.uri.name in values:
        return str(values[importer.uri.name])
    raise ConfigError(f"{task} does not say where what it imports lies", "give it an address")


def path_at(address: str) -> str:
    """The path of this machine that an address is; empty for an address elsewhere."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        return address
    return unquote(urlsplit(address).path) if scheme == "file" else ""


def facts_of(importer: Importer, values: Mapping[str, Any]) -> dict[str, Any]:
    """What an importer says of its artifact: its `metadata`, with inputs where placeholders name them."""
    return {str(_filled(key, values)): _filled(each, values) for key, each in importer.metadata.items()}


def _filled(fact: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(fact, dict):
        return {str(_filled(key, values)): _filled(each, values) for key, each in fact.items()}
    if isinstance(fact, list):
        return [_filled(each, values) for each in fact]
    if not isinstance(fact, str):
        return fact
    whole = INPUT.fullmatch(fact)
    if whole and (name := whole[1] or whole[2]) in values:
        return values[name]
    return INPUT.sub(lambda match: rendered(values.get(match[1] or match[2], match[0])), fact)
