"""What an image carries so that it can be made again: its project and its lock, neither with an address in it."""

from __future__ import annotations

import msgspec

from tiffin.config.project import Project, TrustSection
from tiffin.config.read import parse_project
from tiffin.errors import IntegrityError
from tiffin.oci.documents import encode
from tiffin.packages.lock import Lock, dumps, loads, with_layers

PROJECT = "opt/tiffin/project.json"
LOCK = "opt/tiffin/pylock.tiffin.toml"


def project_text(project: Project) -> str:
    """Write a project as JSON, without what says where and not what: a mirror, a folder, keys, and deploying."""
    image = msgspec.structs.replace(project.image, mirror="")
    python = msgspec.structs.replace(project.python, build=project.python.build.rpartition("/")[2])
    data = project.model.training_data.rpartition("/")[2]
    model = msgspec.structs.replace(project.model, training_data=data)
    bare = msgspec.structs.replace(project, model=model, image=image, python=python, trust=TrustSection())
    said = msgspec.to_builtins(bare)
    if project.image.weights == "inside":  # as images say that were built before there was a choice
        del said["image"]["weights"]
    for table in ("deploy", "environment", "pipeline", "release"):
        del said[table]
    return msgspec.json.format(encode(said)).decode() + "\n"


def lock_text(lock: Lock) -> str:
    """Write a lock as it was before a build knew what layers its packages become."""
    return dumps(with_layers(msgspec.structs.replace(lock, overlaps=lock.overlaps or ()), {}))


def read_project_text(text: str, where: str) -> Project:
    """Read what `project_text` wrote; raises ConfigError with the place of what this tiffin does not know."""
    try:
        table = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{where} is not JSON: {error}", "pull or build the image again") from error
    return parse_project(table, where)


def read_lock_text(text: str, where: str) -> Lock:
    """Read what `lock_text` wrote."""
    return loads(text, where)
