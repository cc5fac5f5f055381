"""Sources to wheels, each built once: what was built of the same source by the same means is taken from the cache."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from email.parser import BytesHeaderParser
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tiffin.durable import renamed
from tiffin.errors import CommandError, IntegrityError, UnsupportedError
from tiffin.layers.wheel import Wheel, WheelSource
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode, read_digest
from tiffin.packages.pins import Origin, WheelPin
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.source import BuildSystem, Source, named
from tiffin.packages.pypi.wheels import best
from tiffin.packages.pypi.workroom import ENVIRONMENT, Failed, Question, Workroom, ask
from tiffin.progress import step

BUILDER = 1
"""Raised whenever the same source would be built in another way."""
_LONGEST = 4000
"""Characters of a build's log that are shown."""
_ROUNDS = 3
"""How often a backend may ask for more before it is given up."""
_DOCUMENT = 32 << 20
"""Bytes of the largest METADATA that is read."""
_DECIDING = {"Requires-Dist": "", "Requires-Python": "python"}


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that no index has, and what it came of; where that lies is for its user to add."""

    pin: WheelPin
    origin: Origin


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a build: a wheel, or what its backend wants to have besides."""

    made: Made | None = None
    requires: tuple[str, ...] = ()


class Builder(msgspec.Struct, frozen=True, kw_only=True):
    """Builds wheels for one Python in the sandboxes of a workroom.

    `resolve` chooses the wheels for a build's requirements; `keep` says where a wheel with a digest and name is kept.
    `cache` remembers what was built.
    """

    python: ImagePython
    room: Workroom
    resolve: Callable[[Sequence[str]], list[WheelPin]]
    keep: Callable[[Digest, str], Path]
    cache: Path

    def wheel(self, source: Source, before: Sequence[WheelPin] = (), *, again: bool = False) -> Made:
        """Return the wheel of a source; `before` are wheels that built it before and are used again where they do.

        To build it `again` nothing else may be used.

        Raises CommandError with the end of the log for a build that fails, UnsupportedError for a wheel that is not the
        image's, IntegrityError for one that is not what its source says.
        """
        if source.is_wheel:
            return self._made(source, source.path)
        system = source.build_system()
        wheels = list(before) if again else self._chosen(system.requires, before)
        met: tuple[str, ...] = ()
        for _ in range(_ROUNDS):
            tried = self._tried(source, system, wheels, met)
            if tried.made:
                return tried.made
            met = tuple(sorted({*met, *tried.requires}))
            wheels = wheels if again else self._chosen((*system.requires, *met), wheels)
        message = f"{source.shown}: its build asks for more and more: {', '.join(met)}"
        raise CommandError(message, "name what it needs in `[build-system] requires`")

    def _chosen(self, requires: Sequence[str], before: Sequence[WheelPin]) -> list[WheelPin]:
        """Choose the wheels that build; those of before stay where they are all that is asked for."""
        return list(before) if before and _meets(before, requires) else sorted(self.resolve(requires))

    def _tried(self, source: Source, system: BuildSystem, wheels: list[WheelPin], met: tuple[str, ...]) -> Tried:
        """Build once, or remember what came of it."""
        means = [BUILDER, ENVIRONMENT, self.room.identity, [wheel.sha256 for wheel in wheels], met]
        memory = self.cache / Digest.of(encode([source.digest, means])).hex
        known = _remembered(memory)
        if known and (known.made is None or self.keep(known.made.pin.sha256, known.made.pin.filename).exists()):
            return known
        with step("build", source.shown):
            tried = self._built(source, system, wheels, met)
        with renamed(memory) as file:
            file.write(encode(tried))
        return tried

    def _built(self, source: Source, system: BuildSystem, wheels: list[WheelPin], met: tuple[str, ...]) -> Tried:
        self.cache.mkdir(parents=True, exist_ok=True)
        question = Question(backend=system.backend, path=system.path, met=met)
        with tempfile.TemporaryDirectory(prefix="tiffin-build-") as folder:
            try:
                with source.packed() as packed, Path(folder, "answer").open("wb") as out:
                    answer = ask(self.room, wheels, question, packed, out)
            except Failed as failed:
                raise failure(source, failed.log) from failed
            if not answer.wheel:
                return Tried(requires=answer.requires)
            wheel = Path(folder, _bare(answer.wheel, source))
            Path(folder, "answer").rename(wheel)
            return Tried(made=self._made(source, wheel, wheels))

    def _made(self, source: Source, path: Path, wheels: Sequence[WheelPin] = ()) -> Made:
        """Check a wheel and keep it."""
        name, version = named(path.name)
        if source.name and (name, version) != (source.name, source.version):
            raise IntegrityError(f"{source.shown} gave a wheel of {name} {version}", "tell those who publish it")
        if not best([path.name], self.python):
            hint = "name a wheel for that Python, or change `[python] version` or the base"
            raise UnsupportedError(f"{path.name} of {source.shown} does not run on {self.python}", hint)
        with Wheel.opened(WheelSource(path=path, name=name, version=version)):
            needs = _needs(path)
        with path.open("rb") as file:
            digest = Digest.of_stream(file)
        pin = WheelPin(name=name, version=version, filename=path.name, sha256=digest, size=path.stat().st_size)
        target = self.keep(digest, path.name)
        if not target.exists():
            with path.open("rb") as file, renamed(target) as kept:
                shutil.copyfileobj(file, kept)
        return Made(pin=pin, origin=Origin(source=source.digest, needs=needs, requires=tuple(wheels)))


