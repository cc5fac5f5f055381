"""The lock: which files an image is made of, by hash, with no address in it; `pylock.tiffin.toml` (PEP 751).

Any PEP 751 installer can read it: each wheel's `path` is its bare name, so wheels beside the lock install from it. What
PEP 751 has no words for is in `[tool.tiffin]`. Written sorted, one block a package, so that a diff reads like a change.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.durable import renamed
from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.layers.layer import Layer
from tiffin.layers.overlap import Overlap
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode, read_digest
from tiffin.oci.platform import Platform
from tiffin.packages.base_image import BaseImage, PythonBuild
from tiffin.packages.debian.pins import BasePins
from tiffin.packages.pins import DebPin, Origin, WheelPin

FILENAME = "pylock.tiffin.toml"
SCHEMA = 1
_ANEW = "write it anew with `tiffin lock`"


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock was made from: requirement lines, constraints, interpreter and base with its extra packages.

    `build` is the sha256 of the interpreter's archive where it comes from one; `convert` is what the model becomes.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    python: str
    platform: Platform
    base: str
    packages: tuple[str, ...] = ()
    build: str = ""
    convert: str = ""

    @property
    def digest(self) -> Digest:
        """The same for the same inputs, in whatever order they were written."""
        return Digest.of(
            encode(
                [
                    *map(sorted, (set(self.requirements), set(self.constraints), set(self.packages))),
                    [self.python, str(self.platform), self.base, *([self.build] if self.build else [])],
                    *([["convert", self.convert]] if self.convert else []),
                ]
            )
        )


class LayerRecord(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A layer that was made before; sizes are in bytes, of the blob and of what it unpacks to."""

    digest: Digest
    diff_id: Digest
    size: int
    unpacked_size: int

    @classmethod
    def of(cls, layer: Layer) -> LayerRecord:
        """Record a layer."""
        blob = layer.descriptor
        return cls(digest=blob.digest, diff_id=layer.diff_id, size=blob.size, unpacked_size=layer.unpacked_size)


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an image is made of but the model and the code.

    `origins` says what those wheels came from that no index has, by name. `layers` has what wheels became, by the key
    of the layer's recipe, once a build knows it: an image can then be pushed where none of its wheels was ever
    downloaded. So does `overlaps` with the wheels that bring the same paths; None says that nobody has looked yet.
    `converter` are the wheels that turn the model into what is served; they are no part of the image.
    """

    inputs: Digest
    requirements: tuple[str, ...]
    python: str
    platform: Platform
    base: str
    packages: tuple[str, ...] = ()
    wheels: tuple[WheelPin, ...]
    origins: dict[str, Origin] = {}
    base_debs: tuple[DebPin, ...] = ()
    python_debs: tuple[DebPin, ...] = ()
    package_debs: tuple[DebPin, ...] = ()
    base_image: BaseImage | None = None
    python_build: PythonBuild | None = None
    overlaps: tuple[Overlap, ...] | None = None
    layers: dict[Digest, LayerRecord] = {}
    converter: tuple[WheelPin, ...] = ()

    @classmethod
    def make(
        cls,
        inputs: Inputs,
        wheels: Sequence[WheelPin] = (),
        debs: BasePins | None = None,
        base_image: BaseImage | None = None,
        python_build: PythonBuild | None = None,
        origins: Mapping[str, Origin] = {},
    ) -> Lock:
        """Make a lock of what was asked for and what it came to."""
        return cls(
            inputs=inputs.digest,
            requirements=tuple(sorted({line.partition(" --hash=")[0] for line in inputs.requirements})),
            python=inputs.python,
            platform=inputs.platform,
            base=inputs.base,
            packages=tuple(sorted(set(inputs.packages))),
            wheels=tuple(sorted(wheels)),
            origins=dict(sorted(origins.items())),
            base_debs=debs.base if debs else (),
            python_debs=debs.interpreter if debs else (),
            package_debs=debs.packages if debs else (),
            base_image=base_image,
            python_build=python_build,
        )


def with_wheels(lock: Lock, wheels: Iterable[WheelPin], origins: Mapping[str, Origin]) -> Lock:
    """Return the lock with these wheels, and what some came from, in place of those it had."""
    return msgspec.structs.replace(lock, wheels=tuple(sorted(wheels)), origins=dict(sorted(origins.items())))


def with_layers(lock: Lock, layers: Mapping[Digest, LayerRecord]) -> Lock:
    """Return the lock with these layers in place of those it had: completing a lock does not make it another."""
    return msgspec.structs.replace(lock, layers=dict(sorted(layers.items())))


def is_stale(lock: Lock, inputs: Inputs) -> str | None:
    """Say why the lock is not the one for these inputs; None where it is."""
    if lock.inputs == inputs.digest:
        return None
    now = Lock.make(inputs)
    for what in ("python", "platform", "base"):
        if getattr(lock, what) != getattr(now, what):
            return f"{what} was {getattr(lock, what)} and is {getattr(now, what)}"
    for what in ("requirements", "packages"):
        old, new = set(getattr(lock, what)), set(getattr(now, what))
        if old != new:
            said = [f"{name} was added" for name in sorted(new - old)]
            return f"{what}: " + ", ".join(said + [f"{name} was removed" for name in sorted(old - new)])
    if bool(inputs.convert) != bool(lock.converter):
        return "`[model] convert` was " + ("set" if inputs.convert else "removed")
    if inputs.build != (lock.python_build.sha256.hex if lock.python_build else ""):
        return "the archive of the interpreter changed"
    return "constraints or hashes changed"


# --- writing ---------------------------------------------------------------------------------------------------------


def dumps(lock: Lock) -> str:
    """Write a lock as text, the same for the same lock."""
    head = [
        "# Written by `tiffin lock`; `tiffin build` adds the layers. Commit it.",
        'lock-version = "1.0"',
        f"environments = {_inline([_environment(lock)])}",
        f"requires-python = {_inline('==' + '.'.join(lock.python.split('.')[:2]) + '.*')}",
        'created-by = "tiffin"',
    ]
    packages = [_package(wheel, lock.origins.get(wheel.name)) for wheel in lock.wheels]
    blocks = [head, *packages, _own(lock)]
    blocks += [_base_image(lock.base_image)] if lock.base_image else []
    blocks += [_layers(lock)] if lock.layers else []
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _environment(lock: Lock) -> str:
    return f"sys_platform == '{lock.platform.os}' and platform_machine == '{lock.platform.machine}'"


def _package(pin: WheelPin, origin: Origin | None) -> list[str]:
    wheel = {"path": pin.filename, "size": pin.size, "hashes": {"sha256": pin.sha256.hex}}
    named = [f"name = {_inline(pin.name)}", f"version = {_inline(pin.version)}"]
    return ["[[packages]]", *named, f"wheels = {_inline([wheel])}", *(_origin(pin, origin) if origin else [])]


def _origin(pin: WheelPin, origin: Origin) -> list[str]:
    """Say what a wheel came from, in the words of PEP 751's `packages.tool`."""
    said = {"built": origin.source != pin.sha256, "source": str(origin.source)}
    said |= {key: value for key, value in (("path", origin.path), ("sdist", origin.sdist)) if value}
    lines = [f"{key} = {_inline(value)}" for key, value in said.items()]
    lines += _list("needs", origin.needs) if origin.needs else []
    lines += _list("requires", origin.requires) if origin.requires else []
    return ["[packages.tool.tiffin]", *lines]


