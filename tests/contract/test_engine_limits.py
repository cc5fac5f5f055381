"""Limits, restarts, secrets and options, as every engine keeps them."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.engine_fixtures import (
    DEADLINE,
    FILES,
    REAL,
    ClientBench,
    EmbeddedBench,
    RealBench,
    busybox_image,
    executed,
    python_argv,
    python_mounts,
    ready,
    until,
)
from tiffin.api.containers.options import options
from tiffin.engine.clients.engine import ClientEngine
from tiffin.engine.embedded import boot
from tiffin.engine.plan import Accounts, RunOptions, container_spec
from tiffin.engine.spec import (
    KILLED,
    Container,
    ContainerSpec,
    Engine,
    Limits,
    Port,
    Restart,
    RestartPolicy,
    Secret,
    State,
    Status,
    Surveys,
)
from tiffin.errors import NotFoundError, UnsupportedError
from tiffin.progress import parallel
from tiffin.store.save import save

MEBIBYTE = 1 << 20
AT_ONCE = 8
HOG = "kept = []\nwhile True: kept.append(b'x' * (1 << 20))\n"
BOMB = """
import os
n = 0
try:
    while n < 300:
        if not os.fork():
            os.execv("/bin/sleep", ["sleep", "600"])
        n += 1
except OSError:
    pass
