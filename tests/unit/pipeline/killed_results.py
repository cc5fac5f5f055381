"""Keeps, takes, digests and prunes in processes that are killed, run out of disk, or have rivals: a program for tests.

`python killed_results.py SUBJECT FOLDER` kills the subject before each of its changes to the disk, as Python's audit
events tell them, and looks after each what is there; it prints how many moments there were. All is done in children,
so that the process that forks them has no lock and no thread.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tiffin.api.images.prune import prune
from tiffin.api.machine.home import Home
from tiffin.errors import FullError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.pipeline.keeping.artifact import read_manifest
from tiffin.pipeline.keeping.content import WORTH, Contents
from tiffin.pipeline.workbench import Ended, Order
from tiffin.store.records import Records
from unit.pipeline.made_orders import DOCUMENT, STEP, folder_of, kept_in, make_order

CHANGES = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "os.utime",
    "fcntl.flock",
}  # fmt: skip
KEY = Digest.of(DOCUMENT)
LATER = 10_000_000_000
LARGE, FILLED_STEP, NO_ROOM = 300_000, 32 << 10, 3
RIVALS, ROUNDS = 4, 8
LONG_AGO = 1_000_000_000


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is killed: how its place is made, what it does there, what must hold after each kill, and at its end."""

    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    check: Callable[[Path], None]
    finish: Callable[[Path], None]


def dying_before(count: int) -> Callable[[str, tuple[object, ...]], None]:
    """Hear audit events, and die before the change of this number."""
    left = count

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        flags = arguments[2] if event == "open" and len(arguments) > 2 else 0
        written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if written or event in CHANGES:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hear


def begin(work: Callable[[], object], moment: int | None = None) -> int:
    """Do it in a child, killed at a moment where one is given; a full disk is exit status 3."""
    if child := os.fork():
        return child
    status = 1
    try:
        if moment is not None:
            sys.addaudithook(dying_before(moment))
        work()
        status = 0
    except FullError as error:
        status = NO_ROOM if error.hint else 1
        sys.excepthook(*sys.exc_info())
    except BaseException:  # noqa: BLE001 - whatever it is, the parent is told and nothing of it runs here
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def apart(work: Callable[[], object], moment: int | None = None) -> int:
    """Do it in a child that must not fail; returns its status, which is negative for one that was killed."""
    status = os.waitstatus_to_exitcode(os.waitpid(begin(work, moment), 0)[1])
    if status and (moment is None or status != -signal.SIGKILL):
        sys.exit(f"at the moment {moment}: status {status}")
    return status


def kill_everywhere(subject: Subject, folder: Path) -> int:
    """Kill it before each of its changes; what was killed is looked at, and then done to its end."""
    moment = 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        apart(lambda: subject.prepare(folder))
        if not apart(lambda: subject.work(folder), moment):
            return moment
        apart(lambda: subject.check(folder))
        apart(lambda: subject.work(folder))
        apart(lambda: subject.finish(folder))
        moment += 1


def write_folder(path: Path) -> None:
    folder_of(a=b"1" * 3000, b=b"2")(path)
    (path / "below").mkdir()
    (path / "below" / "c").symlink_to("../a")


def prepare(folder: Path) -> None:
    make_order(folder / "order", model=write_folder)


def keep(folder: Path) -> None:
    order = make_order(folder / f"order-{os.getpid()}", model=write_folder)
    kept_in(folder).keep(DOCUMENT, order, Ended(), 1)
    shutil.rmtree(order.folder)


def check(folder: Path) -> None:
    """Whatever is visible is whole."""
    for blob in (folder / "data" / "blobs" / "sha256").glob("*"):
        assert Digest.of(blob.read_bytes()).hex == blob.name
    kept = kept_in(folder)
    if found := kept.find(KEY):
        assert (kept.take(found.artifacts["model"]).path / "below" / "c").read_bytes() == b"1" * 3000
        assert kept.take(found.artifacts["scores"]).path.read_bytes() == b'{"a": 1.5}'


def finish(folder: Path) -> None:
    """It is there, and nothing temporary is."""
    assert kept_in(folder).find(KEY)
    check(folder)
    data = folder / "data"
    left = [*data.glob("tmp/*"), *data.glob("taken/.new-*"), *data.glob("results/tmp/.*.new")]
    Home.of({"TIFFIN_HOME": str(folder)}).sweep()
    kept_in(folder).sweep()
    assert not [path for path in left if path.exists()], left


def keep_then_take(folder: Path) -> None:
    keep(folder)
    take(folder)


def take(folder: Path) -> None:
    kept = kept_in(folder)
    found = kept.find(KEY)
    assert found
    for artifact in found.artifacts.values():
        kept.take(artifact)


def spoil_taken(folder: Path) -> None:
    """Have a result, of which a step wrote to what it was given."""
    keep_then_take(folder)
    for path in folder.glob("data/taken/*/*"):
        spoilt = path / "b" if path.is_dir() else path
        copy = spoilt.read_bytes()
        spoilt.unlink()
        spoilt.write_bytes(b"!" + copy)


def contents_of(folder: Path) -> Contents:
    return Contents(Records(folder / "known"), lambda: time.time_ns() + LATER)


def write_input(folder: Path) -> None:
    (folder / "input").write_bytes(bytes(WORTH))


