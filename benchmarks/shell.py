"""The base with a shell and pip: what BentoML's and MLflow's Dockerfiles run.

Theirs is otherwise `python:3.11-slim`, several times as large. Nothing is installed by apt: where a peer's own
default would do so (build-essential, git, gnupg2, nginx), it is told not to, which makes its image smaller.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from tests.programs.client import Client

from .dockerfile import BASE, SHELL

APPLETS = ["sh", "env", "mkdir", "chown", "chmod", "rm", "cat", "ls", "dirname", "basename", "uname", "sleep"]
BASH = [("/bin/bash", "usr/bin"), ("/lib/x86_64-linux-gnu/libtinfo.so.6", "usr/lib/x86_64-linux-gnu")]
PIP = "#!/usr/bin/python3.11\nfrom pip._internal.cli.main import main\nraise SystemExit(main())\n"
SCRIPTS = {
    "pip": PIP,
    "groupadd": '#!/bin/sh\necho "$4:x:$2:" >>/etc/group\n',
    "useradd": (
        '#!/bin/sh\necho "$8:x:$3:$5::/home/$8:/bin/sh" >>/etc/passwd\n'
        'mkdir -p "/home/$8" && chown "$3:$5" "/home/$8"\n'
    ),
}
"""Stand-ins for Debian's programs, with the options that BentoML gives."""
PIP_CONF = """\
[global]
no-index = true
find-links = http://{address}/
break-system-packages = true
disable-pip-version-check = true
root-user-action = ignore
"""
UV_TOML = 'no-index = true\nfind-links = ["http://{address}/"]\n'
DOCKERFILE = f"""\
FROM {BASE}
COPY extra /
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/root
"""


def make_shell(docker: Client, folder: Path, address: str) -> None:
    """Build the image; `address` is where its pip and uv find wheels."""
    extra = folder / "extra"
    programs = extra / "usr" / "bin"
    programs.mkdir(parents=True)
    for source, target in BASH:
        (extra / target).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, extra / target)
    shutil.copy("/bin/busybox", programs / "busybox")
    for name, target in [
        *((applet, "busybox") for applet in APPLETS),
        *((f"python{x}", "python3.11") for x in ("", 3)),
    ]:
        (programs / name).symlink_to(target)
    for name, text in SCRIPTS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    _write_pip(extra, address)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    docker("build", "--quiet", f"--tag={SHELL}", str(folder))


def _write_pip(extra: Path, address: str) -> None:
    found = importlib.util.find_spec("pip")
    assert found
    assert found.origin
    target = extra / "usr" / "local" / "lib" / "python3.11" / "dist-packages" / "pip"
    shutil.copytree(Path(found.origin).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    (extra / "etc" / "uv").mkdir(parents=True)
    (extra / "etc" / "pip.conf").write_text(PIP_CONF.format(address=address))
    (extra / "etc" / "uv" / "uv.toml").write_text(UV_TOML.format(address=address))
