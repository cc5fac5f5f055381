"""Devices by CDI, on every engine: a spec of the tests' own over device nodes that every machine has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.engine_fixtures import ClientBench, EmbeddedBench, RealBench, executed, python_argv, python_mounts, ready
from tiffin.engine.cdi_files import FOLDERS, VARIABLE
from tiffin.errors import ConfigError, IntegrityError, NotFoundError, UnsupportedError
from tiffin.layers.linker_cache import Cached, write_cache

LIBRARY = "libQ.so.1"
"""A library that no machine has: a copy of libz, which every machine has, under a name of the same length."""


def write_spec(folder: Path, **more: Any) -> None:
    spec = {
        "cdiVersion": "0.6.0",
        "kind": "tiffin.test/device",
        "devices": [
            {
                "name": "zero",
                "containerEdits": {
                    "env": ["DEVICE=zero"],
                    "deviceNodes": [{"path": "/dev/tiffin/zero", "hostPath": "/dev/zero", "permissions": "rw"}],
                },
            },
            {
                "name": "full",
                "containerEdits": {"deviceNodes": [{"path": "/dev/tiffin-full", "hostPath": "/dev/full"}]},
            },
        ],
        "containerEdits": {"env": ["FROM_CDI=yes", "TOLD=by the spec"]},
    }
    folder.mkdir(exist_ok=True)
    (folder / "tiffin.json").write_text(json.dumps(spec | more))


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cdi"
    write_spec(folder)
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def driver(folder: Path) -> Path:
    """A library as a driver brings it: its file's name says the version, its own name does not."""
    source = next(path for path in Path("/usr/lib").glob("*/libz.so.1"))
    data = source.read_bytes()
    assert data.count(b"\0libz.so.1\0") == 1
    library = folder / f"{LIBRARY}.2"
    library.write_bytes(data.replace(b"\0libz.so.1\0", b"\0libQ.so.1\0"))
    return library


def with_library(specs: Path, library: Path) -> None:
    mount = {
        "hostPath": str(library),
        "containerPath": f"/opt/driver/{library.name}",
        "options": ["ro", "nosuid", "nodev", "bind"],
    }
    hooks = [
        hook("create-symlinks", "--link", f"{LIBRARY}::/opt/driver/libQ.so"),
        hook("update-ldcache", "--folder", "/opt/driver"),
    ]
    write_spec(specs, containerEdits={"mounts": [mount], "hooks": hooks})


def hook(verb: str, *arguments: str) -> dict[str, Any]:
    program = "/usr/bin/nvidia-cdi-hook"
    return {"hookName": "createContainer", "path": program, "args": ["nvidia-cdi-hook", verb, *arguments]}