print(n, flush=True)
"""
FORK_BOMB = """
import os, time
print("ready", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""
BUSY = """
import os, threading, time
due = time.monotonic() + 1.0
def spin():
    while time.monotonic() < due: pass
for _ in range(4):
    if not os.fork():
        spin()
        os._exit(0)
for _ in range(4): os.wait()
used = sum(os.times()[2:4])
print(round(used / (time.monotonic() - due + 1.0), 2), len(os.sched_getaffinity(0)))
"""


def finished(container: Container) -> tuple[int, list[str], State]:
    """Run a container to its end: its exit code, what it wrote and how it ended."""
    container.start()
    code = container.wait()
    return code, [line.text for line in container.logs()], container.state()


def python(bench: RealBench, code: str, **more: Any) -> Container:
    """A container that runs Python code."""
    return bench.engine.create(bench.spec("aa", "", argv=python_argv(code), mounts=python_mounts(), **more))


def reasons(bench: RealBench) -> set[str]:
    """What may be said of a container that took too much memory: podman 4 does not hear of it from version 1."""
    return {"memory", ""} if getattr(bench.engine, "name", "") == "podman" else {"memory"}


class TestLimits:
    def test_a_program_that_takes_too_much_memory_ends_with_137_and_the_reason(self, real: RealBench) -> None:
        code, _, state = finished(python(real, HOG, limits=Limits(memory=64 * MEBIBYTE)))
        assert code == KILLED
        assert state.reason in reasons(real)

    def test_what_stays_within_its_memory_runs_to_its_end(self, real: RealBench) -> None:
        script = "busybox head -c 1000000 /dev/zero > /tmp/x; echo done"
        container = real.engine.create(real.spec("aa", script, limits=Limits(memory=64 * MEBIBYTE)))
        code, lines, state = finished(container)
        assert (code, lines, state.reason) == (0, ["done"], "")

    def test_files_in_memory_count_as_memory(self, real: RealBench) -> None:
        argv = ("/bin/busybox", "dd", "if=/dev/zero", "of=/tmp/x", "bs=1000000", "count=400")
        container = real.engine.create(real.spec("aa", "", argv=argv, limits=Limits(memory=64 * MEBIBYTE)))
        code, _, state = finished(container)
        assert code == KILLED
        assert state.reason in reasons(real)

    def test_a_container_has_no_more_processes_than_it_may(self, real: RealBench) -> None:
        code, lines, _ = finished(python(real, BOMB, limits=Limits(processes=20)))
        assert (code, lines) == (0, ["19"])

    def test_a_container_uses_no_more_processors_than_it_may(self, real: RealBench) -> None:
        code, lines, _ = finished(python(real, BUSY, limits=Limits(cpus=1)))
        assert code == 0
        assert float(lines[0].split()[0]) < 1.4

    def test_a_fork_bomb_stays_within_its_limit_and_can_be_ended(self, real: RealBench) -> None:
        container = python(real, FORK_BOMB, limits=Limits(processes=32))
        container.start()
        until(lambda: list(container.logs()))
        other = real.engine.create(real.spec("bb", "echo fine"))
        assert finished(other)[:2] == (0, ["fine"])
        container.kill()
        assert container.state().status is Status.EXITED

    def test_the_state_says_what_holds_each_limit(self, real: RealBench) -> None:
        container = real.engine.create(
            real.spec("aa", "sleep 600", limits=Limits(memory=64 * MEBIBYTE, cpus=1.5, processes=20))
        )
        container.start()
        assert sorted(container.state().limits) == ["cpus", "memory", "processes"]
        unlimited = real.engine.create(real.spec("bb", "sleep 600"))
        unlimited.start()
        assert unlimited.state().limits == {}
        for started in (container, unlimited):
            started.stop(0)
            started.remove()


class TestSecrets:
    def test_a_secret_is_read_by_its_user_alone_and_by_nobody_who_looks_from_outside(
        self, real: RealBench, tmp_path: Path
    ) -> None:
        source = tmp_path / "token"
        source.write_text("hunter2\n")
        source.chmod(0o600)
        secrets = (Secret(name="token", source=str(source)), Secret(name="b.txt", source=str(source)))
        script = "cat /run/secrets/token; stat -c '%a %u' /run/secrets/*; touch /run/secrets/x || echo no; sleep 600"
        container = real.engine.create(real.spec("aa", script, user=(1000, 1000), secrets=secrets))
        container.start()
        until(lambda: any(line.text == "no" for line in container.logs()))
        lines = [line.text for line in container.logs() if line.stream == "stdout"]
        assert lines == ["hunter2", "400 1000", "400 1000", "no"]
        container.stop(0)
        container.remove()

    def test_a_secret_is_the_same_when_it_starts_again(self, real: RealBench, tmp_path: Path) -> None:
        source = tmp_path / "token"
        source.write_text("hunter2\n")
        secrets = (Secret(name="token", source=str(source)),)
        container = real.engine.create(real.spec("aa", "cat /run/secrets/token", secrets=secrets))
        for runs in (1, 2):
            container.start()
            assert container.wait() == 0
            assert [line.text for line in container.logs()] == ["hunter2"] * runs


def without_groups(module: str) -> list[str]:
    """Start a keeper on a machine that seems to have no control groups."""
    *front, code = boot.python(module)
    blind = "import tiffin.engine.embedded.cgroup as c; c.here = dict; "
    return [*front, code.replace("from tiffin", blind + "from tiffin", 1)]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def child(pid: int, but: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(number) for number in children if int(number) != but)


def _groups(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cgroup").read_text().splitlines()


def restarting(bench: RealBench, script: str, policy: RestartPolicy, tries: int = 0, **more: Any) -> Container:
    return bench.engine.create(bench.spec("aa", script, restart=Restart(policy=policy, tries=tries), **more))


class TestRestarts:
    def test_a_failure_is_tried_again_as_often_as_is_said(self, real: RealBench) -> None:
        code, lines, state = finished(restarting(real, "echo ran; exit 4", RestartPolicy.ON_FAILURE, 2))
        assert (code, lines, state.restarts) == (4, ["ran"] * 3, 2)

    def test_what_ends_well_is_not_a_failure(self, real: RealBench) -> None:
        code, lines, state = finished(restarting(real, "echo ran", RestartPolicy.ON_FAILURE))
        assert (code, lines, state.restarts) == (0, ["ran"], 0)

    @pytest.mark.parametrize("policy", [RestartPolicy.ALWAYS, RestartPolicy.UNLESS_STOPPED])
    def test_it_goes_on_until_somebody_stops_it(self, real: RealBench, policy: RestartPolicy) -> None:
        container = restarting(real, "echo ran", policy)
        container.start()
        until(lambda: len(list(container.logs())) >= 3)
        assert container.state().status is Status.RUNNING
        assert container.state().restarts >= 2
        container.stop()
        assert container.state().status is Status.EXITED
        assert container.wait() in {0, 143, KILLED}  # as it was when it was stopped: between two runs, or in one

    def test_it_has_the_same_descriptors_each_time(self, real: RealBench) -> None:
        script = "for each in /proc/self/fd/*; do echo -n ${each##*/}.; done; echo; exit 1"
        lines = finished(restarting(real, script, RestartPolicy.ON_FAILURE, 2))[1]
        assert len(lines) == 3
        assert len(set(lines)) == 1

    def test_one_that_was_killed_stays_so(self, real: RealBench) -> None:
        container = restarting(real, "echo ran; sleep 600", RestartPolicy.ALWAYS)
        container.start()
        until(lambda: list(container.logs()))
        container.kill()
        assert container.wait() == KILLED
        assert (container.state().status, container.state().restarts) == (Status.EXITED, 0)

    def test_started_by_somebody_it_counts_anew(self, real: RealBench) -> None:
        container = restarting(real, "exit 4", RestartPolicy.ON_FAILURE, 1)
        for _ in range(2):
            assert finished(container)[2].restarts == 1


def surveyed(engine: Engine) -> list[tuple[Container, State]]:
    """Every container and what it is doing."""
    return list(engine.survey()) if isinstance(engine, Surveys) else [(each, each.state()) for each in engine.list()]


ALONE = {"several_ids": False, "read_only": True}
"""A container with one user, as an ordinary user has without a range of ids."""


def typed(bench: RealBench, **words: Any) -> ContainerSpec:
    """What a user types after `tiffin run busybox`, for an engine that has busybox under whatever digest."""
    _, image = busybox_image()
    run = options("busybox", **({"name": "aa", "network": "none"} | words)).run
    spec = container_spec("busybox", image, run)
    return msgspec.structs.replace(spec, layers=bench.layers, digest=bench.digest, **ALONE)


class TestOptions:
    def test_what_is_typed_is_what_runs(self, real: RealBench, tmp_path: Path) -> None:
        (tmp_path / "env").write_text("A=file\nB=file\n")
        spec = typed(
            real,
            user="1000:2000",
            workdir="/app",
            entrypoint="/bin/sh",
            tmpfs=["/scratch"],
            env_file=[str(tmp_path / "env")],
            env=["A=typed"],
            label=["team=fruit"],
            args=["-c", 'id -u; id -g; pwd; touch /scratch/x && ls /scratch; echo "$A $B $1"', "sh", "given"],
        )
        container = real.engine.create(spec)
        assert finished(container)[:2] == (0, ["1000", "2000", "/app", "x", "typed file given"])
        assert container.spec.labels["team"] == "fruit"

    def test_a_name_means_the_user_that_the_image_calls_so(self, real: RealBench) -> None:
        _, image = busybox_image()
        run = RunOptions(name="aa", user="root", args=("id", "-u"))
        found = container_spec("busybox", image, run, Accounts(passwd=FILES["etc/passwd"]))
        spec = msgspec.structs.replace(found, layers=real.layers, digest=real.digest, **ALONE)
        assert finished(real.engine.create(spec))[:2] == (0, ["0"])

    def test_the_signal_and_the_time_to_stop_are_as_typed(self, real: RealBench) -> None:
        script = "trap 'echo usr1' USR1; echo ready; while :; do busybox sleep 0.05; done"
        container = real.engine.create(
            typed(real, stop_signal="USR1", stop_timeout=1, entrypoint="/bin/sh", args=["-c", script])
        )
        container.start()
        ready(container)
        container.stop()
        assert container.wait() == KILLED
        assert [line.text for line in container.logs()] == ["ready", "usr1"]

    def test_one_that_is_removed_at_its_end_leaves_nothing(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "sleep 2; exit 3", remove=True))
        container.start()
        assert container.wait() == 3
        until(lambda: not real.engine.list())
        with pytest.raises(NotFoundError):
            real.engine.find("aa")

    def test_one_that_is_removed_at_its_end_is_stopped_like_any_other(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "trap 'exit 3' TERM; echo ready; sleep 600 & wait", remove=True))
        container.start()
        ready(container)
        container.stop()
        until(lambda: not real.engine.list())
        real.engine.create(real.spec("aa", "true")).remove()

    def test_variables_are_whatever_they_are(self, real: RealBench) -> None:
        odd = {"A": "b c", "LINES": "1\n 2\n", "EMPTY": "", "x.y-z": "#", "Q": " \"'$A\\ ", "LONG": "x" * 70_000}
        code = "import json, os; print(json.dumps(dict(os.environ)))"
        container = python(real, code, env={"PATH": "/bin"} | odd)
        _, lines, _ = finished(container)
        assert json.loads("".join(lines)).items() >= odd.items()

    def test_labels_are_kept(self, real: RealBench) -> None:
        labels = {"team": "fruit", "empty": "", "odd": "a=b, c"}
        real.engine.create(real.spec("aa", "true", labels=labels))
        assert real.engine.find("aa").spec.labels == labels

    def test_fifty_containers_run_at_once(self, real: RealBench) -> None:
        script = "trap 'exit 5' TERM; echo ready; sleep 600 & wait"
        containers = parallel(
            lambda number: real.engine.create(real.spec(f"c{number}", script)), range(50), workers=AT_ONCE
        )
        parallel(lambda container: container.start(), containers, workers=AT_ONCE)
        parallel(ready, containers, workers=AT_ONCE)
        assert sum(state.status is Status.RUNNING for _, state in surveyed(real.engine)) == 50
        parallel(lambda container: container.stop(), containers, workers=AT_ONCE)
        assert [state.exit_code for _, state in surveyed(real.engine)] == [5] * 50
        parallel(lambda container: container.remove(), containers, workers=AT_ONCE)
        assert not real.engine.list()


