"""Requirements to pins where not everything has a wheel: local sources and sdists become wheels first.

uv resolves wheels only, since it would run foreign builds on this machine. A package of which an index has sources
alone is shown to uv as *stand-ins*: wheels with a name, a version and nothing else. The version that uv then chooses is
built in the sandbox, the real wheel takes its stand-in's place, and uv is asked again, until every choice is real.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from tiffin.errors import CommandError, ConfigError, IntegrityError
from tiffin.oci.digest import Digest
from tiffin.packages.pins import Origin, WheelPin
from tiffin.packages.pypi.builder import Builder, Made
from tiffin.packages.pypi.found import Found
from tiffin.packages.pypi.locked import locked_packages
from tiffin.packages.pypi.refusals import NoWheelError
from tiffin.packages.pypi.requirements import Requirement, Requirements
from tiffin.packages.pypi.source import Source, named
from tiffin.packages.pypi.stand_ins import StandIns
from tiffin.packages.pypi.uv_index import UvIndex
from tiffin.packages.pypi.workroom import Workroom

_ROUNDS = 40
"""How often uv is asked at most: once for each package that has to be built, and for each that has to be older."""


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """What requirements come to: a wheel each, and for those that no index has where they came from, by name."""

    wheels: tuple[WheelPin, ...]
    origins: dict[str, Origin]


class FromSource:
    """Pins what indexes have as wheels, and builds the rest; for one project, in `folder`.

    `without` are files of the project that no source has in it, such as its weights and its lock.
    """

    def __init__(self, index: UvIndex, room: Workroom, folder: Path, without: Collection[Path] = ()) -> None:
        """Ask `index`, and build in the sandboxes of `room`."""
        self._index = index
        self._folder = folder
        self._without = without
        self._settings = index.resolver.settings
        self._builder = Builder(
            python=index.resolver.python,
            room=room,
            resolve=self._tools,
            keep=index.place,
            cache=index.cache / "built",
        )

    def resolve(self, requirements: Requirements, before: Mapping[str, Origin] = {}) -> Pinned:
        """Pin what is asked for; `before` is what earlier wheels came from, whose tools are used again."""
        self._settings = requirements.settings
        if requirements.lock:
            return self._locked(requirements.lock, before)
        made: dict[Digest, Made] = {}
        wanted: list[Requirement] = []
        for each in requirements.wanted:
            if each.path:
                one = self._local(each.path, each.text, before.get(each.name))
                made[_checked(one, each).pin.sha256] = one
                wanted.append(each.met(one.pin.name, self._index.place(one.pin.sha256, one.pin.filename).as_uri()))
            else:
                wanted.append(each)
        return self._resolved(msgspec.structs.replace(requirements, wanted=tuple(wanted)), made)

    def renewed(self, path: str, before: Origin) -> Made:
        """Build anew what lies at a path relative to the project, which may have changed."""
        return self._local(self._folder / path, path, before)

    def again(self, pin: WheelPin, origin: Origin) -> None:
        """Build a locked wheel from what it was built from, with what built it, and keep it.

        Raises IntegrityError where it is another one now, or its source is.
        """
        if origin.path:
            source = Source.local(self._folder / origin.path, origin.path, self._without)
        else:
            sdist = Found(
                name=pin.name, version=pin.version, filename=origin.sdist, sha256=origin.source, size=None, url=""
            )
            source = self._sdist(sdist)
        if source.digest != origin.source:
            raise IntegrityError(
                f"{source.shown} is not what was locked", f"`tiffin lock {self._folder}` locks it anew"
            )
        made = self._builder.wheel(source, origin.requires, again=True)
        if made.pin != pin:
            message = f"{source.shown} gives another wheel than the lock has: {made.pin.sha256}, not {pin.sha256}"
            raise IntegrityError(message, f"its build is not reproducible: keep {pin.filename} and name that")

    def _resolved(self, requirements: Requirements, made: dict[Digest, Made]) -> Pinned:
        """Let uv choose, and build what it chose, until there is nothing to be built."""
        asked = {each.name: each.specifier for each in requirements.wanted if not each.text.count("@")}
        newest = partial(self._index.resolver.newest, settings=requirements.settings)
        with tempfile.TemporaryDirectory(prefix="tiffin-stand-ins-") as folder:
            stand_ins = StandIns(Path(folder), newest, asked)
            hashes = {each.name: each.hashes for each in requirements.wanted if each.hashes}
            for _ in range(_ROUNDS):
                found = self._asked(requirements, stand_ins)
                chosen = [(each, sdist) for each in found or () if (sdist := stand_ins.sdist(each))]
                for stand_in, sdist in chosen:
                    one = self._built(sdist, hashes.get(sdist.name))
                    made[one.pin.sha256] = one
                    stand_ins.replace(stand_in, self._index.place(one.pin.sha256, one.pin.filename))
                if found is not None and not chosen:
                    others = [each for each in found if each.sha256 not in made]
                    return self._pinned(others, [made[each.sha256] for each in found if each.sha256 in made])
        raise CommandError("uv chose again and again what had yet to be built", "pin the packages that have no wheels")

    def _asked(self, requirements: Requirements, stand_ins: StandIns) -> list[Found] | None:
        """Ask uv once; None where it lacked wheels for which there are stand-ins now."""
        wanted = tuple(
            msgspec.structs.replace(each, hashes=frozenset()) if each.name in stand_ins.names else each
            for each in requirements.wanted
        )
        try:
            return self._index.resolver.resolve(
                msgspec.structs.replace(requirements, wanted=wanted), links=stand_ins.links
            )
        except NoWheelError as error:
            if not stand_ins.more(error.names):
                raise
            return None

    def _locked(self, lock: Path, before: Mapping[str, Origin]) -> Pinned:
        """Pin what another tool has locked, and build what it has locked as a source."""
        found: list[Found] = []
        made: list[Made] = []
        for each in locked_packages(lock, self._index.resolver.python):
            if isinstance(each, Found):
                found.append(each)
            elif each.path:
                made.append(self._local(each.path, each.shown, before.get(each.name)))
            elif each.sdist:
                made.append(self._built(each.sdist))
        return self._pinned(found, made)

    def _pinned(self, found: Sequence[Found], made: Sequence[Made]) -> Pinned:
        """Pin what was found and what was made."""
        wheels = (*self._index.pinned(found), *(one.pin for one in made))
        return Pinned(wheels=tuple(sorted(wheels)), origins={one.pin.name: one.origin for one in made})

    def _local(self, path: Path, shown: str, before: Origin | None) -> Made:
        """Make a wheel of what lies on this machine."""
        source = Source.local(path, shown, self._without)
        made = self._builder.wheel(source, before.requires if before else ())
        place = os.path.relpath(path, self._folder)
        return msgspec.structs.replace(made, origin=msgspec.structs.replace(made.origin, path=place))

    def _built(self, sdist: Found, allowed: frozenset[str] | None = None) -> Made:
        """Make a wheel of an sdist of an index."""
        if allowed and sdist.sha256.hex not in allowed:
            message = f"{sdist.filename} has none of the hashes that its requirement allows"
            raise IntegrityError(message, "find out why it changed, or write the requirement anew")
        made = self._builder.wheel(self._sdist(sdist))
        return msgspec.structs.replace(made, origin=msgspec.structs.replace(made.origin, sdist=sdist.filename))

    def _sdist(self, sdist: Found) -> Source:
        path = self._index.bring(sdist)
        shown = f"{sdist.name}=={sdist.version}"
        name, version = named(sdist.filename)
        return Source(shown=shown, path=path, digest=sdist.sha256, name=name, version=version)

    def _tools(self, requires: Sequence[str]) -> list[WheelPin]:
        """Choose the wheels that a build needs; what of it is there as source only is refused by name."""
        lines = msgspec.structs.replace(Requirements.of(requires, "[build-system] requires"), settings=self._settings)
        return self._index.resolve(lines)


def _checked(made: Made, asked: Requirement) -> Made:
    if asked.name and canonicalize_name(asked.name) != made.pin.name:
        message = f"{asked.place}: {asked.name} was asked for, and {asked.path} is {made.pin.name}"
        raise ConfigError(message, f"write `{made.pin.name} @ …`")
    return made
