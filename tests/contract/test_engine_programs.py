"""Further programs in containers, and their files: the same on every engine that runs real programs."""

from __future__ import annotations

import io
import os
import signal
import stat
import tarfile
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from contract.engine_fixtures import (
    DEADLINE,
    REAL,
    ClientBench,
    RealBench,
    executed,
    make_tree,
    ready,
    sh,
    until,
    waiting,
)
from tiffin.api.containers.logs import Part, lines
from tiffin.engine.clients.local import process_of
from tiffin.engine.spec import CanCopy, CanExec, CanMeasure, Command, Container, Streams
from tiffin.errors import ConfigError, ConflictError, DeniedError, IntegrityError, NotFoundError, UnsupportedError

HIDDEN = "a-value-that-nobody-else-reads"


@pytest.fixture
def container(real: RealBench) -> Iterator[Container]:
    with waiting(real, "aa") as made:
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "here")


def test_it_has_the_containers_environment_and_folder_and_what_is_said_besides(container: Container) -> None:
    assert sh(container, "echo $A $B $PWD; id -u") == (0, "image /app\n65532\n", "")
    more = {"A": "mine", "B": "two\nlines", "C": ' spaced "quoted" '}
    assert sh(container, 'echo "$A $B$C."; pwd', env=more, cwd="/etc") == (
        0,
        'mine two\nlines spaced "quoted" .\n/etc\n',
        "",
    )


def test_exit_codes_are_the_same_everywhere(container: Container) -> None:
    assert executed(container, "/app/readme")[:2] == (126, "")
    assert executed(container, "/nosuch/program")[:2] == (127, "")
    assert executed(container, "nosuch") == (127, "", "tiffin: nosuch: not found\n")
    assert sh(container, "true", cwd="/nosuch")[:2] == (126, "")
    assert sh(container, "kill -TERM $$")[0] == 128 + signal.SIGTERM
    assert sh(container, "echo out; echo err >&2; exit 126") == (126, "out\n", "err\n")


def test_a_mebibyte_goes_in_and_comes_out(container: Container) -> None:
    data = bytes(range(32, 127)) * 11038
    assert executed(container, "cat", given=data) == (0, data.decode(), "")


def test_without_input_there_is_nothing_to_read(container: Container) -> None:
    assert executed(container, "cat") == (0, "", "")


def test_what_begins_like_the_engines_words_is_passed_on(container: Container) -> None:
    words = "OCI runtime exec failed: said by the program"
    assert sh(container, f"echo '{words}'; exit 126") == (126, f"{words}\n", "")


@pytest.mark.parametrize("cwd", ["relative", "/app/../proc"])
def test_a_folder_that_is_none_is_refused(container: Container, cwd: str) -> None:
    with pytest.raises(ConfigError):
        sh(container, "true", cwd=cwd)


def test_a_terminal_is_one(container: Container) -> None:
    code, out, _ = executed(container, "sh", "-c", "test -t 0 && test -t 1 && echo $TERM; exit 3", tty=True)
    assert (code, out) == (3, "xterm\r\n")


def test_a_program_that_is_left_to_itself_goes_on(container: Container) -> None:
    assert isinstance(container, CanExec)
    assert (
        container.exec(Command(argv=("sh", "-c", "cat; echo $A > /tmp/there; exec sleep 599"), env={"A": "b"}), None)
        == 0
    )
    until(lambda: sh(container, "cat /tmp/there")[1] == "b\n")
    until(lambda: "sleep 599" in sh(container, "busybox ps -o args")[1])


def test_a_program_that_cannot_be_left_says_why(container: Container, capfd: pytest.CaptureFixture[str]) -> None:
    assert isinstance(container, CanExec)
    assert container.exec(Command(argv=("nosuch",)), None) == 127
    assert capfd.readouterr().err == "tiffin: nosuch: not found\n"
    assert container.exec(Command(argv=("/app/readme",)), None) == 126


