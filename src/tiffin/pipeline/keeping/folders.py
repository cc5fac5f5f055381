"""A folder as one deterministic tar, and back.

What is in it decides the bytes, and nothing else: each folder comes before what is in it, names are sorted by their
bytes, owners and times are constant, files are 0644, or 0755 where anybody may execute them. Links are kept as links
where they stay in the folder; what would lead out of it, and what is neither file, folder nor link, is refused by path.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.durable import room_in
from tiffin.errors import ConflictError, DeniedError, IntegrityError, NotFoundError, UnsupportedError
from tiffin.layers.entry import MTIME, Entry
from tiffin.layers.members import DIRECTORY, FILE, HARD_LINK, SYMLINK, Member, Tar
from tiffin.layers.tar import END, header, padding
from tiffin.oci.digest import CHUNK, Digest

MOST = 2_000_000
"""Paths that a folder may have."""
DEEPEST = 200
"""Folders within folders."""
_MOST_LINKS = 40
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Write = Callable[[bytes], object]


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A path of a folder, and what changes when it is written: size, times in nanoseconds, inode and device."""

    path: str
    kind: bytes
    executable: bool = False
    size: int = 0
    link: str = ""
    stamp: tuple[int, ...] = ()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A folder as it was at one moment; or a file, which has one path without a name."""

    root: Path
    found: tuple[Found, ...]

    @property
    def folder(self) -> bool:
        """Whether it is a folder."""
        return not (len(self.found) == 1 and not self.found[0].path)

    @property
    def size(self) -> int:
        """Bytes that it has as a tar, or as the file that it is."""
        if not self.folder:
            return self.found[0].size
        return sum(len(header(_entry(one))) + one.size + -one.size % 512 for one in self.found) + len(END)

    @property
    def signature(self) -> str:
        """What is another as soon as anything in it was written, unless somebody took pains to hide it."""
        hashed = hashlib.sha256()
        for one in self.found:
            hashed.update(repr((one.path, one.kind, one.executable, one.size, one.link, one.stamp)).encode())
        return hashed.hexdigest()

    @property
    def newest(self) -> int:
        """When any of it was last written or changed, in nanoseconds since 1970."""
        return max((time for one in self.found for time in one.stamp[:2]), default=0)


def look(root: Path) -> Seen:
    """See what is at a path, a file or a folder with all that is in it, without reading any of it.

    Raises NotFoundError, DeniedError, and UnsupportedError for what no folder of ours may have.
    """
    try:
        there = root.lstat()
        if stat.S_ISDIR(there.st_mode):
            found = tuple(_walk(root, "", 0))
            _refuse_leaving(root, {one.path: one.link for one in found if one.kind == SYMLINK})
            return Seen(root=root, found=found)
        return Seen(root=root, found=(_found(root, "", there),))
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename} is not there", "name a file or folder that is") from error
    except PermissionError as error:
        raise denied(error) from error


def pour(seen: Seen, write: Write) -> None:
    """Write what was seen: a file's bytes, a folder's tar; raises ConflictError where it is no longer as it was."""
    try:
        for one in seen.found:
            if seen.folder:
                write(header(_entry(one)))
            if one.kind == FILE:
                _pour_file(seen.root / one.path if one.path else seen.root, one, write)
                if seen.folder:
                    write(padding(one.size))
    except FileNotFoundError as error:
        raise _changed(Path(error.filename)) from error
    except PermissionError as error:
        raise denied(error) from error
    if seen.folder:
        write(END)


def digest_of(seen: Seen, advance: Callable[[int], object] = bool) -> Digest:
    """Read what was seen and return its digest, telling each piece's bytes; raises ConflictError where it changes."""
    hashed = hashlib.sha256()

    def take(data: bytes) -> None:
        hashed.update(data)
        advance(len(data))

    pour(seen, take)
    if look(seen.root).signature != seen.signature:
        raise _changed(seen.root)
    return Digest("sha256", hashed.hexdigest())


def unpack(stream: BinaryIO, size: int, target: Path) -> Digest:
    """Fill the empty folder `target` from a tar of `size` bytes as `pour` writes it, and return its digest.

    What was written stays behind when an error is raised. Raises IntegrityError for a tar that leads out of the folder.
    """
    with room_in(target):
        tar = Tar(stream, size)
        for member in _read(tar):
            _put(member, tar, os.path.join(os.fsencode(target), member.path))  # noqa: PTH118 - names are bytes
        return tar.finish()


def check(stream: BinaryIO, size: int) -> None:
    """Read a tar of `size` bytes; raises IntegrityError unless it is the very one that `pour` writes of its folder."""
    tar, hashed = Tar(stream, size), hashlib.sha256()
    for member in _read(tar):
        path, executable = os.fsdecode(member.path.rstrip(b"/")), bool(member.mode & 0o111)
        link = os.fsdecode(member.link)
        hashed.update(
            header(_entry(Found(path=path, kind=member.kind, executable=executable, size=member.size, link=link)))
        )
        for piece in tar.content():
            hashed.update(piece)
        hashed.update(padding(member.size))
    hashed.update(END)
    if tar.finish().hex != hashed.hexdigest():
        raise IntegrityError("a folder's tar that has times, owners or modes of its own", _ANEW)


