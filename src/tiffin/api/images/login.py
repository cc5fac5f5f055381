"""`login` and `logout`: who we are to a registry, tried before it is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import closing

from tiffin.errors import ConfigError
from tiffin.network import PATIENCE, Patience
from tiffin.progress import note
from tiffin.store.remote.address import Address, login_host
from tiffin.store.remote.client import Registry, Request
from tiffin.store.remote.credentials import Credentials, find_credentials
from tiffin.store.remote.logins import forget_login, keep_login
from tiffin.store.remote.places import find_places

_HOST = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?|\[[0-9A-Fa-f:]+\](?::\d+)?")


def login(
    host: str,
    username: str,
    password: str,
    *,
    environment: Mapping[str, str] = os.environ,
    patience: Patience = PATIENCE,
) -> str:
    """Try a name and a password at a registry, keep them, and return the registry's name.

    Raises DeniedError where the registry does not take them; nothing is kept then.
    """
    address = _address(host)
    if not username or ":" in username:
        raise ConfigError(f"not a user name: {username!r}", "give one: `-u NAME`")
    if not password:
        raise ConfigError("the password is empty", f"pipe it in: `tiffin login {host} -u {username} --password-stdin`")
    known = Credentials(username=username, password=password)
    insecure = find_places(address, environment).own.insecure
    registry = Registry(address, environment, patience, known, insecure=insecure)
    request = Request(method="GET", path="/v2/", scopes=())
    with closing(patience.tried(lambda: registry.ask(request))):
        pass
    if not registry.asked_who:
        note(f"{host} did not ask who we are: the password is kept, and nobody knows whether it is right")
    keep_login(address, known, environment)
    return login_host(address.host)


def logout(host: str, *, environment: Mapping[str, str] = os.environ) -> str:
    """Forget who we are to a registry, and return its name; raises NotFoundError where nothing is kept for it."""
    address = _address(host)
    forget_login(address, environment)
    if find_credentials(address.keys(), environment):
        note(f"a login to a part of {host} is still kept")
    return login_host(address.host)


def _address(host: str) -> Address:
    if not _HOST.fullmatch(host):
        raise ConfigError(
            f"not a registry's host: {host[:100]!r}", "write it as `registry.example` or `127.0.0.1:5000`"
        )
    return Address.of_host(host)
