"""What a result is known by: the digest of a document that has everything its content can follow from.

A container sees its inputs, its values, its environment and its code, and nothing else, so these are all of it. What is
left out changes nothing in what a step gives: names of tasks, files and places, resources, retries, timeouts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import FORMAT, Command, Step
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.workbench import Input

Inputs = Mapping[str, Sequence[Input | Artifact]]


def key_document(step: Step, identity: Mapping[str, str], values: Mapping[str, Any], inputs: Inputs) -> bytes:
    """The document of a step with what it takes; `values` are of their ports' types (`values.typed`)."""
    return canonical(
        {
            "format": FORMAT,
            "identity": dict(identity),
            "does": _does(step),
            "values": dict(values),
            "env": step.env,
            "inputs": {name: [_content(each) for each in some] for name, some in inputs.items()},
            "outputs": {name: port.type for name, port in step.outputs.items()},
            "network": step.network,
        }
    )


def key_of(document: bytes) -> Digest:
    """The key that a document makes."""
    return Digest.of(document)


def canonical(document: Any) -> bytes:
    """JSON with one text for one value: sorted keys, no spaces, ASCII; 1, 1.0, true and "1" are four values."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _does(step: Step) -> dict[str, Any]:
    """What is done; the image that a command names is in the identity, by its digest."""
    does: dict[str, Any] = msgspec.to_builtins(step.does)
    if isinstance(step.does, Command):
        does.pop("image", None)
    return does


def _content(each: Input | Artifact) -> Any:
    """The content's digest, and whether it is a folder's, whose tar may be a file elsewhere.

    Facts about it are there where there are any: a step may read those as well.
    """
    facts: dict[str, Any] = {"folder": True} if each.folder else {}
    if each.metadata:
        facts["metadata"] = each.metadata
    return {"digest": each.digest, **facts} if facts else each.digest
