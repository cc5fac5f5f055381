"""End-to-end scripts: commands a person types, what they print, and the files they need, in one readable text.

Prose is whatever is indented by nothing and begins no block.

-- folder/file.txt --          a file, up to the next line that begins with `--`, or `--` alone
--
    $ tiffin build iris        a command, run by bash in the script's own folder
    iris@sha256:…              its standard output, line by line; `…` stands for anything within a line,
    …                          and alone on a line for any lines
    ! hint: …                  a line its standard error must have, in this order among such lines
    [3]                        its exit status, where it is not 0
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

INDENT = "    "
DEADLINE_SECONDS = 300


@dataclass
class Command:
    """One command and what is expected of it."""

    line: int
    text: str
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    status: int = 0


@dataclass
class Script:
    """The files a script begins with, and its commands in order."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)


def parse(text: str) -> Script:
    """Read a script."""
    script, file = Script(), ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.fullmatch(r"-- (\S+) --", line):
            file = header[1]
            script.files[file] = ""
        elif line == "--":
            file = ""
        elif file:
            script.files[file] += line + "\n"
        elif line.startswith(INDENT):
            _expect(script, number, line.removeprefix(INDENT))
    return script


def _expect(script: Script, number: int, line: str) -> None:
    if line.startswith("$ "):
        script.commands.append(Command(number, line[2:]))
    elif status := re.fullmatch(r"\[(\d+)\]", line):
        script.commands[-1].status = int(status[1])
    elif line.startswith("! "):
        script.commands[-1].stderr.append(line[2:])
    else:
        script.commands[-1].stdout.append(line)


def play(script: Script, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a script in a folder; raises AssertionError that names the line and shows what was printed instead."""
    for name, text in script.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for command in script.commands:
        done = subprocess.run(
            ["bash", "-c", command.text],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        told = f"line {command.line}: $ {command.text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == command.status, f"exit status {done.returncode}, not {command.status}; {told}"
        assert matches(command.stdout, done.stdout), f"standard output differs; {told}"
        assert appears(command.stderr, done.stderr), f"standard error lacks {command.stderr}; {told}"


def matches(expected: list[str], printed: str) -> bool:
    """Whether the output is what was expected, `…` standing for anything."""
    pattern = "".join("(?:.*\n)*" if line == "…" else _pattern(line) + "\n" for line in expected)
    return re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else printed + "\n") is not None


def appears(expected: list[str], printed: str) -> bool:
    """Whether these lines are among the output's, in this order."""
    lines = iter(printed.splitlines())
    return all(any(re.fullmatch(_pattern(wanted), line) for line in lines) for wanted in expected)


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("…"))
