"""Which repositories are known to have which blobs: where a push may mount from instead of sending."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import msgspec

from tiffin.oci.digest import Digest
from tiffin.store.records import Records
from tiffin.store.remote.address import Address
from tiffin.store.remote.store import Nearby

REPOSITORIES = 32
"""Repositories of one registry that are remembered, the latest first."""
BLOBS = 500
"""Blobs of one repository that are remembered, the latest first."""


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What one registry was seen to have: repository -> blobs, the latest first."""

    repositories: dict[str, list[Digest]] = {}


class Whereabouts:
    """What was pushed and pulled before; what it says may be out of date, and costs one question then."""

    def __init__(self, records: Records) -> None:
        """Keep what is known among these records."""
        self._records = records

    def add(self, address: Address, blobs: Iterable[Digest]) -> None:
        """Remember that a repository has these blobs."""
        known = self._known(address.host).repositories
        before = known.get(address.repository, [])
        latest = list(dict.fromkeys([*blobs, *before]))[:BLOBS]
        if set(latest) != set(before):
            rest = [(name, digests) for name, digests in known.items() if name != address.repository]
            told = _Known(repositories=dict([(address.repository, latest), *rest][:REPOSITORIES]))
            self._records.put(_key(address.host), told)

    def nearby(self, host: str) -> Nearby:
        """Return what finds the repositories of a registry that have a blob."""
        known = cache(lambda: self._known(host).repositories)

        def find(digest: Digest) -> Sequence[str]:
            return [name for name, digests in known().items() if digest in digests]

        return find

    def _known(self, host: str) -> _Known:
        return self._records.get(_key(host), _Known) or _Known()


def _key(host: str) -> Digest:
    return Digest.of(host.encode())
