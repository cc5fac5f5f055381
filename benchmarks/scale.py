"""How tiffin grows with what it packs: one huge wheel, forty thousand files, ten gigabytes of weights.

`python -m benchmarks --scale` measures and prints tables; it needs no root, no peer, and 25 GB in /var/tmp. Memory is
the most that one process had resident (`ru_maxrss` of a child and of what that waited for; Linux counts what the
process had that started it, so that nothing is below this one's own 50 to 80 MB).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isal import igzip_lib

from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from tiffin.layers.zip_archive import Archive
from tiffin.progress import parallel
from tiffin.store.layout import LayoutStore

from . import machine
from .big_wheel import write_big_wheel
from .command import Command
from .measures import Measure, outcomes
from .results import Results
from .table import measure_table

MEGABYTE = 1_000_000
REAL = ["numpy", "scipy", "scikit-learn==1.9.1", "pandas==3.1.1"]
SECONDS, BYTES = "seconds", "bytes"
CUDA, SPLICE, BARE = "a CUDA wheel of 580 MB", "spliced layers", "read, inflate, two SHA-256 passes"
STACK = "wheels of scikit-learn and pandas"
FILES, WEIGHTS = (10_000, 40_000), (2_500_000_000, 10_000_000_000)
SHARD = 1_000_000_000

PROJECT = """\
name = "scale"
[model]
predictor = "predict:Predictor"
path = "weights"
[image]
include = ["*.py", "data/**/*"]
"""
PREDICTOR = "class Predictor:\n    def predict(self, inputs):\n        return inputs\n"


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds on the clock and of processors, and the most memory of one process in bytes."""

    seconds: float
    processors: float
    memory: int


