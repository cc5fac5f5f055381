"""Compile Python sources that come in on stdin; send their bytecode out on stdout.

This text is run by the interpreter of the image, whatever its version (`python -s -S -c TEXT`); tiffin never imports
it. Which objects marshal writes as references depends on what else the process holds, strings of earlier files among
it. So each batch is compiled in a fork of one process that has compiled nothing and imported nothing but built-in
modules: its bytecode depends on the batch alone. A batch whose fork dies is compiled again file by file, so that a
source which crashes the compiler costs nobody but itself. One that somebody killed ends the whole process: it may have
died while it sent, and its files alone would come out otherwise.

In:  number of files; for each, size of name and size of source; for each, name and source.
Out: for each file, size of bytecode, 0 where it does not compile; bytecode.
Numbers are 4 bytes, little-endian. Bytecode is an unchecked hash-based pyc (PEP 552).
"""

import _imp
import gc
import marshal
import sys
from _frozen_importlib_external import MAGIC_NUMBER
from posix import _exit, fork, waitpid, write

KILLED = 9
HEAD = MAGIC_NUMBER + b"\1\0\0\0"
KEY = int.from_bytes(MAGIC_NUMBER, "little")


def bytecode(name: str, source: bytes) -> bytes:
    """Compile one source; nothing comes of one that does not compile."""
    try:
        code = compile(source, name, "exec", 0, True)
        return HEAD + _imp.source_hash(KEY, source) + marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b""


def send(parts: "list[bytes]") -> None:
    """Write every part with its size before it."""
    view = memoryview(b"".join(len(part).to_bytes(4, "little") + part for part in parts))
    while view:
        view = view[write(1, view) :]


def compiled_in_a_fork(files: "list[tuple[str, bytes]]") -> bool:
    """Compile files and send their bytecode; say whether that worked."""
    child = fork()
    if not child:
        send([bytecode(name, source) for name, source in files])
        _exit(0)
    status = waitpid(child, 0)[1]
    if status == KILLED:
        sys.exit("it was killed; perhaps memory ran out")
    return status == 0


def number() -> int:
    """Read a number; 0 at the end."""
    return int.from_bytes(sys.stdin.buffer.read(4), "little")


def main() -> None:
    """Serve batches until stdin ends."""
    gc.disable()
    read = sys.stdin.buffer.read
    while sizes := [(number(), number()) for _ in range(number())]:
        files = [(read(name).decode(), read(source)) for name, source in sizes]
        if not compiled_in_a_fork(files):
            for file in files:
                if not compiled_in_a_fork([file]):
                    send([b""])


if __name__ == "__main__":
    main()
