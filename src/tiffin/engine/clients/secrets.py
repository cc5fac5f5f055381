"""Secrets for docker and podman, which read no descriptor of ours: private copies, mounted read-only.

docker has no secrets of its own without a swarm, and podman's cannot be mounted into a root that is read-only. A copy
lies at `secrets/<daemon>/<token>/NAME`, in folders that nobody else enters. It is removed with its container; one of a
container that the engine removed by itself goes when the next container with secrets is made.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tiffin.durable import room_in
from tiffin.engine.clients import argv
from tiffin.engine.clients.program import Program
from tiffin.engine.embedded.forget import locked
from tiffin.engine.refused import refused_secret
from tiffin.engine.spec import ContainerSpec, Mount, Secret
from tiffin.oci.digest import Digest

FOLDER = "/run/secrets"
_TOKEN_BYTES = 16
_ALONE, _EVERYBODY = 0o700, 0o444


@contextlib.contextmanager
def handed_in(program: Program, copies: Path, spec: ContainerSpec) -> Iterator[Sequence[str]]:
    """Give the options that hand a container its secrets; one that is not made after all leaves no copy."""
    if not spec.secrets:
        yield ()
        return
    folder = copies / Digest.of(program.ask(argv.identity(program.dialect)).strip()).hex[:_TOKEN_BYTES]
    token = secrets.token_hex(_TOKEN_BYTES)
    with room_in(copies.parent):
        copies.mkdir(mode=_ALONE, parents=True, exist_ok=True)
        folder.mkdir(mode=_ALONE, exist_ok=True)
    with locked(str(folder)):  # so that nobody sweeps while a container is made: its copies are there before it is
        _sweep(folder, program.ask(argv.copied_secrets()).decode(errors="replace"))
        try:
            with room_in(copies.parent):
                mounts = [_copy(secret, folder / token, spec.user) for secret in spec.secrets]
            yield [*argv.secrets_label(f"{folder.name}/{token}"), *argv.mounts(mounts)]
        except BaseException:
            shutil.rmtree(folder / token, ignore_errors=True)
            raise


def remove(copies: Path, label: str) -> None:
    """Remove the copies of a container that is gone, which a label of it named."""
    if re.fullmatch(r"[0-9a-f]+/[0-9a-f]+", label):
        shutil.rmtree(copies / label, ignore_errors=True)


def _sweep(folder: Path, labels: str) -> None:
    """Remove the copies of containers that are gone, given the labels of those that are there."""
    known = set(re.findall(rf"{re.escape(argv.SECRETS)}[=:]{folder.name}/([0-9a-f]+)", labels))
    for left in folder.iterdir():
        if left.name not in known:
            shutil.rmtree(left, ignore_errors=True)


def _copy(secret: Secret, folder: Path, user: tuple[int, int]) -> Mount:
    """Copy one; only root can give it to the container's user, else every user of the container may read it."""
    try:
        content = Path(secret.source).read_bytes()
    except OSError as error:
        raise refused_secret(secret, error) from error
    folder.mkdir(mode=_ALONE, exist_ok=True)
    target = folder / secret.name
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb") as stream:
        stream.write(content)
        if os.geteuid() == 0:
            os.fchown(stream.fileno(), *user)
        elif os.geteuid() != user[0]:
            os.fchmod(stream.fileno(), _EVERYBODY)
    return Mount(source=str(target), target=f"{FOLDER}/{secret.name}")
