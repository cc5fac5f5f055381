"""What an image stands on: its lowest layers, and the interpreter in them.

There are three: Debian's packages, an image that brings its Python, and an archive with a Python on Debian's packages.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

import msgspec

from tiffin.build.recipes import (
    AnyRecipe,
    Base,
    BaseLayer,
    Interpreter,
    LibraryBytecode,
    Packages,
    PythonArchive,
    StandardBytecode,
    Venv,
)
from tiffin.config.base import REGISTRY, parse_base
from tiffin.layers.wheel_names import ARCHIVED_PYTHON
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.base_image import BaseImage, PythonBuild
from tiffin.packages.lock import Lock
from tiffin.packages.pins import DebPin

_OURS = {"PATH"}
_PYTHONS = "PYTHON"
"""How variables begin that would lead the interpreter astray."""


class Foundation(msgspec.Struct, frozen=True, kw_only=True):
    """The layers below everything of the project, and what the layers above have to know of them.

    `roots` is what the interpreter runs from; `interpreter` says which build of it that is, for all that is compiled;
    `above` are the layers that go next, `library` the bytecode of the standard library. `env` is what the base sets,
    `path` where its programs are, `links` what `Recipe.links` is about.
    """

    name: str
    digest: Digest | None = None
    suite: str = ""
    python: str
    program: str
    interpreter: Digest
    roots: tuple[AnyRecipe, ...]
    above: tuple[AnyRecipe, ...] = ()
    library: AnyRecipe
    debs: tuple[DebPin, ...] = ()
    env: tuple[str, ...] = ()
    path: tuple[str, ...] = ("/usr/bin", "/bin")
    links: tuple[tuple[str, str], ...] = ()

    @property
    def is_packaged(self) -> bool:
        """Whether the interpreter is a Debian package."""
        return any(pin.name == f"python{self.python}" for pin in self.debs)


def foundation_of(lock: Lock) -> Foundation:
    """Read off a lock what its image stands on."""
    if lock.base_image:
        known = parse_base(lock.base).kind == REGISTRY
        return on_image(lock.base if known else "", lock.base_image, lock.python)
    suite = lock.base.partition(":")[2]
    if lock.python_build:
        return on_archive(suite, lock, lock.python_build)
    return on_debian(suite, lock)


def on_debian(suite: str, lock: Lock) -> Foundation:
    """Stand on Debian's packages, and on Debian's Python."""
    interpreter = Interpreter(python=lock.python, packages=lock.python_debs)
    return Foundation(
        name=f"debian:{suite}",
        suite=suite,
        python=lock.python,
        program=f"/usr/bin/python{lock.python}",
        interpreter=interpreter.key,
        roots=(Base(suite=suite, packages=lock.base_debs), interpreter),
        above=_packages(lock.package_debs),
        library=StandardBytecode(python=lock.python, packages=lock.python_debs),
        debs=lock.base_debs + lock.python_debs + lock.package_debs,
    )


def on_archive(suite: str, lock: Lock, archive: PythonBuild) -> Foundation:
    """Stand on Debian's packages, and on a Python that brings what it needs, or finds it among the packages."""
    installed = PythonArchive(python=lock.python, machine=lock.platform.machine, archive=archive)
    return Foundation(
        name=f"debian:{suite}",
        suite=suite,
        python=lock.python,
        program=f"/{ARCHIVED_PYTHON}/bin/python{lock.python}",
        interpreter=installed.key,
        roots=(Base(suite=suite, packages=lock.base_debs), *_packages(lock.package_debs), installed),
        library=LibraryBytecode(
            interpreter=installed.key, python=lock.python, library=f"/{ARCHIVED_PYTHON}/lib/python{lock.python}"
        ),
        debs=lock.base_debs + lock.package_debs,
        path=(f"/{ARCHIVED_PYTHON}/bin", "/usr/bin", "/bin"),
    )


def on_image(name: str, image: BaseImage, python: str) -> Foundation:
    """Stand on an image, and on the Python that was found in it; its layers are taken as they are."""
    diff_ids = tuple(layer.diff_id for layer in image.layers)
    interpreter = Digest.of(encode([diff_ids, image.program]))
    venv = Venv(python=python, program=image.program, layers=diff_ids, links=image.links)
    variables = dict(text.partition("=")[::2] for text in image.env)
    path = [posixpath.dirname(image.program), *variables.get("PATH", "").split(":"), "/usr/bin", "/bin"]
    return Foundation(
        name=name,
        digest=image.digest,
        python=python,
        program=image.program,
        interpreter=interpreter,
        roots=tuple(BaseLayer(layer=layer) for layer in image.layers),
        above=(venv,),
        library=LibraryBytecode(interpreter=interpreter, python=python, library=image.library),
        env=_inherited(image.env),
        path=tuple(dict.fromkeys(filter(None, path))),
        links=image.links,
    )


def _packages(debs: tuple[DebPin, ...]) -> tuple[Packages, ...]:
    return (Packages(packages=debs),) if debs else ()


def _inherited(env: Sequence[str]) -> tuple[str, ...]:
    """What a base sets stays, such as where its libraries are; only Python's own settings are the environment's."""
    names = {text: text.partition("=")[0] for text in env}
    return tuple(text for text, name in names.items() if name not in _OURS and not name.startswith(_PYTHONS))
