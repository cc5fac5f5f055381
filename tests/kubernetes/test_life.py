"""The whole life of a service, on the tests' server or a real cluster: from the first deploy to the last word.

A real cluster is told by TIFFIN_TEST_IMAGE which image of tiffin's its nodes can pull, as `REGISTRY/NAME@sha256:…`.
"""

from __future__ import annotations

import http.client
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from apiserver.controller import Controller
from apiserver.fates import unpullable
from kubernetes_fixtures import eventually
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.replica import Replica
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Resources, Rollout, Service, Template
from tiffin.deploy.target import Phase
from tiffin.engine.spec import Command, Streams
from tiffin.errors import CommandError, NotFoundError
from tiffin.oci.digest import Digest

REAL = bool(os.environ.get("TIFFIN_TEST_CLUSTER"))
PYTHON = "python" if REAL else sys.executable
"""What tiffin's images call it; they have no `python3`, and no shell."""
ABSENT = Digest.of(b"nobody ever pushed this")


@pytest.fixture
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """An image that the cluster can pull, beside one that it cannot."""
    if REAL:
        if not (named := os.environ.get("TIFFIN_TEST_IMAGE")):
            pytest.skip("needs TIFFIN_TEST_IMAGE")
        yield named
        return
    fates = {ABSENT: unpullable("iris")}
    with Controller(request.getfixturevalue("server"), fates=dict(fates)).running():
        yield f"registry.example/team/iris@{Digest.of(b'iris')}"


def service(image: str, *, digest: str = "", seconds: float = 300, mark: str = "") -> Service:
    name, _, own = image.partition("@")
    template = Template(
        image=name,
        digest=Digest.parse(digest or own),
        ports={"http": 8080, "metrics": 8082},
        env={"MARK": mark},
        resources=Resources(cpus=0.1, memory=512 << 20),
    )
    rollout = Rollout(progress_seconds=seconds)
    return Service(name="iris", template=template, replicas=Replicas(least=1, most=1), rollout=rollout)


@pytest.mark.cluster
def test_a_service_lives(api: Api, namespace: str, image: str) -> None:
    target = KubernetesTarget(api, namespace)
    assert target.apply(service(image)).phase is Phase.AVAILABLE
    target.scale("iris", 2, 2)
    eventually(lambda: target.status("iris").ready == 2)
    assert target.apply(service(image, mark="second")).phase is Phase.AVAILABLE
    with pytest.raises(CommandError, match="cannot pull"):
        target.apply(service(image, digest=ABSENT, seconds=20 if REAL else 1))
    assert target.status("iris").ready >= 1, "what was there serves"
    assert target.rollback("iris").phase is Phase.AVAILABLE
    assert target.restart("iris").phase is Phase.AVAILABLE
    assert [one.name for one in target.list()] == ["iris"]
    assert len(list(target.logs("iris"))) >= (1 if REAL else 0)
    target.delete("iris")
    with pytest.raises(NotFoundError):
        target.status("iris")


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@pytest.fixture
def health(request: pytest.FixtureRequest) -> Iterator[None]:
    """What answers in replicas, where they are only played."""
    if REAL:
        yield
        return
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        request.getfixturevalue("server").pods.ports[8080] = listening.server_address[1]
        yield
        listening.shutdown()


@pytest.mark.cluster
@pytest.mark.usefixtures("health")
def test_its_replicas_are_reached(api: Api, namespace: str, image: str, tmp_path: Path) -> None:
    target = KubernetesTarget(api, namespace)
    target.apply(service(image))
    replica = target.replica("iris")
    assert said(replica, PYTHON, "-c", "print(input().upper()); raise SystemExit(3)", given=b"hello\n") == (
        3,
        "HELLO\n",
    )
    assert said(replica, "no-such-program")[0] == 127
    there = "/tmp/tiffin-copied" if REAL else f"{tmp_path}/there"
    (tmp_path / "here").write_bytes(sent := os.urandom(3 << 20))
    replica.copy_in(str(tmp_path / "here"), there)
    replica.copy_out(there, str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == sent
    leads = target.forward("iris", "http", "127.0.0.1", 0)
    threading.Thread(target=leads.run, daemon=True).start()
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", leads.port, timeout=30)
        connection.request("GET", "/v2/health/live")
        assert connection.getresponse().status == 200
        connection.close()
    leads.close()
    failing = service(image, digest=ABSENT, seconds=20 if REAL else 1)
    failing = msgspec.structs.replace(failing, rollout=msgspec.structs.replace(failing.rollout, rollback=True))
    with pytest.raises(CommandError, match="serves as before"):
        target.apply(failing)
    assert target.status("iris").phase is Phase.AVAILABLE
    target.delete("iris")


def said(replica: Replica, *argv: str, given: bytes = b"") -> tuple[int, str]:
    """Run a program there, and return its exit code and what it wrote."""
    stdin, out = os.memfd_create("in"), os.memfd_create("out")
    try:
        os.write(stdin, given)
        os.lseek(stdin, 0, os.SEEK_SET)
        code = replica.exec(Command(argv=argv), Streams(stdin=stdin, stdout=out, stderr=out))
        return code, os.pread(out, 1 << 20, 0).decode()
    finally:
        os.close(stdin)
        os.close(out)
