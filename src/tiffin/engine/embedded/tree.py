"""Files, folders and links from one place to another, as a tar between two processes that trust each other little.

Both ends walk by descriptors and follow no link, so neither what is read nor what is written can lie elsewhere than
below the place that was opened. What is sent is called `.`, what is in it `./name`; where it goes, and what it is
called there, the receiving end decides as `docker cp` does. Standard library only: it is sent into pods as well, whose
Python may be 3.9.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile

from tiffin.engine.embedded.stage import Refused

GONE = "gone"
"""The kind of a refusal that only says that the other end gave up, and so knows better why."""
_PERMISSIONS = 0o777

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    OpenFolder = Callable[[str], int]
    """Opens a folder by its path and gives its descriptor; raises OSError."""


def send(open_folder: OpenFolder, path: str, out: BinaryIO, *, named: bool = False) -> None:
    """Write what is at a path as a tar; raises Refused for what is not there or cannot be sent.

    It is called `.` there, or by its own last name if it is `named`.
    """
    try:
        folder = open_folder(path if is_content(path) else os.path.dirname(path.rstrip("/")) or ".")  # noqa: PTH120 - text
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            name = "." if is_content(path) else name_of(path)
            _add(tar, folder, name, name if named else ".")
        os.close(folder)
    except (OSError, RecursionError) as error:
        raise _refused(path, error) from error


def receive(stream: BinaryIO, open_folder: OpenFolder, path: str, source: str) -> None:
    """Take in a tar of what is at `source`: into a folder that is at `path`, else under that very name."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            top = tar.next()
            if top is None:
                raise Refused(GONE, f"nothing came of {source}")
            folder, name = _destination(open_folder, path, source, is_folder=top.isdir())
            _place(tar, top, folder, name)
            for member in tar:
                if member is not top:
                    _place(tar, member, folder, f"{name}{member.name.removeprefix('.')}")
            os.close(folder)
    except (OSError, tarfile.TarError) as error:
        raise _refused(path, error) from error


def unpack(stream: BinaryIO, open_folder: OpenFolder, path: str) -> None:
    """Take in any tar, packed or not, into a folder that is at `path`; parents that it leaves out are made."""
    try:
        folder = open_folder(path)
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as tar:
                for member in tar:
                    if parts := [part for part in member.name.split("/") if part not in {"", "."}]:
                        _place(tar, member, folder, "/".join(parts), whole=True)
        finally:
            os.close(folder)
    except tarfile.ReadError as error:
        raise Refused("config", f"{path}: what came is not a whole tar", "make it with `tar -c`") from error
    except (OSError, tarfile.TarError) as error:
        raise _refused(path, error) from error


def is_content(path: str) -> bool:
    """Say whether a path means what is in a folder, and not the folder: `folder/.`, or the root."""
    return not path.strip("/") or path.rpartition("/")[2] in {".", ".."}


def name_of(path: str) -> str:
    """The last name of a path."""
    return path.rstrip("/").rpartition("/")[2]


def _destination(open_folder: OpenFolder, path: str, source: str, *, is_folder: bool) -> tuple[int, str]:
    """Decide where it goes, and under which name."""
    try:
        return open_folder(path), "." if is_content(source) and is_folder else name_of(source)
    except (FileNotFoundError, NotADirectoryError):
        if path.endswith("/") and not is_folder:
            raise
    return open_folder(os.path.dirname(path.rstrip("/")) or "."), name_of(path)  # noqa: PTH120 - text


def _add(tar: tarfile.TarFile, folder: int, name: str, called: str) -> None:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    info = tarfile.TarInfo(called)
    info.mode, info.mtime = stat.S_IMODE(found.st_mode) & _PERMISSIONS, int(found.st_mtime)
    if stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
        tar.addfile(info)
    elif stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            for child in sorted(os.listdir(inner)):  # noqa: PTH208 - of a descriptor
                _add(tar, inner, child, f"{called}/{child}")
        finally:
            os.close(inner)
    elif stat.S_ISREG(found.st_mode):
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)
    else:
        raise Refused("unsupported", f"{name} is neither a file nor a folder nor a link", "copy what lies beside it")


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: int, path: str, *, whole: bool = False) -> None:
    """Make one member below a folder; a `whole` tar may leave parents out, and have links to what came before."""
    parent, name = _parent(folder, path.removeprefix("./"), makes=whole)
    try:
        if whole and member.islnk():
            _link(folder, "/".join(part for part in member.linkname.split("/") if part not in {"", "."}), parent, name)
        else:
            _make(tar, member, parent, name)
    finally:
        os.close(parent)


