"""Images that are not tiffin's: a root to write to, several users, ports they bind themselves."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import struct
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from contract.engine_fixtures import EmbeddedBench, RealBench, executed, python_argv, python_mounts, ready
from programs.process import run
from programs.waiting import until
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.unpacked import Unpacked
from tiffin.engine.listening import listens
from tiffin.engine.plan import CAPABILITY_MASK
from tiffin.engine.spec import CanCopy, Container, Mount, Network, Port, Restart, RestartPolicy, Status
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.documents import LAYER, Descriptor
from tiffin.store.memory import MemoryStore

FOREIGN: dict[str, Any] = {"read_only": False, "several_ids": True, "user": (0, 0)}
"""What `container_spec` says of an image that is not tiffin's and runs as root."""
SERVER = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 80))
def serve(connection):
    total = 0
    while data := connection.recv(1 << 16):
        total += len(data)
        connection.sendall(data)
    connection.sendall(b"%d" % total)
    connection.close()
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""


@pytest.fixture(autouse=True)
def _ids() -> None:
    """An ordinary user without a range of ids is tested by the refusal."""
    if Machine.here().ids is None:
        pytest.skip("needs an ordinary user's range in /etc/subuid")


class TestARootToWriteTo:
    def test_what_is_written_survives_stop_and_start_and_goes_with_the_container(self, real: RealBench) -> None:
        script = "echo more >> /app/readme; cat /app/readme; touch /$(ls / | wc -l); echo ready; sleep 60"
        container = real.engine.create(real.spec("aa", script, **FOREIGN))
        for runs in (1, 2):
            container.start()
            ready(container, runs)
            container.stop(0)
        lines = [line.text for line in container.logs()]
        assert lines == ["made", "more", "ready", "made", "more", "more", "ready"]
        container.remove()
        again = real.engine.create(real.spec("aa", "cat /app/readme", **FOREIGN))
        again.start()
        again.wait()
        assert [line.text for line in again.logs()] == ["made"]
        again.remove()

    def test_what_the_image_has_can_be_replaced_moved_and_taken_away(self, real: RealBench) -> None:
        script = (
            "rm /app/readme && busybox mv /app /other && busybox mkdir /app && ls /app | wc -l; ls /other | wc -l;"
            "busybox rm -r /other && busybox ln -s /etc/passwd /link && cat /link"
        )
        assert real.run(script, **FOREIGN) == (0, ["0", "0", "root:x:0:0::/:/bin/sh"])

    def test_the_image_itself_is_never_changed(self, embedded: EmbeddedBench) -> None:
        assert embedded.run("echo x > /app/readme; rm /bin/echo", **FOREIGN)[0] == 0
        assert embedded.run("cat /app/readme; echo there", **FOREIGN) == (0, ["made", "there"])

    def test_read_only_can_be_asked_of_any_image(self, real: RealBench) -> None:
        script = "touch /x || echo refused; touch /tmp/x && echo ok"
        assert real.run(script, **(FOREIGN | {"read_only": True})) == (0, ["refused", "ok"])

    def test_exec_and_cp_see_it_and_add_to_it(self, embedded: EmbeddedBench, tmp_path: Path) -> None:
        container = embedded.engine.create(embedded.spec("aa", "echo new > /new; echo ready; sleep 60", **FOREIGN))
        container.start()
        ready(container)
        assert executed(container, "sh", "-c", "cat /new; echo by exec > /app/exec") == (0, "new\n", "")
        assert isinstance(container, CanCopy)
        (tmp_path / "mine").write_text("by cp\n")
        container.copy_in(str(tmp_path / "mine"), "/app")
        container.copy_out("/app/.", str(tmp_path / "out"))
        assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
            "readme": "made\n",
            "exec": "by exec\n",
            "mine": "by cp\n",
        }
        assert executed(container, "stat", "-c", "%u:%g", "/app/mine")[1] == "0:0\n"
        container.remove(force=True)

    def test_nothing_is_left_of_it(self, embedded: EmbeddedBench) -> None:
        embedded.run("busybox mkdir /a; touch /a/x; busybox chown 1000 /a /a/x; busybox chmod 0 /a", **FOREIGN)
        assert sorted(path.name for path in (embedded.data / "containers").iterdir()) == ["names"]
        assert not list((embedded.data / "containers/names").iterdir())

    def test_a_link_that_it_left_leads_no_mount_out_of_it(self, embedded: EmbeddedBench, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        tmp_path.chmod(0o755)
        mount = Mount(source=str(tmp_path / "mine"), target="/a/deep")
        container = embedded.engine.create(embedded.spec("aa", "ls -d /a/deep", mounts=(mount,), **FOREIGN))
        (embedded.data / "containers" / container.id / "root/upper/a").symlink_to("/oldroot/var/tmp")
        container.start()
        assert container.wait() == 0
        container.remove()
        assert not Path("/var/tmp/deep").exists()


class TestSeveralUsers:
    def test_root_has_exactly_the_documented_capabilities(self, real: RealBench) -> None:
        _, lines = real.run("grep -E 'CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status", **FOREIGN)
        status = dict(line.split(":\t") for line in lines)
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {CAPABILITY_MASK}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    @pytest.mark.parametrize("through", ["run", "exec"])
    def test_it_is_confined_as_any_other(self, embedded: EmbeddedBench, through: str) -> None:
        code = (
            "import os\n"
            "print(sorted(os.listdir('/proc/self/fd')), os.listdir('/sys'))\n"
            "print([line.split(':')[0].strip() for line in open('/proc/net/dev')][2:])\n"
            "for path in ('/proc/sys/kernel/core_pattern', '/dev/x', '/sys/x'):\n"
            "    try: open(path, 'w')\n"
            "    except OSError: print('refused')\n"
            "print(len(open('/proc/keys').read()))\n"
            "for act in (lambda: os.mknod('/x', 0o20666, 259), lambda: os.chroot('/')):\n"
            "    try: act()\n"
            "    except PermissionError: print('refused')\n"
        )
        expected = ["['0', '1', '2', '3'] ['devices']", "['lo']", *["refused"] * 3, "0", *["refused"] * 2]
        if through == "run":
            assert embedded.python(code, **FOREIGN) == (0, expected)
            return
        settings = FOREIGN | {"mounts": python_mounts()}
        container = embedded.engine.create(embedded.program("a", "serve", **settings))
        container.start()
        assert executed(container, *python_argv(code))[1].splitlines() == expected
        container.remove(force=True)

    def test_another_user_has_none(self, real: RealBench) -> None:
        _, lines = real.run(
            "grep -E 'CapPrm|CapEff|CapAmb' /proc/self/status; id -u; id -g", **(FOREIGN | {"user": (7, 8)})
        )
        assert [line.split()[-1] for line in lines] == ["0" * 16, "0" * 16, "0" * 16, "7", "8"]

    def test_root_becomes_another_and_never_root_again(self, real: RealBench) -> None:
        code = (
            "import os\n"
            "os.mkdir('/own'); os.chown('/own', 33, 33); os.setgroups([5]); os.setgid(33); os.setuid(33)\n"
            "print(os.getresuid(), os.getgroups()); open('/own/x', 'w').close(); print(os.stat('/own/x').st_uid)\n"
            "try: os.setuid(0)\n"
            "except PermissionError: print('refused')\n"
        )
        assert real.python(code, **FOREIGN) == (0, ["(33, 33, 33) [5]", "33", "refused"])

    def test_the_outside_id_is_never_0(self, embedded: EmbeddedBench) -> None:
        container = embedded.engine.create(embedded.program("a", "serve", **FOREIGN))
        container.start()
        pid = container.state().pid
        status = Path(f"/proc/{pid}/status").read_text()
        outside = {line.split()[1] for line in status.splitlines() if line.startswith(("Uid", "Gid"))}
        assert "0" not in outside or (os.geteuid() == 0 and outside.isdisjoint({"0"}))
        executed(container, "sh", "-c", "busybox touch /x; busybox chown 33 /x")
        container.remove(force=True)

    def test_exec_has_what_the_container_has_and_can_be_another_user(self, embedded: EmbeddedBench) -> None:
        container = embedded.engine.create(embedded.program("a", "serve", **FOREIGN))
        container.start()
        question = ("sh", "-c", "id -u; id -g; grep -E 'CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status")
        _, out, _ = executed(container, *question)
        mask = f"{CAPABILITY_MASK:016x}"
        assert [line.split()[-1] for line in out.splitlines()] == ["0", "0", mask, mask, mask, "1", "2"]
        _, out, _ = executed(container, *question, user="33:34")
        assert [line.split()[-1] for line in out.splitlines()] == ["33", "34", *["0" * 16] * 3, "1", "2"]
        container.remove(force=True)

    def test_exec_finds_a_user_by_name_in_the_containers_own_tables(self, real: RealBench) -> None:
        tables = "echo 'web:x:33:34::/:' > /etc/passwd; echo 'www:x:40:' > /etc/group"
        settings = FOREIGN | {"argv": ("sh", "-c", f"busybox mkdir -p /etc; {tables}; echo ready; sleep 600")}
        container = real.engine.create(real.spec("aa", "", **settings))
        container.start()
        ready(container)
        for user, numbers in (("web", "33 34"), ("web:www", "33 40"), ("33", "33 34"), ("7:www", "7 40"), ("7", "7 0")):
            assert executed(container, "sh", "-c", "echo $(id -u) $(id -g)", user=user)[1] == f"{numbers}\n", user
        container.remove(force=True)

    def test_exec_refuses_a_user_whom_the_container_does_not_know(self, embedded: EmbeddedBench) -> None:
        container = embedded.engine.create(embedded.program("a", "serve", **FOREIGN))
        container.start()
        long = "busybox yes a:x:1:1 | busybox head -c 3000000 > /etc/passwd"
        link = "busybox rm /etc/passwd; busybox ln -s /proc/self/environ /etc/passwd"
        for script, why in (("true", "no user 'web'"), (long, "too long"), (link, "no user 'web'")):
            assert executed(container, "sh", "-c", f"busybox mkdir -p /etc; {script}")[0] == 0
            with pytest.raises(ConfigError, match=why):
                executed(container, "id", user="web")
        container.remove(force=True)

    def test_programs_may_open_their_standard_output_anew(self, embedded: EmbeddedBench) -> None:
        script = "echo again > /dev/stdout; echo well > /dev/stderr"
        for user in ((0, 0), (33, 34)):
            assert embedded.run(script, **(FOREIGN | {"user": user})) == (0, ["again"])


class TestPortsThatTheImageBinds:
    def serve(self, bench: RealBench, **more: Any) -> tuple[Container, tuple[str, int]]:
        ports = (Port(container_port=80),)
        settings = {"argv": python_argv(SERVER), "mounts": python_mounts(), "ports": ports} | FOREIGN | more
        container = bench.engine.create(bench.spec("aa", "", **settings))
        container.start()
        return container, ("127.0.0.1", container.state().ports[0].host_port)

    def test_a_connection_before_the_program_listens_waits_for_it(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded)
        with socket.create_connection(where, timeout=20) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert read(client) == b"hello5"
        container.remove(force=True)

    def test_any_user_may_bind_any_port(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded, user=(1000, 1000))
        until(lambda: listens(container.state().pid, 80))
        with socket.create_connection(where, timeout=20) as client:
            client.shutdown(socket.SHUT_WR)
            assert read(client) == b"0"
        container.remove(force=True)

    def test_a_slow_reader_slows_its_writer_and_nothing_is_lost(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded)
        until(lambda: listens(container.state().pid, 80))
        data = os.urandom(1 << 20) * 24
        with socket.create_connection(where, timeout=20) as client:
            writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
            writer.start()
            (relay,) = children(container)
            assert client.recv(1, socket.MSG_PEEK)
            assert memory(relay) < 100 << 20
            assert read(client) == data + str(len(data)).encode()
            writer.join()
        container.remove(force=True)

    def test_hundreds_of_connections_at_once(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded)
        until(lambda: listens(container.state().pid, 80))
        clients = [socket.create_connection(where, timeout=20) for _ in range(300)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        for number, client in enumerate(clients):
            assert client.recv(100) == b"%d" % number
            client.close()
        container.remove(force=True)

    def test_nobody_listening_resets_and_the_container_goes_on(self, embedded: EmbeddedBench) -> None:
        ports = (Port(container_port=81),)
        container = embedded.engine.create(embedded.spec("aa", "sleep 600", ports=ports, **FOREIGN))
        container.start()
        where = ("127.0.0.1", container.state().ports[0].host_port)
        with socket.create_connection(where, timeout=20) as client, contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert container.state().status is Status.RUNNING
        container.remove(force=True)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where, timeout=5)

    def test_a_client_that_resets_is_noticed_inside(self, embedded: EmbeddedBench) -> None:
        code = (
            "import socket\n"
            "listener = socket.create_server(('127.0.0.1', 80))\n"
            "connection, _ = listener.accept()\n"
            "connection.sendall(b'x')\n"
            "try: print(connection.recv(1))\n"
            "except ConnectionResetError: print('reset')\n"
        )
        container, where = self.serve(embedded, argv=python_argv(code))
        client = socket.create_connection(where, timeout=20)
        assert client.recv(1) == b"x"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert container.wait() == 0
        assert [line.text for line in container.logs()] == ["reset"]

    def test_a_program_that_listens_on_ipv6_alone_is_reached(self, embedded: EmbeddedBench) -> None:
        code = SERVER.replace('create_server(("127.0.0.1", 80))', 'create_server(("::1", 80), family=socket.AF_INET6)')
        container, where = self.serve(embedded, argv=python_argv(code))
        with socket.create_connection(where, timeout=20) as client:
            client.shutdown(socket.SHUT_WR)
            assert read(client) == b"0"
        container.remove(force=True)

    def test_the_port_is_free_again_when_the_container_has_ended(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded)
        container.stop(0)
        socket.create_server(where).close()

    def test_it_is_reached_again_each_time_it_is_started_again(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded, restart=Restart(policy=RestartPolicy.ALWAYS))
        pid = 0
        for _ in range(3):
            until(lambda: container.state().pid not in {0, pid})  # noqa: B023 - at once
            pid = container.state().pid
            until(lambda: listens(pid, 80))  # noqa: B023 - at once
            with socket.create_connection(where, timeout=20) as client:
                client.shutdown(socket.SHUT_WR)
                assert read(client) == b"0"
            os.kill(pid, signal.SIGKILL)
        container.remove(force=True)

    def test_the_container_does_not_see_the_relay(self, embedded: EmbeddedBench) -> None:
        container, _ = self.serve(embedded)
        _, out, _ = executed(container, "sh", "-c", "ls /proc | grep -c '^[0-9]'; ls /proc/1/fd | wc -l")
        assert int(out.split()[0]) <= 5
        container.remove(force=True)

    def test_a_relay_that_is_killed_is_replaced_and_the_container_goes_on(self, embedded: EmbeddedBench) -> None:
        container, where = self.serve(embedded)
        program = container.state().pid
        until(lambda: listens(program, 80))
        (group,) = children(container)
        for which in (0, 1, 0, 1, 1, 0):
            until(lambda: len(members(group)) == 2)
            killed = members(group)[which]
            with socket.create_connection(where, timeout=20) as held:
                held.sendall(b"x")
                assert held.recv(1) == b"x"
                os.kill(killed, signal.SIGKILL)
                until(lambda: killed not in members(group))  # noqa: B023 - at once
                with socket.create_connection(where, timeout=20) as client:
                    client.sendall(b"hello")
                    client.shutdown(socket.SHUT_WR)
                    assert read(client) == b"hello5"
        assert container.state().pid == program
        container.stop(0)
        assert members(group) == []
        socket.create_server(where).close()

    def test_nothing_of_the_relay_outlives_its_keeper(self, embedded: EmbeddedBench) -> None:
        container, _ = self.serve(embedded)
        (group,) = children(container)
        until(lambda: len(members(group)) == 2)
        for relay in members(group):
            os.kill(relay, signal.SIGKILL)
            until(lambda: len(members(group)) == 2)
        os.kill(parent(parent(container.state().pid)), signal.SIGKILL)
        until(lambda: members(group) == [])
        container.remove(force=True)

    def test_with_the_hosts_network_the_port_is_the_hosts_own(self, embedded: EmbeddedBench) -> None:
        with pytest.raises(UnsupportedError, match="port 80 is the host's own"):
            self.serve(embedded, network=Network.HOST)


OUTSIDE = """
import socket, sys, threading
from pathlib import Path
from contract.engine_fixtures import EmbeddedBench
from tiffin.engine.spec import Network
def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"outside\\n")
        connection.close()
for address in ("192.0.2.1", "127.0.0.1"):
    listener = socket.create_server((address, 8000))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
bench = EmbeddedBench(Path(sys.argv[1]))
script = (
    "for host in 192.0.2.1 10.0.2.2; do busybox nc -w 5 $host 8000 < /dev/null; done; cat /proc/net/dev | wc -l"
)
for user, foreign in ((65532, False), (0, True), (33, True)):
    more = {"read_only": not foreign, "several_ids": foreign, "user": (user, user)}
    print(bench.run(script, network=Network.USER, **more))
"""
"""Runs in a network of its own, where 192.0.2.1 is an address of the host."""


@pytest.mark.program("slirp4netns", "busybox", "unshare")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_with_a_network_of_the_user_the_outside_is_reached_and_the_hosts_loopback_is_not(tmp_path: Path) -> None:
    setup = (
        "mount -t tmpfs none /dev/net && busybox mknod -m 666 /dev/net/tun c 10 200 && busybox ip link set lo up &&"
        'busybox ip addr add 192.0.2.1/32 dev lo && exec "$0" "$@"'
    )
    tests = Path(__file__).parents[1]
    tmp_path.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
    argv = ["unshare", "--net", "--mount", "sh", "-c", setup, sys.executable, "-c", OUTSIDE, str(tmp_path)]
    assert run(*argv, env=environment).splitlines() == ["(0, ['outside', '4'])"] * 3


class TestOddImages:
    """What is in a layer comes out as its maker meant it, owners and modes included."""

    def engine(self, embedded: EmbeddedBench, *layers: bytes) -> EmbeddedBench:
        """An engine that has unpacked these tars, with busybox below them."""
        store = MemoryStore()
        for data in layers:
            blob = Descriptor.of(data, LAYER)
            store.put(blob, io.BytesIO(data))
            Unpacked(embedded.data / "unpacked", unpack_layer).add(store, {blob.digest: blob})
            embedded.layers = (*embedded.layers, blob.digest)
        return embedded

    def test_owners_modes_and_links_are_as_the_layer_says(self, embedded: EmbeddedBench) -> None:
        bench = self.engine(
            embedded,
            packed(
                member("srv", tarfile.DIRTYPE, mode=0o2750, uid=33, gid=34),
                member("srv/secret", mode=0o600, uid=33, gid=34, data=b"s"),
                member("srv/again", tarfile.LNKTYPE, link="srv/secret"),
                member("usr/su", mode=0o4755, data=b"s"),
                member("huge", mode=0o644, uid=200000, gid=5),
                member("var/tmp", tarfile.DIRTYPE, mode=0o1777),
            ),
        )
        paths = "/srv /srv/secret /srv/again /usr/su /huge /var/tmp /bin/busybox /"
        _, lines = bench.run(f"stat -c '%a %u:%g %h' {paths}", **FOREIGN)
        files = [line.split() for line in lines]
        assert [" ".join(found[:2]) for found in files] == [
            "2750 33:34", "600 33:34", "600 33:34", "755 0:0", "644 65534:5", "1777 0:0", "755 0:0", "755 0:0",
        ]  # fmt: skip
        assert files[1][2] == files[2][2] == "2"
        assert bench.run("cat /srv/secret || echo refused", **(FOREIGN | {"user": (35, 35)})) == (0, ["refused"])
        assert bench.run("cat /srv/secret; echo", **(FOREIGN | {"user": (33, 33)})) == (0, ["s"])

    def test_whiteouts_hide_and_what_comes_after_is_there(self, embedded: EmbeddedBench) -> None:
        bench = self.engine(
            embedded,
            packed(member("a/old", data=b"o"), member("b/old", data=b"o"), member("c", tarfile.DIRTYPE, uid=7, gid=7)),
            packed(
                member("a/.wh..wh..opq"), member("a/new", data=b"n"), member("b/.wh.old"), member("c/x", uid=8, gid=8)
            ),
        )
        assert bench.run("ls /a /b; stat -c %u /c /c/x; touch /a/old /b/old; ls /a /b", **FOREIGN) == (
            0,
            ["/a:", "new", "", "/b:", "7", "8", "/a:", "new", "old", "", "/b:", "old"],
        )

    def test_a_folder_keeps_its_owner_where_something_is_mounted_or_written_below_it(
        self, embedded: EmbeddedBench, tmp_path: Path
    ) -> None:
        bench = self.engine(embedded, packed(member("own", tarfile.DIRTYPE, mode=0o700, uid=33, gid=33)))
        tmp_path.chmod(0o755)
        mounts = (Mount(source=str(tmp_path), target="/own/deep/data"),)
        settings = FOREIGN | {"user": (33, 33), "cwd": "/own/work", "mounts": mounts}
        assert bench.run("stat -c '%a %u' /own; pwd; touch /own/x && echo ok", **settings) == (
            0,
            ["700 33", "/own/work", "ok"],
        )


def member(  # noqa: PLR0913 - a tar's member has these
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    mode: int = 0o755,
    uid: int = 0,
    gid: int = 0,
    data: bytes = b"",
    link: str = "",
) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.type, found.mode, found.uid, found.gid, found.size, found.linkname = kind, mode, uid, gid, len(data), link
    return found, data


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for found, data in members:
            archive.addfile(found, io.BytesIO(data))
    return out.getvalue()


def read(client: socket.socket) -> bytes:
    parts = []
    while data := client.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def children(container: Container) -> list[int]:
    """The processes that stand beside a container: its keeper's children."""
    pid = container.state().pid
    bubblewrap = parent(pid)
    keeper = parent(bubblewrap)
    found = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return [int(child) for child in found if int(child) != bubblewrap]


def members(group: int) -> list[int]:
    """The processes of a group that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group, *_ = path.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state != "Z":
                found.append(int(path.parent.name))
    return sorted(found)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
