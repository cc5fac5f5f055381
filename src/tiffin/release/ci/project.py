"""What a CI system's file is written from, and how it is known again as ours. Pure."""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex
from collections.abc import Sequence

import msgspec

from tiffin import __version__
from tiffin.config.deploy import EnvironmentSection
from tiffin.config.project import Project
from tiffin.errors import ConfigError

MARK = "# Written by `tiffin ci init`"
PYTHON = "3.11"
"""The Python that tiffin runs on in CI; the image's own is the project's to say."""
_SUM = re.compile(r"# sha256:([0-9a-f]{64})")
_SAFE = re.compile(r"[A-Za-z0-9._/-]+")


class CiEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that a CI system deploys to, and whether somebody approves first."""

    name: str
    approval: bool = False

    @property
    def job(self) -> str:
        """The job that deploys to it; the names of jobs have no dots."""
        return f"deploy-{self.name.replace('.', '-')}"


class CiProject(msgspec.Struct, frozen=True, kw_only=True):
    """What is released from which folder of the repository; `elsewhere` are environments that no runner reaches.

    `requirements` is a file of hashes to install tiffin from; without one its version alone is pinned.
    """

    name: str
    folder: str = "."
    branch: str = "main"
    push: str = ""
    signs: bool = False
    scanner: str = ""
    requirements: str = ""
    environments: tuple[CiEnvironment, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def registry(self) -> str:
        """The host that is logged in to."""
        return self.push.partition("/")[0]


def ci_project(project: Project, folder: str, branch: str, requirements: str = "") -> CiProject:
    """Take from a project what its CI file says; raises ConfigError for words that no such file may have."""
    for what, word in (("folder", folder), ("branch", branch), ("file of requirements", requirements or ".")):
        if not _SAFE.fullmatch(word) or word.startswith("-"):
            raise ConfigError(f"not the name of a {what}: {word!r}", "name one of letters, digits and . _ / -")
    said = [(name, project.environment[name]) for name in project.release.environments]
    _refuse_unreachable(said)
    _refuse_same_job([CiEnvironment(name=name) for name, _ in said])
    return CiProject(
        name=project.name,
        folder=folder,
        branch=branch,
        push=project.release.push,
        signs=bool(project.release.sign.key),
        scanner=project.release.scanner,
        requirements=requirements,
        environments=tuple(
            CiEnvironment(name=name, approval=section.approval)
            for name, section in said
            if section.target == "kubernetes"
        ),
        elsewhere=tuple(name for name, section in said if section.target != "kubernetes"),
    )


def _refuse_unreachable(said: Sequence[tuple[str, EnvironmentSection]]) -> None:
    """Refuse one machine's environment before a cluster's: no runner could ask it whether it is well."""
    for (name, section), (later, behind) in itertools.pairwise(said):
        if section.target != "kubernetes" and behind.target == "kubernetes":
            raise ConfigError(
                f"{later} comes after {name}, which is one machine that no runner can ask whether it is well",
                f"write {name} last in `[release] environments`",
            )


def _refuse_same_job(environments: Sequence[CiEnvironment]) -> None:
    named: dict[str, str] = {}
    for environment in environments:
        other = named.setdefault(environment.job, environment.name)
        if other != environment.name:
            raise ConfigError(
                f"{other} and {environment.name} would be the same job: {environment.job}", "rename one of them"
            )


def install(project: CiProject) -> str:
    """The command that brings tiffin onto a runner."""
    pip = "python -m pip install --disable-pip-version-check --no-input"
    if project.requirements:
        return f"{pip} --require-hashes -r {shlex.quote(project.requirements)}"
    return f"{pip} tiffin=={__version__}"


def release(project: CiProject, *words: str) -> str:
    """The command of a job; the reports are where every job leaves them."""
    folder = [] if project.folder == "." else [project.folder]
    return " ".join(["tiffin release", *words, *folder, "--junit junit.xml --sarif scan.sarif"])


def checks(project: CiProject) -> str:
    """The command that pushes nothing and needs no secret."""
    return release(project, "--only test", "--only scan", "--only attest")


def releases(project: CiProject) -> str:
    """The command that makes the image and brings it to its registry; environments have jobs of their own."""
    skipped = [*(environment.name for environment in project.environments), *project.elsewhere]
    return release(project, *(f"--skip deploy-{name}" for name in skipped))


def promotes(environment: CiEnvironment) -> str:
    """The command that deploys an image by its digest, behind the gate of the environment."""
    approve = [f"--approve {environment.name}"] if environment.approval else []
    return " ".join(["tiffin release", f"--to {environment.name}", *approve, '"$IMAGE"'])


def signed(lines: Sequence[str]) -> str:
    """The whole file: a head that says who wrote it and the digest of the rest."""
    body = "\n".join(lines) + "\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"{MARK} (tiffin {__version__}); after a change of tiffin.toml run it again.\n# sha256:{digest}\n{body}"


def is_ours(text: str) -> bool:
    """Say whether a file is as `ci init` wrote it, and nobody has changed it since."""
    head, _, rest = text.partition("\n")
    line, _, body = rest.partition("\n")
    found = _SUM.fullmatch(line)
    return head.startswith(MARK) and bool(found) and found[1] == hashlib.sha256(body.encode()).hexdigest()  # type: ignore[index]
