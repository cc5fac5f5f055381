"""Requirements to pins: uv resolves for the image's Python, and nothing of this machine's gets in."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import uv

from tiffin.errors import CommandError, ConfigError, IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.found import Found
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.locked import locked_wheels
from tiffin.packages.pypi.refusals import refusal
from tiffin.packages.pypi.requirements import Requirement, Requirements
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.shelf import shelved
from tiffin.packages.pypi.wheels import best

_GLIBC = [17, 28, *range(31, 41)]
"""The minors of glibc 2.x that uv has a manylinux platform for; the greatest that is not too great is asked for."""


class _Wheel(msgspec.Struct, frozen=True):
    """A wheel as uv's pylock has it (PEP 751, packages.wheels)."""

    hashes: dict[str, str] = {}
    url: str = ""
    path: str = ""
    name: str = ""
    size: int | None = None

    @property
    def place(self) -> str:
        return self.url or Path(self.path).absolute().as_uri()

    @property
    def filename(self) -> str:
        return self.name or unquote(urlsplit(self.place).path.rpartition("/")[2])


class _Package(msgspec.Struct, frozen=True):
    """A package as uv's pylock has it."""

    name: str
    version: str = ""
    wheels: tuple[_Wheel, ...] = ()
    archive: _Wheel | None = None
    sdist: _Wheel | None = None

    @property
    def files(self) -> tuple[_Wheel, ...]:
        """Its wheels, or the one that was required by its place."""
        return (self.archive,) if self.archive else self.wheels


class _Pylock(msgspec.Struct, frozen=True):
    """What is read of uv's pylock."""

    packages: tuple[_Package, ...] = ()


