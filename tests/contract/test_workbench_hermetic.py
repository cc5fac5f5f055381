"""A step in a container sees its inputs, its code and nothing else; it writes its outputs and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.test_workbench import contained  # noqa: F401 - a fixture
from contract.workbench_fixtures import COPY, FILES, Case, given, shell
from tiffin.pipeline.workbench import Order

SECRET = "SECRET_OF_THE_HOST"  # noqa: S105 - the name of a variable


def said(case: Case, script: str, *texts: str, **more: object) -> list[str]:
    """What a script writes in a step that takes a text."""
    order = case.order(shell("look", f'{script}; echo 1 > "$length"; echo > "$out"', **more), *map(case.input, texts))
    ended, lines = case.do(order)
    assert ended.exit_code == 0, (ended, lines)
    return lines


def test_it_reads_no_file_of_the_host(contained: Case, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    (tmp_path / "secret").write_text("host")
    (tmp_path / "secret").chmod(0o644)
    assert said(contained, f"cat {tmp_path}/secret 2>/dev/null || echo nothing") == ["nothing"]


def test_it_reads_no_output_of_another_step(contained: Case) -> None:  # noqa: F811
    other = contained.order(COPY, contained.input("theirs"))
    contained.do(other)
    script = f"cat {other.folder}/{FILES}/out /out/{FILES}/* /out/../*/*/out 2>/dev/null || echo nothing"
    assert said(contained, script) == ["nothing"]


def test_it_reads_no_input_that_it_did_not_declare(contained: Case) -> None:  # noqa: F811
    given_ = contained.input("declared")
    (given_.path.parent / "beside.txt").write_text("not declared")
    order = contained.order(shell("look", 'ls /in /in/text; echo 1 > "$length"; echo > "$out"'), given_)
    assert contained.do(order)[1] == ["/in:", "text", "", "/in/text:", "text.txt"]


def test_it_writes_to_its_outputs_and_to_memory_and_nowhere_else(contained: Case) -> None:  # noqa: F811
    places = "busybox find / -type d ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*' 2>/dev/null"
    script = f"for d in $({places}); do if touch $d/.x 2>/dev/null; then echo $d; busybox rm $d/.x; fi; done"
    assert sorted(said(contained, script, "text")) == ["/out/artifacts", "/out/parameters", "/tmp"]


def test_it_changes_neither_its_inputs_nor_its_code(contained: Case) -> None:  # noqa: F811
    order = contained.order(
        shell(
            "change",
            'for file in "$text" /pipeline/pipeline.py /tiffin/pipeline/tiffin_pipeline/__init__.py; do'
            ' { echo x >> "$file" || busybox rm "$file" || busybox chmod 777 "$file"; } 2>/dev/null && echo changed;'
            ' done; cat "$text" > "$out"; echo 1 > "$length"',
        ),
        contained.input("as it was"),
    )
    assert contained.do(order)[1] == []
    assert given(order)[0] == "as it was"
    assert order.inputs["text"][0].path.read_text() == "as it was"


def test_it_has_no_network(contained: Case) -> None:  # noqa: F811
    lines = said(contained, "cat /proc/net/dev")
    assert [line.partition(":")[0].strip() for line in lines[2:]] in ([], ["lo"])


def test_it_sees_nothing_of_the_environment_of_the_host(
    contained: Case,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SECRET, "host")
    lines = said(contained, "busybox env", env={"WRITTEN": "yes"})
    found = dict(line.partition("=")[::2] for line in lines)
    for own in ("PWD", "SHLVL", "HOSTNAME", "container", "TERM", "_"):  # a shell's, and what engines say of themselves
        found.pop(own, None)
    image = found.pop("TIFFIN_IMAGE")
    assert image.startswith("sha256:")
    assert found == {
        "PATH": "/bin",
        "HOME": "/tmp",
        "USER": "tiffin",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": "/pipeline:/tiffin/pipeline",
        "WRITTEN": "yes",
    }


def test_it_sees_no_process_of_the_host(contained: Case) -> None:  # noqa: F811
    numbers = said(contained, "cd /proc; ls -d [0-9]*")
    assert len(numbers) < 5


def test_it_is_nobody_in_particular(contained: Case) -> None:  # noqa: F811
    assert said(contained, "id -u; cat /proc/self/status | grep CapEff") == ["65532", "CapEff:\t0000000000000000"]


def test_it_begins_in_its_code(contained: Case) -> None:  # noqa: F811
    assert said(contained, "pwd; cat pipeline.py") == ["/pipeline", "code"]


def test_the_folder_of_an_order_is_the_callers_alone(contained: Case) -> None:  # noqa: F811
    order: Order = contained.order(COPY, contained.input("x"))
    contained.do(order)
    assert order.folder.stat().st_mode & 0o077 == 0
