"""`[model] convert`: a model becomes ONNX in a sandbox of its own packages, once for what decides it."""

from __future__ import annotations

import importlib.util
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.build.conversion import SAMPLES, SEED, Answer, Conversion, Converted, judge, said, timed
from tiffin.build.fingerprint import Fingerprints
from tiffin.build.foundation import foundation_of
from tiffin.build.recipes import SourceFile
from tiffin.durable import renamed
from tiffin.errors import CommandError, ConfigError, TiffinError, UnavailableError
from tiffin.models.model import Model
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.lock import Lock
from tiffin.progress import note, step

PROGRAM = ("tiffin_convert", "tiffin_serve/__init__.py", "tiffin_serve/worker")
_MOST_SAID = 2000
"""Characters of a failed program's log that are shown."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A converted model: its path in the image, where it lies here, and all that is known of it."""

    conversion: Conversion
    converted: Converted
    path: Path

    @property
    def weights(self) -> dict[str, Path]:
        """Where its file goes: path in the image -> path here."""
        return {self.converted.file.path: self.path}


def convert(checkout: Checkout, home: Home, lock: Lock, model: Model, seen: Fingerprints, *, offline: bool) -> Product:
    """Convert a project's model, or take what came of that before; raises what refuses it."""
    name = str(checkout.folder / checkout.project.model.path)
    work = _Work.of(checkout, lock, model, seen)
    records = home.records("converted")
    found = records.get(work.conversion.key, Converted)
    if found is None or not _kept(home, found.file).exists():
        if offline:
            message = f"{name} was not converted here before, and neither `--plan` nor `--offline` does that"
            raise UnavailableError(message, f"`tiffin build {checkout.folder}` converts it")
        with step("convert", f"{checkout.project.model.path} to ONNX"):
            found = _converted(checkout, home, lock, work)
        records.put(work.conversion.key, found)
        judge(found.report, name)
        note(f"{checkout.project.model.path} is ONNX now: {said(found.report)}; {timed(found.report)}")
    judge(found.report, name)
    return Product(conversion=work.conversion, converted=found, path=_kept(home, found.file))


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion and the files that go into its sandbox: path there -> path here."""

    conversion: Conversion
    files: dict[str, Path]
    model: str
    samples: str

    @classmethod
    def of(cls, checkout: Checkout, lock: Lock, model: Model, seen: Fingerprints) -> _Work:
        foundation = foundation_of(lock)
        root = model.path.parent if model.path else checkout.folder
        weights = {f"model/{file.relative_to(root).as_posix()}": file for file in model.files}
        samples, program = _samples(checkout), program_files()
        return cls(
            conversion=Conversion(
                format=model.format,
                model=seen.files(weights),
                tools=lock.converter,
                environment=Digest.of(encode([recipe.key for recipe in (*foundation.roots, *foundation.above)])),
                program=Digest.of(encode(seen.files(program))),
                tolerance=checkout.project.model.tolerance,
                samples=seen.files(samples)[0] if samples else None,
            ),
            files={**program, **weights, **samples},
            model=model.path.name if model.path else "",
            samples=next(iter(samples), "").removeprefix("model/"),
        )


def program_files() -> dict[str, Path]:
    """What converts, and the worker's loaders that it asks: path in the sandbox -> path here."""
    roots = {}
    for name in PROGRAM:
        package = name.partition("/")[0]
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise TiffinError(f"the installed tiffin lacks {package}", "install tiffin again")
        roots[name] = Path(next(iter(spec.submodule_search_locations))).parent
    return {
        f"program/{file.relative_to(root).as_posix()}": file
        for name, root in roots.items()
        for file in ([root / name] if name.endswith(".py") else sorted((root / name).rglob("*.py")))
    }


def _samples(checkout: Checkout) -> dict[str, Path]:
    asked = checkout.project.model.samples
    if not asked:
        return {}
    path = checkout.folder / asked
    if not path.is_file():
        raise ConfigError(f"no file {path} - at `$.model.samples`", "name a CSV file with a line of column names")
    return {f"model/samples/{path.name}": path}


def _kept(home: Home, file: SourceFile) -> Path:
    return home.cache / "converted" / file.digest.hex


def _converted(checkout: Checkout, home: Home, lock: Lock, work: _Work) -> Converted:
    """Convert in the sandbox, and keep the file."""
    question = {
        "format": work.conversion.format,
        "model": work.model,
        "samples": work.samples,
        "count": SAMPLES,
        "seed": SEED,
        "tolerance": work.conversion.tolerance,
    }
    with tempfile.TemporaryDirectory(prefix="tiffin-convert-") as folder:
        answer, data = _asked(checkout, home, lock, work, question, Path(folder))
        if answer.report is None:
            raise _refusal(checkout, answer)
        with data.open("rb") as stream:
            digest = Digest.of_stream(stream)
        target = f"models/{Path(work.model).stem}.onnx"
        file = SourceFile(path=target, digest=digest, size=data.stat().st_size)
        kept = _kept(home, file)
        with renamed(kept, by_way_of=kept.parent / "tmp") as out:
            out.write(data.read_bytes())
    known = {"format": work.conversion.format, "tolerance": work.conversion.tolerance}
    return Converted(file=file, report=msgspec.structs.replace(answer.report, **known))


def _asked(
    checkout: Checkout, home: Home, lock: Lock, work: _Work, question: Mapping[str, object], folder: Path
) -> tuple[Answer, Path]:
    from tiffin.api.building.projects import index_of
    from tiffin.api.building.workroom import ImageRoom
    from tiffin.packages.pypi.workroom import ENVIRONMENT, Failed, talk

    room = ImageRoom(checkout, home, index_of(checkout, home, lock.base_image), lambda: lock)
    # not `-I`, which would ignore the seed of hashes
    argv = ["-s", "-c", work.files["program/tiffin_convert/boot.py"].read_text("utf-8"), encode(question).decode()]
    data = folder / "model.onnx"
    try:
        with (folder / "source.tar").open("w+b") as source, data.open("wb") as out:
            _pack(work.files, source)
            header, log = talk(room, room.command(lock.converter, argv, ENVIRONMENT), source, out)
        return msgspec.json.decode(header, type=Answer), data
    except Failed as failed:
        raise _failure(checkout, failed.log) from failed
    except msgspec.MsgspecError as error:
        raise _failure(checkout, f"{log}\nit ended without an answer: {error}") from error


def _pack(files: Mapping[str, Path], target: BinaryIO) -> None:
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, path in files.items():
            archive.add(os.path.realpath(path), name, recursive=False)
    target.seek(0)


def _refusal(checkout: Checkout, answer: Answer) -> ConfigError:
    section = checkout.project.model
    if answer.about == "samples":
        return ConfigError(
            f"{checkout.file}: {answer.refused} - at `$.model.samples`", "rows as the model is sent them"
        )
    return ConfigError(
        f"{checkout.folder / section.path} is not converted to ONNX: {answer.refused} - at `$.model.convert`",
        "leave `convert` out to serve the model as it is",
    )


def _failure(checkout: Checkout, log: str) -> CommandError:
    end = log[-_MOST_SAID:].strip()
    message = f"converting {checkout.folder / checkout.project.model.path} failed:\n{end}"
    return CommandError(message, "leave `convert` out to serve the model as it is")
