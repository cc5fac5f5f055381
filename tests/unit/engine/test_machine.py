"""What a machine can do, why it cannot, and what to do then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.engine_fixtures import EmbeddedBench
from tiffin.engine.embedded import doctor
from tiffin.engine.embedded.denied import denied, explain
from tiffin.engine.embedded.machine import Machine, find_bubblewrap, masked, user_to_become
from tiffin.engine.embedded.tool import tool_argv
from tiffin.engine.findings import Level


def files(**found: str) -> Callable[[str], str]:
    return lambda path: found.get(Path(path).name, "")


@pytest.mark.parametrize(
    ("euid", "uid_map", "expected"),
    [
        (0, "0 0 4294967295\n", 65532),
        (1000, "0 0 4294967295\n", None),
        (0, "0 1000 1\n", None),
        (0, "0 1000 1\n1 100000 65536\n", 65532),
    ],
)
def test_root_becomes_somebody_else_where_there_is_somebody_else(euid: int, uid_map: str, expected: int | None) -> None:
    assert user_to_become(euid, uid_map) == expected


def test_what_the_kernel_shows_of_itself_is_masked_as_far_as_it_is_there() -> None:
    assert masked({"kcore", "acpi", "cpuinfo", "1"}) == ("/proc/kcore", "/proc/acpi/")


@pytest.mark.parametrize(
    ("found", "named", "fix"),
    [
        ({"unprivileged_userns_clone": "0\n"}, "unprivileged_userns_clone is 0", "kernel.unprivileged_userns_clone=1"),
        ({"max_user_namespaces": "0\n"}, "max_user_namespaces is 0", "user.max_user_namespaces=15000"),
        (
            {"apparmor_restrict_unprivileged_userns": "1"},
            "apparmor_restrict",
            "apparmor_restrict_unprivileged_userns=0",
        ),
        ({"status": "Name:\tx\nSeccomp:\t2\n"}, "a seccomp filter around", "seccomp=unconfined"),
        ({"max_user_namespaces": "1000\n"}, "no known setting", "dmesg"),
    ],
)
def test_the_setting_that_forbids_is_named_with_its_fix(found: dict[str, str], named: str, fix: str) -> None:
    why, hint = explain(files(**found))
    assert named in why
    assert fix in hint
    assert denied("x").code == "denied"


@pytest.mark.program("unshare")
def test_without_user_namespaces_a_start_names_the_setting(tmp_path: Path) -> None:
    EmbeddedBench(tmp_path / "data")
    code = (
        "import sys; from pathlib import Path; from contract.engine_fixtures import *\n"
        "from tiffin.errors import DeniedError\n"
        "engine = EmbeddedEngine(Path(sys.argv[1]), never_unpacked)\n"
        "layers, argv = (Digest.of(b'busybox'),), ('/bin/true',)\n"
        "spec = ContainerSpec(name='a', image='x', digest=IMAGE, layers=layers, argv=argv)\n"
        "try: engine.create(spec).start()\n"
        "except DeniedError as error: print(error.message, '|', error.hint)\n"
    )
    inside = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        [
            str(shutil.which("unshare")),
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            inside,
            "-",
            sys.executable,
            "-c",
            code,
            tmp_path / "data",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/proc/sys/user/max_user_namespaces is 0" in done.stdout, done.stderr
    assert "sysctl -w user.max_user_namespaces=15000" in done.stdout


def test_a_tool_of_the_image_runs_alone_with_the_callers_streams(tmp_path: Path) -> None:
    bench = EmbeddedBench(tmp_path / "data")
    layers = [bench.data / "unpacked" / digest.hex for digest in bench.layers]
    script = "cat; echo $A >&2; id -u; ls /proc/self/fd | wc -l; grep -c : /proc/net/dev; touch /x || exit 4"
    argv = tool_argv(layers, ["/bin/sh", "-c", script], machine=Machine.here(), env={"A": "seen", "PATH": "/bin"})
    done = subprocess.run(argv, input=b"in\n", capture_output=True, check=False)
    assert done.stdout.decode().split() == ["in", "65532", "4", "1"]
    assert (done.returncode, done.stderr.splitlines()[0]) == (4, b"seen")


def test_a_tool_that_another_has_started_does_not_run(tmp_path: Path) -> None:
    bench = EmbeddedBench(tmp_path / "data")
    layers = [bench.data / "unpacked" / digest.hex for digest in bench.layers]
    argv = tool_argv(layers, ["/bin/echo", "it runs"], machine=Machine.here())
    assert subprocess.run(["/bin/sh", "-c", '"$@"; exit 0', "-", *argv], capture_output=True, check=True).stdout == b""


def test_the_doctor_tries_a_container_and_finds_this_machine_well(tmp_path: Path) -> None:
    found = {finding.subject: finding for finding in doctor.findings(tmp_path / "not/there/yet")}
    assert found["containers"].level is Level.OK
    assert found["bubblewrap"].message == find_bubblewrap().program
    assert {"kernel", "cgroups", "disk", "container user", "subordinate ids"} <= set(found)
    assert all(finding.hint for finding in found.values() if finding.level is not Level.OK)


@pytest.mark.parametrize(
    ("release", "children", "level"),
    [("5.10.0-28-amd64", True, Level.FAIL), ("5.11.0", True, Level.OK), ("6.1-x", False, Level.FAIL)],
)
def test_a_kernel_must_be_new_enough(release: str, children: bool, level: Level) -> None:  # noqa: FBT001 - a table
    assert doctor.kernel(release, children=children).level is level


@pytest.mark.parametrize(
    ("kinds", "write", "level", "words"),
    [
        (["cgroup2"], True, Level.OK, "v2, writable"),
        (["cgroup2"], False, Level.WARN, "v2, not writable"),
        (["cgroup", "cgroup2"], True, Level.OK, "hybrid v1 and v2"),
        (["cgroup"], False, Level.WARN, "v1, not writable"),
        ([], True, Level.WARN, "absent"),
    ],
)
def test_cgroups_are_told_apart(kinds: list[str], write: bool, level: Level, words: str) -> None:  # noqa: FBT001
    mountinfo = "\n".join(f"1 2 0:1 / /x rw - {kind} {kind} rw" for kind in kinds)
    found = doctor.cgroups(mountinfo, "0::/user.slice\n", lambda _: write)
    assert found.level is level
    assert words in found.message


@pytest.mark.parametrize(
    ("subuid", "program", "level"),
    [
        ("ada:100000:65536\n", True, Level.OK),
        ("ada:100000:65536\n", False, Level.WARN),
        ("bob:1:1\n", True, Level.WARN),
    ],
)
def test_subordinate_ids_need_both_a_line_and_a_program(subuid: str, program: bool, level: Level) -> None:  # noqa: FBT001
    assert doctor.subordinate_ids("ada", subuid, program=program).level is level


def test_a_network_of_its_own_needs_a_program() -> None:
    assert doctor.outbound(("slirp4netns",)).level is Level.OK
    assert doctor.outbound(()).hint == "`sudo apt-get install passt`"


def test_a_machine_without_programs_in_memory_has_no_exec() -> None:
    assert [doctor.programs_in_memory(setting) for setting in ("", "0\n", "1\n")] == [[], [], []]
    assert doctor.programs_in_memory("2\n")[0].level is Level.WARN
