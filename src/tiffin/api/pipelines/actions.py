"""Steps that tiffin does itself, outside of any container: build, push, sign, deploy, and fetch the champion."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING

import msgspec

from tiffin import __version__
from tiffin.api.building.projects import Checkout
from tiffin.api.machine.engines import choosing
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError, NotFoundError, TiffinError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.pipeline.graph import Action, Step
from tiffin.pipeline.results import Artifact, Result, Results
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Input, Order, Workbench
from tiffin.progress import Event as Happened
from tiffin.progress import Finished, Noted, listening, note, step

if TYPE_CHECKING:
    from tiffin.api.services.targets import Where

BUILD = "build"
_STOPPED = Ended(exit_code=130, reason="stopped before it began")
_WEIGHTS = ("weights", "models")
"""What a layer with the model is called, and the folder that it lies in."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What actions act on: a project's folder, where tiffin keeps its state, and the engine that is meant."""

    folder: Path
    home: Home
    engine: str


class Actions:
    """A workbench that does actions itself, and has another do all other steps."""

    def __init__(self, inner: Workbench, bound: Bound) -> None:
        self._inner, self._bound = inner, bound
        self._does: dict[str, Callable[[Order, Bound], None]] = {
            BUILD: _build,
            "push": _push,
            "sign": _sign,
            "deploy": _deploy,
            "champion": _champion,
        }
        self._project: dict[str, str] = {}

    def identity(self, step: Step) -> dict[str, str]:
        """What an action is done with; an image is made by tiffin, of a project's lock, configuration and code."""
        if not isinstance(step.does, Action):
            return self._inner.identity(step)
        if step.does.name not in self._does:
            raise UnsupportedError(
                f"{step.place}: tiffin does no {step.does.name!r} in a pipeline", f"there are {', '.join(self._does)}"
            )
        if step.does.name == BUILD and not self._project:
            self._project = {"tiffin": __version__, "project": project_digest(self._bound)}
        return self._project if step.does.name == BUILD else {"tiffin": __version__}

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:
        """Do it here; what it is refused for is said in the step's log, and why the step failed."""
        if not isinstance(order.step.does, Action):
            return self._inner.do(order, said, stopped)
        if stopped.is_set():
            return _STOPPED
        for name in (FILES, VALUES):
            (order.folder / name).mkdir(exist_ok=True)
        with listening(partial(_tell, said)), choosing(self._bound.engine):
            try:
                self._does[order.step.does.name](order, self._bound)
            except TiffinError as error:
                said(error.message)
                if error.hint:
                    said(f"hint: {error.hint}")
                return Ended(exit_code=error.exit_status, reason=error.message.partition("\n")[0])
        return Ended()


class OnlyPresent:
    """Results without those of images that are not here any more: a name alone cannot be pushed or deployed."""

    def __init__(self, inner: Results, home: Home) -> None:
        self._inner, self._home = inner, home
        self.key_of = inner.key_of
        self.keep = inner.keep

    def find(self, key: Digest) -> Result | None:
        """The result of a key; None where it names an image that was deleted since."""
        found = self._inner.find(key)
        if found is None or found.artifacts or not self._is_of_a_build(key):
            return found
        return found if all(self._is_here(str(name)) for name in found.values.values()) else None

    def take(self, artifact: Artifact) -> Input:
        """Have an artifact lie on this machine."""
        return self._inner.take(artifact)

    def _is_of_a_build(self, key: Digest) -> bool:
        document = self._inner.key_of(key)
        return document is not None and msgspec.json.decode(document).get("does") == {"kind": "action", "name": BUILD}

    def _is_here(self, name: str) -> bool:
        from tiffin.api.images.verbs import find_image

        try:
            image = find_image(self._home.store, name)
        except (NotFoundError, ConfigError):
            return False
        return all(self._home.store.exists(layer) for layer in image.manifest.layers)


def project_digest(bound: Bound) -> Digest:
    """Name all that an image is made of but its model: what is written, locked, and lies in the project's files."""
    from tiffin.api.building.projects import fresh_lock
    from tiffin.build.carried import lock_text, project_text
    from tiffin.build.fingerprint import Fingerprints
    from tiffin.build.sources import code_of
    from tiffin.config.checks import read_checks
    from tiffin.models.model import Model

    checkout = Checkout.of(bound.folder)
    project = checkout.project
    elsewhere = Model(format="", path=bound.home.cache / "no-model", predictor=project.model.predictor)
    files = code_of(checkout.folder, project, elsewhere)
    if checkout.training_data and checkout.training_data.is_file():
        files["training"] = checkout.training_data
    seen = Fingerprints(bound.home.records("pipeline-projects"), checkout.folder)
    described = seen.files(files)
    seen.save()
    lock = fresh_lock(checkout, bound.home)
    checks = read_checks(checkout.folder, project.check)
    return Digest.of(encode([project_text(project), lock_text(lock), described, checks]))


def _build(order: Order, bound: Bound) -> None:
    """Build the project's image with the model that is given; the image is known by the project's name."""
    from tiffin.api.building.build import build_image

    with _in_place(order.inputs["model"][0].path, bound) as trained:
        tag = _text(order, "tag")
        reference, _ = build_image(bound.folder, tag=tag, locked=False, home=bound.home, trained=trained)
    _give(order, image=str(reference))


