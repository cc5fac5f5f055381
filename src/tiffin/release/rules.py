"""The rules that an image is held against: what each is about, how bad it is, and what to do about it. Pure."""

from __future__ import annotations

import msgspec

from tiffin.release.result import Finding, Level


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule by its ID; `about` is a sentence, `hint` what mends it."""

    id: str
    level: Level
    about: str
    hint: str


_RULES = (
    Rule(
        id="private-key",
        level=Level.ERROR,
        about="A private key is in the image, and everybody who pulls it has it.",
        hint="take it out of `[image] include`, revoke it, and give it to the container as a secret",
    ),
    Rule(
        id="credential",
        level=Level.ERROR,
        about="A token or password of a service is written in a file of the image.",
        hint="revoke it, and give it to the container as a secret: `[deploy] secrets`",
    ),
    Rule(
        id="secret-file",
        level=Level.ERROR,
        about="A file whose name says that it holds secrets is in the image.",
        hint="take it out of `[image] include`, and give it to the container as a secret: `[deploy] secrets`",
    ),
    Rule(
        id="repository",
        level=Level.WARNING,
        about="A version control folder is in the image, with all that was ever committed.",
        hint="narrow `[image] include` down to what the model needs",
    ),
    Rule(
        id="setuid",
        level=Level.WARNING,
        about="A program runs as its owner, whoever starts it.",
        hint="no container of tiffin's gains rights by it; on other engines `--security-opt no-new-privileges`",
    ),
    Rule(
        id="world-writable",
        level=Level.WARNING,
        about="Every user of the container may write a file, or a folder without the sticky bit.",
        hint="`chmod o-w` it where the image is made",
    ),
    Rule(
        id="root-user",
        level=Level.ERROR,
        about="The image's program runs as root.",
        hint="name a user in its Dockerfile, such as `USER 65532`; images that tiffin builds do",
    ),
    Rule(
        id="model-code",
        level=Level.ERROR,
        about="A model file runs code, or imports what its framework does not need, when it is loaded.",
        hint="see docs/reference/config.md, What a pickled model may import",
    ),
    Rule(
        id="allowed-import",
        level=Level.NOTE,
        about="The project allows its model to import names beside those of its framework.",
        hint="`[model] allow-imports` lists them",
    ),
    Rule(
        id="source-package",
        level=Level.NOTE,
        about="A package was built from source: nobody else has the same bytes.",
        hint="a wheel that was built elsewhere can be required by its path",
    ),
    Rule(
        id="overlapping-packages",
        level=Level.WARNING,
        about="Two packages bring the same file with other bytes, and one of them is not what was tested.",
        hint="require one of them only",
    ),
    Rule(
        id="missing-library",
        level=Level.NOTE,
        about="The project builds though a library cannot be loaded.",
        hint="`[image] allow-missing` lists it",
    ),
    Rule(
        id="no-bill-of-materials",
        level=Level.WARNING,
        about="The image carries no bill of materials: what it is made of is not known.",
        hint="images that `tiffin build` makes carry one",
    ),
)
RULES = {rule.id: rule for rule in _RULES}
"""Every rule by its ID."""


def found(rule: str, message: str, *, layer: str = "", path: str = "") -> Finding:
    """A finding of one of these rules."""
    known = RULES[rule]
    return Finding(rule=rule, level=known.level, message=message, layer=layer, path=path, hint=known.hint)