class Resolver(msgspec.Struct, frozen=True, kw_only=True):
    """How uv is asked: for which Python, of which indexes, with which folder for what it remembers."""

    python: ImagePython
    settings: IndexSettings
    cache: Path

    def resolve(self, requirements: Requirements, links: Sequence[str] = ()) -> list[Found]:
        """Return the best wheel of every package that the requirements come to, by name; raises what uv refuses.

        `links` are addresses of folders whose wheels lie beside what indexes have.
        """
        if requirements.lock:
            return locked_wheels(requirements.lock, self.python)
        if local := next((each for each in requirements.wanted if each.path), None):
            message = f"{local.place}: {local.text} has to be built into a wheel, which is not done here"
            raise UnsupportedError(message, "name its wheel in a folder of wheels")
        allowed = _allowed(requirements.wanted)
        return sorted(
            (self._choose(package, allowed.get(package.name)) for package in self._ask(requirements, links=links)),
            key=lambda found: found.name,
        )

    def find(self, pins: Iterable[WheelPin], *, anew: bool = False) -> list[Found]:
        """Return every wheel that indexes offer for exactly these versions, whether or not it is the pinned one.

        `anew` lets uv believe nothing that it remembers of the indexes' pages.
        """
        # `===`, since `==2.0` means `2.0+cpu` too (PEP 440)
        requirements = Requirements.of(sorted(f"{pin.name}==={pin.version}" for pin in pins), "the lock")
        packages = self._ask(requirements, "--no-deps", *(["--refresh"] if anew else []))
        return [_found(package, wheel) for package in packages for wheel in package.wheels]

    def newest(self, requirement: str, settings: IndexSettings) -> tuple[Found, bool] | None:
        """Return the sdist of the newest version that a requirement means, and whether a wheel of it fits the image.

        uv asks indexes for names and versions alone: without dependencies it needs no metadata, so nothing is built.
        """
        asked = Requirements(wanted=Requirements.of([requirement]).wanted, settings=settings)
        try:
            (package,) = self._ask(asked, "--no-deps", sources=True)
        except (NotFoundError, ConfigError, UnsupportedError):  # in uv's several words for that there is none
            return None
        fits = best([wheel.filename for wheel in package.wheels], self.python) is not None
        return (_found(package, package.sdist), fits) if package.sdist else None

    def _ask(
        self, requirements: Requirements, *options: str, links: Sequence[str] = (), sources: bool = False
    ) -> tuple[_Package, ...]:
        settings = shelved(requirements.settings.over(self.settings), self.python, self.cache.with_name("shelves"))
        settings = msgspec.structs.replace(settings, find_links=(*links, *settings.find_links))
        with tempfile.TemporaryDirectory(prefix="tiffin-asks-") as folder:
            options = (*options, *_constraints(requirements, Path(folder)))
            options = (*options, "--prerelease", "allow") if requirements.prereleases else options
            options = (*options, "--no-index") if settings.no_index else options
            options = options if sources else (*options, "--only-binary", ":all:")
            ended = subprocess.run(
                command(self.python, self.cache, *options, asked=_asked(requirements, settings, Path(folder))),
                input="".join(f"{requirement.text}\n" for requirement in requirements.wanted),
                env=settings.environment(os.environ),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        if ended.returncode:
            asked = (*requirements.wanted, *requirements.constraints)
            raise refusal(ended.stderr, asked, self.python)
        return _read(ended.stdout)

    def _choose(self, package: _Package, allowed: frozenset[str] | None) -> Found:
        wheels = {wheel.filename: wheel for wheel in package.files}
        if allowed:
            wheels = {name: wheel for name, wheel in wheels.items() if wheel.hashes.get("sha256") in allowed}
        filename = best(wheels, self.python)
        if filename is None:
            raise _no_wheel(package, allowed, self.python)
        return _found(package, wheels[filename])


def _constraints(requirements: Requirements, folder: Path) -> list[str]:
    if not requirements.constraints:
        return []
    path = folder / "constraints.txt"
    path.write_text("".join(f"{constraint.text}\n" for constraint in requirements.constraints), "utf-8")
    return ["--constraints", str(path)]


def _asked(requirements: Requirements, settings: IndexSettings, folder: Path) -> str:
    """Return what uv is to resolve: its input, or where a package has an index of its own a project that says so."""
    pinned = settings.pinned(sorted({requirement.name for requirement in requirements.wanted}))
    if not pinned:
        return "-"
    lines = ['[project]\nname = "what-is-asked"\nversion = "0"']
    lines += [f"dependencies = {_quoted([each.text for each in requirements.wanted])}", "[tool.uv.sources]"]
    lines += [f"{name} = {{ index = {_quoted(entry.partition('=')[0])} }}" for name, entry in pinned.items()]
    for entry in sorted(set(pinned.values())):
        name, _, url = entry.partition("=")
        lines += ["[[tool.uv.index]]", f"name = {_quoted(name)}", f"url = {_quoted(url)}", "explicit = true"]
    path = folder / "pyproject.toml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def _quoted(value: str | list[str]) -> str:
    """Write strings as TOML, which takes JSON's."""
    return msgspec.json.encode(value).decode()


def command(python: ImagePython, cache: Path, *options: str, asked: str = "-") -> list[str]:
    """Return the arguments that let uv resolve standard input, or what is `asked`, for an image and print a pylock.

    `--no-config`: a uv.toml nearby must not change a result silently; indexes come by environment. `--python` is ours,
    so that uv looks for no interpreter; `--python-version` and `--python-platform` put the image's in its place.
    """
    return [
        uv.find_uv_bin(), "pip", "compile", asked, "--format", "pylock.toml",
        "--python", sys.executable, "--no-python-downloads",
        "--python-version", python.version, "--python-platform", python_platform(python),
        "--generate-hashes", "--no-header", "--no-config", "--system-certs",
        "--no-progress", "--color", "never", "--cache-dir", str(cache), *options,
    ]  # fmt: skip


def python_platform(python: ImagePython) -> str:
    """Return uv's name of the platform; a glibc that uv does not know becomes the next older one that it knows."""
    minor = max((minor for minor in _GLIBC if minor <= python.glibc[1]), default=None)
    if minor is None:
        raise UnsupportedError(f"{python} is older than any wheel", "choose a base with glibc 2.17 or newer")
    return f"{python.platform.machine}-manylinux_2_{minor}"


def _read(text: str) -> tuple[_Package, ...]:
    try:
        return msgspec.convert(tomllib.loads(text), _Pylock).packages
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CommandError(
            f"uv printed a pylock that cannot be read: {error}", "report this with `uv --version`"
        ) from error


def _found(package: _Package, wheel: _Wheel) -> Found:
    digits = wheel.hashes.get("sha256")
    if digits is None:
        hint = "ask an index that publishes sha256 hashes, or put the wheel into a folder and add `--find-links`"
        raise UnsupportedError(f"the index gives no sha256 for {wheel.filename}", hint)
    return Found(
        name=package.name,
        version=package.version,
        filename=wheel.filename,
        sha256=Digest.parse(f"sha256:{digits}"),
        size=wheel.size,
        url=wheel.place,
    )


def _allowed(wanted: Sequence[Requirement]) -> dict[str, frozenset[str]]:
    """Return for each package with hashes the ones that its requirements allow."""
    names = {requirement.name for requirement in wanted if requirement.hashes}
    return {name: frozenset().union(*(each.hashes for each in wanted if each.name == name)) for name in names}


def _no_wheel(package: _Package, allowed: frozenset[str] | None, python: ImagePython) -> Exception:
    """Return why none of the wheels will do; uv refuses most of these cases itself and before."""
    has = ", ".join(wheel.filename for wheel in package.files) or "none"
    if allowed:
        message = f"no wheel of {package.name}=={package.version} for {python} has a hash that its requirement allows"
        return IntegrityError(message, f"there are: {has}")
    message = f"{package.name}=={package.version} has no wheel for {python}"
    return UnsupportedError(message, f"there are: {has}; requirements with an address cannot be locked")
