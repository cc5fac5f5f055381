"""Code lies as it was when it was kept, known by names and bytes and by nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiffin.build.fingerprint import Fingerprints
from tiffin.build.recipes import SourceFile
from tiffin.errors import ConflictError
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.code import KEPT_SECONDS, SECONDS_1980, Bytecode, Code, code_digest, keep_code
from tiffin.store.records import Records


class Folder:
    """A project's files, and where its code is kept."""

    def __init__(self, path: Path) -> None:
        self.here, self.above = path / "project", path / "code"
        self.here.mkdir()
        self.records = Records(path / "records")
        self.write("pipeline.py", "steps\n")
        self.write("package/module.py", "more\n")

    def write(self, name: str, text: str) -> None:
        (self.here / name).parent.mkdir(exist_ok=True)
        (self.here / name).write_text(text)

    @property
    def sources(self) -> dict[str, Path]:
        return {str(path.relative_to(self.here)): path for path in sorted(self.here.rglob("*.py"))}

    def files(self) -> tuple[SourceFile, ...]:
        return Fingerprints(self.records, self.here).files(self.sources)

    def keep(self, bytecode: Bytecode | None = None) -> Code:
        return keep_code(self.files(), self.sources, self.above, bytecode)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_it_is_kept_once_and_an_edit_does_not_change_it(folder: Folder) -> None:
    kept = folder.keep()
    assert folder.keep() == kept
    folder.write("pipeline.py", "edited\n")
    assert (kept.path / "pipeline.py").read_text() == "steps\n"
    edited = folder.keep()
    assert edited.digest != kept.digest
    assert {path.name for path in folder.above.iterdir()} == {kept.digest.hex, edited.digest.hex}


def test_times_and_owners_change_nothing_and_the_bit_that_lets_a_file_run_does(folder: Folder) -> None:
    before = folder.keep().digest
    os.utime(folder.here / "pipeline.py", (1, 1))
    (folder.here / "pipeline.py").chmod(0o600)
    assert folder.keep().digest == before
    (folder.here / "pipeline.py").chmod(0o700)
    assert folder.keep().digest != before


def test_a_name_and_the_bytes_behind_it_are_told_apart() -> None:
    def one(path: str, text: str) -> SourceFile:
        return SourceFile(path=path, digest=Digest.of(text.encode()), size=1)

    assert code_digest([one("a", "x"), one("b", "y")]) == code_digest([one("b", "y"), one("a", "x")])
    assert code_digest([one("a", "x"), one("b", "y")]) != code_digest([one("a", "y"), one("b", "x")])


def test_everybody_may_read_it_whatever_the_umask(folder: Folder) -> None:
    (folder.here / "package/module.py").chmod(0o600)
    before = os.umask(0o077)
    try:
        kept = folder.keep().path
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (kept, kept / "package", kept / "package/module.py")] == [
        0o755,
        0o755,
        0o644,
    ]
    assert (kept / "pipeline.py").stat().st_mtime == SECONDS_1980


def test_a_file_that_changed_since_it_was_described_is_not_kept(folder: Folder) -> None:
    files = folder.files()
    folder.write("pipeline.py", "while it was read\n")
    with pytest.raises(ConflictError, match=r"pipeline\.py is being written"):
        keep_code(files, folder.sources, folder.above)
    assert not list(folder.above.iterdir())


def test_a_link_is_kept_as_what_it_leads_to(folder: Folder) -> None:
    (folder.here / "linked.py").symlink_to("pipeline.py")
    kept = folder.keep().path
    assert not (kept / "linked.py").is_symlink()
    assert (kept / "linked.py").read_text() == "steps\n"


def test_bytecode_lies_with_its_code_and_is_made_once_for_an_interpreter(folder: Folder) -> None:
    made = []

    def compiled() -> dict[str, bytes]:
        made.append(1)
        return {"__pycache__/pipeline.cpython-311.pyc": b"bytecode"}

    def bytecode(interpreter: str) -> Bytecode:
        return Bytecode(interpreter=Digest.of(interpreter.encode()), make=compiled)

    kept = folder.keep(bytecode("3.11.1"))
    assert folder.keep(bytecode("3.11.1")) == kept
    assert (kept.path / "__pycache__/pipeline.cpython-311.pyc").read_bytes() == b"bytecode"
    assert len(made) == 1
    assert folder.keep(bytecode("3.11.2")).digest not in {kept.digest, folder.keep().digest}


def test_what_nothing_was_run_with_for_long_goes(folder: Folder) -> None:
    old = folder.keep().path
    long_ago = old.stat().st_mtime - KEPT_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    left = folder.above / ".half.new"
    left.mkdir()
    os.utime(left, (long_ago, long_ago))
    folder.write("pipeline.py", "new\n")
    kept = folder.keep().path
    assert list(folder.above.iterdir()) == [kept]
