"""What is killed: verbs on a home that is made anew where a verb has come to its end."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from end_to_end.small import Downloads, check_store, environment, left_over, run_tiffin, tiffin, write_project
from faulty_registry import FaultyRegistry
from tiffin.packages.lock import FILENAME

NAME = "small"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A home with downloads, the project, an archive of its image, and a registry that has it as team/small:1."""

    top: Path
    downloads: Downloads
    registry: FaultyRegistry
    held: dict[str, Any] = {}
    """What the registry has of the image."""

    @property
    def home(self) -> Path:
        """Where everything is kept."""
        return self.top / "home"

    @property
    def project(self) -> Path:
        """What is built."""
        return self.top / "project"

    @property
    def archive(self) -> Path:
        """What is loaded."""
        return self.top / "small.tar"

    @property
    def remote(self) -> str:
        """What the registry calls the image."""
        return f"{self.registry.host}/team/{NAME}:1"

    def prepare(self) -> None:
        """Build, save and push the image once."""
        self.downloads.copy(self.home)
        write_project(self.project)
        (self.project / FILENAME).write_bytes(self.downloads.lock.read_bytes())
        tiffin(self.home, "build", self.project)
        tiffin(self.home, "save", NAME, "-o", self.archive)
        tiffin(self.home, "push", NAME, self.remote)
        self.held.update(blobs=dict(self.registry.blobs), manifests=dict(self.registry.manifests))

    def command(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start tiffin in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "tiffin", *map(str, arguments)],
            env=environment(self.home, TIFFIN_PROGRESS="none"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def check(self) -> None:
        """Assert that every blob is what its name says, and every name leads to a whole image."""
        names = check_store(self.home)
        assert set(names.values()) <= {self.downloads.digest}, names
        for digest, data in list(self.registry.blobs.items()):
            assert digest.rpartition(":")[2] == _hex(data)

    def forget_images(self) -> None:
        """Have downloads and nothing else."""
        for path in ("blobs", "unpacked", "begun", "index.json", "tmp"):
            found = self.home / "data" / path
            shutil.rmtree(found, ignore_errors=True) if found.is_dir() else found.unlink(missing_ok=True)
        shutil.rmtree(self.home / "cache" / "records", ignore_errors=True)

    def forget_remote(self) -> None:
        """Let the registry have nothing."""
        self.registry.blobs, self.registry.manifests = {}, {}
        self.registry.uploads.clear()

    def remember_remote(self) -> None:
        """Let the registry have the image."""
        self.registry.blobs, self.registry.manifests = dict(self.held["blobs"]), dict(self.held["manifests"])


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is done and killed: what makes it new, what it is, and how its good end is seen."""

    name: str
    forget: Callable[[Place], None]
    words: Callable[[Place], Sequence[object]]
    finish: Callable[[Place], None]
    """Do it again to its end, after it was killed, and see that the end is right."""
    seconds: float = 1.0
    """About how long it takes: kills fall into this time and a little beyond."""


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _again(place: Place, *words: object) -> None:
    tiffin(place.home, *words)
    assert left_over(place.home / "data", place.home / "cache") == []
    place.check()


def _build(place: Place) -> None:
    _again(place, "build", place.project)
    assert check_store(place.home)["small:latest"] == place.downloads.digest


def _pull(place: Place) -> None:
    _again(place, "pull", place.remote)
    assert check_store(place.home)[place.remote] == place.downloads.digest


def _load(place: Place) -> None:
    _again(place, "load", "-i", place.archive)
    assert check_store(place.home)["small:latest"] == place.downloads.digest


def _push(place: Place) -> None:
    _again(place, "push", NAME, f"{place.registry.host}/team/{NAME}:2")
    assert "2" in place.registry.manifests
    manifest = json.loads(place.registry.manifests["2"][1])
    assert all(part["digest"] in place.registry.blobs for part in (manifest["config"], *manifest["layers"]))


def _run(place: Place) -> None:
    for row in json.loads(tiffin(place.home, "ps", "--all", "--json")):
        tiffin(place.home, "rm", "--force", row["name"])
    tiffin(place.home, "run", NAME, "-d", "--name", "k", "-p", "0")
    try:
        assert tiffin(place.home, "predict", "k", '["a b", "c"]') == '{"predictions":[2,1]}'
    finally:
        tiffin(place.home, "rm", "-f", "k")
    assert left_over(place.home / "data") == []


def _prune(place: Place) -> None:
    _again(place, "prune")
    assert set(check_store(place.home).values()) == {place.downloads.digest}
    assert json.loads(tiffin(place.home, "prune", "--plan", "--json"))["garbage"] == []


def _with_garbage(place: Place) -> None:
    """Have an image without a name beside the one with a name."""
    _rebuilt(place)
    code = place.project / "parts" / "words.py"
    text = code.read_text()
    code.write_text(text + f"# {len(list(place.home.rglob('*')))}\n")
    tiffin(place.home, "build", place.project, "-t", "other")
    tiffin(place.home, "rmi", "other")
    code.write_text(text)


def _rebuilt(place: Place) -> None:
    """Have the image."""
    if run_tiffin(place.home, "inspect", NAME).returncode:
        tiffin(place.home, "build", place.project)


def _unpacked_nothing(place: Place) -> None:
    """Have the image, and nothing of it unpacked."""
    _rebuilt(place)
    shutil.rmtree(place.home / "data" / "unpacked", ignore_errors=True)


def _pulled_nothing(place: Place) -> None:
    place.forget_images()
    place.remember_remote()


def _pushed_nothing(place: Place) -> None:
    _rebuilt(place)
    place.forget_remote()


VERBS = (
    Verb(name="build", forget=Place.forget_images, words=lambda p: ("build", p.project), finish=_build, seconds=2.5),
    Verb(name="pull", forget=_pulled_nothing, words=lambda p: ("pull", p.remote), finish=_pull, seconds=0.7),
    Verb(name="load", forget=Place.forget_images, words=lambda p: ("load", "-i", p.archive), finish=_load, seconds=0.7),
    Verb(
        name="push",
        forget=_pushed_nothing,
        words=lambda p: ("push", NAME, f"{p.registry.host}/team/{NAME}:2"),
        finish=_push,
    ),
    Verb(
        name="unpack",
        forget=_unpacked_nothing,
        words=lambda _: ("run", NAME, "--name", "k", "-p", "0"),
        finish=_run,
        seconds=1.5,
    ),
    Verb(name="run", forget=_rebuilt, words=lambda _: ("run", NAME, "--name", "k", "-p", "0"), finish=_run),
    Verb(
        name="run detached",
        forget=_rebuilt,
        words=lambda _: ("run", NAME, "-d", "--name", "k", "-p", "0"),
        finish=_run,
    ),
    Verb(name="prune", forget=_with_garbage, words=lambda _: ("prune",), finish=_prune, seconds=0.4),
)
