"""in-toto statements: claims about content, by its digest (in-toto Attestation Framework, spec/v1, statement.md). Pure.

A signature of an image is such a statement too, with a predicate that says nothing more: as `cosign sign` has it since
its version 3.
"""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode_foreign, encode

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
CYCLONEDX = "https://cyclonedx.org/bom"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is spoken of, by its digests: algorithm -> hex digits."""

    digest: dict[str, str] = {}


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """A claim of one type about subjects; its predicate, which may be large, is not read."""

    type: str
    subject: list[Subject]
    predicate_type: str

    def speaks_of(self, digest: Digest) -> bool:
        """Say whether the content with this digest is among the subjects."""
        return any(subject.digest.get(digest.algorithm) == digest.hex for subject in self.subject)


def write_statement(subject: Digest, predicate_type: str, predicate: bytes = b"{}") -> bytes:
    """Claim something of content; the predicate is JSON."""
    said = {
        "_type": STATEMENT_TYPE,
        "subject": [Subject(digest={subject.algorithm: subject.hex})],
        "predicateType": predicate_type,
        "predicate": msgspec.Raw(predicate),
    }
    return encode(said)


def read_statement(data: bytes, where: str) -> Statement:
    """Read anybody's statement; raises IntegrityError for what is none."""
    return decode_foreign(Statement, data, where)