@contextmanager
def _in_place(given: Path, bound: Bound) -> Iterator[Path]:
    """Have a model lie under the name that the project has for it: an image has it by that."""
    project = Checkout.of(bound.folder).project
    name = Path(project.model.path).name
    if not name:
        raise ConfigError(
            f"{bound.folder}/tiffin.toml does not say what the model is called", 'write `[model] path = "model.joblib"`'
        )
    (bound.home.cache / "tmp").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=bound.home.cache / "tmp") as folder:
        trained = Path(folder) / name
        if given.is_dir():
            inside = (given / name).exists()  # one file of several: ONNX with its data beside it
            shutil.copytree(given, folder if inside else trained, copy_function=_linked, dirs_exist_ok=inside)
        else:
            _linked(given, trained)
        yield trained


def _linked(source: str | Path, target: str | Path) -> None:
    """Give a file one more name; where that cannot be, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _push(order: Order, bound: Bound) -> None:
    from tiffin.api.images.push import push

    _give(order, reference=push(_text(order, "image"), _text(order, "to"), home=bound.home))


def _sign(order: Order, bound: Bound) -> None:
    """Sign an image; the key is a file of this machine, and its passphrase in the environment."""
    from tiffin.api.images.trust import PASSPHRASE, sign

    if not (name := _text(order, "key")):
        raise ConfigError("`sign` is not told which key to sign with", 'call it with `key="team.key"`')
    key = bound.folder / name
    signed = sign(_text(order, "image"), key, lambda: os.environ.get(PASSPHRASE, "").encode(), home=bound.home)
    _give(order, reference=signed[0].name)


def _deploy(order: Order, bound: Bound) -> None:
    """Have an image kept as a service, and wait until it is available; gives its address."""
    from tiffin.api.services.deploy import Order as Deployment
    from tiffin.api.services.deploy import deploy
    from tiffin.deploy.compose import Asked

    asked = Asked(timeout=order.seconds or None, rollback=True)
    wanted = Deployment(
        what=_text(order, "image"),
        name=_text(order, "service"),
        where=_where(_text(order, "to")),
        asked=asked,
        project=str(bound.folder),
    )
    status, _ = deploy(wanted)
    _give(order, address=next(iter(status.addresses), ""), service=status.name)


def _where(to: str) -> Where:
    from tiffin.api.services.targets import KUBERNETES, LOCAL, Where

    return Where(to=to or LOCAL) if to in {"", LOCAL, KUBERNETES} else Where(environment=to)


def _champion(order: Order, bound: Bound) -> None:
    """Fetch the model that answers now: of a service, or in an image. Where there is none, nothing is given."""
    try:
        image, name = _champions_image(order, bound)
    except NotFoundError as error:
        note(f"there is no champion: {error.message}")
        _give(order, image="")
        return
    with step("champion", name), TemporaryDirectory(dir=order.folder) as folder:
        found = _unpacked(image, name, Path(folder), bound.home)
        found.rename(order.folder / FILES / "model")
    _give(order, image=name)


def _champions_image(order: Order, bound: Bound) -> tuple[Image, str]:
    from tiffin.api.images.pull import pull_image
    from tiffin.api.images.verbs import find_image

    name = _text(order, "image") or _serving(order, bound)
    try:
        return find_image(bound.home.store, name), name
    except NotFoundError:
        reference = Reference.parse(name)
        if not reference.registry:
            raise
        return pull_image(reference, bound.home), name


def _serving(order: Order, bound: Bound) -> str:
    """The image of the revision that most requests go to; raises NotFoundError where there is no such service."""
    from tiffin.api.services.targets import choose, open_target

    project = Checkout.of(bound.folder).project
    name = _text(order, "service") or project.name
    place = choose(_where(_text(order, "to")), project.environment, [])
    status = open_target(place, bound.home).status(name)
    revision = max(status.revisions, key=lambda one: (one.weight, one.ready, one.number), default=None)
    if revision is None:
        raise NotFoundError(f"{name} on {place} has no revision", f"`tiffin deploy` makes one; `tiffin status {name}`")
    return revision.image


def _unpacked(image: Image, name: str, folder: Path, home: Home) -> Path:
    """Unpack the model of an image: its one file, or the folder of several."""
    from tiffin.layers.unpack import unpack_layer

    label, root = _WEIGHTS
    whole = folder / root
    whole.mkdir()
    titles = [entry.comment for entry in image.config.history if not entry.empty_layer]
    layers = zip(titles, image.manifest.layers, image.config.rootfs.diff_ids, strict=False)
    for number, (title, layer, diff_id) in enumerate(layers):
        if not title.startswith(label):
            continue
        into = folder / f"layer-{number}"
        into.mkdir()
        with home.store.open(layer) as blob:
            unpack_layer(blob, layer.media_type, into, diff_id)
        if (into / root).is_dir():
            shutil.copytree(into / root, whole, copy_function=os.link, dirs_exist_ok=True)
    files = list(whole.iterdir())
    if not files:
        raise UnsupportedError(f"{name} has no model in it", "name an image that `tiffin build` made")
    return files[0] if len(files) == 1 and files[0].is_file() else whole


def _text(order: Order, name: str) -> str:
    return str(order.values.get(name) or "")


def _give(order: Order, **values: str) -> None:
    for name, text in values.items():
        (order.folder / VALUES / name).write_text(text)


def _tell(said: Callable[[str], None], event: Happened) -> None:
    """Write what happens into the step's log."""
    if isinstance(event, Noted):
        said(f"note: {event.message}")
    elif isinstance(event, Finished):
        how = "cached" if event.cached else f"{'failed after ' if event.failed else ''}{event.seconds:.2f} s"
        said(f"{event.name} {event.detail} ({how})")
