"""A layer's blob to a folder, safely and fast: what an overlay of unpacked layers is stacked from.

Nothing outside the folder can be reached: every parent is walked from the folder's own descriptor, one component at a
time, and a link on the way is an error, never followed. Everything belongs to the caller and may be read by all; what a
layer says otherwise of owner and mode is kept in an attribute, for containers with several users. Setuid bits, other
attributes and times are dropped. Nothing is synced: the caller renames the finished folder into place.

What a layer takes away of those below (image-spec, layer.md, "Whiteouts") is marked as overlay marks it: a character
device 0:0 in the place of a path, which anybody may make, and an attribute of a folder that hides what is below it.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from isal import igzip_threaded, isal_zlib

from tiffin.durable import FULL, full
from tiffin.errors import ConflictError, IntegrityError, TiffinError, UnavailableError, UnsupportedError
from tiffin.layers.links import OPAQUE, YES
from tiffin.layers.members import DIRECTORY, FILE, HARD_LINK, SYMLINK, Member, Tar, shown
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import LAYER_ZSTD

LIMIT = 256 << 30
"""Bytes a layer may unpack to where the caller says nothing."""
ENTRIES = 2_000_000
"""Paths a layer may have."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
OWNER_ATTRIBUTE = "user.tiffin.owner"
"""`uid:gid:mode`, the mode in octal, where a layer says other than root and 0755, or 0644 for what nobody executes."""
FROM_BELOW = b"-"
"""Its value for a folder of which a layer has only what is in it: the layers below say whose it is."""
_KEPT_BITS = {FILE: 0o777, DIRECTORY: 0o3777}
"""Setuid and setgid bits of files would mean nothing inside, and on the host they could mean something."""
_TAKEN_AWAY = stat.S_IFCHR | 0o600
_LONGEST_PATH = 4096
_DEEPEST = 600
"""Folders within folders: to remove them takes a descriptor for each, of which a process has 1,024."""
_FOREIGN: tuple[type[Exception], ...] = (OSError, EOFError, cast("type[Exception]", isal_zlib.error))


def unpack_layer(blob: BinaryIO, media_type: str, target: Path, diff_id: Digest, *, limit: int = LIMIT) -> None:
    """Unpack a layer into the empty folder `target`, checking that its uncompressed bytes have the `diff_id`.

    Files become 0644, or 0755 where anybody may execute them, and directories 0755. What was written stays behind when
    an error is raised, so the caller unpacks into a temporary folder. Raises IntegrityError for bytes that are damaged,
    hostile or not the diff ID's, or that come to more than `limit` bytes; UnsupportedError for devices, fifos and
    sparse files.
    """
    if any(target.iterdir()):
        raise ConflictError(f"{target} is not empty", "a layer is unpacked into a folder of its own")
    with tar_of(blob, media_type, diff_id, limit) as tar, _translated(target), closing(_Folder(target)) as folder:
        for count, member in enumerate(tar.members()):
            if count == ENTRIES:
                raise IntegrityError(f"it has more than {ENTRIES} paths")
            folder.put(member, tar)


@contextmanager
def tar_of(blob: BinaryIO, media_type: str, diff_id: Digest, limit: int) -> Iterator[Tar]:
    """Read a layer's tar, at most `limit` bytes of it, and check at the end that it has the `diff_id`.

    Every IntegrityError and UnsupportedError on the way says which layer it speaks of.
    """
    counted = _Counted(blob)
    try:
        with uncompressed(cast("BinaryIO", io.BufferedReader(counted, CHUNK)), media_type) as stream:
            tar = Tar(stream, limit, lambda: counted.count)
            yield tar
            _refuse_other(tar.finish(), diff_id)
    except (IntegrityError, UnsupportedError) as error:
        raise type(error)(f"layer {diff_id.short}: {error.message}", error.hint) from error
    except _FOREIGN as error:
        message = f"layer {diff_id.short}: its compressed bytes are damaged: {error}"
        raise IntegrityError(message, "pull or build it again") from error


def _refuse_other(found: Digest, diff_id: Digest) -> None:
    if found != diff_id:
        raise IntegrityError(f"it unpacks to {found}, not to its diff ID {diff_id}", "pull or build it again")


class _Counted(io.RawIOBase):
    """A stream that knows how much was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.count += len(data)
        return len(data)


@contextmanager
def uncompressed(blob: BinaryIO, media_type: str) -> Iterator[BinaryIO]:
    """Read a layer's tar by its media type, OCI's or docker's; inflating runs in a thread of its own."""
    if media_type.endswith(".tar"):
        yield blob
    elif media_type.endswith((".tar+gzip", ".tar.gzip")):
        with igzip_threaded.open(blob) as stream:
            yield stream
    elif media_type == LAYER_ZSTD:
        with _zstd()(blob) as stream:
            yield stream
    else:
        raise UnsupportedError(
            f"not a layer's media type: {media_type[:100]!r}", "layers are tar, tar+gzip or tar+zstd"
        )


