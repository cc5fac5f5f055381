"""Deciding once for all how a container is started, so that `warm` starts the next one without deciding.

The decision is made twice, and what it depends on is looked at before the second time and after it: it is remembered
only where all of that stayed the same. Nothing is remembered where it depends on more than is looked at, as with
devices, mounts, ports, secrets, variables and projects.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.containers.needs import foreseen
from tiffin.api.containers.options import Options, Typed, run_options
from tiffin.api.containers.run import spec_of, stem_of
from tiffin.api.containers.warm import Words, place
from tiffin.api.images.trust import bare, rules
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.engines import open_engine
from tiffin.api.machine.folders import PROJECTS, policy
from tiffin.api.machine.home import Home
from tiffin.api.machine.witness import look, same
from tiffin.engine.declared import DRIVER, GPU
from tiffin.engine.embedded.container import plan_of
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.embedded.machine import find_bubblewrap, maskable
from tiffin.errors import TiffinError
from tiffin.oci.documents import encode

if TYPE_CHECKING:
    from tiffin.api.containers.warm import Head
    from tiffin.engine.embedded.warm import Start

_MOST = 64
"""How many decisions are remembered at most."""
_TABLES = (
    *("/etc/hosts", "/etc/passwd", "/etc/resolv.conf", "/etc/subgid", "/etc/subuid"),
    *("/usr/bin/newgidmap", "/usr/bin/newuidmap"),
)
_KERNEL = ("/proc/self/gid_map", "/proc/self/uid_map", "/proc/sys/kernel/random/boot_id")


def rehearse(options: Options) -> None:
    """Remember how the container is started that these options ask for, where that can be remembered."""
    words = _words(options)
    home = Home.of()
    engine = open_engine(home)
    if words is None or not isinstance(engine, EmbeddedEngine):
        return
    with contextlib.suppress(TiffinError, OSError):  # it has been run already, and is decided anew the next time
        _remember(options, words, engine, home)


def _words(options: Options) -> Words | None:
    """What is asked for, in words that `warm` knows; None where there are others."""
    run = options.run
    known = run_options(Typed(args=run.args, remove=run.remove, interactive=run.stdin, read_only=run.read_only))
    if run != known or Path(options.what).is_dir():
        return None
    return Words(options.what, run.args, remove=run.remove, stdin=run.stdin, read_only=run.read_only)


def _remember(options: Options, words: Words, engine: EmbeddedEngine, home: Home) -> None:
    mark = os.urandom(8).hex()
    first = _decide(options, engine, home, mark)
    if first is None:
        return
    image = find_image(home.store, options.what)
    layers = [str(home.data / "unpacked" / digest.hex) for digest in image.config.rootfs.diff_ids]
    blobs = [str(home.store.path(blob)) for blob in (image.descriptor, image.manifest.config)]
    places = [source for source, _ in first["plan"]["launch"]["binds"] if mark not in source]
    seen = look([*blobs, str(home.data / "index.json"), *_files()], [*layers, *places, *maskable()], _KERNEL)
    start = _decide(options, engine, home, mark)
    if start is None or start != first or not same(seen):
        return
    argv = start["plan"]["launch"]["argv"]
    del argv[len(argv) - len(words.args) :]  # they may say what nobody else should read, and are said again anyway
    start["spec"]["argv"] = argv
    stem = stem_of(options.what)
    _write(
        Path(place(words, os.environ)),
        {"key": words.key(os.environ), "stem": stem, "mark": mark, "seen": seen, "relied": layers},
        start,
    )


def _decide(options: Options, engine: EmbeddedEngine, home: Home, mark: str) -> Start | None:
    """Decide how it is started, with marks for its name and ID; None where that depends on what is not looked at."""
    asked = msgspec.structs.replace(options.run, name=f"name_{mark}", remove=False)
    image = find_image(home.store, options.what)
    if rules(bare(options.what), None):
        return None
    spec = spec_of(options.what, image, Options(what=options.what, run=asked), engine, home)
    if spec.ports or spec.mounts or {GPU, DRIVER} & set(spec.labels) or foreseen(engine, spec):
        return None
    path = home.data / "containers" / f"id{mark}"
    launch, owner, root = engine.decide(spec, path)
    start: Start = {
        "spec": json.loads(encode(spec)),
        "plan": json.loads(json.dumps(plan_of(spec, path, launch))),
        "owner": owner,
        "root": root,
        "writable": not spec.read_only,
    }
    return start


def _files() -> list[str]:
    """Files of this machine that a decision reads, and all code that decides."""
    code = (getattr(module, "__file__", None) for name, module in [*sys.modules.items()] if name.startswith("tiffin."))
    policies = [policy(os.environ), *(str(Path.cwd() / name) for name in PROJECTS)]
    return [*policies, find_bubblewrap().program, *_TABLES, *filter(None, code)]


def _write(path: Path, head: Head, start: Start) -> None:
    """Write it, for its owner alone, so that it appears whole; what a crash left of it would not be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime)[: 1 - _MOST]:
        old.unlink(missing_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(f"{json.dumps(head)}\n{json.dumps(start)}", encoding="utf-8")
    new.replace(path)