class TestWhatOthersCanSee:
    @pytest.mark.parametrize("engine", REAL[1:])
    def test_neither_variables_nor_secrets_are_on_a_command_line_and_no_secret_is_shown(
        self, request: pytest.FixtureRequest, engine: str, tmp_path: Path
    ) -> None:
        bench: ClientBench = request.getfixturevalue(engine)
        told, program = tmp_path / "told", bench.engine._program
        recorder = ("/bin/sh", "-c", 'printf "%s\\n" "$@" >> "$0"; exec "$@"', str(told))
        copies = tmp_path / "copies"
        recorded = ClientEngine(
            program.dialect, save, (*recorder, *program.argv([])), program.environment, copies=copies
        )
        (tmp_path / "token").write_text("hunter2")
        secrets = (Secret(name="token", source=str(tmp_path / "token")),)
        env = {"PATH": "/bin", "PASSWORD": "opensesame", "LINES": "open\nsesame"}
        script = 'cat /run/secrets/token; echo "$PASSWORD$LINES"'
        container = recorded.create(bench.spec("aa", script, env=env, secrets=secrets))
        assert finished(container)[:2] == (0, ["hunter2opensesameopen", "sesame"])
        assert "--env-file" in told.read_text()
        assert not {word for word in ("hunter2", "opensesame", "open\nsesame") if word in told.read_text()}
        assert b"hunter2" not in program.ask(["container", "inspect", "aa"])
        (copy,) = (path for path in copies.rglob("*") if path.is_file())
        assert copies.stat().st_mode & 0o777 == copy.parent.stat().st_mode & 0o777 == 0o700
        container.remove()
        assert not [path for path in copies.rglob("*") if path.is_file()]

    @pytest.mark.parametrize("engine", REAL[1:])
    def test_copies_of_what_the_engine_removed_itself_go_with_the_next_secret(
        self, request: pytest.FixtureRequest, engine: str, tmp_path: Path
    ) -> None:
        bench: ClientBench = request.getfixturevalue(engine)
        (tmp_path / "token").write_text("hunter2")
        secrets = (Secret(name="token", source=str(tmp_path / "token")),)
        first = bench.engine.create(bench.spec("aa", "true", secrets=secrets, remove=True))
        left = bench.engine._copies
        first.start()
        until(lambda: not bench.engine.list())
        assert len([path for path in left.rglob("token") if path.is_file()]) == 1
        second = bench.engine.create(bench.spec("bb", "true", secrets=secrets))
        assert len([path for path in left.rglob("token") if path.is_file()]) == 1
        second.remove()
        assert not [path for path in left.rglob("token") if path.is_file()]


