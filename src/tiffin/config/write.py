"""Write the first tiffin.toml of a project, with a comment for whoever reads it next."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What `init` found out."""

    name: str
    model: str
    format: str
    python: str
    base: str
    requirements: str = ""
    dependencies: Sequence[str] = ()
    packages: Sequence[str] = ()
    include: Sequence[str] = ("*.py",)
    allow_imports: Sequence[str] = ()


def project_text(proposal: Proposal) -> str:
    """Write a tiffin.toml; every value in it is a proposal that its user may change."""
    if proposal.requirements:
        needs = f"requirements = {_text(proposal.requirements)}"
    else:
        needs = f"dependencies = {_list(proposal.dependencies)}  # the versions it was trained with"
    imports = f"allow-imports = {_list(proposal.allow_imports)}\n" if proposal.allow_imports else ""
    return f"""\
name = {_text(proposal.name)}

[model]
path = {_text(proposal.model)}  # {proposal.format}
# predictor = "predict:Predictor"  # your own class with load(path) and predict(inputs)
{imports}
[python]
version = {_text(proposal.python)}
{needs}

[image]
base = {_text(proposal.base)}
packages = {_list(proposal.packages)}  # extra Debian packages, such as "libopenblas0"
include = {_list(proposal.include)}  # your code, beside this file

[serve]
max-batch = 64  # rows that are predicted at once, at most
max-delay-ms = 2  # how long a row may wait for others

# [deploy]  # how `tiffin deploy` keeps it; [environment.NAME] says what differs in one place
# replicas = {{ min = 1, max = 4 }}
# cpu = "1"
# memory = "1Gi"
"""


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value)


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"