def _read(tar: Tar) -> Iterator[Member]:
    """Each member, whose content is there until the next is asked for; raises for what `pour` would not write."""
    folders, links, before = {b""}, dict[str, str](), tuple[bytes, ...]()
    for member in tar.members():
        path = member.path.rstrip(b"/")
        parts = tuple(path.split(b"/"))
        right = b"/".join(parts[:-1]) in folders and parts[-1] not in {b"", b".", b".."} and before < parts
        if not right or len(parts) > DEEPEST or member.kind == HARD_LINK:
            raise IntegrityError(f"{member.shown} is not the next path of a folder", _ANEW)
        before = parts
        yield member
        if member.kind == DIRECTORY:
            folders.add(path)
        elif member.kind == SYMLINK:
            links[os.fsdecode(path)] = os.fsdecode(member.link)
    for link in links:
        if leaves(link, links):
            raise IntegrityError(f"{link} is a link that leads out of its folder", _ANEW)


_ANEW = "it was not written by tiffin; have it made anew"


def leaves(path: str, links: Mapping[str, str]) -> bool:
    """Say whether a link among these, texts by path, leads out of their folder on any step of its way."""
    done, todo, left = path.split("/")[:-1], links[path].split("/")[::-1], _MOST_LINKS
    if links[path].startswith("/"):
        return True
    while todo and left:
        part = todo.pop()
        if part == "..":
            if not done:
                return True
            done.pop()
        elif part not in {"", "."}:
            done.append(part)
            if (text := links.get("/".join(done))) is not None:
                if text.startswith("/"):
                    return True
                left -= 1
                done.pop()
                todo += text.split("/")[::-1]
    return False  # or it goes round in a circle, in the folder


def _walk(root: Path, below: str, depth: int) -> Iterator[Found]:
    if depth > DEEPEST:
        raise UnsupportedError(f"{root / below} lies deeper than {DEEPEST} folders", "make it flatter")
    with os.scandir(root / below) as entries:
        ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    for entry in ordered:
        path = f"{below}/{entry.name}" if below else entry.name
        found = _found(root, path, entry.stat(follow_symlinks=False))
        yield found
        if found.kind == DIRECTORY:
            yield from _walk(root, path, depth + 1)


def _found(root: Path, path: str, there: os.stat_result) -> Found:
    mode, stamp = there.st_mode, (there.st_mtime_ns, there.st_ctime_ns, there.st_ino, there.st_dev)
    link = os.readlink(root / path) if stat.S_ISLNK(mode) else ""  # noqa: PTH115 - pathlib would write it anew
    try:
        f"{path}{link}".encode()
    except UnicodeEncodeError as error:
        raise UnsupportedError(f"{root}/{path!a} has a name, or is a link, that is no UTF-8", "rename it") from error
    if stat.S_ISREG(mode):
        return Found(path=path, kind=FILE, executable=bool(mode & 0o111), size=there.st_size, stamp=stamp)
    if stat.S_ISDIR(mode):
        return Found(path=path, kind=DIRECTORY)
    if stat.S_ISLNK(mode):
        return Found(path=path, kind=SYMLINK, link=link, stamp=stamp)
    raise UnsupportedError(
        f"{root / path if path else root} is {_special(mode)}", "files, folders and links are passed on, nothing else"
    )


def _special(mode: int) -> str:
    names = {stat.S_ISSOCK: "a socket", stat.S_ISFIFO: "a fifo"}
    return next((name for is_one, name in names.items() if is_one(mode)), "a device")


def _refuse_leaving(root: Path, links: Mapping[str, str]) -> None:
    for path, text in links.items():
        if leaves(path, links):
            raise UnsupportedError(
                f"{root / path} is a link to {text}, which leads out of {root}",
                "copy what it leads to into the folder, or link to it by a relative path within",
            )


def _entry(one: Found) -> Entry:
    if one.kind == SYMLINK:
        return Entry.symlink(one.path, one.link)
    if one.kind == DIRECTORY:
        return Entry.directory(one.path)
    return Entry.file(one.path, one.size, _unread, executable=one.executable)


def _unread() -> BinaryIO:
    raise AssertionError("its content is poured")


def _pour_file(path: Path, one: Found, write: Write) -> None:
    """Write exactly the bytes that a file was seen to have."""
    try:
        descriptor = os.open(path, _READ)
    except PermissionError:
        raise
    except OSError as error:
        raise _changed(path) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        left = one.size
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _changed(path)
        while left and (data := file.read(min(CHUNK, left))):
            write(data)
            left -= len(data)
        there = os.fstat(descriptor)
    if left or (there.st_mtime_ns, there.st_ctime_ns, there.st_ino, there.st_dev) != one.stamp:
        raise _changed(path)


def _put(member: Member, tar: Tar, path: bytes) -> None:
    if member.kind == DIRECTORY:
        os.mkdir(path)  # noqa: PTH102 - names are bytes
        os.chmod(path, 0o755)  # noqa: PTH101, S103 - readable by a container's user, whatever the umask
    elif member.kind == SYMLINK:
        os.symlink(member.link, path)  # noqa: PTH211 - as above
    else:
        mode = 0o755 if member.mode & 0o111 else 0o644
        with open(path, "wb", opener=lambda name, _: os.open(name, _NEW, mode)) as file:
            file.writelines(tar.content())
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.utime(file.fileno(), (MTIME, MTIME))


def _changed(path: Path) -> ConflictError:
    return ConflictError(f"{path} changed while it was read", "run again when whoever writes it is done")


def denied(error: PermissionError) -> DeniedError:
    """Say which file may not be read."""
    return DeniedError(
        f"{error.filename} cannot be read: {error.strerror}", f"`ls -ld {error.filename}` says whose it is"
    )