def _parent(folder: int, path: str, *, makes: bool) -> tuple[int, str]:
    """Open the folder of what is below a folder, through no link, and give the last name of the path."""
    *parents, name = path.split("/")
    if ".." in (*parents, name) or "" in (*parents, name):
        raise Refused("integrity", f"{path!r} is no name to copy to")
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(".", flags, dir_fd=folder)
    for parent in parents:
        try:
            if makes:
                _make_folder(opened, parent)
            inner = os.open(parent, flags, dir_fd=opened)
        finally:
            os.close(opened)
        opened = inner
    return opened, name


def _make_folder(folder: int, name: str) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return


def _link(folder: int, target: str, parent: int, name: str) -> None:
    """Make a hard link to what the tar had before."""
    there, called = _parent(folder, target, makes=False)
    try:
        _clear(parent, name)
        os.link(called, name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(there)


def _make(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str) -> None:
    if member.isdir():
        if name == ".":
            return
        try:
            os.mkdir(name, (member.mode & _PERMISSIONS) | stat.S_IRWXU, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise
    elif member.issym():
        _clear(folder, name)
        os.symlink(member.linkname, name, dir_fd=folder)
    elif member.isreg() and (content := tar.extractfile(member)):
        with os.fdopen(_open(folder, name), "wb") as file:
            shutil.copyfileobj(content, file)
            os.fchmod(file.fileno(), member.mode & _PERMISSIONS)
            file.flush()
            os.utime(file.fileno(), (member.mtime, member.mtime))
    else:
        raise Refused("unsupported", f"{name} is neither a file nor a folder nor a link")


def _open(folder: int, name: str) -> int:
    """Open a file to be written anew; a link of that name is replaced, and not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    _clear(folder, name)
    return os.open(name, flags | os.O_EXCL, 0o600, dir_fd=folder)


def _clear(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _refused(path: str, error: BaseException) -> Refused:
    if isinstance(error, (BrokenPipeError, tarfile.ReadError)):
        return Refused(GONE, f"{path}: the other end gave up")
    number = error.errno if isinstance(error, OSError) else None
    words = os.strerror(number) if number else str(error)
    kind, hint = {
        errno.ENOENT: ("not-found", "name something that exists, and make folders first"),
        errno.EROFS: ("denied", "the image is read-only: copy to /tmp, or mount a folder: `-v ./data:/data:rw`"),
        errno.EACCES: ("denied", ""),
        errno.EPERM: ("denied", ""),
    }.get(number or 0, ("config", ""))
    return Refused(kind, f"{path}: {words}", hint)


def send_all(tar: tarfile.TarFile, folder: int) -> None:
    """Write all that is in an open folder; raises Refused for what cannot be sent."""
    try:
        _add(tar, folder, ".", ".")
    except (OSError, RecursionError) as error:
        raise _refused("the volume", error) from error


def fill(stream: BinaryIO, folder: int) -> None:
    """Take in a tar of what is in a folder, each path under its own name below an open one."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                path = member.name.removeprefix("./").rstrip("/")
                if member.islnk():
                    _place_twin(member, folder, path)
                elif path not in {"", "."}:
                    _place(tar, member, folder, path)
    except (OSError, tarfile.TarError) as error:
        raise _refused("the volume", error) from error


def _place_twin(member: tarfile.TarInfo, folder: int, path: str) -> None:
    """Make one more name of a file that came before."""
    (there, called), (parent, name) = (_walk(folder, text) for text in (member.linkname, path))
    try:
        _clear(parent, name)
        os.link(called, name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(there)
        os.close(parent)


def _walk(folder: int, path: str) -> tuple[int, str]:
    """Open the folder that a path below an open one lies in, through no link, and return it with the last name."""
    *parents, name = path.removeprefix("./").split("/")
    if ".." in (*parents, name) or "" in (*parents, name):
        raise Refused("integrity", f"{path!r} is no name to copy to")
    at = os.dup(folder)
    for parent in parents:
        try:
            below = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        finally:
            os.close(at)
        at = below
    return at, name
