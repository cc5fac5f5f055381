"""Logins kept and forgotten in docker's words, so that docker, skopeo and tiffin share them.

A login goes to the helper that the file names for its registry, else into the file itself, for its owner's eyes alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tiffin.durable import renamed
from tiffin.errors import ConfigError, NotFoundError
from tiffin.store.remote.address import Address
from tiffin.store.remote.credentials import Credentials, ask_helper, files, helper_program

_PRIVATE = 0o600


def login_file(environment: Mapping[str, str]) -> Path:
    """The file that a login is kept in: the one that REGISTRY_AUTH_FILE names, else docker's."""
    paths = list(files(environment))
    return paths[0] if environment.get("REGISTRY_AUTH_FILE") else paths[-1]


def keep_login(address: Address, login: Credentials, environment: Mapping[str, str]) -> str:
    """Keep a name and a password for a registry; returns where: a file or a helper."""
    key = address.login_key
    with _changing(login_file(environment)) as document:
        if helper := _helper(document, key):
            secret = {"ServerURL": key, "Username": login.username, "Secret": login.password}
            ask_helper(helper_program(helper), "store", msgspec.json.encode(secret).decode(), environment)
            document.setdefault("auths", {})[key] = {}  # as docker does, to know whom to ask the helper for
            return helper_program(helper)
        text = f"{login.username}:{login.password}"
        document.setdefault("auths", {})[key] = {"auth": base64.b64encode(text.encode()).decode()}
    return str(login_file(environment))


def forget_login(address: Address, environment: Mapping[str, str]) -> None:
    """Forget what is kept for a registry, wherever it is found; raises NotFoundError where nothing is."""
    forgotten = [_forget(path, address, environment) for path in files(environment) if path.is_file()]
    if not any(forgotten):
        places = ", ".join(str(path) for path in files(environment))
        raise NotFoundError(f"no login to {address.login_key} in {places}", "`tiffin login` keeps one")


def _forget(path: Path, address: Address, environment: Mapping[str, str]) -> bool:
    document = _read(path)
    keys = {address.login_key, address.host, f"https://{address.host}", f"http://{address.host}"}
    kept = keys & document.get("auths", {}).keys()
    if helper := _helper(document, address.login_key):
        program = helper_program(helper)
        if ask_helper(program, "get", address.login_key, environment) is not None:
            ask_helper(program, "erase", address.login_key, environment)
            kept.add(address.login_key)
    if keys & document.get("auths", {}).keys():
        with _changing(path) as changed:
            changed["auths"] = {key: entry for key, entry in changed.get("auths", {}).items() if key not in keys}
    return bool(kept)


def _helper(document: Mapping[str, Any], key: str) -> str:
    return str(document.get("credHelpers", {}).get(key) or document.get("credsStore") or "")


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Any]]:
    """Change a file of credentials, and keep what it says besides; others see it before or after."""
    path = path.resolve()  # a link to the file stays one
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
    with renamed(path, mode=_PRIVATE) as file:
        document = _read(path)
        yield document
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"cannot read credentials from {path}: {error}", "mend the file, or move it away") from error
