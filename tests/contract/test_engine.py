"""What every engine does, whatever runs its containers."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import pytest

from contract.engine_fixtures import (
    GLIBCS_OWN,
    REAL,
    Bench,
    ClientBench,
    EmbeddedBench,
    RealBench,
    executed,
    python_argv,
    python_mounts,
    ready,
    until,
)
from tiffin.engine.clients.argv import image_name
from tiffin.engine.clients.dialect import DOCKER
from tiffin.engine.clients.engine import ClientEngine
from tiffin.engine.spec import KILLED, CanMeasure, LogLine, Mount, Network, Port, Status
from tiffin.errors import ConfigError, ConflictError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.store.memory import MemoryStore
from tiffin.store.save import save


class TestEngine:
    def test_a_container_runs_to_its_end_and_tells_its_exit_code(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        assert container.state().status is Status.CREATED
        container.start()
        assert container.wait() == 3
        state = container.state()
        assert (state.status, state.exit_code, state.reason) == (Status.EXITED, 3, "")
        assert "" < state.started <= state.finished

    def test_what_it_writes_is_kept_with_stream_and_time(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        container.start()
        container.wait()
        lines = list(container.logs())
        assert sorted((line.stream, line.text) for line in lines) == [("stderr", "oops"), ("stdout", "hello")]
        assert all(line.time.startswith("20") and line.time.endswith("Z") for line in lines)

    def test_a_running_container_has_a_process(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "serve"))
        container.start()
        state = container.state()
        assert state.status is Status.RUNNING
        assert state.pid > 0
        assert state.exit_code is None
        container.stop(0)

    def test_stop_lets_a_program_drain(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "serve"))
        container.start()
        ready(container)
        container.stop()
        assert container.wait() == 5
        assert [line.text for line in container.logs()] == ["ready", "drained"]

    def test_stop_kills_a_program_that_does_not_listen(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "stubborn"))
        container.start()
        ready(container)
        container.stop(0.1)
        assert container.wait() == KILLED
        assert container.state().status is Status.EXITED

    def test_a_program_hears_the_signal_it_is_sent(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "listen"))
        container.start()
        ready(container)
        container.kill("SIGUSR1")
        assert container.wait() == 0
        assert [line.text for line in container.logs()] == ["ready", "heard SIGUSR1"]

    def test_the_stop_signal_lets_it_drain_whoever_sends_it(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "serve"))
        container.start()
        ready(container)
        container.kill("SIGTERM")
        assert container.wait() == 5

    def test_no_signal_is_lost(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "serve"))
        for run in range(20):
            container.start()
            ready(container, run + 1)
            container.kill("SIGTERM")
            assert container.wait() == 5

    def test_a_killed_container_has_ended_when_kill_returns(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "stubborn"))
        container.start()
        ready(container)
        container.kill()
        state = container.state()
        assert (state.status, state.exit_code, state.reason) == (Status.EXITED, KILLED, "")

    def test_what_does_not_run_is_sent_no_signal(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        with pytest.raises(ConflictError, match="aa does not run"):
            container.kill("SIGUSR1")
        container.start()
        container.wait()
        with pytest.raises(ConflictError, match="aa does not run"):
            container.kill()

    def test_a_further_program_runs_in_it_and_tells_its_exit_code(self, able: Bench) -> None:
        container = able.engine.create(able.program("aa", "serve"))
        container.start()
        assert executed(container, *able.argv("hello")) == (3, "hello\n", "oops\n")
        assert [line.text for line in container.logs() if line.text != "ready"] == []
        container.stop(0)

    def test_a_further_program_that_is_not_there_is_127(self, able: Bench) -> None:
        container = able.engine.create(able.program("aa", "serve"))
        container.start()
        code, out, err = executed(container, "nosuch")
        assert (code, out) == (127, "")
        assert "nosuch" in err
        assert "not found" in err
        container.stop(0)

    def test_nothing_further_runs_in_what_does_not_run(self, able: Bench) -> None:
        container = able.engine.create(able.program("aa", "hello"))
        with pytest.raises(ConflictError, match="aa does not run"):
            executed(container, *able.argv("hello"))
        container.start()
        container.wait()
        with pytest.raises(ConflictError, match="aa does not run"):
            executed(container, *able.argv("hello"))

    def test_what_runs_uses_something_and_what_does_not_is_not_measured(self, able: Bench) -> None:
        container = able.engine.create(able.program("aa", "serve"))
        assert isinstance(container, CanMeasure)
        with pytest.raises(ConflictError, match="aa does not run"):
            container.usage()
        container.start()
        ready(container)
        assert container.usage().processes >= 1
        container.kill()
        with pytest.raises(ConflictError, match="aa does not run"):
            container.usage()

    def test_stopping_what_has_ended_or_never_ran_changes_nothing(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        container.stop()
        assert container.state().status is Status.CREATED
        container.start()
        container.wait()
        container.stop()
        assert container.state().exit_code == 3

    def test_it_can_be_started_again_and_its_log_goes_on(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        for _ in range(2):
            container.start()
            container.wait()
        assert [line.text for line in container.logs() if line.stream == "stdout"] == ["hello", "hello"]

    def test_a_running_container_is_not_started_twice(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "serve"))
        container.start()
        with pytest.raises(ConflictError, match="aa runs already"):
            container.start()
        container.stop(0)

    def test_waiting_for_what_was_never_started_is_refused(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        with pytest.raises(ConflictError, match="not started"):
            container.wait()

    def test_following_the_log_ends_with_the_container(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "serve"))
        container.start()
        seen: list[LogLine] = []
        follower = threading.Thread(target=lambda: seen.extend(container.logs(follow=True)))
        follower.start()
        ready(container)
        container.stop()
        follower.join(20)
        assert [line.text for line in seen] == ["ready", "drained"]

    def test_following_the_log_of_what_has_ended_reads_it(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        assert list(container.logs(follow=True)) == []
        container.start()
        container.wait()
        assert len(list(container.logs(follow=True))) == 2

    def test_a_name_means_one_container(self, bench: Bench) -> None:
        first = bench.engine.create(bench.program("aa", "hello"))
        with pytest.raises(ConflictError, match="'aa' exists already"):
            bench.engine.create(bench.program("aa", "hello"))
        first.remove()
        assert bench.engine.create(bench.program("aa", "hello")).id != first.id

    def test_many_who_want_one_name_get_one_container(self, bench: Bench) -> None:
        made, refused = [], []

        def create() -> None:
            try:
                made.append(bench.engine.create(bench.program("aa", "hello")))
            except ConflictError as error:
                refused.append(error)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(made), len(refused)) == (1, 7)
        assert [found.id for found in bench.engine.list()] == [made[0].id]

    def test_it_is_found_by_name_and_by_id_from_anywhere(self, bench: Bench) -> None:
        made = bench.engine.create(bench.program("aa", "hello"))
        for name in ("aa", made.id):
            found = bench.engine.find(name)
            assert (found.id, found.spec) == (made.id, made.spec)

    @pytest.mark.parametrize("name", ["bb", "", ".", "..", "../aa", "aa/run", "--help"])
    def test_what_does_not_exist_is_not_found(self, bench: Bench, name: str) -> None:
        bench.engine.create(bench.program("aa", "hello"))
        with pytest.raises(NotFoundError):
            bench.engine.find(name)

    def test_containers_are_listed_oldest_first(self, bench: Bench) -> None:
        assert bench.engine.list() == []
        for name in ("one", "two", "three"):
            bench.engine.create(bench.program(name, "hello"))
        assert [container.spec.name for container in bench.engine.list()] == ["one", "two", "three"]

    def test_a_removed_container_is_gone(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "hello"))
        container.start()
        container.wait()
        container.remove()
        assert bench.engine.list() == []
        with pytest.raises(NotFoundError):
            bench.engine.find(container.id)

    def test_a_running_container_is_removed_only_by_force(self, bench: Bench) -> None:
        container = bench.engine.create(bench.program("aa", "stubborn"))
        container.start()
        with pytest.raises(ConflictError, match="aa is running"):
            container.remove()
        container.remove(force=True)
        assert bench.engine.list() == []

    def test_an_image_that_is_not_loaded_is_not_found(self, bench: Bench) -> None:
        with pytest.raises(NotFoundError, match="layer"):
            bench.engine.create(bench.program("aa", "hello", layers=(Digest.of(b"absent"),)))

    def test_a_program_that_does_not_exist_is_refused(self, bench: Bench) -> None:
        with pytest.raises(NotFoundError, match="no program '/bin/absent'"):
            bench.engine.create(bench.program("aa", "hello", argv=("/bin/absent",))).start()

    def test_the_kernel_chooses_a_port_and_two_containers_never_have_the_same(self, bench: Bench) -> None:
        ports = (Port(container_port=8080, socket="http"), Port(container_port=8082, socket="metrics"))
        containers = [bench.engine.create(bench.program(name, "serve", ports=ports)) for name in ("aa", "bb")]
        for container in containers:
            container.start()
        bound = [port.host_port for container in containers for port in container.state().ports]
        assert len({*bound, 0}) == 5
        taken = Port(container_port=8080, socket="http", host_port=bound[0])
        late = bench.engine.create(bench.program("late", "serve", ports=(taken,)))
        with pytest.raises(ConflictError, match=f"port {bound[0]} of 127.0.0.1 is taken") as refusal:
            late.start()
        assert "-p 0:" in str(refusal.value.hint)
        assert late.state().status is Status.CREATED
        for container in containers:
            container.stop(0)
            assert container.state().ports == () or container.state().status is Status.EXITED


class TestContainersThatReallyRun:
    def test_all_of_its_processes_are_measured(self, embedded: EmbeddedBench) -> None:
        script = "busybox sleep 600 & while :; do :; done"
        container = embedded.engine.create(embedded.spec("a", script))
        assert isinstance(container, CanMeasure)
        container.start()
        until(lambda: container.usage().processes == 2)
        until(lambda: container.usage().cpu_seconds > 0.1)
        assert 10_000 < container.usage().memory < 100_000_000
        container.remove(force=True)

    def test_environment_and_working_directory_are_the_specs(self, real: RealBench) -> None:
        code, lines = real.run('pwd; echo "$A"; echo $TIFFIN_IMAGE', cwd="/app", env={"PATH": "/bin", "A": "b c\nd"})
        assert (code, lines) == (0, ["/app", "b c", "d", str(real.digest)])

    @pytest.mark.parametrize("engine", REAL[:2])
    def test_a_working_directory_that_is_absent_is_made(self, request: pytest.FixtureRequest, engine: str) -> None:
        made: RealBench = request.getfixturevalue(engine)
        assert made.run("pwd", cwd="/new/place") == (0, ["/new/place"])

    @pytest.mark.parametrize("user", [(65532, 65532), (1000, 2000), (0, 0)])
    def test_the_user_is_the_specs_and_has_no_other_groups(self, real: RealBench, user: tuple[int, int]) -> None:
        code, lines = real.run("id -u; id -g; id -G", user=user)
        assert (code, lines[:2]) == (0, [str(user[0]), str(user[1])])
        assert set(lines[2].split()) <= {str(user[1]), "65534"}

    def test_a_line_is_one_however_long_and_in_how_many_pieces_it_is_written(self, real: RealBench) -> None:
        script = "echo -n on; echo -n e; echo; busybox head -c 12000 /dev/zero | busybox tr '\\0' x; echo; echo last"
        assert real.run(script) == (0, ["one", "x" * 12000, "last"])

    def test_the_root_is_read_only_and_tmp_is_not(self, real: RealBench) -> None:
        script = (
            "for f in /x /app/x /etc/x /dev/x /sys/x; do touch $f && echo $f; done; touch /tmp/x /dev/shm/x && echo ok"
        )
        assert real.run(script) == (0, ["ok"])

    def test_tmp_is_anybodys_and_empty(self, real: RealBench) -> None:
        assert real.run("stat -c %a /tmp /dev/shm; ls /tmp") == (0, ["1777", "1777"])

    def test_further_places_in_memory_are_writable(self, real: RealBench) -> None:
        assert real.run("touch /run/x /new/x && ls /new", tmpfs=("/run", "/new")) == (0, ["x"])

    def test_a_mount_is_read_only_unless_said_otherwise(self, real: RealBench, tmp_path: Path) -> None:
        folder = tmp_path / "shared"
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "a").write_text("there\n")
        reading = Mount(source=str(folder), target="/data")
        assert real.run("cat /data/a; touch /data/b || echo refused", mounts=(reading,)) == (
            0,
            ["there", "refused"],
        )
        writing = Mount(source=str(folder), target="/deep/er/data", read_only=False)
        assert real.run("echo new > /deep/er/data/b", mounts=(writing,))[0] == 0
        assert (folder / "b").read_text() == "new\n"

    def test_a_single_file_is_mounted_too(self, real: RealBench, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("file\n")
        mount = Mount(source=str(tmp_path / "one"), target="/app/readme")
        assert real.run("cat /app/readme", mounts=(mount,)) == (0, ["file"])

    def test_a_mount_of_what_does_not_exist_is_refused(self, real: RealBench, tmp_path: Path) -> None:
        mount = Mount(source=str(tmp_path / "absent"), target="/data")
        with pytest.raises(ConfigError, match=r"absent of `-v .*` does not exist") as refusal:
            real.engine.create(real.spec("aa", "true", mounts=(mount,)))
        assert "mkdir -p" in str(refusal.value.hint)

    def test_it_has_a_host_name_and_knows_itself(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("my_model", "hostname; cat /etc/hostname; echo; cat /etc/hosts"))
        container.start()
        container.wait()
        lines = [line.text.split() for line in container.logs() if line.text]
        assert lines[:2] == [["my-model"], ["my-model"]]
        assert any(line[0] == "127.0.0.1" and "my-model" in line for line in lines[2:])

    def test_without_a_network_there_is_loopback_alone(self, real: RealBench) -> None:
        _, lines = real.run("cat /proc/net/dev")
        assert [line.split(":")[0].strip() for line in lines[2:]] == ["lo"]
        host = real.host_network()
        assert real.run("busybox readlink /proc/self/ns/net")[1] != [host]

    def test_with_the_hosts_network_it_is_the_hosts(self, real: RealBench) -> None:
        host = real.host_network()
        assert real.run("busybox readlink /proc/self/ns/net", network=Network.HOST)[1] == [host]

    def test_its_first_process_ignores_a_signal_it_does_not_handle_as_in_docker(self, real: RealBench) -> None:
        container = real.engine.create(real.spec("aa", "", argv=("/bin/sleep", "60"), stop_seconds=0.1))
        container.start()
        container.stop()
        assert container.wait() == KILLED

    def test_the_stop_signal_is_the_images(self, real: RealBench) -> None:
        script = "trap 'exit 7' INT; echo ready; sleep 60 & wait"
        container = real.engine.create(real.spec("aa", script, stop_signal="SIGINT"))
        container.start()
        ready(container)
        container.stop()
        assert container.wait() == 7

    def test_a_program_killed_by_a_signal_exits_with_its_number_and_128(self, real: RealBench) -> None:
        assert real.python("import ctypes; ctypes.string_at(0)")[0] == 128 + signal.SIGSEGV


class TestDockerAndPodman:
    @pytest.mark.parametrize("engine", REAL[1:])
    def test_what_others_made_is_neither_listed_nor_found(self, request: pytest.FixtureRequest, engine: str) -> None:
        bench: ClientBench = request.getfixturevalue(engine)
        image = image_name(bench.digest)
        identity = (
            bench.engine._program.ask(["create", "--network", "none", "--name", "theirs", image]).decode().strip()
        )
        try:
            assert bench.engine.list() == []
            for name in ("theirs", identity):
                with pytest.raises(NotFoundError, match="not tiffin's"):
                    bench.engine.find(name)
            with pytest.raises(ConflictError, match="'theirs' exists already"):
                bench.engine.create(bench.program("theirs", "hello"))
        finally:
            bench.engine._program.ask(["rm", identity])

    @pytest.mark.parametrize("engine", REAL[1:])
    def test_an_image_that_is_there_under_another_name_is_not_moved(
        self, request: pytest.FixtureRequest, engine: str
    ) -> None:
        bench: ClientBench = request.getfixturevalue(engine)
        name = image_name(bench.digest)
        bench.engine._program.ask(["tag", name, "localhost/other:1"])
        bench.engine._program.ask(["rmi", name])
        bench.engine.load(MemoryStore(), bench.image)
        bench.engine._program.ask(["rmi", "localhost/other:1"])
        assert bench.run("echo there") == (0, ["there"])

    def test_a_program_that_is_not_installed_is_said_to_be_absent(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no-docker is not installed"):
            ClientEngine(DOCKER, save, ("no-docker",), copies=tmp_path).list()


class TestWhatPodmanDoesOtherwise:
    @pytest.mark.program("podman", "runc", "busybox")
    def test_a_working_directory_that_is_absent_is_refused(self, podman: ClientBench) -> None:
        container = podman.engine.create(podman.spec("aa", "pwd", cwd="/new/place"))
        with pytest.raises(ConfigError, match="has no working directory '/new/place'"):
            container.start()


class TestWhatOnlyTheEmbeddedEngineDoes:
    def test_a_place_in_memory_is_anybodys_whatever_the_image_has_there(self, embedded: EmbeddedBench) -> None:
        assert embedded.run("touch /app/x && ls /app", tmpfs=("/app",)) == (0, ["x"])

    def test_a_mount_that_its_user_may_not_write_is_refused_with_the_fix(self, embedded: EmbeddedBench) -> None:
        mount = Mount(source="/etc", target="/data", read_only=False)
        container = embedded.engine.create(embedded.spec("aa", "true", mounts=(mount,)))
        with pytest.raises(ConfigError, match="/etc cannot be written by the container's user") as refusal:
            container.start()
        assert "chmod" in str(refusal.value.hint)
        assert container.state().status is Status.CREATED

    def test_listening_sockets_are_inherited_by_name(self, embedded: EmbeddedBench) -> None:
        script = "echo $LISTEN_FDS $LISTEN_FDNAMES; ls /proc/self/fd | wc -l; sleep 60"
        ports = (Port(container_port=8080, socket="http"), Port(container_port=8082, socket="metrics"))
        container = embedded.engine.create(embedded.spec("aa", script, ports=ports))
        container.start()
        until(lambda: len(list(container.logs())) == 2)
        # 0, 1, 2, the two sockets, and the one that `ls` has open
        assert [line.text for line in container.logs()] == ["2 http:metrics", "6"]
        for port in container.state().ports:
            socket.create_connection(("127.0.0.1", port.host_port), timeout=5).close()
        container.stop(0)

    def test_a_server_answers_through_its_inherited_socket_without_any_network(self, embedded: EmbeddedBench) -> None:
        code = (
            "import socket\n"
            "listener = socket.socket(fileno=3)\n"
            "connection, _ = listener.accept()\n"
            "connection.sendall(b'hello ' + connection.recv(100))\n"
            "connection.close()\n"
        )
        argv = python_argv(code)
        ports = (Port(container_port=8080, socket="http"),)
        container = embedded.engine.create(embedded.spec("aa", "", argv=argv, ports=ports, mounts=python_mounts()))
        container.start()
        where = ("127.0.0.1", container.state().ports[0].host_port)
        with socket.create_connection(where, timeout=20) as client:  # before the program listens: nothing is refused
            client.sendall(b"you")
            assert client.recv(100) == b"hello you"
        assert container.wait() == 0

    def test_its_first_process_ignores_none_by_itself(self, embedded: EmbeddedBench) -> None:
        argv = ("/bin/grep", "SigIgn", "/proc/self/status")
        _, lines = embedded.run("", argv=argv)
        assert int(lines[0].split()[1], 16) & ~GLIBCS_OWN == 0

    def test_a_program_that_only_a_mount_could_have_and_has_not_exits_127(
        self, embedded: EmbeddedBench, tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o755)
        mount = Mount(source=str(tmp_path), target="/data")
        container = embedded.engine.create(embedded.spec("aa", "", argv=("/data/absent",), mounts=(mount,)))
        container.start()
        assert container.wait() == 127
        assert "/data/absent: No such file or directory" in container.state().reason
