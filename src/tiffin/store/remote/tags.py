"""The tags of a repository, page after page (distribution-spec 1.1, "Listing Tags"; RFC 8288: links)."""

from __future__ import annotations

import re
from contextlib import closing
from urllib.parse import urljoin

import msgspec

from tiffin.errors import IntegrityError
from tiffin.oci.documents import decode_foreign
from tiffin.oci.image import DOCUMENT_LIMIT
from tiffin.store.remote.auth import Scopes
from tiffin.store.remote.client import Registry, Request

_PAGE = 1000
_MOST_PAGES = 1000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next\b')


class _Tags(msgspec.Struct, frozen=True, kw_only=True):
    tags: list[str] = []


def list_tags(registry: Registry, repository: str, scopes: Scopes) -> list[str]:
    """Return every tag; raises NotFoundError for a repository that is not there."""
    path = f"/v2/{repository}/tags/list?n={_PAGE}"
    found: dict[str, None] = {}
    seen: set[str] = set()
    while path:
        if path in seen or len(seen) == _MOST_PAGES:
            raise IntegrityError(
                f"{registry.host} lists the tags of {repository} on and on", registry.connections.hints.refused
            )
        seen.add(path)
        tags, path = _page(registry, Request(method="GET", path=path, scopes=scopes))
        found |= dict.fromkeys(tags)
    return list(found)


def _page(registry: Registry, request: Request) -> tuple[list[str], str]:
    """Read one page and the path of the next, which is empty after the last."""

    def attempt() -> tuple[bytes, str]:
        with closing(registry.ask(request)) as response, registry.connections.translated(registry.host):
            return response.read(DOCUMENT_LIMIT), response.headers.get("Link", "")

    data, link = registry.patience.tried(attempt)
    tags = decode_foreign(_Tags, data, f"the list of tags of {registry.host}").tags
    return tags, next_page(request.path, link)


def next_page(path: str, link: str) -> str:
    """Return where the Link of an answer to a path says that the list goes on; nothing after its end."""
    following = _NEXT.search(link)
    return urljoin(path, following[1]) if following else ""