def test_values_of_variables_are_on_no_command_line(real: RealBench) -> None:
    seen: list[str] = []
    over = threading.Event()
    watcher = threading.Thread(target=lambda: watch(seen, over))
    watcher.start()
    container = real.engine.create(real.spec("aa", "echo ready; sleep 600", env={"PATH": "/bin", "KEY": HIDDEN}))
    try:
        container.start()
        ready(container)
        more = {"MORE": HIDDEN, "LINES": f"{HIDDEN}\n{HIDDEN}"}
        assert sh(container, 'echo "$MORE $LINES"; test -n "$KEY"', env=more)[0] == 0
    finally:
        over.set()
        watcher.join()
        container.remove(force=True)
    assert seen == []


def watch(seen: list[str], over: threading.Event) -> None:
    """Look at every command line that there is, again and again."""
    while not over.is_set():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_text(errors="replace")
            except OSError:
                continue
            if HIDDEN in text:
                seen.append(text)


def test_a_part_of_a_log_is_shown(real: RealBench) -> None:
    container = real.engine.create(real.spec("aa", "echo one; busybox usleep 20000; echo two; echo three"))
    container.start()
    container.wait()
    written = list(container.logs())
    since = Part.of(since=written[1].time, tail="all")
    assert [line.text for line in lines(container, since)] == ["two", "three"]
    assert [line.text for line in lines(container, Part.of(since="", tail="1"))] == ["three"]
    assert [line.text for line in lines(container, Part.of(since="1h", tail="2"), follow=True)] == ["two", "three"]
    assert list(lines(container, Part.of(since="2999-01-01", tail="all"))) == []


def test_all_of_its_processes_are_measured(real: RealBench) -> None:
    container = real.engine.create(real.spec("aa", "busybox sleep 600 & while :; do :; done"))
    assert isinstance(container, CanMeasure)
    container.start()
    until(lambda: container.usage().processes == 2)
    until(lambda: container.usage().cpu_seconds > 0.1)
    assert 10_000 < container.usage().memory < 100_000_000
    container.remove(force=True)


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("file", "/tmp", "/tmp/file"),
        ("file", "/tmp/new", "/tmp/new"),
        ("tree", "/tmp", "/tmp/tree/deep/file"),
        ("tree", "/tmp/new", "/tmp/new/deep/file"),
        ("tree/.", "/tmp", "/tmp/deep/file"),
    ],
)
def test_a_path_means_what_it_means_to_docker(
    container: Container, here: Path, source: str, target: str, found: str
) -> None:
    assert isinstance(container, CanCopy)
    container.copy_in(f"{here}/{source}", target)
    assert sh(container, f"cat {found}; stat -c .%u:%g {found}")[1] in {"words.65532:65532\n", "deep.65532:65532\n"}
    container.copy_out(found, str(here / "back"))
    assert (here / "back").read_text() in {"words", "deep"}


def test_a_folder_comes_back_as_it_went(container: Container, here: Path) -> None:
    assert isinstance(container, CanCopy)
    container.copy_in(str(here / "tree"), "/tmp")
    assert sh(container, "/tmp/tree/program")[1] == "ran\n"
    container.copy_out("/tmp/tree", str(here / "back"))
    back = here / "back"
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == ["deep", "deep/file", "link", "program"]
    assert os.readlink(back / "link") == "deep/file"  # noqa: PTH115 - the link's text
    assert stat.S_IMODE((back / "program").stat().st_mode) == 0o750


def test_what_is_not_there_is_named_and_the_image_is_not_written(container: Container, here: Path) -> None:
    assert isinstance(container, CanCopy)
    with pytest.raises(NotFoundError, match=r"^aa:/nosuch: No such file"):
        container.copy_out("/nosuch", str(here))
    with pytest.raises(NotFoundError, match=f"^{here}/nosuch: No such file"):
        container.copy_in(f"{here}/nosuch", "/tmp")
    with pytest.raises(DeniedError, match="aa:/app: Read-only file system"):
        container.copy_in(str(here / "tree"), "/app")


def test_nothing_is_copied_or_run_where_nothing_runs(real: RealBench, here: Path) -> None:
    container = real.engine.create(real.spec("aa", "true"))
    assert isinstance(container, CanCopy)
    assert isinstance(container, CanExec)
    for act in (
        lambda: container.copy_out("/app/readme", str(here)),
        lambda: container.copy_in(str(here), "/tmp"),
        lambda: container.exec(Command(argv=("true",)), Streams(stdout=1, stderr=2)),
        lambda: container.exec(Command(argv=("true",)), None),
    ):
        with pytest.raises(ConflictError, match="aa does not run"):
            act()


