"""A local image to stand for `python:3.7`: Debian's Python with pip and a shell, and packages in a folder of its own.

Nothing is pulled: the files are layers of an image that tiffin built, busybox, the pip of this environment, and wheels.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from tiffin.layers.unpack import unpack_layer
from tiffin.oci.image import read_image
from tiffin.store.layout import LayoutStore
from wheelhouse import wheel

from .iris import Iris
from .process import run

LAYERS = 2
"""The lowest two: base and Python."""
PIP_CONF = """\
[global]
no-index = true
find-links = /wheels
break-system-packages = true
disable-pip-version-check = true
root-user-action = ignore
"""
SCRIPT = "#!/usr/bin/python{python}\nfrom pip._internal.cli.main import main\nraise SystemExit(main())\n"


def write_context(iris: Iris, folder: Path) -> None:
    """Write a folder with a Dockerfile that makes the base."""
    store = LayoutStore(iris.layout)
    image = read_image(store, store.resolve(iris.name))
    python = image.config.config.labels["dev.tiffin.python"]
    layers = zip(image.manifest.layers[:LAYERS], image.config.rootfs.diff_ids, strict=False)
    for number, (layer, diff_id) in enumerate(layers):
        (root := folder / f"root{number}").mkdir(parents=True)
        with store.open(layer) as blob:
            unpack_layer(blob, layer.media_type, root, diff_id)
    _write_extra(folder / "extra", python)
    copies = "".join(f"COPY {name} /\n" for name in [*(f"root{number}" for number in range(LAYERS)), "extra"])
    (folder / "Dockerfile").write_text(f"FROM scratch\n{copies}ENV PATH=/usr/local/bin:/usr/bin:/bin\n")


def _write_extra(extra: Path, python: str) -> None:
    programs = extra / "usr" / "bin"
    programs.mkdir(parents=True)
    shutil.copy("/bin/busybox", programs / "sh")
    for name in ("python", "python3"):
        (programs / name).symlink_to(f"python{python}")
    (programs / "pip").write_text(SCRIPT.format(python=python))
    (programs / "pip").chmod(0o755)
    found = importlib.util.find_spec("pip")
    assert found
    assert found.origin
    shutil.copytree(
        Path(found.origin).parent, extra / "usr" / "local" / "lib" / f"python{python}" / "dist-packages" / "pip"
    )
    (extra / "etc").mkdir()
    (extra / "etc" / "pip.conf").write_text(PIP_CONF)
    wheels = extra / "wheels"
    wheels.mkdir()
    wheel("demo", "1.0").into(wheels)
    run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "virtualenv", env=dict(os.environ))