@pytest.mark.usefixtures("specs")
class TestDevices:
    def test_a_device_is_there_and_works(self, real: RealBench) -> None:
        code, lines = real.run(
            "/bin/busybox head -c 4 /dev/tiffin/zero | wc -c; echo x >/dev/tiffin-full; echo $?; ls /dev/tiffin",
            devices=("tiffin.test/device=zero", "tiffin.test/device=full"),
        )
        assert (code, [line.strip() for line in lines]) == (0, ["4", "1", "zero"])

    def test_what_is_not_asked_for_is_not_there(self, real: RealBench) -> None:
        code, lines = real.run("ls /dev/tiffin-full; echo $DEVICE", devices=("tiffin.test/device=zero",))
        assert (code, lines) == (0, ["zero"])

    def test_variables_come_with_a_device_and_replace_the_containers(self, real: RealBench) -> None:
        code, lines = real.run(
            "echo $FROM_CDI $DEVICE $TOLD",
            env={"PATH": "/bin", "TOLD": "by the image"},
            devices=("tiffin.test/device=zero",),
        )
        assert (code, lines) == (0, ["yes zero by the spec"])

    def test_files_come_with_a_device(self, real: RealBench, specs: Path, tmp_path: Path) -> None:
        (tmp_path / "firmware").write_text("new\n")
        mount = {"hostPath": str(tmp_path / "firmware"), "containerPath": "/opt/firmware", "options": ["ro", "bind"]}
        write_spec(specs, containerEdits={"mounts": [mount]})
        code, lines = real.run("cat /opt/firmware; touch /opt/firmware; echo $?", devices=("tiffin.test/device=zero",))
        assert (code, lines) == (0, ["new", "1"])

    def test_a_library_that_comes_with_a_device_is_found_by_its_name(
        self, real: RealBench, specs: Path, tmp_path: Path
    ) -> None:
        with_library(specs, driver(tmp_path))
        code, lines = real.python(
            f"import ctypes\nfor name in ('{LIBRARY}', 'libQ.so'):\n    print(ctypes.CDLL(name).zlibVersion() != 0)",
            devices=("tiffin.test/device=zero",),
        )
        assert (code, lines) == (0, ["True", "True"])

    def test_an_unknown_device_is_refused_with_those_there_are(self, real: RealBench) -> None:
        with pytest.raises(NotFoundError, match=r"no CDI spec in .* has the device tiffin.test/device=one") as caught:
            real.run("true", devices=("tiffin.test/device=one",))
        assert caught.value.hint == "devices of tiffin.test/device: zero, full"

    def test_a_hook_that_nobody_knows_is_refused(self, real: RealBench, specs: Path) -> None:
        write_spec(
            specs, containerEdits={"hooks": [{"hookName": "prestart", "path": "/opt/other", "args": ["other", "x"]}]}
        )
        with pytest.raises(UnsupportedError, match="asks for the hook `other x`"):
            real.run("true", devices=("tiffin.test/device=zero",))

    def test_a_spec_that_speaks_of_what_is_gone_is_refused(self, real: RealBench, specs: Path) -> None:
        gone = {"name": "gone", "containerEdits": {"deviceNodes": [{"path": "/dev/tiffin-gone"}]}}
        write_spec(specs, devices=[gone])
        with pytest.raises(NotFoundError, match="names /dev/tiffin-gone, which is not on this machine"):
            real.run("true", devices=("tiffin.test/device=gone",))

    def test_a_broken_spec_is_told_to_whoever_misses_a_device(self, real: RealBench, specs: Path) -> None:
        (specs / "broken.json").write_text('{"cdiVersion": "0.6.0", "kind": "x.y/z", "device": []}')
        with pytest.raises(NotFoundError, match=r"broken.json: Object contains unknown field `device`"):
            real.run("true", devices=("x.y/z=0",))


