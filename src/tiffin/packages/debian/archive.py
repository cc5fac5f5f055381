"""Get files from Debian mirrors: the first that has a file gives it, and what arrives is checked while it arrives."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3

from tiffin import __version__
from tiffin.durable import renamed
from tiffin.errors import DeniedError, IntegrityError, NotFoundError, TiffinError, UnavailableError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.packages.debian.sources import Mirrors

T = TypeVar("T")

_RETRIES = urllib3.Retry(
    total=3,
    connect=1,
    backoff_factor=0.3,
    status_forcelist=(408, 425, 429, 500, 502, 503, 504),
    raise_on_status=False,
)
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_CONNECTIONS = 8
_BROKEN_TRANSFERS = 3
"""How often one file is begun anew where the connection breaks in the middle of it."""
_DENIED = (401, 403, 407)
_OK, _NOT_FOUND = 200, (404, 410)


class Archive:
    """Debian's archive as its mirrors show it."""

    def __init__(self, mirrors: Mirrors, environment: Mapping[str, str] = os.environ) -> None:
        """Remember the mirrors; nothing is asked of them yet."""
        self._proxies = mirrors.proxies
        self._environment = environment
        self._pools: dict[str, urllib3.PoolManager] = {}

    def read(self, mirrors: Sequence[str], path: str, limit: int) -> bytes:
        """Return a small file; raises IntegrityError when it has more than `limit` bytes."""
        return first(mirrors, lambda mirror: self._read(f"{mirror}/{path}", limit))

    def download(self, mirrors: Sequence[str], path: str, target: Path, expected: tuple[Digest, int]) -> None:
        """Put a file at `target`, whole or not at all; raises IntegrityError when digest or size in bytes differ."""
        first(mirrors, lambda mirror: self._download(f"{mirror}/{path}", target, expected))

    def _read(self, url: str, limit: int) -> bytes:
        def attempt() -> bytes:
            data = bytearray()
            for piece in self._stream(url):
                data += piece
                if len(data) > limit:
                    raise IntegrityError(f"{public(url)} has more than {limit} bytes", "use another mirror")
            return bytes(data)

        return _again(url, attempt)

    def _download(self, url: str, target: Path, expected: tuple[Digest, int]) -> None:
        def attempt() -> None:
            with renamed(target) as file:
                for piece in checked(self._stream(url), expected, public(url)):
                    file.write(piece)

        _again(url, attempt)

    def _stream(self, url: str) -> Iterator[bytes]:
        response = self._request(url)
        try:
            if response.status != _OK:
                raise _refusal(response.status, public(url))
            yield from response.stream(CHUNK, decode_content=False)
        finally:
            response.close()

    def _request(self, url: str) -> urllib3.BaseHTTPResponse:
        bare, secret = _split_secret(url)
        headers = urllib3.make_headers(basic_auth=secret) if secret else {}
        return self._pool(bare).request(
            "GET",
            bare,
            headers={"User-Agent": f"tiffin/{__version__}", "Accept-Encoding": "identity", **headers},
            preload_content=False,
            retries=_RETRIES,
            timeout=_TIMEOUT,
        )

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = choose_proxy(url, self._proxies, self._environment)
        if proxy not in self._pools:
            self._pools[proxy] = _proxied(proxy) if proxy else urllib3.PoolManager(maxsize=_CONNECTIONS)
        return self._pools[proxy]


def _proxied(proxy: str) -> urllib3.PoolManager:
    bare, secret = _split_secret(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else {}
    return urllib3.ProxyManager(bare, proxy_headers=headers, maxsize=_CONNECTIONS)


def choose_proxy(url: str, told: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Return the proxy for an address, or nothing: apt's setting comes first, then http_proxy and no_proxy."""
    scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
    if scheme in told:
        return told[scheme]
    lower = {name.lower(): value for name, value in environment.items() if name.lower().endswith("_proxy")}
    proxies = {name.removesuffix("_proxy"): value for name, value in lower.items()}
    if urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined]  # absent from the stubs
        return ""
    return proxies.get(scheme) or proxies.get("all", "")


def checked(pieces: Iterator[bytes], expected: tuple[Digest, int], where: str) -> Iterator[bytes]:
    """Pass bytes on; raises IntegrityError at the end when they are not those expected, or when there are too many."""
    digest, size = expected
    hashed, count = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        count += len(piece)
        if count > size:
            break
        yield piece
    if count != size:
        more = "more" if count > size else f"{count}"
        raise IntegrityError(f"{where} should have {size} bytes but has {more}", "try again, or use another mirror")
    if hashed.hexdigest() != digest.hex:
        raise IntegrityError(
            f"{where} should have the digest {digest} but has sha256:{hashed.hexdigest()}",
            "try again, or use another mirror: this file is damaged or not the one that was signed",
        )


def public(url: str) -> str:
    """Return an address without a user's name and password, fit to be shown."""
    return _split_secret(url)[0]


def _split_secret(url: str) -> tuple[str, str]:
    """Split an address into what may be shown and `user:password`."""
    parts = urlsplit(url)
    secret, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), unquote(secret)


def first(mirrors: Sequence[str], get: Callable[[str], T]) -> T:
    """Ask mirror after mirror; when none gives the file, the first one's error counts."""
    errors: list[TiffinError] = []
    for mirror in mirrors:
        try:
            return get(mirror)
        except TiffinError as error:
            errors.append(error)
    raise errors[0]


def _again(url: str, attempt: Callable[[], T]) -> T:
    """Begin a transfer anew where its connection breaks."""
    for left in reversed(range(_BROKEN_TRANSFERS)):
        try:
            return attempt()
        except urllib3.exceptions.MaxRetryError as error:
            raise _unavailable(url, error.reason or error) from error
        except urllib3.exceptions.HTTPError as error:
            if not left:
                raise _unavailable(url, error) from error
    raise AssertionError


def _unavailable(url: str, reason: Exception) -> UnavailableError:
    return UnavailableError(
        f"{public(url)} could not be read: {reason}", "check the network and the proxy, or use another mirror"
    )


def _refusal(status: int, url: str) -> TiffinError:
    if status in _NOT_FOUND:
        return NotFoundError(
            f"{url} is not there (HTTP {status})",
            "check `[image] mirror`; where a package has left the archive, run `tiffin lock` again",
        )
    if status in _DENIED:
        return DeniedError(f"{url} is not given to us (HTTP {status})", "check the mirror's user name and password")
    return UnavailableError(f"{url} cannot be given now (HTTP {status})", "try again later, or use another mirror")
