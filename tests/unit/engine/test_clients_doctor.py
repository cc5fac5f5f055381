"""What docker and podman can do on a machine, told from what they say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.engine.clients import doctor
from tiffin.engine.clients.doctor import DockerInfo, Limits, PodmanInfo
from tiffin.engine.findings import Finding, Level

FREE = Limits(files=1 << 20, processes=1 << 20, may_raise=False, configured=False)
TIGHT = Limits(files=4096, processes=4096, may_raise=False, configured=False)


def podman(limits: Limits = FREE, **host: object) -> list[Finding]:
    described = {"security": {"rootless": False}, "cgroupVersion": "v2", "ociRuntime": {"name": "crun"}} | host
    text = {"host": described, "store": {"graphDriverName": "overlay"}, "version": {"Version": "5.4.2"}}
    return doctor.podman(msgspec.json.decode(msgspec.json.encode(text), type=PodmanInfo), limits)


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """An environment in which one of them says this."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def test_a_podman_that_lacks_nothing_is_one_good_finding() -> None:
    assert podman() == [
        Finding(level=Level.OK, subject="podman", message="5.4.2 answers, overlay, cgroups v2, as root, with crun")
    ]


@pytest.mark.parametrize(
    ("found", "subject", "fix"),
    [
        (podman(cgroupVersion="v1"), "podman's runtime", 'runtime = "runc"'),
        (podman(TIGHT), "podman's limits", 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]'),
        (podman(security={"rootless": True}), "podman's network", "apt-get install passt"),
    ],
)
def test_what_stands_in_podmans_way_is_found_with_its_fix(found: list[Finding], subject: str, fix: str) -> None:
    assert [(finding.level, finding.subject) for finding in found[1:]] == [(Level.WARN, subject)]
    assert fix in found[1].hint


def test_limits_matter_only_to_a_root_who_can_neither_raise_nor_lower_them() -> None:
    assert doctor.refused_limits(TIGHT, rootless=False)
    assert not doctor.refused_limits(TIGHT, rootless=True)
    assert not doctor.refused_limits(msgspec.structs.replace(TIGHT, may_raise=True), rootless=False)
    assert not doctor.refused_limits(msgspec.structs.replace(TIGHT, configured=True), rootless=False)


def test_limits_that_are_configured_are_seen(tmp_path: Path) -> None:
    conf = tmp_path / "containers.conf"
    conf.write_text("[containers]\n# default_ulimits = []\n")
    assert not Limits.here({"CONTAINERS_CONF": str(conf)}).configured
    conf.write_text('[containers]\ndefault_ulimits = ["nofile=4096:4096"]\n')
    assert Limits.here({"CONTAINERS_CONF": str(conf)}).configured


def test_docker_is_said_to_be_roots_unless_it_is_rootless() -> None:
    info = DockerInfo(server_version="28.2.2", driver="overlay2", cgroup_version="2")
    assert "it is root's" in doctor.docker(info).message
    assert doctor.docker(msgspec.structs.replace(info, security_options=["name=rootless"])).message.endswith("is yours")


def test_what_is_not_installed_is_not_missed(tmp_path: Path) -> None:
    found = doctor.findings({"PATH": str(tmp_path)})
    assert [(finding.level, finding.subject) for finding in found] == [(Level.OK, "docker"), (Level.OK, "podman")]


def test_a_daemon_that_does_not_answer_is_a_warning_with_the_command_that_starts_it(tmp_path: Path) -> None:
    words = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    found = doctor.findings(program(tmp_path, "docker", f"echo '{{}}'; echo '{words}' >&2; exit 1"))[0]
    assert (found.level, found.message) == (
        Level.WARN,
        "docker's daemon does not answer at unix:///var/run/docker.sock",
    )
    assert found.hint.startswith("start it: `sudo systemctl start docker`")


def test_a_program_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANSWER_SECONDS", 0.2)
    found = doctor.findings(program(tmp_path, "podman", "exec /bin/sleep 600"))[1]
    assert (found.level, found.message) == (Level.WARN, "`podman info` did not answer within 0.2 s")


@pytest.mark.program("podman")
def test_the_podman_of_this_machine_is_understood() -> None:
    found = {finding.subject: finding for finding in doctor.findings()}
    assert "answers" in found["podman"].message
