"""A docker-registry of our own: Debian's, on a loopback port that the system chooses."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import started

CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: "{folder}/blobs"}}}}
http: {{addr: "127.0.0.1:0"{tls}}}
"""
TLS = ', tls: {{certificate: "{file}", key: "{file}"}}'


@contextmanager
def registry(certificate: Path | None = None) -> Iterator[str]:
    """Run a registry while the block runs; gives its `host:port`, which speaks TLS with a certificate, else plain HTTP.

    The file holds the certificate and its key.
    """
    with tempfile.TemporaryDirectory(prefix="tiffin-registry-") as scratch:
        folder = Path(scratch)
        config, log = folder / "config.yml", folder / "log"
        config.write_text(CONFIG.format(folder=folder, tls=TLS.format(file=certificate) if certificate else ""))
        with started(["/usr/bin/docker-registry", "serve", str(config)], log, lambda: bool(_address(log))):
            yield _address(log)


def _address(log: Path) -> str:
    found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())
    return found[1] if found else ""
