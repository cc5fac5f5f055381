"""What the sandbox is told to run: it unpacks everything else from standard input, and answers on standard output.

Standard input is a tar: `program/` has packages, `model/` what is converted. The argument is JSON, the question. The
answer is one line of JSON, which the bytes of the ONNX file follow where there is one.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path


def main() -> None:
    """Convert what comes in through standard input."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what frameworks print is for people
    sys.dont_write_bytecode = True
    sys.path[:] = [place for place in sys.path if place]  # nothing is imported from wherever this was started
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    folder = Path(tempfile.mkdtemp())
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        archive.extractall(folder)  # noqa: S202 - wherever a member wants to go, nothing but this sandbox is there
    sys.path.insert(0, str(folder / "program"))
    from tiffin_convert.main import convert

    said, data = convert(json.loads(sys.argv[1]), folder)
    answer.write(json.dumps(said).encode() + b"\n" + data)
    answer.close()


if __name__ == "__main__":
    main()
