"""A hostile image's program against the programs that make its container (CVE-2019-5736 and its kind): see ADR 22.

Whoever becomes `/proc/self/exe`, or reads `#!/proc/self/exe`, is whatever called execve: bubblewrap where a container
starts, the process that joins where one more program does. What was opened by that name could be opened for writing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contract.engine_fixtures import EmbeddedBench, executed, make_layer, python_mounts, ready
from tiffin.engine.embedded.machine import find_bubblewrap
from tiffin.engine.spec import Mount

OURSELVES = "/app/ourselves"
EVIL = "/app/evil"
WRITE = """#!/proc/self/exe
import os
print("this is", os.readlink("/proc/self/exe"))
for name in ("/proc/self/exe", "/proc/1/exe", "/proc/thread-self/exe"):
    try:
        os.close(os.open(name, os.O_WRONLY))
        print("can be written:", name)
    except OSError as error:
        print(name, os.strerror(error.errno))
"""


@pytest.fixture
def bench(tmp_path: Path) -> EmbeddedBench:
    made = EmbeddedBench(tmp_path / "data")
    hostile = make_layer(made.data, "hostile", {EVIL[1:]: WRITE})
    folder = made.data / "unpacked" / hostile.hex
    (folder / EVIL[1:]).chmod(0o755)
    (folder / OURSELVES[1:]).symlink_to("/proc/self/exe")
    made.layers = (*made.layers, hostile)
    return made


def parent(pid: int) -> int:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["PPid"])


def test_an_image_whose_entry_is_whoever_starts_it_runs_bubblewrap_and_cannot_write_it(bench: EmbeddedBench) -> None:
    libraries = [str(path) for path in Path(find_bubblewrap().folder).glob("bubblewrap*.libs")]
    mounts = (*python_mounts(), *(Mount(source=path, target=path) for path in libraries))
    env = {"LD_LIBRARY_PATH": ":".join(libraries)}
    code, lines = bench.run("", argv=(OURSELVES, "--help"), mounts=mounts, env=env)
    assert (code, lines[0].partition(" ")[0]) == (0, "usage:")  # so it is within reach
    container = bench.engine.create(bench.program("aa", "serve"))
    container.start()
    ready(container)
    bubblewrap = Path(f"/proc/{parent(container.state().pid)}/exe")
    assert bubblewrap.readlink().name == "bwrap"
    assert os.statvfs(bubblewrap).f_flag & os.ST_RDONLY  # its mount, whatever its owner and mode
    container.remove(force=True)


def test_a_script_for_whoever_starts_it_reaches_no_program_of_the_host(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("aa", "serve", mounts=python_mounts()))
    container.start()
    ready(container)
    assert executed(container, EVIL) == (126, "", "tiffin: the program cannot be run\n")
    assert executed(container, OURSELVES, "-c", "print('python')")[:2] == (127, "")
    container.remove(force=True)


def test_what_joins_leaves_nothing_that_could_be_written(bench: EmbeddedBench) -> None:
    container = bench.engine.create(bench.program("aa", "serve", mounts=python_mounts()))
    container.start()
    ready(container)
    look = "for n in /proc/[0-9]*; do busybox readlink $n/exe; (echo evil >> $n/exe) && echo written; done; true"
    code, out, err = executed(container, "/bin/sh", "-c", look)
    assert (code, set(out.split())) == (0, {"/bin/busybox"})
    assert err.count("can't create") >= 3  # the first process, its child, the shell that looks
    container.remove(force=True)
