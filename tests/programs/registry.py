"""A docker-registry of our own: Debian's, on a loopback port that the system chooses."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import run, started

CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: "{folder}/blobs"}}}}
http: {{addr: "127.0.0.1:0"{tls}}}
"""
HTPASSWD = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
TLS = ', tls: {{certificate: "{authority}/own.pem", key: "{authority}/key.pem"}}'
LOGIN = "me", "s3cret"
_BCRYPT = "$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK"


@contextmanager
def registry(authority: Path | None = None, *, password: bool = False) -> Iterator[str]:
    """Run a registry while the block runs; gives its `host:port`.

    It speaks plain HTTP, or TLS with the certificate of an `authority`; with `password` it lets in LOGIN alone.
    """
    with tempfile.TemporaryDirectory(prefix="tiffin-registry-") as scratch:
        folder = Path(scratch)
        config, log = folder / "config.yml", folder / "log"
        text = CONFIG.format(folder=folder, tls=TLS.format(authority=authority) if authority else "")
        config.write_text(text + (HTPASSWD.format(folder=folder) if password else ""))
        (folder / "htpasswd").write_text(f"{LOGIN[0]}:{_BCRYPT}\n")
        with started(["/usr/bin/docker-registry", "serve", str(config)], log, lambda: bool(_address(log))):
            yield _address(log)


def make_authority(folder: Path) -> Path:
    """Make an authority (`ca.pem`) and a certificate of this machine that it signed (`own.pem`, `key.pem`)."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(*new, "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-subj", "/CN=test authority")
    run(
        *new, "-keyout", f"{folder}/key.pem", "-out", f"{folder}/own.pem", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key",
    )  # fmt: skip
    return folder


def _address(log: Path) -> str:
    found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())
    return found[1] if found else ""
