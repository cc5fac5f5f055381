"""Write the modules of gRPC's messages from spec/*.proto.

`make lock` runs this with grpcio-tools, which nothing else needs. protoc's own modules insist on the version of
protobuf that they were written for; these hold the same description of the messages and take whichever is installed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
ROOM = ROOT / "src" / "tiffin_serve" / "front" / "rpc"
MODULE = '''\
"""The messages of spec/{name}.proto; written by requirements/messages.py, as is the stub beside it."""

from tiffin_serve.front.rpc.descriptors import messages

globals().update(messages({data!r}))
'''


def write(name: str) -> None:
    """Write the module of one file, and protoc's stub of it."""
    with tempfile.NamedTemporaryFile() as described:
        options = [f"-I{ROOT / 'spec'}", f"--pyi_out={ROOM}", f"--descriptor_set_out={described.name}"]
        if protoc.main(["protoc", *options, f"{name}.proto"]):
            raise SystemExit(1)
        (ROOM / f"{name}_pb2.py").write_text(MODULE.format(name=name, data=Path(described.name).read_bytes()))


if __name__ == "__main__":
    for each in ("inference", "health"):
        write(each)
