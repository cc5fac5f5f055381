"""Debian packages as layers: what they ship, and the files that their scripts and Debian's installer would have made.

There is no `ld.so.cache`: the dynamic linker searches Debian's multiarch directories without one, and a package that
adds a directory of its own to /etc/ld.so.conf.d is refused rather than broken.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from tiffin.errors import ConflictError, UnsupportedError
from tiffin.layers.deb import Deb, merged
from tiffin.layers.debian_files import file_rules, leave_out
from tiffin.layers.debian_scripts import Alternative, read_scripts, reviews
from tiffin.layers.entry import Entry, Kind

USER = 65532
"""Who programs in an image run as."""

CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

_PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
tiffin:x:{USER}:{USER}:tiffin:/tmp:/usr/sbin/nologin
"""
_GROUP = f"""\
root:x:0:
nogroup:x:65534:
tiffin:x:{USER}:
"""
_NSSWITCH = """\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""
_HOSTS = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""
_TEXTS = {
    "etc/passwd": _PASSWD,
    "etc/group": _GROUP,
    "etc/nsswitch.conf": _NSSWITCH,
    "etc/hosts": _HOSTS,
    "etc/hostname": "",
    "etc/resolv.conf": "",
}
_DIRECTORIES = {
    **dict.fromkeys(["dev", "home", "media", "mnt", "opt", "proc", "run", "srv", "sys", "usr/local/bin"], 0o755),
    **dict.fromkeys(["tmp", "var/tmp"], 0o1777),
}
_LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "usr/lib/ssl/cert.pem": f"/{CA_BUNDLE}",
    "var/lock": "/run/lock",
    "var/run": "/run",
}
_LIB64 = "lib64"
_AUTHORITIES = "usr/share/ca-certificates/"
_STATUS = "var/lib/dpkg/status.d/"
_LINKER_DIRECTORIES = "etc/ld.so.conf.d/"
_LIBC = "libc6"


def base_entries(debs: Sequence[Deb], *, slim: bool = True) -> list[Entry]:
    """Make the entries of the base layer, sorted by path: the packages, and the root's own files around them."""
    made = {entry.path: entry for entry in [*_root(), *_architecture(debs), *_bundle(debs)]}
    return _sorted(_shipped(debs, made, slim=slim))


def package_entries(debs: Sequence[Deb], *, slim: bool = True) -> list[Entry]:
    """Make the entries of a layer above the base, sorted by path: the interpreter, or a project's own packages."""
    return _sorted(_shipped(debs, {}, slim=slim))


def _root() -> Iterator[Entry]:
    yield from (Entry.directory(path, mode) for path, mode in _DIRECTORIES.items())
    yield from (Entry.symlink(path, target) for path, target in _LINKS.items())
    yield from (text_entry(path, text) for path, text in _TEXTS.items())


def _architecture(debs: Sequence[Deb]) -> Iterator[Entry]:
    """Make the link that only machines with a /lib64 have."""
    if any(entry.path.startswith(f"usr/{_LIB64}/") for deb in debs for entry in deb.entries):
        yield Entry.symlink(_LIB64, f"usr/{_LIB64}")


def _bundle(debs: Sequence[Deb]) -> Iterator[Entry]:
    """Make the bundle of certificate authorities, in the order of their names, as update-ca-certificates(8) does."""
    found = [entry for deb in debs for entry in deb.entries if entry.path.startswith(_AUTHORITIES)]
    texts = [_read(entry) for entry in sorted(found, key=lambda entry: entry.path) if entry.path.endswith(".crt")]
    if texts:
        yield bytes_entry(CA_BUNDLE, b"".join(text.rstrip(b"\n") + b"\n" for text in texts))


