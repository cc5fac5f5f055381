"""Other tools, each with three trivial steps written as its own documentation writes them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.command import Command

DVC_FILE = """\
stages:
  one:
    cmd: echo 1 > one.txt
    outs: [one.txt]
  two:
    cmd: cat one.txt one.txt > two.txt
    deps: [one.txt]
    outs: [two.txt]
  three:
    cmd: cat two.txt two.txt > three.txt
    deps: [two.txt]
    outs: [three.txt]
"""
SNAKEFILE = """\
rule three:
    input: "two.txt"
    output: "three.txt"
    shell: "cat {input} {input} > {output}"

rule two:
    input: "one.txt"
    output: "two.txt"
    shell: "cat {input} {input} > {output}"

rule one:
    output: "one.txt"
    shell: "echo 1 > {output}"
"""
METAFLOW = """\
from metaflow import FlowSpec, step


class Three(FlowSpec):
    @step
    def start(self):
        self.value = 1
        self.next(self.two)

    @step
    def two(self):
        self.value = self.value + self.value
        self.next(self.end)

    @step
    def end(self):
        self.value = self.value + self.value


if __name__ == "__main__":
    Three()
"""
KFP = """\
from kfp import dsl, local

local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs", enable_caching=True)


@dsl.component(install_kfp_package=False)
def one() -> int:
    return 1


@dsl.component(install_kfp_package=False)
def double(value: int) -> int:
    return value + value


@dsl.pipeline
def three() -> int:
    first = one()
    second = double(value=first.output)
    return double(value=second.output).output


assert three().output == 4
"""


@dataclass(frozen=True, eq=False)
class Peer:
    """A tool: what it is installed from, its files, how it runs them, and what it keeps that a first run lacks.

    `remembers` says whether a step that was done is not done again.
    """

    name: str
    package: str
    requirements: Sequence[str]
    files: Mapping[str, str]
    argv: Sequence[str]
    keeps: Sequence[str]
    before: Sequence[Sequence[str]] = ()
    remembers: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, folder: Path, programs: Path) -> None:
        """Write its files, and do what is done once for a project."""
        folder.mkdir()
        for name, text in self.files.items():
            (folder / name).write_text(text)
        for argv in self.before:
            Command(_found(argv, programs), self._all(folder, programs), folder).run()

    def forget(self, folder: Path) -> None:
        """Let the next run be a first one."""
        for name in self.keeps:
            for path in folder.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def command(self, folder: Path, programs: Path) -> Command:
        """Run the three steps."""
        return Command(_found(self.argv, programs), self._all(folder, programs), folder)

    def _all(self, folder: Path, programs: Path) -> dict[str, str]:
        own = {"HOME": str(folder), "PATH": f"{programs}:{os.environ['PATH']}", "USER": "bench"}
        return {**os.environ, **own, **self.environment}


def _found(argv: Sequence[str], programs: Path) -> list[str]:
    return [str(programs / argv[0]), *argv[1:]]


PEERS = (
    Peer(
        name="DVC",
        package="dvc",
        requirements=["dvc==3.67.1"],
        files={"dvc.yaml": DVC_FILE},
        before=[["dvc", "init", "--no-scm", "--quiet"]],
        argv=["dvc", "repro", "--quiet"],
        keeps=["dvc.lock", "*.txt", ".dvc/cache", ".dvc/tmp"],
        environment={"DVC_NO_ANALYTICS": "1"},
    ),
    Peer(
        name="Kubeflow Pipelines, local",
        package="kfp",
        requirements=["kfp==2.17.0"],
        files={"three.py": KFP},
        argv=["python", "three.py"],
        keeps=["outputs", ".kfp"],
    ),
    Peer(
        name="Metaflow",
        package="metaflow",
        requirements=["metaflow==2.19.39"],
        files={"three.py": METAFLOW},
        argv=["python", "three.py", "run"],
        keeps=[".metaflow"],
        remembers=False,
        environment={"METAFLOW_USER": "bench"},
    ),
    Peer(
        name="Snakemake",
        package="snakemake",
        requirements=["snakemake==9.27.0"],
        files={"Snakefile": SNAKEFILE},
        argv=["snakemake", "--cores", "1", "--quiet", "all"],
        keeps=["*.txt", ".snakemake"],
    ),
)
