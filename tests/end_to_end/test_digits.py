"""The digits example, from its folder to production, as the people of a team would do it: by commands alone.

What is asked is real: pictures that scikit-learn ships, and the digits that people read in them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_digits

from end_to_end.small import environment, manifest_of, run_tiffin, tiffin
from end_to_end.test_release import KILLED_AT, supervised
from programs.registry import registry
from scripts.script import appears, matches
from tiffin.packages.lock import FILENAME

pytestmark = pytest.mark.program("docker-registry")
EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
REGISTRY = "127.0.0.1:5000"
"""The registry that the example names."""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TRAINED = ("model.onnx", FILENAME, "team.key", "team.pub")


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A folder with the example's files, trained and locked, the home of the machine, and a registry."""

    home: Path
    folder: Path
    registry: str

    @property
    def repository(self) -> str:
        return f"{self.registry}/team/{self.folder.name}"

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Type a command in the folder."""
        return subprocess.run(
            [sys.executable, "-m", "tiffin", *map(str, words)],
            cwd=self.folder,
            env=environment(self.home, TIFFIN_PROGRESS="plain"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def released(self, *words: object) -> str:
        """Release to the end, and return the image."""
        done = self.run("release", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def tags(self) -> dict[str, str]:
        """What each tag of the registry means."""
        names = tiffin(self.home, "tags", self.repository).split()
        return {
            name: digest_of(f"http://{self.registry}/v2/team/{self.folder.name}/manifests/{name}") for name in names
        }

    def runs(self) -> dict[str, str]:
        """The image that each service runs."""
        return {
            service["name"].removeprefix(self.folder.name).removeprefix("-") or "production": revision["image"]
            for service in self._services()
            for revision in json.loads(tiffin(self.home, "status", service["name"], "--json"))["revisions"]
            if revision["weight"]
        }

    def reads(self, environment: str, pictures: np.ndarray) -> list[int]:
        """Have a service read pictures."""
        name = self.folder.name if environment == "production" else f"{self.folder.name}-{environment}"
        rows = self.folder / "rows.json"
        rows.write_text(json.dumps(pictures.tolist()))
        answer = json.loads(tiffin(self.home, "predict", name, f"@{rows}"))
        digits: list[int] = answer["predictions"]
        return digits

    def _services(self) -> list[dict[str, Any]]:
        services = json.loads(tiffin(self.home, "status", "--json"))
        return [one for one in services if one["name"].startswith(self.folder.name)]


def digest_of(url: str) -> str:
    """What a registry says that a tag means."""
    asked = urllib.request.Request(url, method="HEAD", headers={"Accept": MANIFEST})  # noqa: S310 - on this machine
    with urllib.request.urlopen(asked, timeout=30) as response:  # noqa: S310 - as above
        return str(response.headers["Docker-Content-Digest"])


def train(folder: Path, *words: object) -> str:
    """Train in a folder, and return what was said."""
    program = [sys.executable, str(folder / "train.py"), *map(str, words)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(program, check=True, capture_output=True, text=True, timeout=120, env=alone).stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A machine that keeps services, with the example trained and locked once, and a registry."""
    folder, home = tmp_path_factory.mktemp("example") / "digits", tmp_path_factory.mktemp("home")
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(*TRAINED, "checks"))
    assert re.search(r"trained on 1437 pictures, right on 9[789]\.\d% of 360 others", train(folder))
    tiffin(home, "sign", "--generate-key", folder / "team")
    with (folder / "tiffin.toml").open("a") as file:
        file.write("[image]\nbytecode = false # a second less for each test\n")
    tiffin(home, "lock", folder)
    with registry() as address, supervised(home):
        yield Team(home=home, folder=folder, registry=address)


@pytest.fixture
def team(machine: Team, tmp_path: Path, request: pytest.FixtureRequest) -> Team:
    """The same folder again under a name that no other test has."""
    number = list(request.session.items).index(request.node)
    team = msgspec.structs.replace(machine, folder=tmp_path / f"digits{number}")
    shutil.copytree(machine.folder, team.folder)
    path = team.folder / "tiffin.toml"
    text = path.read_text().replace(REGISTRY, machine.registry)
    path.write_text(text.replace("team/digits", f"team/{team.folder.name}").replace('"digits', f'"{team.folder.name}'))
    return team


