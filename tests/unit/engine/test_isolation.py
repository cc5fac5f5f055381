"""What a container of the embedded engine can do to the machine: nothing. Asked from inside, of the kernel."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from contract.engine_fixtures import EmbeddedBench, executed, make_layer, ready
from tiffin.engine.embedded.machine import CONTAINER_USER
from tiffin.engine.spec import Mount
from tiffin.errors import ConfigError

CALLS = """
import ctypes, errno, json, os
libc = ctypes.CDLL(None, use_errno=True)
def ask(name, *args):
    ctypes.set_errno(0)
    result = libc.syscall(NUMBERS[name], *args)
    return 0 if result >= 0 else ctypes.get_errno()
"""
NUMBERS = {
    "x86_64": """
        mount 165 umount2 166 unshare 272 setns 308 ptrace 101 clone3 435 keyctl 250 bpf 321 chroot 161
        perf_event_open 298 pivot_root 155 process_vm_readv 310 userfaultfd 323 io_uring_setup 425 clone 56
        socket 41 personality 135 ioctl 16 init_module 175 kexec_load 246 getpid 39 newest 999 open_tree 428""",
    "aarch64": """
        mount 40 umount2 39 unshare 97 setns 268 ptrace 117 clone3 435 keyctl 219 bpf 280 chroot 51
        perf_event_open 241 pivot_root 41 process_vm_readv 270 userfaultfd 282 io_uring_setup 425 clone 220
        socket 198 personality 92 ioctl 29 init_module 105 kexec_load 104 getpid 172 newest 999 open_tree 428""",
}
DENIED = [
    "mount", "umount2", "unshare", "setns", "ptrace", "keyctl", "bpf", "chroot", "perf_event_open", "pivot_root",
    "process_vm_readv", "userfaultfd", "io_uring_setup", "init_module", "kexec_load", "open_tree",
]  # fmt: skip
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class ExecBench(EmbeddedBench):
    """The same questions, asked by a program that joins a container which runs already."""

    def run(self, script: str, **more: Any) -> tuple[int, list[str]]:
        argv = more.pop("argv", ("/bin/sh", "-c", script))
        container = self.engine.create(self.spec(f"run-{time.monotonic_ns()}", "sleep 600", **more))
        container.start()
        code, out, err = executed(container, *argv)
        sys.stderr.write(err)
        container.remove(force=True)
        return code, out.splitlines()


@pytest.fixture(params=[EmbeddedBench, ExecBench], ids=["run", "exec"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> EmbeddedBench:
    made: EmbeddedBench = request.param(tmp_path / "data")
    return made


def asked(bench: EmbeddedBench, expressions: list[str]) -> list[int]:
    words = iter(NUMBERS[os.uname().machine].split())
    numbers = {name: int(number) for name, number in zip(words, words, strict=True)}
    body = "print(json.dumps([" + ", ".join(expressions) + "]))"
    code, lines = bench.python(f"NUMBERS = {numbers!r}\n{CALLS}\n{body}")
    assert code == 0
    return list(json.loads(lines[0]))


def test_system_calls_that_no_container_needs_are_not_permitted(bench: EmbeddedBench) -> None:
    found = asked(bench, [f"ask({name!r}, 0, 0, 0, 0, 0)" for name in DENIED])
    assert {name: errno.errorcode.get(number) for name, number in zip(DENIED, found, strict=True)} == dict.fromkeys(
        DENIED, "EPERM"
    )


def test_system_calls_are_decided_by_argument_where_it_matters(bench: EmbeddedBench) -> None:
    user_namespace, vsock, cipher, unix, type_into_terminal = 0x10000000, 40, 38, 1, 0x5412
    found = asked(
        bench,
        [
            f"ask('clone', {user_namespace} | 17, 0, 0, 0, 0)",
            "ask('clone3', 0, 0)",
            f"ask('socket', {vsock}, 1, 0)",
            f"ask('socket', {cipher}, 5, 0)",
            f"ask('socket', {unix}, 1, 0)",
            f"ask('ioctl', 0, {type_into_terminal}, 0)",
            "ask('personality', 0x0040000)",
            "ask('personality', 0xffffffff)",
            "ask('newest')",
            "ask('getpid')",
        ],
    )
    assert found == [
        errno.EPERM, errno.ENOSYS, errno.EPERM, errno.EPERM, 0, errno.EPERM, errno.EPERM, 0, errno.ENOSYS, 0,
    ]  # fmt: skip


def test_threads_and_processes_work_under_the_filter(bench: EmbeddedBench) -> None:
    code = (
        "import threading, os, _thread\n"
        "thread = threading.Thread(target=lambda: print('thread', flush=True)); thread.start(); thread.join()\n"
        "pid = os.fork()\n"
        "os.execv('/bin/echo', ['echo', 'child']) if not pid else os.waitpid(pid, 0)\n"
    )
    assert bench.python(code) == (0, ["thread", "child"])


def test_it_has_no_capability_no_new_privileges_and_a_filter(bench: EmbeddedBench) -> None:
    _, lines = bench.run("cat /proc/self/status")
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_root_inside_has_no_capability_either(bench: EmbeddedBench) -> None:
    _, lines = bench.run("grep -E 'CapEff|CapBnd' /proc/self/status; id -u", user=(0, 0))
    assert [line.split()[-1] for line in lines] == ["0" * 16, "0" * 16, "0"]


def test_the_outside_id_is_never_0(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    container.start()
    outside = Path(f"/proc/{container.state().pid}/uid_map").read_text().split()
    container.stop(0)
    assert outside == ["65532", str(os.geteuid() or CONTAINER_USER), "1"]


@AS_ROOT
def test_as_root_neither_the_container_nor_its_keeper_is_root_or_has_groups(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("a", "serve"))
    container.start()
    pid = container.state().pid
    while pid != 1:
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "\t" in line
        )
        assert status["Uid"].split() == [str(CONTAINER_USER)] * 4
        assert status["Groups"].split() == []
        assert status["CapEff"] == "0" * 16
        pid = int(status["PPid"])
    container.stop(0)


@AS_ROOT
def test_as_root_a_mount_does_not_read_what_only_root_may(bench: EmbeddedBench, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(0o755)
    secret = folder / "secret"
    secret.write_text("root's\n")
    secret.chmod(0o600)
    mount = Mount(source=str(folder), target="/data", read_only=False)
    folder.chmod(0o777)
    code, lines = bench.run("cat /data/secret || echo refused; cat /data/secret > /data/copy", mounts=(mount,))
    assert (code, lines) == (1, ["refused"])
    alone = bench.engine.create(bench.spec("b", "true", mounts=(Mount(source=str(secret), target="/secret"),)))
    with pytest.raises(ConfigError, match="secret cannot be read by the container's user") as refusal:
        alone.start()
    assert f"chmod o+r {secret}" in str(refusal.value.hint)


@AS_ROOT
def test_as_root_nothing_setuid_root_can_be_left_in_a_mount(bench: EmbeddedBench, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    mount = Mount(source=str(folder), target="/data", read_only=False)
    bench.run("busybox cp /bin/busybox /data/x; busybox chown 0 /data/x; busybox chmod 6777 /data/x", mounts=(mount,))
    left = (folder / "x").stat()
    assert (left.st_uid, left.st_gid) == (CONTAINER_USER, CONTAINER_USER)


def test_a_setuid_file_in_a_layer_changes_nothing(bench: EmbeddedBench) -> None:
    folder = bench.data / "unpacked" / bench.layers[0].hex
    (folder / "bin/busybox").chmod(0o6755)
    code, lines = bench.run("id -u; id -g; grep CapEff /proc/self/status")
    assert (code, lines[:2]) == (0, ["65532", "65532"])
    assert lines[2].split()[-1] == "0" * 16


def test_nothing_of_the_host_is_open_or_mounted(bench: EmbeddedBench) -> None:
    _, lines = bench.python("import os; print(sorted(os.listdir('/proc/self/fd'))); print(os.listdir('/proc/1/fd'))")
    assert lines[0] == "['0', '1', '2', '3']"
    _, lines = bench.run("cat /proc/self/mountinfo; echo; cat /proc/mounts")
    assert not [line for line in lines if str(bench.data) in line]


def test_the_kernels_own_files_are_masked_or_unwritable(bench: EmbeddedBench) -> None:
    _, lines = bench.run(
        "cat /proc/keys /proc/timer_list /proc/kcore 2>/dev/null | wc -c; ls /proc/acpi 2>/dev/null | wc -l;"
        "ls /sys; ls /sys/devices/system; echo 1 > /proc/sys/kernel/core_pattern || echo refused;"
        "echo 1 > /sys/devices/system/cpu/cpu0/online || echo refused"
    )
    assert lines[:2] == ["0", "0"]
    assert lines[-2:] == ["refused", "refused"]
    assert set(lines[2:-2]) <= {"devices", "cpu", "node"}


def test_it_sees_only_its_own_processes(bench: EmbeddedBench) -> None:
    _, lines = bench.run("ls /proc > /tmp/all; grep -c '^[0-9]' /tmp/all; echo $$")
    first = int(isinstance(bench, ExecBench))  # the container's own, which the shell otherwise is
    assert lines == [str(2 + first), str(1 + first)]  # the shell and ls


def test_programs_may_open_their_standard_output_anew(bench: EmbeddedBench) -> None:
    assert bench.run("echo again > /dev/stdout; echo hidden > /dev/null; busybox head -c 4 /dev/urandom | wc -c") == (
        0,
        ["again", "4"],
    )


def test_100_layers_are_stacked_the_upper_one_winning(bench: EmbeddedBench) -> None:
    for number in range(100):
        files = {"top": f"{number}\n", f"only/{number}": ""}
        bench.layers = (*bench.layers, make_layer(bench.data, f"layer {number}", files))
    assert bench.run("cat /top; ls /only | wc -l; cat /app/readme") == (0, ["99", "100", "made"])


def test_the_same_layer_twice_is_stacked_once(bench: EmbeddedBench) -> None:
    one, two = (make_layer(bench.data, name, {"which": f"{name}\n"}) for name in ("one", "two"))
    bench.layers = (*bench.layers, one, two, one)
    assert bench.run("cat /which") == (0, ["one"])


def test_a_link_in_the_image_leads_no_mount_out_of_it(bench: EmbeddedBench, tmp_path: Path) -> None:
    evil = make_layer(bench.data, "evil", {"real/x": ""})
    folder = bench.data / "unpacked" / evil.hex
    (folder / "data").symlink_to("/oldroot/etc")
    (folder / "link").symlink_to("real")
    (folder / "up").symlink_to("../../../../../../real")
    (folder / "kernel").symlink_to("/proc/self")
    bench.layers = (*bench.layers, evil)
    tmp_path.chmod(0o755)
    (tmp_path / "mine").write_text("")
    for target in ("/data/deep", "/link/deep", "/up/deeper"):
        mount = Mount(source=str(tmp_path), target=target)
        assert bench.run(f"ls {target}", mounts=(mount,)) == (0, ["data", "mine"])
    assert not Path("/etc/deep").exists()
    with pytest.raises(ConfigError, match="leads to /proc/self"):
        bench.run("true", cwd="/kernel/fd/3")
    with pytest.raises(ConfigError, match="leads to /proc/self"):
        bench.run("true", mounts=(Mount(source=str(tmp_path), target="/kernel/x"),))


def test_secrets_in_the_environment_are_on_no_command_line(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.spec("a", "echo ready; sleep 60", env={"PATH": "/bin", "TOKEN": "s3cr3t"}))
    container.start()
    ready(container)
    pid, seen = container.state().pid, 0
    while pid > 1:
        assert b"s3cr3t" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        seen += 1
    assert seen >= 3
    container.stop(0)


def test_the_data_folder_may_be_where_only_its_owner_goes(bench: EmbeddedBench) -> None:
    bench.data.parent.chmod(0o700)
    bench.data.chmod(0o700)
    assert bench.run("cat /app/readme") == (0, ["made"])
