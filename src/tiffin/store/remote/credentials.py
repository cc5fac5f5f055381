"""Who we are to a registry, as docker and podman keep it: their files, and the programs those name.

Formats: docker's config.json (docs.docker.com/reference/cli/docker/login) and containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from tiffin.errors import CommandError, ConfigError

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS = 60
_TOKEN = "<token>"  # noqa: S105 - the name that stands for "the secret is an identity token"
_NONE_KEPT = "credentials not found"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A user name with its password, or a token: an identity token buys others, a registry token is shown as it is."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, …)"

    @property
    def basic(self) -> str:
        """What Basic authentication sends (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="lower"):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    auths: dict[str, _Entry] = {}
    creds_store: str = ""
    cred_helpers: dict[str, str] = {}


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    username: str
    secret: str


def find_credentials(keys: Iterable[str], environment: Mapping[str, str]) -> Credentials | None:
    """Find what is kept under one of these keys, the closest first; None where nothing is.

    Raises ConfigError for a file that cannot be read, CommandError for a credential helper that fails.
    """
    wanted = list(keys)
    for path in files(environment):
        if path.is_file() and (found := _in_file(path, wanted, environment)):
            return found
    return None


def files(environment: Mapping[str, str]) -> Iterator[Path]:
    """The files that may have credentials, in the order in which they are asked: podman's, then docker's."""
    home = Path(environment.get("HOME") or Path.home())
    if told := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(told)
    else:
        if runtime := environment.get("XDG_RUNTIME_DIR"):
            yield Path(runtime) / "containers" / "auth.json"
        yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _in_file(path: Path, keys: list[str], environment: Mapping[str, str]) -> Credentials | None:
    kept = _read(path)
    entries = {_plain(key): entry for key, entry in kept.auths.items()}
    for key in keys:
        if (helper := kept.cred_helpers.get(key) or kept.creds_store) and (found := _ask(helper, key, environment)):
            return found
        if (entry := entries.get(_plain(key))) and (found := _of_entry(entry, path, key)):
            return found
    return None


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"cannot read credentials from {path}: {error}", "mend the file, or log in again") from error


def _plain(key: str) -> str:
    """A key without scheme and, for a whole address, without the path of the old API: docker writes both forms."""
    scheme, _, rest = key.rpartition("://")
    return rest.partition("/")[0] if scheme else key


def _of_entry(entry: _Entry, path: Path, key: str) -> Credentials | None:
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            username, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: `auth` of {key} is not base64 of user:password", "log in again") from error
    if not (username or entry.identitytoken or entry.registrytoken):
        return None
    return Credentials(
        username=username,
        password=password.rstrip("\0"),
        identity_token=entry.identitytoken,
        registry_token=entry.registrytoken,
    )


def _ask(helper: str, key: str, environment: Mapping[str, str]) -> Credentials | None:
    """Ask a credential helper what it keeps under a key."""
    program = helper_program(helper)
    said = ask_helper(program, "get", key, environment)
    return None if said is None else _answer(said, program)


def helper_program(helper: str) -> str:
    """Return the program of a credential helper; raises ConfigError for a name that is none."""
    if not _HELPER.fullmatch(helper):
        raise ConfigError(f"not the name of a credential helper: {helper!r}", "mend the file that names it")
    return f"docker-credential-{helper}"


def ask_helper(program: str, verb: str, text: str, environment: Mapping[str, str]) -> bytes | None:
    """Ask a credential helper (github.com/docker/docker-credential-helpers); None where it keeps nothing."""
    hint = f"install {program}, or take it out of the file that names it"
    try:
        ended = subprocess.run(
            [program, verb], input=text.encode(), capture_output=True, env=environment, timeout=_HELPER_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"cannot ask {program} to {verb} credentials: {error}", hint) from error
    if ended.returncode:
        said = (ended.stdout + ended.stderr).decode(errors="replace").strip()
        if _NONE_KEPT in said:
            return None
        raise CommandError(f"{program} {verb} failed: {said or ended.returncode}", hint)
    return ended.stdout


def _answer(text: bytes, program: str) -> Credentials | None:
    try:
        answer = msgspec.json.decode(text, type=_Answer)
    except msgspec.MsgspecError as error:
        raise CommandError(f"{program} printed what is no answer: {error}", "update it") from error
    if answer.username == _TOKEN:
        return Credentials(identity_token=answer.secret)
    return Credentials(username=answer.username, password=answer.secret) if answer.username else None