def test_a_model_of_pictures_goes_from_its_folder_to_production(team: Team) -> None:
    planned = team.run("release", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert not team.runs()
    reports = team.folder / "junit.xml", team.folder / "scan.sarif"
    waits = team.run("release", "--junit", reports[0], "--sarif", reports[1])
    assert waits.returncode == 5
    assert appears(
        [
            "test      ready, and 1 of 1 checks answered…",
            "deploy-staging 1 of 1 replicas ready, http://127.0.0.1:…",
            "deploy-production waits for somebody to approve…",
            f"error: the release of {team.folder.name} stops before deploy-production: production waits for …",
            "hint: `tiffin release --approve production` goes on; …",
        ],
        waits.stderr,
    ), waits.stderr
    assert list(team.runs()) == ["staging"]
    assert_waiting(*reports)
    image = team.released("--approve", "production")
    assert team.runs() == {"production": image, "staging": image}
    assert_published(team, image)
    data = load_digits()
    for place in ("staging", "production"):
        read = team.reads(place, data.images)
        assert np.mean(np.array(read) == data.target) > 0.97
    assert team.released() == image, "what runs needs no approval"


def assert_waiting(junit: Path, sarif: Path) -> None:
    """What CI shows of a release that waits: nothing has failed, and the check's answer is a case of its own."""
    suite = ET.fromstring(junit.read_text()).find("testsuite")  # noqa: S314 - written a moment ago by what is tested
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors", "0")) == ("0", "0")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases["deploy-production"] == ["skipped"]
    assert cases.keys() >= {"test", "checks/pictures.json"}
    [run] = json.loads(sarif.read_text())["runs"]
    assert run["results"] == []
    assert run["invocations"] == [{"executionSuccessful": True}]


def assert_published(team: Team, image: str) -> None:
    """The very image that was tested is what the tags mean, and its signature and bill of materials are beside it."""
    name, _, digest = image.partition("@")
    assert name == team.repository
    assert team.tags() == {"latest": digest, f"1-{digest.removeprefix('sha256:')[:12]}": digest}
    assert digest in tiffin(team.home, "verify", image, "--key", team.folder / "team.pub")
    packages = json.loads(tiffin(team.home, "sbom", image))
    assert "onnxruntime" in {one["name"] for one in packages["components"]}
    elsewhere = team.home / "elsewhere"
    tiffin(elsewhere, "pull", image)
    assert manifest_of(elsewhere, digest) == manifest_of(team.home, digest)
    assert "onnxruntime" in tiffin(elsewhere, "sbom", digest)


def test_a_model_that_learned_too_little_stops_before_the_registry_and_changes_nothing(team: Team) -> None:
    team.released("--approve", "production")
    tags, runs = team.tags(), team.runs()
    good = (team.folder / "model.onnx").read_bytes()
    train(team.folder, "--rows", 20)
    junit = team.folder / "junit.xml"
    done = team.run("release", "--approve", "production", "--junit", junit)
    assert done.returncode == 10
    assert f"the release of {team.folder.name} stopped at test" in done.stderr
    assert "the check checks/pictures.json was answered wrongly: expected" in done.stderr
    assert "`tiffin release --approve production` goes on from there" in done.stderr
    assert not re.search(r"^(push|tag|deploy)", done.stderr, re.MULTILINE)
    assert "checks/pictures.json was answered wrongly" in junit.read_text()
    assert (team.tags(), team.runs()) == (tags, runs)
    (team.folder / "model.onnx").write_bytes(good)
    assert team.released() == runs["production"]


def test_an_environment_that_does_not_come_up_is_taken_back_and_told(team: Team) -> None:
    first = team.released("--approve", "production")
    change(team, 'version = "1"', 'version = "2"')
    change(team, "approval = true", 'approval = true\nmemory = "16Mi"')
    done = team.run("release", "--approve", "production")
    assert done.returncode == 10
    assert "stopped at deploy-production" in done.stderr
    assert "does not come up" in done.stderr
    assert "back to revision 1" in done.stderr
    assert f"`tiffin events {team.folder.name}` and `tiffin logs {team.folder.name}`" in done.stderr
    runs = team.runs()
    assert runs["production"] == first
    assert runs["staging"] != first
    assert team.reads("production", load_digits().images[:10]) == list(range(10))
    change(team, '\nmemory = "16Mi"', "")
    second = team.released("--approve", "production")
    assert team.runs() == {"production": second, "staging": second}


def change(team: Team, old: str, new: str) -> None:
    path = team.folder / "tiffin.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_release_that_is_killed_between_push_and_tag_goes_on(team: Team) -> None:
    first = team.released("--approve", "production")
    before = team.tags()
    change(team, 'version = "1"', 'version = "2"')
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, "push", "release", "--approve", "production"],
        cwd=team.folder,
        env=environment(team.home),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert team.tags() == before
    assert set(team.runs().values()) == {first}
    done = team.run("release", "--approve", "production", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    already = {step["name"] for step in told["steps"] if step["state"] == "already"}
    assert already == {"test", "scan", "push"}
    second = told["reference"]
    assert second != first
    assert set(team.runs().values()) == {second}
    assert team.tags()["latest"] == second.partition("@")[2]
    assert before.items() - {("latest", before["latest"])} <= team.tags().items(), "the last release can be found"


def test_the_pages_of_the_example_are_what_tiffin_writes(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(*TRAINED, "checks", ".git*"))
    for system, name in (("github", ".github/workflows/tiffin.yml"), ("gitlab", ".gitlab-ci.yml")):
        assert run_tiffin(tmp_path / "home", "ci", "init", folder, f"--{system}").stdout.strip() == str(folder / name)
        assert (folder / name).read_text() == (EXAMPLE / name).read_text(), f"`tiffin ci init --{system}`"
    printed = (EXAMPLE / "README.md").read_text().partition("    $ tiffin release --plan\n")[2].partition("\n##")[0]
    expected = [line.removeprefix("    ") for line in printed.rstrip().splitlines()]
    assert matches(expected, tiffin(tmp_path / "home", "release", folder, "--plan"))
