"""Look through a layer, in one pass and without unpacking it, for what should not be in an image.

Content is read for keys and tokens, but not of packages: theirs are full of keys that only their tests use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from tiffin.layers.listing import plain_path
from tiffin.layers.members import DIRECTORY, FILE, Member, Tar
from tiffin.layers.unpack import LIMIT, tar_of
from tiffin.oci.digest import Digest
from tiffin.release.result import Finding
from tiffin.release.rules import found

LOOK = 1
"""Raised whenever the same layer would be told otherwise."""
MOST = 200
"""Findings of one rule in one layer that are told; a layer of somebody else's may have any number."""
_CONTENT = 1 << 20
"""Bytes up to which a file is read for secrets."""
_SETUID, _SETGID, _WORLD, _STICKY, _EXECUTABLE = 0o4000, 0o2000, 0o002, 0o1000, 0o111
_SECRET_NAMES = {
    *(".env", ".netrc", ".pypirc", ".git-credentials", ".htpasswd", ".pgpass", "kubeconfig"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
}
_SECRET_PATHS = (
    ".aws/credentials",
    ".docker/config.json",
    ".kube/config",
    "gcloud/application_default_credentials.json",
)
_SECRET_ENDS = (".pfx", ".p12", ".jks", ".kdbx", ".keystore")
_EXAMPLES = (".example", ".sample", ".template", ".dist")
_REPOSITORIES = {".git", ".hg", ".svn"}
_PACKAGED = re.compile(r"(?:usr|lib\w*|var/lib|etc/ssl|opt/tiffin)/|.*/(?:site|dist)-packages/")
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:]")
_TOKENS = {
    "an access key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})\b"),
    "a token of GitLab": re.compile(rb"\bglpat-[A-Za-z0-9_-]{20,}"),
    "a token of Hugging Face": re.compile(rb"\bhf_[A-Za-z0-9]{34,}\b"),
    "a token of Slack": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20,}"),
    "a token of PyPI": re.compile(rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20,}"),
    "an API key of Google": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}\b"),
    "an address with a password": re.compile(
        rb"\b[a-z][a-z0-9+]{2,15}://[^\s:/@\"']{1,64}:(?!(?i:pass|pw|secret|token|change|xxx|\*|\.|example))"
        rb"[^\s:/@\"'{}$<>]{3,64}@[\w.-]+"
    ),
}


def look(blob: BinaryIO, media_type: str, diff_id: Digest) -> list[Finding]:
    """Look through a layer, and check its diff ID.

    Raises IntegrityError for bytes that are damaged, hostile or not the diff ID's.
    """
    told: dict[str, list[Finding]] = {}
    repositories: set[str] = set()
    with tar_of(blob, media_type, diff_id, LIMIT) as tar:
        for member in tar.members():
            for finding in _member(member, tar, repositories):
                told.setdefault(finding.rule, []).append(finding)
    return [finding for findings in told.values() for finding in findings[:MOST]]


def _member(member: Member, tar: Tar, repositories: set[str]) -> Iterator[Finding]:
    path = plain_path(member.path)
    yield from _rights(member, path)
    yield from _repository(path, repositories)
    if member.kind != FILE:
        return
    if names_a_secret(path) and not _PACKAGED.match(path):
        yield found("secret-file", f"{path} holds secrets by its name", path=path)
    if 0 < member.size <= _CONTENT and not _PACKAGED.match(path):
        yield from _content(b"".join(map(bytes, tar.content())), path)


def _rights(member: Member, path: str) -> Iterator[Finding]:
    mode = member.mode
    if member.kind == FILE and mode & _EXECUTABLE and mode & (_SETUID | _SETGID):
        whose = "its owner" if mode & _SETUID else "its group"
        yield found("setuid", f"{path} runs as {whose} ({mode:o})", path=path)
    sticky_folder = member.kind == DIRECTORY and mode & _STICKY
    if member.kind in {FILE, DIRECTORY} and mode & _WORLD and not sticky_folder:
        yield found("world-writable", f"{path or '/'} may be written by every user ({mode:o})", path=path)


def _repository(path: str, seen: set[str]) -> Iterator[Finding]:
    parts = path.split("/")
    for number, part in enumerate(parts):
        if part in _REPOSITORIES and (place := "/".join(parts[: number + 1])) not in seen:
            seen.add(place)
            yield found("repository", f"{place} has the history of a repository", path=place)


def names_a_secret(path: str) -> bool:
    """Say whether a file holds secrets by its name."""
    name = PurePosixPath(path).name
    if name.endswith(_EXAMPLES):
        return False
    if name in _SECRET_NAMES or name.endswith(_SECRET_ENDS) or name.startswith(".env."):
        return True
    return f"/{path}".endswith(tuple(f"/{end}" for end in _SECRET_PATHS))


def _content(data: bytes, path: str) -> Iterator[Finding]:
    """What is written in a file; the secret itself is not repeated, since a report is read by many."""
    if match := _PRIVATE_KEY.search(data):
        yield found("private-key", f"{path} has a private key in line {_line(data, match)}", path=path)
    for what, pattern in _TOKENS.items():
        if match := pattern.search(data):
            yield found("credential", f"{path} has {what} in line {_line(data, match)}", path=path)


def _line(data: bytes, match: re.Match[bytes]) -> int:
    return data.count(b"\n", 0, match.start()) + 1
