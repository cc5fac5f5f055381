"""A worker that says wrong things: `python played.py SOCKET SEED COUNT [streams]`, a process since fronts kill.

When it has said COUNT of them it prints a line and is a good worker from then on.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from array import array
from random import Random
from typing import Any

import msgspec

from tiffin_serve.worker.frames import FrameReader, encode

TOKEN = "secret"  # noqa: S105 - made up for a test
SIGNATURE: dict[str, Any] = {
    "platform": "python_predictor",
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
    "batches": True,
}
HELLO = {"kind": "hello", "version": 1, "token": TOKEN, "signature": SIGNATURE}
PATIENCE = 30.0
NUMBERS = [-1, 0, 1, 2, 7, 8, 2**31, 2**40, 2**62, 2**63, 2**64, 10**30, 1.5, "x", None, True, [], {}]
SHAPES = [
    [],
    [0],
    [-1],
    [1],
    [-1, -1],
    [-1, -2],
    [2**62, 4],
    [0, 2**70],
    [1, 1],
    [1, 0],
    [1.5],
    ["x"],
    "x",
    None,
    [1] * 500,
]
DATATYPES = ["", "FP8", "BYTES", "BOOL", "INT8", "UINT64", "FP16", "BF16", "FP32", None, 1]
NAMES = ["", 'y\n{}"', "é" * 1000, "\0", "x" * 300_000, 5, None]
OTHERS = [
    {"kind": "part"},
    {"kind": "failure", "message": ""},
    {"kind": "failure", "message": "%s {} \0 \u2028", "refused": True},
    {"kind": "failure", "message": "m" * 200_000, "traceback": "t" * 200_000},
    {"kind": "failure", "message": 5},
    {"kind": "ended", "pid": 2**70, "status": -(2**70)},
    {"kind": "ended", "pid": 1, "status": 0},
    {"kind": "later", "more": [1]},
    {"kind": ["result"]},
    {"kind": "result", "outputs": None},
    HELLO,
]


class Liar:
    """Answers batches as it likes."""

    def __init__(self, path: str, seed: int, *, streams: bool = False) -> None:
        self.path = path
        self.hello = {**HELLO, "signature": {**SIGNATURE, "batches": not streams, "streams": streams}}
        self.random = Random(seed)  # noqa: S311 - it has to be the same again
        self.said = 0

    def connect(self) -> tuple[socket.socket, FrameReader]:
        """Be let in, perhaps after somebody who was not."""
        if self.random.random() < 0.2:
            self._intrude()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.path)
        connection.sendall(encode(self.hello))
        reader = FrameReader(connection)
        assert reader.read() is not None
        return connection, reader

    def _intrude(self) -> None:
        random, wrong = self.random, dict(HELLO)
        spec = {"name": "x", "datatype": random.choice(DATATYPES), "shape": random.choice(SHAPES)}
        wrong[random.choice(["version", "token", "signature"])] = random.choice([*NUMBERS, {"inputs": [spec]}, "\0é"])
        wrong.update(random.choice([{}, {"token": "no"}, {"version": 2}]))
        if isinstance(wrong["signature"], dict) and spec["datatype"] != "FP8":
            wrong["token"] = "no"  # noqa: S105 - else it might be welcome, with a signature of its own
        data = self._damaged(encode(wrong)) if random.random() < 0.5 else encode(wrong)
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(self.path)
            connection.sendall(data)

    def live(self, count: int) -> None:
        """Answer until so many wrong things were said."""
        while self.said < count:
            connection, reader = self.connect()
            with connection, contextlib.suppress(ConnectionError):
                while self.said < count and (frame := reader.read()) is not None:
                    if frame[0]["kind"] == "batch" and not self._answer(connection, *frame):
                        break

    def _answer(self, connection: socket.socket, head: dict[str, Any], body: memoryview) -> bool:
        """Answer once; says whether the connection may be of use still."""
        random = self.random
        for _ in range(random.randrange(4) if head.get("stream") else 0):
            wrong = random.random() < 0.3
            self.said += wrong
            connection.sendall(self._wrong_result(head, body, "part") if wrong else right(head, body, "part"))
        if random.random() < 0.3:
            connection.sendall(right(head, body))
            return True
        self.said += 1
        how = random.randrange(6)
        if how == 0:
            connection.sendall(self._damaged(right(head, body)))
            return False
        if how == 1:
            other = dict(random.choice(OTHERS))
            other.setdefault("id", head["id"])
            connection.sendall(encode(other))
            return other["kind"] == "failure" and other["message"] != 5
        if how == 2:
            data = right(head, body)
            connection.sendall(data + random.choice([data, b"", random.randbytes(40)]))
            return random.random() < 0.5
        connection.sendall(self._wrong_result(head, body))
        return True

    def _damaged(self, frame: bytes) -> bytes:
        random = self.random
        how = random.randrange(4)
        if how == 0:
            return frame[: random.randrange(len(frame))]
        if how == 1:
            sizes = random.choice([0, 8, 2**24, 2**32 - 1]), random.choice([0, 8, 2**32, 2**64 - 1])
            return b"TFN1" + struct.pack("<IQ", *sizes) + frame[16:]
        if how == 2:
            return random.randbytes(random.randint(1, 300))
        changed = bytearray(frame)
        for _ in range(3):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        return bytes(changed)

    def _wrong_result(self, head: dict[str, Any], body: memoryview, kind: str = "result") -> bytes:
        random = self.random
        rows = head["inputs"][0]["shape"][0]
        output: dict[str, Any] = {"name": "y", "datatype": "FP64", "shape": [rows], "size": 8 * rows}
        result: dict[str, Any] = {"kind": kind, "id": head["id"], "outputs": [output], "seconds": 0.1}
        data = bytes(body)
        for _ in range(random.randint(1, 2)):
            what = random.choice(["id", "seconds", "shape", "size", "datatype", "name", "body", "outputs", "bytes"])
            choices = {"shape": [*SHAPES, [-1, -rows], [rows, 1]], "datatype": DATATYPES, "name": NAMES}
            if what in {"id", "seconds"}:
                result[what] = random.choice([*NUMBERS, head["id"] + 1, msgspec.Raw(b"NaN"), 1e308, -1e308])
            elif what == "outputs":
                result[what] = random.choice([[], [output, output], [{}], None, [output] * 300])
            elif what == "body":
                data = random.choice([b"", data[:-8], data + bytes(64), random.randbytes(len(data)), bytes(2**20)])
            elif what == "bytes":
                data = b"".join([struct.pack("<I", size) + b"\xff" for size in random.choices([0, 1, 2**32 - 1], k=3)])
                output.update(datatype="BYTES", size=len(data))
            else:
                output[what] = random.choice(choices.get(what, NUMBERS))
        # Written by hand: a worker's own writer knows no raw JSON, nor the sizes that are lies.
        told = msgspec.json.encode(result)
        told += b" " * (-len(told) % 8)
        data += bytes(-len(data) % 8)
        return struct.pack("<4sIQ", b"TFN1", len(told), len(data)) + told + data


def right(head: dict[str, Any], body: memoryview, kind: str = "result") -> bytes:
    """Write the right answer: twice what was sent."""
    size = head["inputs"][0]["size"]
    values = array("d", bytes(body[:size]))
    output = {"name": "y", "datatype": "FP64", "shape": [len(values)], "size": size}
    doubled = array("d", [2 * value for value in values]).tobytes()
    return encode({"kind": kind, "id": head["id"], "outputs": [output], "seconds": 0.0001}, [doubled])


def be_good(liar: Liar) -> None:
    """Answer rightly until somebody ends this process."""
    connection, reader = liar.connect()
    connection.settimeout(None)
    print("good", flush=True)  # noqa: T201 - to whoever started this
    with connection:
        while (frame := reader.read()) is not None:
            if frame[0]["kind"] == "batch":
                connection.sendall(right(*frame))


if __name__ == "__main__":
    it = Liar(sys.argv[1], int(sys.argv[2]), streams=sys.argv[4:] == ["streams"])
    it.live(int(sys.argv[3]))
    be_good(it)
