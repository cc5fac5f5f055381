"""What is pushed to docker-registry is what skopeo pulls from it, over TLS and by password too."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from programs.iris import Iris
from programs.process import run
from programs.registry import LOGIN, make_authority, registry
from programs.waiting import until
from tiffin.oci.documents import LAYER, Descriptor
from tiffin.oci.reference import Reference
from tiffin.store.layout import LayoutStore
from tiffin.store.remote.store import RemoteStore

pytestmark = pytest.mark.program("skopeo", "docker-registry")
DENIED = 5


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """Who has the iris image, and keeps logins in a folder of their own."""
    passed = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH"}}
    return {**passed, "TIFFIN_HOME": str(home), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}


def tiffin(environment: Mapping[str, str], *words: str, text: str = "", status: int = 0) -> str:
    """Run the command line; returns what it printed, or its errors where another status than 0 is expected."""
    done = subprocess.run(
        [sys.executable, "-m", "tiffin", *words],
        env=dict(environment), input=text, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return (done.stderr if status else done.stdout).strip()


def pulled(name: str, folder: Path, *options: str) -> str:
    """Let skopeo pull an image whole, checking every digest, and return the image's."""
    run("skopeo", "copy", "--preserve-digests", *options, f"docker://{name}", f"oci:{folder}:pulled")
    return LayoutStore(folder).resolve("pulled").digest


def test_a_pushed_image_is_pulled_by_others_byte_for_byte(
    iris: Iris, own_registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    name = f"{own_registry}/pushed/iris:1"
    assert tiffin(environment, "push", iris.name, name) == f"{own_registry}/pushed/iris@{iris.digest}"
    assert pulled(name, tmp_path / "oci", "--src-tls-verify=false") == iris.digest
    said = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}"))
    assert said["Digest"] == iris.digest
    plan = json.loads(tiffin(environment, "push", iris.name, name, "--plan", "--json"))
    assert {part["state"] for part in plan["parts"]} == {"there"}
    assert plan["moves"] == 0


@pytest.mark.program("openssl")
def test_a_registry_with_a_password_and_a_certificate_of_its_own_is_pushed_to(
    iris: Iris, environment: dict[str, str], tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    environment["SSL_CERT_FILE"] = str(authority / "ca.pem")
    user, password = LOGIN
    with registry(authority, password=True) as host:
        name = f"{host}/iris:1"
        said = tiffin(environment, "push", iris.name, name, status=DENIED)
        assert f"hint: `tiffin login {host}`" in said
        said = tiffin(environment, "login", host, "-u", user, "--password-stdin", text="wrong\n", status=DENIED)
        assert f"{host} does not let us in as {user}" in said
        kept = tmp_path / ".docker" / "config.json"
        assert not kept.exists(), "a wrong password is not kept"
        assert tiffin(environment, "login", host, "-u", user, "--password-stdin", text=f"{password}\n") == host
        assert kept.stat().st_mode & 0o777 == 0o600
        tiffin(environment, "push", iris.name, name)
        options = ("--src-tls-verify=false", f"--authfile={kept}")
        assert pulled(name, tmp_path / "oci", *options) == iris.digest, "skopeo reads what was kept"
        assert tiffin(environment, "tags", f"{host}/iris") == "1"
        assert tiffin(environment, "logout", host) == host
        assert password not in kept.read_text()
        tiffin(environment, "push", iris.name, name, status=DENIED)


def test_blobs_of_another_repository_are_mounted(iris: Iris, own_registry: str, environment: dict[str, str]) -> None:
    tiffin(environment, "push", iris.name, f"{own_registry}/one/iris:1")
    target = f"{own_registry}/two/iris:1"
    plan = json.loads(tiffin(environment, "push", iris.name, target, "--plan", "--json"))
    sent = [part["title"] for part in plan["parts"] if part["state"] != "mount"]
    assert {title.partition(" ")[0] for title in sent} == {"manifest"}, "the image's, and of what speaks of it"
    assert all(part["source"] for part in plan["parts"] if part["state"] == "mount")
    tiffin(environment, "push", iris.name, target)
    assert tiffin(environment, "copy", target, f"{own_registry}/three/iris:1").endswith(iris.digest)
    assert (
        run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{target}") == iris.digest
    )


def test_a_push_that_is_killed_sends_at_most_what_was_on_its_way_again(
    iris: Iris, own_registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    name = f"{own_registry}/killed/iris:1"
    log = tmp_path / "log"
    with log.open("wb") as output:
        pushing = subprocess.Popen(
            [sys.executable, "-m", "tiffin", "--progress", "json", "push", iris.name, name],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
        until(lambda: pushing.poll() is not None or b'"finished"' in log.read_bytes(), log.read_text)
        pushing.send_signal(signal.SIGKILL)
        pushing.wait()
    done = {event["detail"] for event in map(json.loads, whole_lines(log)) if event["type"] == "finished"}
    plan = json.loads(tiffin(environment, "push", iris.name, name, "--plan", "--json"))
    there = {part["title"] for part in plan["parts"] if part["state"] != "send"}
    assert done
    assert done <= there
    tiffin(environment, "push", iris.name, name)
    assert pulled(name, tmp_path / "oci", "--src-tls-verify=false") == iris.digest


def whole_lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_nothing_half_sent_is_seen(own_registry: str, tmp_path: Path) -> None:
    """docker-registry forgets an upload whose stream broke off; it is begun anew, and then it is whole."""
    data = os.urandom(9 << 20)
    blob = Descriptor.of(data, LAYER)

    class Breaking(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1) -> bytes:
            if not self.broken and self.tell() > 5 << 20:
                self.broken = True
                raise ConnectionResetError("the network went away")
            return super().read(size)

    store = RemoteStore.of(Reference.parse(f"{own_registry}/broken/blob"), {"HOME": str(tmp_path)}, writing=True)
    store.put(blob, Breaking(data))
    with store.open(blob) as stream:
        assert stream.read() == data