def _shipped(debs: Sequence[Deb], made: dict[str, Entry], *, slim: bool) -> dict[str, Entry]:
    """Join what the packages ship with what is made for them; what is made stays."""
    entries, owners = dict(made), dict.fromkeys(made, "tiffin")
    known, alternatives, links = reviews(), list[Alternative](), dict[str, str]()
    for deb in sorted(debs, key=lambda deb: deb.name):
        _check_linker(deb)
        registered, instead = read_scripts(deb.name, deb.scripts, known)
        alternatives += registered
        links |= instead
        kept = [entry for entry in leave_out(_leaves(deb.entries), file_rules(), slim=slim) if entry.path not in made]
        for entry in [*kept, *_status(deb, kept)]:
            _add(entry, deb.name, entries, owners)
    for path, target in [*_chosen(alternatives, entries), *links.items()]:
        entries.setdefault(path, Entry.symlink(path, target))
    return entries


def _add(entry: Entry, owner: str, entries: dict[str, Entry], owners: dict[str, str]) -> None:
    there = entries.setdefault(entry.path, entry)
    if there is not entry and not there.kind is entry.kind is Kind.DIRECTORY:
        raise ConflictError(
            f"the packages {owners[entry.path]} and {owner} both have /{entry.path}",
            "leave one of them out of `[image] packages`",
        )
    owners.setdefault(entry.path, owner)


def _check_linker(deb: Deb) -> None:
    if deb.name == _LIBC:
        return
    for entry in deb.entries:
        if entry.path.startswith(_LINKER_DIRECTORIES) and entry.kind is not Kind.DIRECTORY:
            raise UnsupportedError(
                f"the package {deb.name} has libraries in a directory of its own (/{entry.path}), "
                "which the dynamic linker finds only with a cache",
                f"leave {deb.name} out, or use a base image of a registry that has it",
            )


def _status(deb: Deb, kept: Iterable[Entry]) -> Iterator[Entry]:
    """Keep what scanners for known faults read: one file a package, as images without a package manager have it."""
    paths = {entry.path for entry in kept}
    sums = (line.partition("  ") for line in deb.md5sums.splitlines())
    lines = [f"{sum_}  {merged(path)}\n" for sum_, _, path in sums if merged(path) in paths]
    yield text_entry(_STATUS + deb.name, deb.stanza.strip("\n") + "\n")
    yield text_entry(f"{_STATUS}{deb.name}.md5sums", "".join(lines))


def _chosen(alternatives: Iterable[Alternative], entries: dict[str, Entry]) -> Iterator[tuple[str, str]]:
    """Choose among alternatives: the highest priority, then the first path; what was left out is no choice."""
    best: dict[str, Alternative] = {}
    for one in sorted(alternatives, key=lambda one: (-one.priority, one.path)):
        if merged(one.path) in entries:
            best.setdefault(one.link, one)
    for one in best.values():
        yield merged(one.link), f"/etc/alternatives/{one.name}"
        yield f"etc/alternatives/{one.name}", f"/{one.path}"


def _leaves(entries: Iterable[Entry]) -> list[Entry]:
    """Drop directories with something in them: a layer makes parents itself, and none for what is left out."""
    found = list(entries)
    implied = {parent for entry in found for parent in _parents(entry.path)}
    return [entry for entry in found if entry.kind is not Kind.DIRECTORY or entry.path not in implied]


def _sorted(entries: dict[str, Entry]) -> list[Entry]:
    plain = [entry for entry in entries.values() if entry.path not in _DIRECTORIES]
    special = [entry for entry in entries.values() if entry.path in _DIRECTORIES]
    return sorted([*_leaves(plain), *special], key=lambda entry: entry.path.encode())


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def text_entry(path: str, text: str) -> Entry:
    """Make a file that holds this text."""
    return bytes_entry(path, text.encode())


def bytes_entry(path: str, data: bytes) -> Entry:
    """Make a file that holds these bytes."""
    return Entry.file(path, len(data), lambda: io.BytesIO(data))


def _read(entry: Entry) -> bytes:
    assert entry.open is not None  # noqa: S101 - a certificate is a file, and files have content
    with entry.open() as stream:
        return stream.read()
