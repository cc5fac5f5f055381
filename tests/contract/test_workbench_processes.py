"""A step that is a process sees its inputs, its environment and nothing else, though all of it is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from contract.workbench_fixtures import COPY, Case, given, limited, process_bench, process_case, shell
from tiffin.errors import NotFoundError, UnsupportedError
from tiffin.pipeline.benches.confined import landlock
from tiffin.pipeline.benches.confinement import WHOLE, Confinement
from tiffin.pipeline.graph import Command, Step
from tiffin.pipeline.workbench import FILES

pytestmark = pytest.mark.skipif(landlock() < WHOLE, reason="needs a kernel with Landlock 3")
SIGNALS_SINCE = 6


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return process_case(tmp_path, roots=(sys.prefix, sys.base_prefix))


def said(case: Case, script: str, *texts: str, **more: object) -> list[str]:
    """What a script writes in a step that takes a text."""
    order = case.order(shell("look", f'{script}\necho 1 > "$length"; echo > "$out"', **more), *map(case.input, texts))
    ended, lines = case.do(order)
    assert ended.exit_code == 0, (ended, lines)
    return lines


def python(code: str) -> str:
    """A script that is Python; what it raises is what it says."""
    lines = [
        "try:",
        *(f"    {line}" for line in code.splitlines()),
        "except OSError as error:",
        "    print(error.errno)",
    ]
    return f"{sys.executable} -I -S - <<'END'\nimport ctypes, os, socket\n" + "\n".join(lines) + "\nEND\n"


def test_it_reads_no_file_that_it_did_not_declare(case: Case, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    declared = case.input("declared")
    (declared.path.parent / "beside.txt").write_text("not declared")
    other = case.order(COPY, case.input("theirs"))
    case.do(other)
    paths = [tmp_path / "secret", declared.path.parent / "beside.txt", other.folder / FILES / "out", "/root/.profile"]
    script = f"for path in {' '.join(map(str, paths))}; do cat $path 2>/dev/null && echo read; done; cat $text"
    order = case.order(shell("look", f'{script}; echo 1 > "$length"; echo > "$out"'), declared)
    assert case.do(order)[1] == ["declared"]


def test_it_lists_no_folder_that_is_not_its_own(case: Case, tmp_path: Path) -> None:
    assert said(case, f"ls / {tmp_path} /tmp /root /run 2>/dev/null; ls $(dirname $text)", "text") == ["text.txt"]


def test_it_writes_to_its_outputs_and_to_its_own_temporary_folder_and_nowhere_else(case: Case, tmp_path: Path) -> None:
    order = case.order(COPY)
    places = ["/", "/tmp", "/etc", "/usr", "/var/tmp", "/run", tmp_path, order.folder.parent, "$HOME/..", "$TMPDIR/.."]
    tries = f"for place in {' '.join(map(str, places))} . $(dirname $text); do touch $place/.x && echo $place; done"
    assert said(case, f"{{ {tries}; }} 2>/dev/null; touch $HOME/x $TMPDIR/x && echo own", "text") == ["own"]
    assert not (tmp_path / ".x").exists()


@pytest.mark.parametrize(
    "change",
    [
        'echo x >> "$text"',
        'rm "$(readlink -f "$text")"',
        'mv "$(readlink -f "$text")" "$out"',
        'ln "$(readlink -f "$text")" "$out"',
        'truncate -s 0 "$text"',
        "echo x >> pipeline.py",
        "rm pipeline.py",
    ],
)
def test_it_changes_neither_its_inputs_nor_its_code(case: Case, change: str) -> None:
    order = case.order(
        shell("change", f'{{ {change}; }} 2>/dev/null && echo changed; cat "$text"'), case.input("as it was")
    )
    assert case.do(order)[1] == ["as it was"]
    assert order.inputs["text"][0].path.read_text() == "as it was"
    assert (case.folder.parent / "code" / "pipeline.py").read_text() == "code\n"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"])
def test_it_makes_no_socket_that_leads_elsewhere(case: Case, family: str) -> None:
    assert said(case, python(f"socket.socket(socket.{family}, socket.SOCK_RAW)\nprint('a socket')")) == ["1"]


def test_its_own_processes_speak_to_each_other(case: Case) -> None:
    code = "one, other = socket.socketpair()\none.send(b'heard')\nprint(other.recv(9).decode())"
    assert said(case, python(code)) == ["heard"]


def test_it_has_a_network_if_it_asks_for_one(case: Case) -> None:
    code = "with socket.socket() as it:\n    it.bind(('127.0.0.1', 0))\n    print('bound')"
    assert said(case, python(code), network=True) == ["bound"]


def test_it_gets_round_its_filter_neither_by_io_uring_nor_by_another_table_of_calls(case: Case) -> None:
    code = (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.syscall(425, 1, ctypes.create_string_buffer(120)), ctypes.get_errno())\n"
        "print(libc.syscall(0x40000000 + 41, 2, 1, 0), ctypes.get_errno())"
    )
    wanted = ["-1 38", "-1 1"] if os.uname().machine == "x86_64" else ["-1 38", "-1 38"]
    assert said(case, python(code)) == wanted


def test_it_looks_into_no_process_of_tiffin(case: Case) -> None:
    code = f"print(open('/proc/{os.getpid()}/environ', 'rb').read(1))"
    assert said(case, python(code)) == ["13"]
    assert said(case, python(code.replace("environ", "mem"))) == ["13"]


@pytest.mark.skipif(landlock() < SIGNALS_SINCE, reason="needs a kernel with Landlock 6")
def test_it_ends_no_process_of_tiffin(case: Case) -> None:
    guardian = "int(open(f'/proc/{os.getppid()}/stat').read().split()[3])"
    for number in (str(os.getpid()), guardian):
        assert said(case, python(f"os.kill({number}, 0)\nprint('told')")) == ["1"]


def test_it_finds_the_variables_of_its_environment_and_no_others(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "host")
    found = dict(line.partition("=")[::2] for line in said(case, "env", env={"WRITTEN": "yes"}))
    for own in ("PWD", "SHLVL", "OLDPWD", "_"):  # a shell's
        found.pop(own, None)
    assert found.keys() == {
        "PATH", "HOME", "TMPDIR", "USER", "PYTHONHASHSEED", "PYTHONPATH", "TIFFIN_IMAGE", "WRITTEN",
    }  # fmt: skip
    assert found["HOME"] == found["TMPDIR"]


def test_it_begins_in_its_code(case: Case) -> None:
    assert said(case, "cat pipeline.py; pwd") == ["code", "/pipeline"]


def test_nothing_that_it_started_is_left_in_whatever_session(case: Case) -> None:
    order = case.order(shell("daemon", 'setsid sleep 600 & echo $! > "$length"; echo > "$out"'))
    assert case.do(order)[0].exit_code == 0
    assert not Path(f"/proc/{given(order)[1].strip()}").exists()


def test_a_program_that_is_not_there_is_named(case: Case) -> None:
    ended, _ = case.do(case.order(Step(name="absent", does=Command(argv=("no-such-program",)))))
    assert (ended.exit_code, ended.reason) == (127, "no-such-program: No such file or directory")


def test_what_takes_too_long_is_killed_and_told(case: Case) -> None:
    ended, _ = case.do(case.order(shell("hang", "trap '' TERM; while :; do sleep 600; done"), seconds=0.3))
    assert ended.reason == "took longer than 0.3 s"
    assert ended.exit_code in {137, 143}  # a shell that has not begun yet heeds what it is told


def test_what_takes_too_much_memory_with_all_of_its_processes_is_told_how_much_it_may_have(case: Case) -> None:
    hog = "x=$(head -c 64m /dev/zero | tr '\\0' x); sleep 600"
    ended, _ = case.do(case.order(limited(shell("hog", f"({hog}) & ({hog}) & wait"), memory=96 << 20)))
    assert ended.exit_code == 137
    assert ended.reason == "took more memory than the 96 MiB that it may have"


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_a_step_that_asks_for_a_gpu_where_there_is_none_is_told(case: Case) -> None:
    with pytest.raises(NotFoundError, match="the step 'copy' asks for 2 GPUs, and this container has none"):
        case.do(case.order(limited(COPY, gpus=2), case.input("x")))


def test_a_step_with_an_image_of_its_own_is_refused(case: Case) -> None:
    with pytest.raises(UnsupportedError, match=r"'other' has an image of its own, registry\.test/other:1"):
        case.bench.identity(shell("other", "", image="registry.test/other:1"))


def test_what_is_done_without_confinement_is_known_by_that(tmp_path: Path) -> None:
    loose = process_bench(tmp_path, Confinement(landlock=WHOLE - 1, architecture="amd64"))
    kept = process_bench(tmp_path, Confinement(landlock=WHOLE, architecture="amd64"))
    assert loose.identity(COPY) == kept.identity(COPY) | {"unconfined": "landlock-2"}
    assert kept.identity(COPY).keys() == {"image", "code"}


def test_without_landlock_it_is_done_all_the_same(tmp_path: Path) -> None:
    case = Case(process_bench(tmp_path, Confinement()), tmp_path / "work")
    order = case.order(COPY, case.input("text\n"), a=5)
    assert case.do(order)[0].exit_code == 0
    assert given(order) == ("text\n5\n", "7\n")
