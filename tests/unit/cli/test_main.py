"""The command line as a process, from its first to its last moment."""

from __future__ import annotations

import subprocess
import sys

LAST = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > gc.get_count()[0]))
from tiffin.cli import main
sys.argv[1:] = ["--version"]
main()
"""


def test_a_command_that_has_ended_looks_for_no_cycles_in_what_it_leaves() -> None:
    answer = subprocess.run([sys.executable, "-c", LAST], check=True, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "True"
