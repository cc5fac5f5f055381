"""`ci init`: write the file by which a CI system releases a project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tiffin.api.building.projects import Checkout
from tiffin.durable import renamed
from tiffin.errors import ConflictError
from tiffin.progress import note
from tiffin.release.ci import github, gitlab
from tiffin.release.ci.project import ci_project, is_ours
from tiffin.release.plan import Source, plan_release

SYSTEMS = {"github": (github.FILE, github.workflow), "gitlab": (gitlab.FILE, gitlab.pipeline)}


def init(folder: Path, system: str, *, branch: str = "main", requirements: str = "", force: bool = False) -> str:
    """Write the file at the top of the project's repository, and return its path.

    Raises ConflictError for one that somebody else wrote, or has changed since, unless it is forced.
    """
    checkout = Checkout.of(folder)
    plan_release(checkout.project, Source())  # what cannot be released has no file
    top = _top(checkout.folder)
    name, write = SYSTEMS[system]
    project = ci_project(checkout.project, checkout.folder.relative_to(top).as_posix(), branch, requirements)
    text, path = write(project), top / name
    if path.exists() and not force and not is_ours(path.read_text("utf-8", "replace")):
        raise ConflictError(
            f"{path} was not written by `tiffin ci init`, or was changed since",
            f"move what is yours elsewhere, or write over it: `tiffin ci init --{system} --force`",
        )
    for elsewhere in project.elsewhere:
        note(f"{elsewhere} is this machine, which no runner reaches: it is left out of {name}")
    if not path.exists() or path.read_text("utf-8", "replace") != text:
        with renamed(path) as file:
            file.write(text.encode())
    return str(path)


def _top(folder: Path) -> Path:
    """Where the repository begins; without git, the project's folder."""
    program = shutil.which("git")
    if not program:
        return folder
    argv = [program, "-C", str(folder), "rev-parse", "--show-toplevel"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    return Path(done.stdout.strip()) if done.returncode == 0 else folder