def _own(lock: Lock) -> list[str]:
    lines = ["[tool.tiffin]", f"schema = {SCHEMA}"]
    values = {"inputs": lock.inputs, "python": lock.python, "platform": lock.platform, "base": lock.base}
    lines += [f"{key} = {_inline(str(value))}" for key, value in values.items()]
    lines += _list("requirements", lock.requirements) + _list("packages", lock.packages)
    for key, debs in (("base", lock.base_debs), ("python", lock.python_debs), ("package", lock.package_debs)):
        lines += _list(f"{key}-debs", debs)
    if lock.converter:
        lines += _list("converter", lock.converter)
    if lock.python_build:
        lines.append(f"python-build = {_inline(msgspec.to_builtins(lock.python_build, enc_hook=str))}")
    return lines + (_list("overlaps", lock.overlaps) if lock.overlaps is not None else [])


def _base_image(image: BaseImage) -> list[str]:
    known = msgspec.to_builtins(image, enc_hook=str)
    lines = [f"{key} = {_inline(value)}" for key, value in known.items() if key != "layers"]
    return ["[tool.tiffin.base-image]", *lines, *_list("layers", image.layers)]


def _list(key: str, items: Sequence[object]) -> list[str]:
    lines = [f"  {_inline(msgspec.to_builtins(item, enc_hook=str))}," for item in items]
    return [f"{key} = [", *lines, "]"] if lines else [f"{key} = []"]