def failure(source: Source, log: str) -> CommandError:
    """Say how a build ended, and what to do about the reasons that are common."""
    hint = next((hint for words, hint in _REASONS.items() if re.search(words, log)), _MEND)
    if source.tree is None and hint not in {_REASONS[_COMPILES], _REASONS[_ASKS]}:
        hint = _OTHER  # nobody here can mend it
    end = log[-_LONGEST:].partition("\n")[2] if len(log) > _LONGEST else log
    told = "\n".join(f"  {line}" for line in end.splitlines()) or "  it said nothing"
    return CommandError(f"{source.shown} could not be built into a wheel\n{told}", hint)


_MEND = "mend what its log says, or build its wheel elsewhere and name that: `./wheels/NAME.whl`"
_OTHER = "ask for a version that has a wheel, or name one that was built elsewhere: `./wheels/NAME.whl`"
_COMPILES = r"""(?x)
    (gcc|g\+\+|clang|\bcc|gfortran|rustc|cargo|cmake|ninja)'?\ (failed|not\ found|is\ not\ installed)
    | Unknown\ compiler | C\+?\+?\ compiler | Python\.h:\ No\ such\ file | unable\ to\ execute
    | No\ such\ file\ or\ directory:\ '(\S*gcc|\S*cc|cargo|rustc|cmake|make)'
"""
_ASKS = r"""(?x)
    name\ resolution | Network\ is\ unreachable | Name\ or\ service\ not\ known | getaddrinfo
    | Connection\ refused | urlopen\ error | Max\ retries\ exceeded
"""
_REASONS = {
    _COMPILES: "it compiles, and the image has no compiler: ask for a version that has a wheel, or name one that was "
    "built elsewhere for the image's Python: `./wheels/NAME.whl`",
    _ASKS: "a build has no network: what it needs must be in its source, or in `[build-system] requires`",
    r"setuptools[-_]scm|hatch[-_]vcs|versioningit|No \.git|not a git repository": (
        "a build does not see version control: write the version into its pyproject.toml"
    ),
    r"Unable to determine which files to ship|Multiple top-level packages|Expected a Python module at": (
        "say in its pyproject.toml which modules it has; what is no package says so: `[tool.uv] package = false`"
    ),
    r"No module named": "name what its build imports in `[build-system] requires`",
}
"""What logs say -> what to do; the first whose words appear counts."""


def _meets(wheels: Sequence[WheelPin], requires: Sequence[str]) -> bool:
    versions = {wheel.name: wheel.version for wheel in wheels}
    try:
        asked = [Requirement(line) for line in requires]
    except InvalidRequirement:
        return False
    return all(
        not each.marker
        and not each.extras
        and canonicalize_name(each.name) in versions
        and each.specifier.contains(versions[canonicalize_name(each.name)], prereleases=True)
        for each in asked
    )


def _remembered(memory: Path) -> Tried | None:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Tried, dec_hook=read_digest)
    except (OSError, msgspec.MsgspecError):
        return None


def _bare(name: str, source: Source) -> str:
    if "/" in name or not name.endswith(".whl"):
        raise IntegrityError(f"{source.shown}: its build made no wheel but {name!r}", "tell those who publish it")
    return name


def _needs(path: Path) -> tuple[str, ...]:
    """Read what a wheel requires: lines that decide a resolution."""
    try:
        with ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            with archive.open(name) as file:
                metadata = BytesHeaderParser().parsebytes(file.read(_DOCUMENT))
    except (BadZipFile, StopIteration) as error:
        raise IntegrityError(f"{path.name}: its METADATA cannot be read: {error}", "build it anew") from error
    return tuple(sorted(f"{_DECIDING[key]}{value}" for key, value in metadata.items() if key in _DECIDING))