def spent(command: Command) -> Spent:
    """Run a command to its good end and say what it took."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command.argv,
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 0, f"`{' '.join(command.argv)}` exited with {process.returncode}:\n{said.read()}"
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def scale_round(results: Results, scratch: Path) -> None:
    """Measure everything once; `scratch` is a folder on a disk with 25 GB to spare."""
    wheels = _real_wheels(scratch)
    for who, mode in ((SPLICE, "splice"), (BARE, "bare")):
        _keep(results, STACK, who, spent(_own(mode, scratch / mode, *wheels)))
    wheel = write_big_wheel(scratch)
    for who, mode in ((SPLICE, "splice"), (BARE, "bare")):
        _keep(results, CUDA, who, spent(_own(mode, scratch / mode, wheel)))
        shutil.rmtree(scratch / mode, ignore_errors=True)
    wheel.unlink()
    home = scratch / "home"
    _build(home, _project(scratch / "empty", 1, 1_000_000))
    for files in FILES:
        _build_twice(results, f"{files} files", home, _project(scratch / f"files-{files}", files, 1_000_000))
    for size in WEIGHTS:
        folder = _project(scratch / f"weights-{size}", 1, size)
        _build_twice(results, f"{size / 1e9:g} GB of weights", home, folder)
        shutil.rmtree(home / "data" / "blobs")


def _grown(what: str, small: str, large: str) -> Callable[[Results], float]:
    """Say how much more of something the large project took than the small one."""
    return lambda results: results.median(f"{large}: {what}", "build") / results.median(f"{small}: {what}", "build")


def _linear() -> Iterator[Measure]:
    for unit, (small, large) in {"files": FILES, "GB of weights": WEIGHTS}.items():
        few, many = (f"{size if unit == 'files' else size / 1e9:g} {unit}" for size in (small, large))
        for what in (SECONDS, BYTES):
            yield Measure(f"{many} against {few}: {what}", large / small * 1.1, "times", _grown(what, few, many))


MEASURES = (
    Measure(
        f"spliced layers, against {BARE}",
        1.5,
        "times",
        lambda results: results.median(f"{STACK}: {SECONDS}", SPLICE) / results.median(f"{STACK}: {SECONDS}", BARE),
    ),
    Measure(CUDA, 8, "s", lambda results: results.median(f"{CUDA}: {SECONDS}", SPLICE)),
    Measure(f"{CUDA}, memory", 300, "MB", lambda results: results.median(f"{CUDA}: {BYTES}", SPLICE) / MEGABYTE),
    *_linear(),
)
"""What was promised of it."""


def scale_table(results: Results) -> str:
    """Write what was measured."""
    rows = ["| what | who | seconds | MB of memory |", "| --- | --- | --- | --- |"]
    for what, who in results.samples:
        subject, _, kind = what.rpartition(": ")
        if kind == SECONDS:
            memory = results.median(f"{subject}: {BYTES}", who) / MEGABYTE
            rows.append(f"| {subject} | {who} | {results.median(what, who):.2f} | {memory:.0f} |")
    return "\n".join(rows)


def _keep(results: Results, what: str, who: str, taken: Spent) -> None:
    results.add(f"{what}: {SECONDS}", who, taken.seconds)
    results.add(f"{what}: {BYTES}", who, taken.memory)


def _own(mode: str, folder: Path, *wheels: Path) -> Command:
    return Command([sys.executable, "-m", "benchmarks.scale", mode, str(folder), *map(str, wheels)], folder=_ROOT)


_ROOT = Path(__file__).parents[1]


def _real_wheels(scratch: Path) -> list[Path]:
    folder = scratch / "wheels"
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    Command([sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *options, *REAL]).run()
    return sorted(folder.glob("*.whl"))


def _project(folder: Path, files: int, weights: int) -> Path:
    """Write a project with so many files of code and bytes of weights, which are holes and read as zeros."""
    for number in range(files):
        path = folder / "data" / f"{number // 1000:03}" / f"{number:06}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    (folder / "weights").mkdir()
    for number, start in enumerate(range(0, weights, SHARD)):
        with (folder / "weights" / f"model-{number:03}.bin").open("wb") as file:
            file.truncate(min(SHARD, weights - start) - number)  # no two are alike
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "predict.py").write_text(PREDICTOR)
    return folder


def _build_twice(results: Results, what: str, home: Path, folder: Path) -> None:
    _keep(results, what, "build", _build(home, folder))
    _keep(results, what, "build with no change", _build(home, folder))


def _build(home: Path, folder: Path) -> Spent:
    environment = {**os.environ, "TIFFIN_HOME": str(home), "TIFFIN_PROGRESS": "none"}
    return spent(Command([sys.executable, "-m", "tiffin", "build", str(folder)], environment))


# --- what a child does ------------------------------------------------------------------------------------------------


def splice(folder: Path, wheels: Sequence[Path]) -> None:
    """Make a layer of each wheel in a store of its own, as a build does."""
    store = LayoutStore(folder)
    parallel(lambda wheel: wheel_layer([WheelSource.named(wheel)], store), wheels)


def bare(_: Path, wheels: Sequence[Path]) -> None:
    """Do what no maker of layers can do without: read, inflate, hash what is packed and what is unpacked."""
    parallel(_inflated_and_hashed, wheels)


def _inflated_and_hashed(wheel: Path) -> None:
    packed, plain = hashlib.sha256(), hashlib.sha256()
    with Archive(wheel) as archive, wheel.open("rb") as file:
        for member in archive.members:
            file.seek(member.offset + 26)
            sizes = file.read(4)
            file.seek(int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little"), os.SEEK_CUR)
            stream, left = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE), member.packed
            while left:
                data = file.read(min(left, 1 << 20))
                left -= len(data)
                packed.update(data)
                plain.update(stream.decompress(data) if member.method else data)


MODES: dict[str, Callable[[Path, Sequence[Path]], None]] = {"splice": splice, "bare": bare}


def main() -> None:
    """Measure everything and print it."""
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True))
    before = machine.load()
    with tempfile.TemporaryDirectory(prefix="tiffin-scale-", dir="/var/tmp") as folder:
        scale_round(results, Path(folder))
    print(f"load {before:.1f} before, {machine.load():.1f} after\n")
    print(scale_table(results), measure_table(list(outcomes(MEASURES, results))), sep="\n\n")


def child(mode: str, folder: str, *wheels: str) -> None:
    """Be the process that is measured."""
    MODES[mode](Path(folder), [Path(wheel) for wheel in wheels])


if __name__ == "__main__":
    child(*sys.argv[1:]) if sys.argv[1:] else main()