@pytest.mark.usefixtures("specs")
class TestEmbedded:
    def test_the_linkers_cache_has_the_library_and_not_the_environment(
        self, embedded: EmbeddedBench, specs: Path, tmp_path: Path
    ) -> None:
        with_library(specs, driver(tmp_path))
        code, lines = embedded.run(
            "echo ${LD_LIBRARY_PATH-none}; ls -l /opt/driver | grep -c -- '->'; grep -c libQ /etc/ld.so.cache",
            devices=("tiffin.test/device=zero",),
        )
        assert (code, lines) == (0, ["none", "2", "1"])

    def test_a_further_program_has_the_devices_too(self, embedded: EmbeddedBench, specs: Path, tmp_path: Path) -> None:
        with_library(specs, driver(tmp_path))
        spec = embedded.program("aa", "serve", mounts=python_mounts(), devices=("tiffin.test/device=zero",))
        container = embedded.engine.create(spec)
        container.start()
        ready(container)
        code, out, err = executed(
            container, *python_argv(f"import ctypes, os; ctypes.CDLL('{LIBRARY}'); print(os.environ['DEVICE'])")
        )
        assert (code, out) == (0, "zero\n"), err
        container.stop(0)

    def test_further_programs_run_though_the_spec_is_gone(self, embedded: EmbeddedBench, specs: Path) -> None:
        container = embedded.engine.create(embedded.program("aa", "serve", devices=("tiffin.test/device=zero",)))
        container.start()
        ready(container)
        (specs / "tiffin.json").unlink()
        assert executed(container, "ls", "/dev/tiffin") == (0, "zero\n", "")
        container.stop(0)
        with pytest.raises(NotFoundError, match=r"has the device tiffin.test/device=zero"):
            container.start()

    def test_the_images_own_libraries_stay_in_the_cache(
        self, embedded: EmbeddedBench, specs: Path, tmp_path: Path
    ) -> None:
        own = Cached(name="libown.so.1", path="/own/libown.so.1", flags=0x303)
        layer = embedded.data / "unpacked" / embedded.layers[0].hex
        (layer / "etc/ld.so.cache").write_bytes(write_cache([own]))
        with_library(specs, driver(tmp_path))
        script = "grep -c libown /etc/ld.so.cache; grep -c libQ /etc/ld.so.cache"
        assert embedded.run(script, devices=("tiffin.test/device=zero",)) == (0, ["1", "1"])
        (layer / "etc/ld.so.cache").write_bytes(b"torn")
        with pytest.raises(IntegrityError, match=r"/etc/ld.so.cache of the image cannot be read"):
            embedded.run(script, devices=("tiffin.test/device=zero",))

    def test_a_start_finds_what_the_spec_says_by_then(self, embedded: EmbeddedBench, specs: Path) -> None:
        script = "echo $FROM_CDI"
        container = embedded.engine.create(embedded.spec("aa", script, devices=("tiffin.test/device=zero",)))
        for said in ("yes", "upgraded"):
            write_spec(specs, containerEdits={"env": [f"FROM_CDI={said}"]})
            container.start()
            container.wait()
        assert [line.text for line in container.logs()] == ["yes", "upgraded"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_a_node_of_a_group_may_be_opened_by_the_container_and_one_of_roots_is_refused(
        self, embedded: EmbeddedBench, specs: Path
    ) -> None:
        node = Path("/dev") / f"tiffin-{os.getpid()}"
        try:
            os.mknod(node, 0o20660, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("needs root that may make device nodes")
        try:
            device = {"name": "own", "containerEdits": {"deviceNodes": [{"path": "/dev/own", "hostPath": str(node)}]}}
            write_spec(specs, devices=[device])
            node.chmod(0o660)
            with pytest.raises(ConfigError, match="cannot be opened by the container's user"):
                embedded.run("true", devices=("tiffin.test/device=own",))
            os.chown(node, 0, 12345)
            code, lines = embedded.run("/bin/busybox head -c 2 /dev/own | wc -c", devices=("tiffin.test/device=own",))
            assert (code, lines) == (0, ["2"])
        finally:
            node.unlink()


@pytest.fixture
def native() -> Iterator[str]:
    """The kind of a spec in a folder where every program that knows CDI looks."""
    folder = Path(FOLDERS[-1])
    kind = f"tiffin.test/native{os.getpid()}"
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    file = folder / f"tiffin-{os.getpid()}.json"
    edits = {"env": ["FROM=podman"], "deviceNodes": [{"path": "/dev/tiffin0", "hostPath": "/dev/zero"}]}
    file.write_text(
        json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "a", "containerEdits": edits}]})
    )
    yield kind
    file.unlink()
    if made:
        folder.rmdir()


@pytest.mark.program("podman", "runc", "busybox")
class TestPodman:
    def test_a_program_that_knows_cdi_finds_devices_by_itself(self, podman: ClientBench, native: str) -> None:
        device = f"{native}=a"
        code, lines = podman.run(
            "/bin/busybox head -c 3 /dev/tiffin0 | wc -c; echo $FROM", devices=(device,), user=(0, 0)
        )
        assert (code, [line.strip() for line in lines]) == (0, ["3", "podman"])

    def test_its_refusal_of_an_unknown_device_is_in_our_words(self, podman: ClientBench, native: str) -> None:
        with pytest.raises(NotFoundError, match=f"has the device {native}=b"):
            podman.run("true", devices=(f"{native}=b",))
