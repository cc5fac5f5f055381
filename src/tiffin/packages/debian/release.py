"""The signed root of a suite: `InRelease` says, under Debian's signature, which indexes there are and their digests.

Debian Wiki, "DebianRepository/Format"; the signature is OpenPGP's cleartext framework (RFC 9580, section 7), checked by
Sequoia against the archive keys in `keys/`. Only what the signature covers is ever read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib import resources

import msgspec
import pysequoia

from tiffin.errors import IntegrityError
from tiffin.layers.deb import read_stanza
from tiffin.oci.digest import Digest

CLOCKS_DIFFER = timedelta(days=1)
"""How far a clock may be off before a date in a release counts as past or to come."""

_SUM = re.compile(r"[ \t]+([0-9a-f]{64})[ \t]+([0-9]+)[ \t]+(\S+)")
_KEYS = resources.files("tiffin.packages.debian").joinpath("keys")


class IndexFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the release says of one index; `size` is in bytes."""

    sha256: Digest
    size: int


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A suite at a moment."""

    codename: str
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    files: dict[str, IndexFile]


def debian_keys() -> list[pysequoia.Cert]:
    """Read Debian's archive keys, which are shipped with tiffin."""
    keys = sorted((key for key in _KEYS.iterdir() if key.name.endswith(".gpg")), key=lambda key: key.name)
    return [cert for key in keys for cert in pysequoia.Cert.split_bytes(key.read_bytes())]


def read_release(signed: bytes, keys: list[pysequoia.Cert], where: str) -> Release:
    """Check the signature and read what it covers; raises IntegrityError that names `where` and the reason."""
    return parse_release(verify(signed, keys, where), where)


def verify(signed: bytes, keys: list[pysequoia.Cert], where: str) -> str:
    """Return the text that one of the keys has signed; raises IntegrityError."""
    try:
        result = pysequoia.verify(bytes=signed, store=lambda _: keys)
        text = (result.bytes or b"").decode() if result.valid_sigs else None
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise IntegrityError(f"{where} is not signed by Debian: {reason}", _HINT) from error
    if text is None:
        raise IntegrityError(f"{where} is not signed by Debian: it has no valid signature", _HINT)
    return text


_HINT = "use another mirror: this one's index is damaged, was altered on the way, or belongs to another archive"


def parse_release(text: str, where: str) -> Release:
    """Read a release whose signature is good; raises IntegrityError where a field is absent or wrong."""
    fields = read_stanza(text)
    try:
        return Release(
            codename=fields["Codename"],
            date=_date(fields["Date"]),
            valid_until=_date(fields["Valid-Until"]) if "Valid-Until" in fields else None,
            by_hash=fields.get("Acquire-By-Hash") == "yes",
            files={
                name: IndexFile(sha256=Digest("sha256", sum_), size=int(size))
                for sum_, size, name in _SUM.findall(fields["SHA256"])
            },
        )
    except (KeyError, ValueError) as error:
        raise IntegrityError(f"{where}: the field {error} is absent or wrong", _HINT) from error


def check_release(release: Release, suite: str, now: datetime, where: str, *, dates: bool = True) -> None:
    """Raise IntegrityError where the release is another suite's or, unless `dates` is off, not of this time."""
    if release.codename != suite:
        raise IntegrityError(f"{where} is the index of {release.codename!r}, not of {suite!r}", _HINT)
    if not dates:
        return
    if release.valid_until and now > release.valid_until + CLOCKS_DIFFER:
        raise IntegrityError(
            f"{where} was good until {release.valid_until:%Y-%m-%d}, and it is {now:%Y-%m-%d}",
            "use a mirror that is up to date; for one frozen on purpose turn `Acquire::Check-Valid-Until` off in apt",
        )
    if release.date > now + CLOCKS_DIFFER:
        raise IntegrityError(f"{where} is of {release.date:%Y-%m-%d}, which is to come", "set this machine's clock")


def _date(text: str) -> datetime:
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
