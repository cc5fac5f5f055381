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


class _Repository(msgspec.Struct, frozen=True, kw_only=True):
    """What a repository was seen to have, the latest first."""

    name: str
    blobs: list[Digest]


class Whereabouts:
    """What was pushed and pulled before; what it says may be out of date, and costs one question then."""

    def __init__(self, records: Records) -> None:
        """Keep what is known among these records."""
        self._records = records

    def add(self, address: Address, blobs: Iterable[Digest]) -> None:
        """Remember that a repository has these blobs."""
        known = self._known(address.host)
        before = next((seen.blobs for seen in known if seen.name == address.repository), [])
        latest = list(dict.fromkeys([*blobs, *before]))[:BLOBS]
        if set(latest) != set(before):
            others = [seen for seen in known if seen.name != address.repository]
            told = [_Repository(name=address.repository, blobs=latest), *others]
            self._records.put(_key(address.host), told[:REPOSITORIES])

    def nearby(self, host: str) -> Nearby:
        """Return what finds the repositories of a registry that have a blob."""
        known = cache(lambda: self._known(host))

        def find(digest: Digest) -> Sequence[str]:
            return [seen.name for seen in known() if digest in seen.blobs]

        return find

    def _known(self, host: str) -> list[_Repository]:
        """What is known of a registry's repositories, the latest first."""
        return self._records.get(_key(host), list[_Repository]) or []


def _key(host: str) -> Digest:
    return Digest.of(host.encode())
