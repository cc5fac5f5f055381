"""Which program builds a Dockerfile and with which words: decided without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiffin.engine.builders import Builder, Request, build_dockerfile, docker_kind, find_builder
from tiffin.errors import CommandError, NotFoundError, UnsupportedError

REQUEST = Request(
    dockerfile=Path("/p/Dockerfile"), folder=Path("/p"), arguments=("A=1", "B=2"), target="run", network="host"
)


def builder(name: str, shown: str = "") -> Builder:
    return Builder(name=name, program=f"/usr/bin/{name}", shown=shown or name)


def program(folder: Path, name: str, script: str) -> Path:
    """Write a shell script that stands in the PATH for a program that may be broken."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_everything_that_is_asked_for_is_said_to_docker() -> None:
    assert builder("docker").build_argv(REQUEST, Path("/id")) == [
        *("/usr/bin/docker", "build", "--iidfile", "/id", "--build-arg", "A=1", "--build-arg", "B=2"),
        *("--target", "run", "--network", "host", "--file", "/p/Dockerfile", "/p"),
    ]


def test_what_is_not_asked_for_is_left_out() -> None:
    plain = Request(dockerfile=Path("D"), folder=Path())
    assert builder("podman").build_argv(plain, Path("id")) == [
        *("/usr/bin/podman", "build", "--iidfile", "id", "--file", "D", ".")
    ]
    assert builder("buildah").build_argv(plain, Path("id"))[1:3] == ["bud", "--layers"]


def test_buildx_is_told_to_bring_the_image_here() -> None:
    assert "--load" in builder("docker", "docker with buildx").build_argv(REQUEST, Path("id"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("docker", ["save", "--output", "a.tar", "sha256:1"]),
        ("podman", ["save", "--format", "oci-archive", "--output", "a.tar", "sha256:1"]),
        ("buildah", ["push", "sha256:1", "oci-archive:a.tar"]),
    ],
)
def test_each_saves_an_archive_in_its_own_words(name: str, words: list[str]) -> None:
    assert builder(name).save_argv("sha256:1", Path("a.tar")) == [f"/usr/bin/{name}", *words]


@pytest.mark.parametrize(
    ("version", "asked", "buildx", "shown", "variable"),
    [
        ("20.10.24", "", False, "docker with BuildKit", "1"),
        ("20.10.24", "0", False, "docker, classic", "0"),
        ("28.2.2", "", False, "docker, classic", "0"),
        ("28.2.2", "1", False, "docker, classic", "0"),
        ("28.2.2", "", True, "docker with buildx", "1"),
        ("28.2.2", "0", True, "docker, classic", "0"),
    ],
)
def test_docker_builds_with_what_it_has(version: str, asked: str, *, buildx: bool, shown: str, variable: str) -> None:
    said, env = docker_kind(version, asked, buildx=buildx)
    assert (said, env["DOCKER_BUILDKIT"]) == (shown, variable)


def test_without_a_working_program_each_says_why(tmp_path: Path) -> None:
    program(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(
        UnsupportedError, match=r"docker: Cannot connect.*podman: not installed; buildah: not"
    ) as refused:
        find_builder(environment={"PATH": str(tmp_path)})
    assert "tiffin init" in (refused.value.hint or "")


def test_the_first_that_works_is_taken(tmp_path: Path) -> None:
    program(tmp_path, "docker", "exit 1")
    there = program(tmp_path, "podman", "echo 4.3.1")
    found = find_builder(environment={"PATH": str(tmp_path)})
    assert (found.name, found.program) == ("podman", str(there))


def test_an_unknown_builder_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="kaniko"):
        find_builder("kaniko")


def test_a_failed_build_quotes_the_programs_last_words(tmp_path: Path) -> None:
    broken = program(tmp_path, "docker", "echo 'no such package: sklern'; exit 7")
    with pytest.raises(CommandError, match=r"exited with 7\n    no such package: sklern"):
        build_dockerfile(Builder(name="docker", program=str(broken), shown="docker"), REQUEST, tmp_path, os.environ)