def _layers(lock: Lock) -> list[str]:
    records = sorted(lock.layers.items())
    lines = [f"{_inline(str(key))} = {_inline(msgspec.to_builtins(record, enc_hook=str))}" for key, record in records]
    return ["[tool.tiffin.layers]", *lines]


def _inline(value: Any) -> str:
    """Write a TOML value on one line; JSON's strings are TOML's, but for DEL, which TOML wants escaped."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


# --- reading ---------------------------------------------------------------------------------------------------------


class _Strict(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A table of the file, exactly as `dumps` writes it."""


class _Hashes(_Strict, frozen=True, kw_only=True):
    sha256: str


class _Wheel(_Strict, frozen=True, kw_only=True):
    path: str
    size: int
    hashes: _Hashes


class _Origin(_Strict, frozen=True, kw_only=True):
    built: bool
    source: Digest
    path: str = ""
    sdist: str = ""
    needs: tuple[str, ...] = ()
    requires: tuple[WheelPin, ...] = ()

    def value(self) -> Origin:
        return Origin(source=self.source, path=self.path, sdist=self.sdist, needs=self.needs, requires=self.requires)


class _PackageTool(_Strict, frozen=True, kw_only=True):
    tiffin: _Origin


class _Package(_Strict, frozen=True, kw_only=True):
    name: str
    version: str
    wheels: tuple[_Wheel]
    tool: _PackageTool | None = None


class _Own(_Strict, frozen=True, kw_only=True):
    schema: int
    inputs: Digest
    python: str
    platform: str
    base: str
    requirements: tuple[str, ...]
    packages: tuple[str, ...]
    base_debs: tuple[DebPin, ...]
    python_debs: tuple[DebPin, ...]
    package_debs: tuple[DebPin, ...]
    base_image: BaseImage | None = None
    python_build: PythonBuild | None = None
    overlaps: tuple[Overlap, ...] | None = None
    layers: dict[Digest, LayerRecord] = {}
    converter: tuple[WheelPin, ...] = ()


class _Tool(_Strict, frozen=True, kw_only=True):
    tiffin: _Own


class _Document(_Strict, frozen=True, kw_only=True):
    lock_version: str
    environments: tuple[str, ...]
    requires_python: str
    created_by: str
    packages: tuple[_Package, ...] = ()
    tool: _Tool


def loads(text: str, where: str = FILENAME) -> Lock:
    """Read a lock; raises ConfigError with the place of what is wrong, UnsupportedError for a newer schema."""
    try:
        document = tomllib.loads(text)
        schema = document.get("tool", {}).get("tiffin", {}).get("schema", SCHEMA)
        if isinstance(schema, int) and schema > SCHEMA:
            raise UnsupportedError(f"{where}: written by a newer tiffin (schema {schema})", "upgrade tiffin")
        return _lock(msgspec.convert(document, _Document, dec_hook=read_digest))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, AttributeError) as error:
        raise ConfigError(f"{where}: {error}", _ANEW) from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", _ANEW) from error


def _lock(document: _Document) -> Lock:
    own = document.tool.tiffin
    return Lock(
        inputs=own.inputs,
        requirements=own.requirements,
        python=own.python,
        platform=Platform.parse(own.platform),
        base=own.base,
        packages=own.packages,
        wheels=tuple(map(_pin, document.packages)),
        origins={package.name: package.tool.tiffin.value() for package in document.packages if package.tool},
        base_debs=own.base_debs,
        python_debs=own.python_debs,
        package_debs=own.package_debs,
        base_image=own.base_image,
        python_build=own.python_build,
        overlaps=own.overlaps,
        layers=own.layers,
        converter=own.converter,
    )


def _pin(package: _Package) -> WheelPin:
    wheel = package.wheels[0]
    if "/" in wheel.path or wheel.path in {"", ".", ".."}:
        raise ConfigError(f"{package.name}: the wheel's path is not a bare file name: {wheel.path!r}")
    digest = Digest.parse(f"sha256:{wheel.hashes.sha256}")
    return WheelPin(name=package.name, version=package.version, filename=wheel.path, sha256=digest, size=wheel.size)


def read_lock(path: Path) -> Lock:
    """Read a lock file; raises NotFoundError where there is none, and what `loads` raises."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"no lock at {path}", "write it with `tiffin lock`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", _ANEW) from error
    return loads(text, str(path))


def write_lock(lock: Lock, path: Path) -> None:
    """Write a lock file, whole or not at all; one that says the same already is left alone."""
    text = dumps(lock).encode()
    if not path.exists() or path.read_bytes() != text:
        with renamed(path) as file:
            file.write(text)
