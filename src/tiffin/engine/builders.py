"""Programs that build Dockerfiles: docker, podman and buildah, by argument lists that pure functions make.

The image leaves the program as an archive, by its ID, so that nothing here depends on its names or its storage.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tiffin.errors import CommandError, NotFoundError, UnsupportedError
from tiffin.progress import note, step

PROBE_SECONDS = 20
TAIL = 40
"""Lines of a program's output that an error quotes."""
_BUILT_IN_UNTIL = 23
"""The docker client's version from which BuildKit is a plugin, buildx, and no longer a part of it."""
_STEP = re.compile(r"(?:(?i:step) (\d+/\d+) ?: |#\d+ \[(?:\S+ +)?(\d+/\d+)\] )(.+)")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A Dockerfile, the folder that is its build context, and what `build` is told besides."""

    dockerfile: Path
    folder: Path
    arguments: tuple[str, ...] = ()
    target: str = ""
    network: str = ""


class Builder(msgspec.Struct, frozen=True, kw_only=True):
    """A program that works here: what it is called, how to run it, and variables that it needs."""

    name: str
    program: str
    shown: str
    env: dict[str, str] = {}

    def build_argv(self, request: Request, id_file: Path) -> list[str]:
        """The command that builds an image and writes its ID to a file."""
        options = {"--build-arg": request.arguments, "--target": (request.target,), "--network": (request.network,)}
        options |= {"--file": (str(request.dockerfile),)}
        given = [text for option, values in options.items() for value in values if value for text in (option, value)]
        verb = ["bud", "--layers"] if self.name == "buildah" else ["build"]
        return [self.program, *verb, "--iidfile", str(id_file), *given, *self._local(), str(request.folder)]

    def _local(self) -> list[str]:
        """BuildKit as a plugin may keep the image elsewhere unless it is told."""
        return ["--load"] if self.shown.endswith("buildx") else []

    def save_argv(self, image_id: str, archive: Path) -> list[str]:
        """The command that writes an image into an archive."""
        return {
            "docker": [self.program, "save", "--output", str(archive), image_id],
            "podman": [self.program, "save", "--format", "oci-archive", "--output", str(archive), image_id],
            "buildah": [self.program, "push", image_id, f"oci-archive:{archive}"],
        }[self.name]


def find_builder(wanted: str = "", environment: Mapping[str, str] = os.environ) -> Builder:
    """Find the first builder that works here, or the wanted one; raises UnsupportedError that says why none does."""
    reasons = []
    for name, probe in _PROBES.items():
        if wanted in {"", name}:
            program = shutil.which(name, path=environment.get("PATH"))
            found = probe(program, environment) if program else "not installed"
            if isinstance(found, Builder):
                return found
            reasons.append(f"{name}: {found}")
    if not reasons:
        raise NotFoundError(f"no builder {wanted!r}", f"builders: {', '.join(_PROBES)}")
    raise UnsupportedError(
        f"no program here can build a Dockerfile ({'; '.join(reasons)})",
        "start docker or install podman or buildah; or `tiffin init` writes the tiffin.toml that replaces a Dockerfile",
    )


def _docker(program: str, environment: Mapping[str, str]) -> Builder | str:
    said = _said([program, "version", "--format", "{{.Client.Version}}"], environment)
    if said.error:
        return said.error
    buildx = not _said([program, "buildx", "version"], environment).error
    shown, env = docker_kind(said.text, environment.get("DOCKER_BUILDKIT", ""), buildx=buildx)
    return Builder(name="docker", program=program, shown=shown, env=env)


def docker_kind(version: str, asked: str, *, buildx: bool) -> tuple[str, dict[str, str]]:
    """Decide how docker builds: as its user asks, else with BuildKit where this client has it, else classic."""
    major = version.partition(".")[0]
    built_in = major.isdecimal() and int(major) < _BUILT_IN_UNTIL
    if asked == "0" or not (buildx or built_in):
        return "docker, classic", {"DOCKER_BUILDKIT": "0"}
    shown = "docker with BuildKit" if built_in else "docker with buildx"
    return shown, {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}


def _podman(program: str, environment: Mapping[str, str]) -> Builder | str:
    said = _said([program, "info", "--format", "{{.Version.Version}}"], environment)
    return said.error or Builder(name="podman", program=program, shown="podman")


def _buildah(program: str, environment: Mapping[str, str]) -> Builder | str:
    said = _said([program, "images", "--quiet"], environment)
    return said.error or Builder(name="buildah", program=program, shown="buildah")


_PROBES = {"docker": _docker, "podman": _podman, "buildah": _buildah}


class _Said(msgspec.Struct, frozen=True):
    text: str
    error: str = ""


def _said(argv: Sequence[str], environment: Mapping[str, str]) -> _Said:
    """Run a program for a line of output; `error` has the last line of what went wrong."""
    try:
        done = subprocess.run(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _Said("", str(error))
    lines = done.stderr.strip().splitlines()
    return _Said(done.stdout.strip(), (lines[-1] if lines else "failed") if done.returncode else "")


def build_dockerfile(
    builder: Builder, request: Request, folder: Path, environment: Mapping[str, str] = os.environ
) -> Path:
    """Build the image and save it as an archive in the folder; raises CommandError with the program's last words."""
    id_file, archive = folder / "image-id", folder / "image.tar"
    with step("build", f"{request.dockerfile} ({builder.shown})"):
        _run(builder.build_argv(request, id_file), dict(environment) | builder.env)
    with step("save", str(request.dockerfile)):
        _run(builder.save_argv(id_file.read_text().strip(), archive), dict(environment) | builder.env)
    return archive


def _run(argv: list[str], environment: dict[str, str]) -> None:
    """Run a program, tell its steps as they begin, and keep the end of what it says."""
    tail: deque[str] = deque(maxlen=TAIL)
    with subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if found := _STEP.fullmatch(line.rstrip()):
                note(f"{found[1] or found[2]} {found[3]}")
    if process.returncode:
        words = "".join(f"\n    {line}" for line in tail)
        command = " ".join(argv[:2])
        raise CommandError(f"`{command}` exited with {process.returncode}{words}", "its last lines say what is missing")