class TestWhatOnlyTheEmbeddedEngineDoes:
    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for control groups of version 1")
    @pytest.mark.parametrize("killed", ["keeper", "keeper and steward"])
    def test_control_groups_are_removed_whoever_was_killed(self, embedded: EmbeddedBench, killed: str) -> None:
        spec = embedded.spec("aa", "echo ready; sleep 600", limits=Limits(memory=64 * MEBIBYTE, processes=20))
        container = embedded.engine.create(spec)
        container.start()
        ready(container)
        groups = {line.partition("tiffin/")[2] for line in _groups(container.state().pid)}
        if "cgroup" not in container.state().limits["memory"]:
            pytest.skip("needs control groups that may be written")
        assert len(groups - {""}) == 1
        keeper = parent(parent(container.state().pid))
        if killed != "keeper":
            os.kill(child(keeper, but=parent(container.state().pid)), signal.SIGKILL)
        os.kill(keeper, signal.SIGKILL)
        assert container.wait() == KILLED
        if killed != "keeper":
            container.remove()
        (name,) = groups - {""}
        until(lambda: not list(Path("/sys/fs/cgroup").glob(f"*/**/tiffin/{name}")))

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose limits control groups hold")
    def test_without_control_groups_the_keeper_watches(
        self, embedded: EmbeddedBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tiffin.engine.embedded.keepers.python", without_groups)
        container = python(embedded, HOG, limits=Limits(memory=64 * MEBIBYTE, cpus=1))
        code, _, state = finished(container)
        assert (code, state.reason, state.limits) == (KILLED, "memory", {"memory": "keeper", "cpus": "affinity"})
        refused = embedded.engine.create(embedded.spec("bb", "true", limits=Limits(processes=20)))
        with pytest.raises(UnsupportedError, match="nothing here holds a limit of processes"):
            refused.start()

    def test_one_that_is_stopped_while_it_waits_is_not_started_again(self, embedded: EmbeddedBench) -> None:
        container = restarting(embedded, "exit 4", RestartPolicy.ALWAYS)
        container.start()
        until(lambda: container.state().restarts >= 4 and not container.state().pid)
        container.stop()
        assert container.wait() == 4
        assert container.state().status is Status.EXITED

    def test_no_connection_is_refused_while_it_starts_again(self, embedded: EmbeddedBench) -> None:
        code = (
            "import socket\n"
            "connection, _ = socket.socket(fileno=3).accept()\n"
            "connection.sendall(b'once')\n"
            "connection.close()\n"
        )
        container = embedded.engine.create(
            embedded.spec(
                "aa",
                "",
                argv=python_argv(code),
                mounts=python_mounts(),
                ports=(Port(container_port=8080, socket="http"),),
                restart=Restart(policy=RestartPolicy.ALWAYS),
            )
        )
        container.start()
        where = ("127.0.0.1", container.state().ports[0].host_port)
        for _ in range(4):
            with socket.create_connection(where, timeout=DEADLINE) as client:
                assert client.recv(100) == b"once"
        container.stop(0)

    def test_a_program_that_is_run_later_has_the_secrets_and_the_limits(
        self, embedded: EmbeddedBench, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("hunter2\n")
        secrets = (Secret(name="token", source=str(tmp_path / "token")),)
        spec = embedded.spec(
            "aa", "", argv=("/bin/sleep", "600"), mounts=python_mounts(), secrets=secrets, limits=Limits(processes=20)
        )
        container = embedded.engine.create(spec)
        container.start()
        assert executed(container, "cat", "/run/secrets/token") == (0, "hunter2\n", "")
        code, out, _ = executed(container, *python_argv(BOMB))
        assert code == 0
        assert int(out) < 20
        container.stop(0)

    def test_a_program_that_is_run_later_and_takes_too_much_memory_is_ended(self, embedded: EmbeddedBench) -> None:
        spec = embedded.spec(
            "aa", "", argv=("/bin/sleep", "600"), mounts=python_mounts(), limits=Limits(memory=64 * MEBIBYTE)
        )
        container = embedded.engine.create(spec)
        container.start()
        assert executed(container, *python_argv(HOG))[0] == KILLED
        container.remove(force=True)

    def test_a_secret_is_in_no_file_of_the_container(self, embedded: EmbeddedBench, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("hunter2")
        secrets = (Secret(name="token", source=str(tmp_path / "token")),)
        container = embedded.engine.create(embedded.spec("aa", "echo ready; sleep 600", secrets=secrets))
        container.start()
        ready(container)
        files = [path for path in embedded.data.rglob("*") if path.is_file() and not path.is_symlink()]
        assert not [path for path in files if b"hunter2" in path.read_bytes()]
        command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert not [line for line in command_lines if b"hunter2" in line]
        container.stop(0)

    def test_a_secret_that_is_gone_when_it_starts_is_not_found(self, embedded: EmbeddedBench, tmp_path: Path) -> None:
        secrets = (Secret(name="token", source=str(tmp_path / "absent")),)
        container = embedded.engine.create(embedded.spec("aa", "true", secrets=secrets))
        with pytest.raises(NotFoundError, match="absent for the secret token"):
            container.start()

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose keepers have a steward")
    def test_without_its_steward_it_runs_on_and_ends_for_good(self, embedded: EmbeddedBench) -> None:
        container = restarting(embedded, "trap 'exit 4' USR1; echo ready; sleep 600 & wait", RestartPolicy.ALWAYS)
        container.start()
        ready(container)
        bubblewrap = parent(container.state().pid)
        os.kill(child(parent(bubblewrap), but=bubblewrap), signal.SIGKILL)
        assert container.state().status is Status.RUNNING
        container.kill("SIGUSR1")
        until(lambda: container.state().status is Status.EXITED)
        assert "steward" in container.state().reason

    def test_a_container_of_a_policy_dies_with_its_keeper_and_stays_so(self, embedded: EmbeddedBench) -> None:
        container = restarting(embedded, "echo ready; sleep 600", RestartPolicy.ALWAYS)
        container.start()
        ready(container)
        os.kill(parent(parent(container.state().pid)), signal.SIGKILL)
        assert container.wait() == KILLED
        assert container.state().status is Status.EXITED
        container.start()
        ready(container, 2)
        container.stop(0)

    @pytest.mark.parametrize("limits", [Limits(memory=6 * MEBIBYTE), Limits(processes=1), Limits(cpus=0.01)])
    def test_the_least_that_may_be_asked_for_is_enough_for_a_small_program(
        self, embedded: EmbeddedBench, limits: Limits
    ) -> None:
        container = embedded.engine.create(embedded.spec("aa", "", argv=("/bin/echo", "fine"), limits=limits))
        assert finished(container)[:2] == (0, ["fine"])
