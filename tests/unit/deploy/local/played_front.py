"""A front that is played: who is ready, and who fails, is what files in its hall say; clients are told its folder."""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path


def say_workers(listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        client.recv(1 << 16)
        files = list(Path("hall").glob("*"))
        said = {
            "ready": {file.name: file.stat().st_mtime for file in files if not file.suffix},
            "failures": {file.stem: file.read_text() for file in files if file.suffix == ".failed"},
        }
        body = json.dumps(said).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        client.close()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    assert os.environ["LISTEN_FDNAMES"] == "http:metrics"
    http, admin = socket.socket(fileno=3), socket.socket(fileno=4)
    threading.Thread(target=say_workers, args=(admin,), daemon=True).start()
    while not any(not file.suffix for file in Path("hall").glob("*")):
        time.sleep(0.01)
    while True:
        client, _ = http.accept()
        client.sendall(Path.cwd().name.encode())
        client.close()


main()
