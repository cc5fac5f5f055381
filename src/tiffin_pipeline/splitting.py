"""Parts rows of a table, or files of a folder, in two; the same content is parted the same way everywhere."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path
from typing import Iterator, List, Set

_TEXT_ONLY = "write a step that reads it, or save it as CSV or JSON lines"


def parted(rows: Path, train: Path, test: Path, share: float, seed: int) -> None:
    """Write two parts of `rows`, of which `test` has the share; raises ValueError where there is too little."""
    if not 0 < share < 1:
        raise ValueError("a share of %r cannot be tested on: give one between 0 and 1" % share)
    if rows.is_dir():
        _part_folder(rows, train, test, share, seed)
    else:
        _part_file(rows, train, test, share, seed)


def _part_folder(rows: Path, train: Path, test: Path, share: float, seed: int) -> None:
    names = [path.relative_to(rows).as_posix() for path in files_in(rows)]
    chosen = _chosen(names, share, seed, "files")
    for number, name in enumerate(names):
        copy = (test if number in chosen else train) / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(rows / name, copy)


def _part_file(rows: Path, train: Path, test: Path, share: float, seed: int) -> None:
    header = not is_json_lines(rows)
    records = _records(rows) if header else _lines(rows)
    names = [hashlib.sha256(record.rstrip("\r\n").encode()).hexdigest() for record in records]
    chosen = _chosen(names[header:], share, seed, "rows")
    with (
        train.open("w", encoding="utf-8", newline="") as training,
        test.open("w", encoding="utf-8", newline="") as testing,
    ):
        for number, record in enumerate(_records(rows) if header else _lines(rows)):
            whole = record if record.endswith("\n") else record + "\n"
            if header and number == 0:
                training.write(whole)
                testing.write(whole)
            else:
                (testing if number - header in chosen else training).write(whole)


def _chosen(names: List[str], share: float, seed: int, what: str) -> Set[int]:
    """Which of these are tested on: those whose hashes are the smallest."""
    least = 2
    if len(names) < least:
        raise ValueError("%d %s cannot be parted in two" % (len(names), what))
    count = min(max(round(len(names) * share), 1), len(names) - 1)
    by_hash = sorted(range(len(names)), key=lambda at: hashlib.sha256(b"%d:%s" % (seed, names[at].encode())).digest())
    chosen = set(by_hash[:count])
    edge = names[by_hash[count - 1]]
    # Equal rows lie side by side in this order; those at the edge are kept together, on the side that leaves both some.
    same = {at for at, name in enumerate(names) if name == edge}
    return chosen | same if len(chosen | same) < len(names) else (chosen - same or chosen)


def _records(path: Path) -> Iterator[str]:
    """The rows of a CSV file as they are written; one may have several lines."""
    taken: List[str] = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(_noting(file, taken), delimiter=delimiter_of(path)):
            if row:
                yield "".join(taken)
            taken.clear()


def _noting(lines: Iterator[str], taken: List[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from (line for line in file if line.strip())


def is_json_lines(path: Path) -> bool:
    """Say whether a file of rows has JSON in each line, and no header; raises ValueError for what is no text."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(b"PAR1") or b"\0" in start:
        raise ValueError(
            "%s is %s, and no text: %s" % (path.name, "Parquet" if start[:1] == b"P" else "binary", _TEXT_ONLY)
        )
    return start.lstrip()[:1] == b"{"


def delimiter_of(path: Path) -> str:
    """What parts the columns of a CSV file: whichever of `,`, `;` and tabs its header has most."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
    return max(",;\t", key=header.count)


def files_in(folder: Path) -> List[Path]:
    """The files below a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(path: Path) -> str:
    """The sha256 of a file, or of a folder's names and files."""
    digest = hashlib.sha256()
    for file in files_in(path) if path.is_dir() else [path]:
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        with file.open("rb") as content:
            inner = hashlib.sha256()
            for chunk in iter(lambda: content.read(1 << 20), b""):
                inner.update(chunk)
        digest.update(("%s\0%s\0" % (name, inner.hexdigest())).encode())
    return "sha256:" + digest.hexdigest()