def digest(folder: Path) -> None:
    path = folder / "input"
    for data in (bytes(WORTH), b"1" * WORTH):
        path.write_bytes(data)
        assert contents_of(folder).of(path).digest == Digest.of(data)


def digest_rightly(folder: Path) -> None:
    path = folder / "input"
    assert contents_of(folder).of(path).digest == Digest.of(path.read_bytes())


def age(folder: Path) -> None:
    """Have one result that nobody asked for in a long time, and one that shares its model."""
    keep_then_take(folder)
    os.utime(folder / "data" / "results" / KEY.hex, (LONG_AGO, LONG_AGO))
    order = make_order(folder / "young", model=write_folder, accuracy="0.1", scores=b"{}")
    kept_in(folder).keep(DOCUMENT + b" ", order, Ended(), 1)


def pruning(folder: Path) -> None:
    prune(home=Home.of({"TIFFIN_HOME": str(folder)}))


def check_young(folder: Path) -> None:
    """The young result is there, and the old one is whole or made again."""
    kept = kept_in(folder)
    young = kept.find(Digest.of(DOCUMENT + b" "))
    assert young
    assert (kept.take(young.artifacts["model"]).path / "b").read_bytes() == b"2"
    check(folder)


def finish_young(folder: Path) -> None:
    check_young(folder)
    manifest = kept_in(folder).described(Digest.of(DOCUMENT + b" "))
    assert isinstance(manifest, Descriptor)
    young = read_manifest(kept_in(folder).store, manifest, Digest.of(DOCUMENT + b" "))
    needed = {manifest.digest.hex, *(blob.digest.hex for blob in young.blobs)}
    there = {path.name for path in (folder / "data" / "blobs" / "sha256").glob("*")}
    assert there >= needed
    if kept_in(folder).find(KEY) is None:
        assert there == needed, "the rest is gone"


SUBJECTS = {
    "keep": Subject(prepare=prepare, work=keep, check=check, finish=finish),
    "keep again": Subject(prepare=keep, work=keep, check=finish, finish=finish),
    "take": Subject(prepare=keep, work=take, check=check, finish=finish),
    "take again": Subject(prepare=spoil_taken, work=take, check=check, finish=finish),
    "digest": Subject(prepare=write_input, work=digest, check=digest_rightly, finish=digest_rightly),
    "prune": Subject(prepare=age, work=pruning, check=check_young, finish=finish_young),
}


def fill(folder: Path) -> int:
    """Keep and take on a disk with ever more room: an error that says so, or all of it."""
    refused, free = 0, 0
    while True:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        make_order(folder / "order", model=folder_of(a=bytes(LARGE), b=b"2"))
        room = os.statvfs(folder)
        (folder / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - free)))
        status = os.waitstatus_to_exitcode(os.waitpid(begin(lambda: keep_order(folder)), 0)[1])
        if not status:
            return refused
        assert status == NO_ROOM, status
        apart(lambda: after_full(folder))
        refused, free = refused + 1, free + FILLED_STEP


def keep_order(folder: Path) -> None:
    order = Order(run="1", task="fit", attempt=2, step=STEP, values={}, inputs={}, folder=folder / "order")
    result = kept_in(folder).keep(DOCUMENT, order, Ended(), 1)
    assert (kept_in(folder).take(result.artifacts["model"]).path / "a").read_bytes() == bytes(LARGE)


def after_full(folder: Path) -> None:
    """Nothing is there by half; with more room it goes on."""
    data = folder / "data"
    assert not [*data.glob("tmp/*"), *data.glob("taken/.new-*"), *data.glob("taken/*/*"), *data.glob("results/tmp/.*")]
    for blob in (data / "blobs" / "sha256").glob("*"):
        assert Digest.of(blob.read_bytes()).hex == blob.name
    (folder / "ballast").unlink()
    keep_order(folder)
    assert kept_in(folder).find(KEY)


def rival(folder: Path) -> int:
    """Keep one key with several contents at once, while others find and take it and a prune runs."""
    children = [begin(lambda number=number: compete(folder, number)) for number in range(RIVALS)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * RIVALS
    apart(lambda: check_rivals(folder))
    return RIVALS


def compete(folder: Path, number: int) -> None:
    chance, kept = random.Random(number), kept_in(folder)  # noqa: S311 - no secret
    for at in range(ROUNDS):
        word = str(chance.randrange(3)).encode()
        order = make_order(folder / f"order-{number}-{at}", model=folder_of(a=word * 2000), scores=b'{"a": %s}' % word)
        kept.keep(DOCUMENT, order, Ended(), 1)
        check_rivals(folder)
        if number == 0:
            pruning(folder)


def check_rivals(folder: Path) -> None:
    kept = kept_in(folder)
    found = kept.find(KEY)
    assert found, "it was kept"
    try:
        model, scores = kept.take(found.artifacts["model"]), kept.take(found.artifacts["scores"])
    except NotFoundError:  # another result took its place, and a prune came
        return
    assert scores.path.read_bytes() == b'{"a": %s}' % (model.path / "a").read_bytes()[:1], "of two keeps"


def main(subject: str, folder: Path) -> int:
    """Have a subject be killed everywhere, or without room, or among rivals."""
    others = {"full": fill, "rivals": rival}
    return others[subject](folder) if subject in others else kill_everywhere(SUBJECTS[subject], folder)


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2])))  # noqa: T201 - a program
