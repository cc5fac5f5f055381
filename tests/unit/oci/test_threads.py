"""Threads may read documents of one type at once, the first time included."""

from __future__ import annotations

import os
import subprocess
import sys

AT_ONCE = """
import sys, threading
import msgspec
from tiffin.oci.documents import decode

sys.setswitchinterval(1e-6)
for number in range(150):
    inner = [msgspec.defstruct(f"Inner{number}_{part}", [("a", int), ("b", str, "")]) for part in range(8)]
    outer = msgspec.defstruct(f"Outer{number}", [(f"f{part}", dict[str, kind]) for part, kind in enumerate(inner)])
    data = ("{" + ",".join(f'"f{part}":{{"x":{{"a":1}}}}' for part in range(8)) + "}").encode()
    gate = threading.Barrier(4)
    def read():
        gate.wait()
        assert decode(outer, data, "here").f7["x"].a == 1
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def test_the_first_readers_of_a_type_do_not_crash_each_other() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", AT_ONCE], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