def _zstd() -> Callable[[BinaryIO], BinaryIO]:
    try:
        module = importlib.import_module("compression.zstd")
    except ModuleNotFoundError as error:
        hint = "use Python 3.14 or newer, or push the image with gzip layers"
        raise UnsupportedError("this Python cannot read a zstd layer", hint) from error
    return cast("Callable[[BinaryIO], BinaryIO]", module.ZstdFile)


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    """Let damaged gzip, impossible names and a full disk come out as errors of ours."""
    try:
        yield
    except _FOREIGN as error:
        raise _translate(error, target) from error


def _translate(error: Exception, target: Path) -> TiffinError:
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number in FULL:
        return full(error, target.parent)
    if number in {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}:
        return IntegrityError(f"it has a name that this file system refuses: {error}")
    if number is None:
        return IntegrityError(f"its compressed bytes are damaged: {error}", "pull or build it again")
    return UnavailableError(f"could not unpack into {target}: {error}")


class _Folder:
    """The folder being filled, and a descriptor of the parent that the last path was put into."""

    def __init__(self, target: Path) -> None:
        self._root = os.open(target, _FOLDER)
        self._parent_path = b""
        self._parent = os.dup(self._root)
        self._puts = {FILE: self._put_file, DIRECTORY: self._put_directory, SYMLINK: self._put_symlink}

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self._parent)
        os.close(self._root)

    def put(self, member: Member, tar: Tar) -> None:
        """Put one path; where something is there already, the later one wins."""
        parent, name = _split(member)
        if not name:
            return
        if parent != self._parent_path:
            self._enter(parent)
        if name.startswith(_WHITEOUT):
            self._take_away(name)
        elif member.kind == HARD_LINK:
            self._put_hard_link(member, name)
        else:
            self._puts[member.kind](member, name, tar)

    def _enter(self, parent: bytes) -> None:
        """Make the parent the current one, creating what is missing of it."""
        entered = self._walk(parent, create=True)
        os.close(self._parent)
        self._parent, self._parent_path = entered, parent

    def _walk(self, path: bytes, *, create: bool) -> int:
        """Open a folder component by component from the root; raises IntegrityError where one is no real folder."""
        at = os.dup(self._root)
        try:
            for part in path.split(b"/"):
                if part not in {b"", b"."}:
                    below = _open_folder(part, at, create=create)
                    os.close(at)
                    at = below
        except BaseException as error:
            os.close(at)
            if isinstance(error, NotADirectoryError | FileNotFoundError):
                raise IntegrityError(f"{shown(path)} leads through a link or a file of the same layer") from error
            raise
        return at

    def _put_file(self, member: Member, name: bytes, tar: Tar) -> None:
        mode = 0o755 if member.mode & 0o111 else 0o644
        try:
            file = os.open(name, _NEW_FILE, mode, dir_fd=self._parent)
        except FileExistsError:
            self._remove(name)
            file = os.open(name, _NEW_FILE, mode, dir_fd=self._parent)
        try:
            for piece in tar.content():
                _write(file, piece)
            os.fchmod(file, mode)  # whatever the umask
            _keep_owner(file, member, mode)
        finally:
            os.close(file)

    def _put_directory(self, member: Member, name: bytes, _: Tar) -> None:
        usual = (member.uid, member.gid, member.mode & _KEPT_BITS[DIRECTORY]) == (0, 0, 0o755)
        try:
            _make_folder(name, self._parent)
        except FileExistsError:
            usual = False  # it may have been another's
            there = os.stat(name, dir_fd=self._parent, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                self._remove(name)
                _make_folder(name, self._parent)
                if _marks(there):
                    self._hide(name)
        if not usual:
            folder = os.open(name, _FOLDER, dir_fd=self._parent)
            try:
                _keep_owner(folder, member, 0o755)
            finally:
                os.close(folder)

    def _take_away(self, whiteout: bytes) -> None:
        """Hide a path of the layers below, or all that is in this folder there; what this layer itself has stays."""
        if whiteout == _OPAQUE:
            self._hide(b".")
            return
        name = whiteout.removeprefix(_WHITEOUT)
        try:
            os.mknod(name, _TAKEN_AWAY, os.makedev(0, 0), dir_fd=self._parent)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(name, dir_fd=self._parent, follow_symlinks=False).st_mode):
                self._hide(name)

    def _hide(self, name: bytes) -> None:
        """Let a folder show nothing of the layers below."""
        folder = os.open(name, _FOLDER, dir_fd=self._parent)
        try:
            os.setxattr(folder, OPAQUE, YES)
        finally:
            os.close(folder)

    def _put_symlink(self, member: Member, name: bytes, _: Tar) -> None:
        if not member.link:
            raise IntegrityError(f"{member.shown} is a link to nothing")
        try:
            os.symlink(member.link, name, dir_fd=self._parent)
        except FileExistsError:
            self._remove(name)
            os.symlink(member.link, name, dir_fd=self._parent)

    def _put_hard_link(self, member: Member, name: bytes) -> None:
        """Link to a regular file that this layer brought before; to anything else is an error."""
        parent, _, source = member.link.rpartition(b"/")
        _check(member.link, parent, source)
        holder = self._walk(parent, create=False)
        try:
            if not stat.S_ISREG(os.stat(source, dir_fd=holder, follow_symlinks=False).st_mode):
                raise IntegrityError(f"{member.shown} is a hard link to {shown(member.link)}, which is no regular file")
            self._link(source, holder, name)
        except FileNotFoundError as error:
            message = f"{member.shown} is a hard link to {shown(member.link)}, which the layer does not have before it"
            raise IntegrityError(message) from error
        finally:
            os.close(holder)

    def _link(self, source: bytes, holder: int, name: bytes) -> None:
        try:
            os.link(source, name, src_dir_fd=holder, dst_dir_fd=self._parent, follow_symlinks=False)
        except FileExistsError:
            self._remove(name)
            os.link(source, name, src_dir_fd=holder, dst_dir_fd=self._parent, follow_symlinks=False)

    def _remove(self, name: bytes) -> None:
        """Remove what has this name in the current parent, a folder with all that is in it."""
        if stat.S_ISDIR(os.stat(name, dir_fd=self._parent, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=self._parent)  # descriptor-based, so it follows no link either
        else:
            os.unlink(name, dir_fd=self._parent)


def _keep_owner(descriptor: int, member: Member, usual: int) -> None:
    """Keep what the layer says of owner and mode, where it is not what everything has."""
    mode = member.mode & _KEPT_BITS[member.kind]
    if (member.uid, member.gid, mode) == (0, 0, usual):
        if member.kind == DIRECTORY and OWNER_ATTRIBUTE in os.listxattr(descriptor):  # the later header wins
            os.removexattr(descriptor, OWNER_ATTRIBUTE)
        return
    _note(descriptor, f"{member.uid}:{member.gid}:{mode:o}".encode())


def _note(descriptor: int, what: bytes) -> None:
    """Set the attribute; a file system without attributes loses it, and all is root's."""
    try:
        os.setxattr(descriptor, OWNER_ATTRIBUTE, what)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _marks(found: os.stat_result) -> bool:
    """Say whether this is overlay's mark of a path that a layer takes away."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _make_folder(name: bytes, parent: int) -> None:
    os.mkdir(name, dir_fd=parent)
    os.chmod(name, 0o755, dir_fd=parent)  # noqa: S103 - readable by the container's user, whatever the umask


def _open_folder(name: bytes, parent: int, *, create: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
        _make_folder(name, parent)
        folder = os.open(name, _FOLDER, dir_fd=parent)
        _note(folder, FROM_BELOW)
        return folder


def _split(member: Member) -> tuple[bytes, bytes]:
    """Return a member's parent and name; the name is empty for the root itself, which is there already."""
    path = member.path.rstrip(b"/") if member.kind == DIRECTORY else member.path
    parent, _, name = path.rpartition(b"/")
    if member.kind == DIRECTORY and name in {b"", b"."} and parent in {b"", b"."}:
        return b"", b""
    _check(path, parent, name)
    if name.startswith(_WHITEOUT) and (member.kind != FILE or name.removeprefix(_WHITEOUT) in {b"", b".", b".."}):
        raise IntegrityError(f"{member.shown} is a whiteout of no path")
    return parent, name


def _check(path: bytes, parent: bytes, name: bytes) -> None:
    """Refuse a path that leaves the folder or names nothing in it."""
    if path.startswith(b"/"):
        raise IntegrityError(f"{shown(path)} is an absolute path in a layer")
    if name in {b"", b".", b".."} or b".." in parent.split(b"/"):
        raise IntegrityError(f"{shown(path)} is no path inside the layer")
    if path.count(b"/") > _DEEPEST:
        raise IntegrityError(f"{shown(path)}… lies deeper than {_DEEPEST} folders")
    if len(path) > _LONGEST_PATH:
        raise IntegrityError(f"{shown(path)}… is a path of {len(path)} bytes; at most {_LONGEST_PATH} are allowed")


def _write(file: int, data: memoryview) -> None:
    while len(data) > (written := os.write(file, data)):
        data = data[written:]
