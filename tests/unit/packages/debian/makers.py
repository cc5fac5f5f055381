"""Makers of small Debian packages, indexes and mirrors for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pysequoia

PACKERS = {".xz": lzma.compress, ".gz": partial(gzip.compress, mtime=0), "": bytes}


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Describe one path of a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.DIRTYPE, mode=0o755)


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def make_tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Write a tar as dpkg-deb does: GNU's format."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def make_ar(parts: list[tuple[str, bytes]]) -> bytes:
    out = b"!<arch>\n"
    for name, data in parts:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def make_deb(
    members: list[tuple[tarfile.TarInfo, bytes]],
    *,
    name: str = "hello",
    version: str = "1.0-1",
    control: str = "",
    scripts: dict[str, str] | None = None,
    suffix: str = ".xz",
) -> bytes:
    """Write a .deb."""
    stanza = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n{control}"
    sums = "".join(
        f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {info.name.removeprefix('./')}\n"
        for info, content in members
        if info.isreg()
    )
    texts = {"control": stanza, "md5sums": sums, **(scripts or {})}
    tar = make_tar(
        [folder("./"), *(member(f"./{file}", text.encode(errors="surrogateescape")) for file, text in texts.items())]
    )
    return make_ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{suffix}", PACKERS[suffix](tar)),
            (f"data.tar{suffix}", PACKERS[suffix](make_tar(members))),
        ]
    )


class Signer:
    """An archive key of a test's own."""

    def __init__(self) -> None:
        self._key = pysequoia.Tsk.generate("Test Archive <archive@example.org>")

    def keys(self) -> list[pysequoia.Cert]:
        return [self._key.extract_certificate()]

    def sign(self, text: str) -> bytes:
        return pysequoia.sign(self._key.signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR)


def stanza(package: str, version: str = "1.0", **fields: str) -> str:
    """Write one paragraph of an index; `_` in a field's name stands for `-`."""
    told = {
        "Architecture": "amd64",
        "Filename": f"pool/main/{package[0]}/{package}/{package}_{version.replace(':', '%3a')}_amd64.deb",
        "Size": "1000",
        "SHA256": hashlib.sha256(f"{package} {version}".encode()).hexdigest(),
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return f"Package: {package}\nVersion: {version}\n" + "".join(f"{k}: {v}\n" for k, v in told.items())


def release(suite: str, packages: bytes, *, date: str, extra: str = "", by_hash: bool = True) -> str:
    """Write a release that names one index."""
    sum_ = hashlib.sha256(packages).hexdigest()
    return (
        f"Origin: Debian\nCodename: {suite}\nDate: {date}\n{extra}"
        f"Acquire-By-Hash: {'yes' if by_hash else 'no'}\n"
        f"SHA256:\n {sum_} {len(packages)} main/binary-amd64/Packages.xz\n"
    )


def write_suite(root: Path, suite: str, signed: bytes, packages: bytes) -> None:
    """Put a suite's signed release and its index under a mirror's root."""
    index = root / "dists" / suite / "main" / "binary-amd64"
    (index / "by-hash" / "SHA256").mkdir(parents=True, exist_ok=True)
    (index / "Packages.xz").write_bytes(packages)
    (index / "by-hash" / "SHA256" / hashlib.sha256(packages).hexdigest()).write_bytes(packages)
    (root / "dists" / suite / "InRelease").write_bytes(signed)


class Quiet(SimpleHTTPRequestHandler):
    """A file server that says nothing, remembers what was asked, and fails as it is told."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        failures = self.server.failures  # type: ignore[attr-defined]
        if failures.get(self.path, 0):
            failures[self.path] -= 1
            self._break_off()
        else:
            super().do_GET()

    def _break_off(self) -> None:
        """Promise a body and end the connection in the middle of it."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only the beginning")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Mirror:
    """A mirror on loopback."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.asked: list[str] = server.asked  # type: ignore[attr-defined]
        self.failures: dict[str, int] = server.failures  # type: ignore[attr-defined]


@contextmanager
def serving(root: Path) -> Iterator[Mirror]:
    """Serve a folder on loopback while the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    server.asked, server.failures = [], {}  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Mirror(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
