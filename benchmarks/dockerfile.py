"""The Dockerfile that does what tiffin does: the same base, wheels, server, model and code, in an order that caches.

There is no shell in the base, so what runs is in exec form. The wheels come from an image of their own, so that no
build sends them to a daemon. What pip and uv make is compiled to bytecode, as they do by default or when asked.
"""

from __future__ import annotations

from collections.abc import Sequence

BASE = "localhost/base:latest"
SHELF = "localhost/shelf:latest"
SHELL = "localhost/shell:latest"
KEPT = {BASE, SHELF, SHELL}
"""Images that every builder starts from: the base, the wheels, and the base with a shell and pip."""
SITE = "/opt/venv/lib/site-packages"
PIP = ["/opt/venv/bin/python", "/shelf/tools/pip.whl/pip", "install", "--disable-pip-version-check"]
UV = [
    *("/shelf/tools/uv", "pip", "install", "--python=/usr/bin/python3.11", f"--target={SITE}"),
    *("--link-mode=copy", "--compile-bytecode"),
]
OPTIONS = ["--no-index", "--find-links=/shelf/wheels", "--no-deps", "-r", "/requirements.txt"]


def dockerfile(installer: Sequence[str]) -> str:
    """Write the Dockerfile, with pip or with uv."""
    return f"""\
FROM {BASE}
COPY requirements.txt /requirements.txt
RUN --mount=type=bind,from={SHELF},target=/shelf \\
    --mount=type=cache,target=/root/.cache \\
    {_exec([*installer, *OPTIONS])}
COPY server /opt/tiffin
COPY model.joblib /models/model.joblib
COPY features.py /app/features.py
ENV PATH=/opt/venv/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
USER 65532:65532
EXPOSE 8080
ENTRYPOINT {_exec(["/usr/bin/python3.11", "-I", "-S", "/opt/tiffin/front"])}
CMD ["all"]
"""


def _exec(argv: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{argument}"' for argument in argv) + "]"