def test_a_tar_comes_out_and_goes_in(container: Container, here: Path) -> None:
    assert isinstance(container, CanCopy)
    container.copy_in(str(here / "tree"), "/tmp")
    archive = io.BytesIO()
    container.tar_out("/tmp/tree", archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        names = {"tree", "tree/deep", "tree/deep/file", "tree/link", "tree/program"}
        assert {name.rstrip("/") for name in tar.getnames()} == names
        assert tar.extractfile("tree/deep/file").read() == b"deep"  # type: ignore[union-attr]
    archive.seek(0)
    sh(container, "busybox mkdir /tmp/again")
    container.tar_in(archive, "/tmp/again")
    assert sh(container, "cat /tmp/again/tree/link; stat -c .%u /tmp/again/tree/link")[1] == "deep.65532\n"
    content = io.BytesIO()
    container.tar_out("/tmp/again/.", content)
    content.seek(0)
    with tarfile.open(fileobj=content) as tar:
        assert "./tree/deep/file" in tar.getnames()


def test_any_tar_goes_in_if_its_folder_is_there(container: Container) -> None:
    assert isinstance(container, CanCopy)
    archive = made_tar({"a/b/c": b"made", "/abs": b"root", "./dot//x": b"dot"}, links={"hard": "a/b/c"})
    container.tar_in(archive, "/tmp")
    assert sh(container, "cat /tmp/a/b/c /tmp/abs /tmp/dot/x /tmp/hard")[1] == "maderootdotmade"
    with pytest.raises(NotFoundError, match="aa:/tmp/nosuch: No such file"):
        container.tar_in(made_tar({"a": b""}), "/tmp/nosuch")
    with pytest.raises(NotFoundError, match="aa:/nosuch: No such file"):
        container.tar_out("/nosuch", io.BytesIO())


@pytest.mark.parametrize("name", ["../x", "a/../../x"])
def test_a_tar_leads_nowhere_else(container: Container, name: str) -> None:
    assert isinstance(container, CanCopy)
    sh(container, "busybox mkdir /tmp/in")
    with pytest.raises(IntegrityError, match="is no name to copy to"):
        container.tar_in(made_tar({name: b"x"}), "/tmp/in")
    with pytest.raises(ConfigError, match="not a whole tar"):
        container.tar_in(io.BytesIO(b"these are words" * 100), "/tmp/in")
    assert sh(container, "ls /tmp")[1] == "in\n"


def made_tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.LNKTYPE, target
            tar.addfile(entry)
    archive.seek(0)
    return archive


@pytest.mark.parametrize("engine", REAL[1:])
def test_what_runs_elsewhere_is_copied_by_the_program_itself(
    request: pytest.FixtureRequest, engine: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiffin.engine.clients.container.process_of", lambda *_: nullcontext(None))
    bench: ClientBench = request.getfixturevalue(engine)
    container = bench.engine.create(bench.program("aa", "serve"))
    container.start()
    container.copy_out("/app/readme", str(here))
    assert (here / "readme").read_text() == "made\n"
    archive = io.BytesIO()
    container.tar_out("/app", archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        assert "app/readme" in tar.getnames()
    with pytest.raises(NotFoundError, match="aa:/nosuch: No such file"):
        container.copy_out("/nosuch", str(here))
    with pytest.raises(DeniedError, match="Read-only file system"):
        container.copy_in(str(here / "file"), "/app")
    with pytest.raises(UnsupportedError, match="aa is not on this machine") as refusal:
        container.usage()
    assert "stats aa" in str(refusal.value.hint)


@pytest.mark.parametrize("pid", [os.getpid(), 0, 1 << 22], ids=["ours", "none", "beyond"])
def test_a_number_of_another_machine_means_no_process_here(pid: int) -> None:
    with process_of("0123456789abcdef", pid) as process:
        assert process is None


def test_it_ends_with_the_container(container: Container) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(sh(container, "touch /tmp/there; exec sleep 600")[0]))
    thread.start()
    until(lambda: executed(container, "ls", "/tmp/there")[0] == 0)
    container.kill()
    thread.join(DEADLINE)
    assert codes == [128 + signal.SIGKILL]
