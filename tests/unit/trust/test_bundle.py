"""What is written is a Sigstore bundle, as others read it; anything else is refused, and never more than refused."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import Parse
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.v1.statement import Statement as TheirStatement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.trust.bundle import BUNDLE, open_bundle, write_bundle
from tiffin.trust.decision import Found, judge
from tiffin.trust.envelope import signed_bytes
from tiffin.trust.keys import PrivateKey
from tiffin.trust.statement import CYCLONEDX, PAYLOAD_TYPE, SIGNATURE, read_statement, write_statement
from unit.trust.conftest import make_key

DIGEST = Digest.of(b"an image")
KEY = make_key("ours")


def signed(key: PrivateKey, statement: bytes) -> bytes:
    return write_bundle(statement, key.sign(signed_bytes(PAYLOAD_TYPE, statement)), key.public.id)


WHOLE = signed(KEY, write_statement(DIGEST, SIGNATURE))


def test_the_bundle_is_sigstores_document() -> None:
    document = json.loads(WHOLE)
    assert document["mediaType"] == BUNDLE == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert document["verificationMaterial"] == {"publicKey": {"hint": KEY.public.id}, "tlogEntries": []}
    envelope = document["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    (signature,) = envelope["signatures"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    signature = base64.b64decode(signature["sig"], validate=True)
    assert KEY.public.signed(b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload), signature)


def test_the_statement_is_in_totos_and_says_what_cosigns_does() -> None:
    filled = write_statement(DIGEST, CYCLONEDX, b'{"bomFormat":"CycloneDX"}')
    TheirStatement.copy_from_pb(Parse(filled, StatementMessage())).validate()
    data = write_statement(DIGEST, SIGNATURE)
    assert Parse(data, StatementMessage()).subject[0].digest == {"sha256": DIGEST.hex}
    assert json.loads(data) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": DIGEST.hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }
    assert read_statement(data, "it").speaks_of(DIGEST)


def test_a_bundle_of_somebody_else_is_read() -> None:
    """The form that cosign 3 writes for a key, with all that it adds."""
    document = json.loads(WHOLE)
    document["verificationMaterial"] |= {"tlogEntries": [], "timestampVerificationData": {"rfc3161Timestamps": []}}
    document["dsseEnvelope"]["signatures"][0]["keyid"] = ""
    assert judge(DIGEST, [found(document)], [KEY.public]).signed


def found(document: Any) -> Found:
    return Found(manifest=Digest.of(b"manifest"), data=msgspec.json.encode(document))


def changed(**parts: Any) -> dict[str, Any]:
    """A whole bundle with parts of its envelope or material in place of its own."""
    document: dict[str, Any] = copy.deepcopy(json.loads(WHOLE))
    for name, value in parts.items():
        below = document["dsseEnvelope"] if name in document["dsseEnvelope"] else document
        below[name] = value
    return document


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (changed(mediaType="application/json"), "no Sigstore bundle but 'application/json'"),
        (changed(dsseEnvelope=None), "holds no envelope"),
        (changed(payloadType="text/plain"), "signs no statement but 'text/plain'"),
        (changed(signatures=[]), "has 0 signatures"),
        (changed(signatures=[{"sig": ""}] * 2), "has 2 signatures"),
        (changed(verificationMaterial={"certificate": {"rawBytes": "AAAA"}}), "signed by a certificate"),
        (changed(payload="not base64!"), "not a valid Bundle"),
        (changed(payload=7), "not a valid Bundle"),
        ([], "not a valid Bundle"),
    ],
)
def test_a_malformed_bundle_is_refused_with_its_reason(document: Any, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        open_bundle(msgspec.json.encode(document), "it")
    (refused,) = judge(DIGEST, [found(document)], [KEY.public]).refused
    assert reason in refused.why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=12), below, max_size=3),
    max_leaves=8,
)
PLACES = [
    ("mediaType",),
    ("verificationMaterial",),
    ("verificationMaterial", "publicKey"),
    ("dsseEnvelope",),
    ("dsseEnvelope", "payload"),
    ("dsseEnvelope", "payloadType"),
    ("dsseEnvelope", "signatures"),
    ("dsseEnvelope", "signatures", 0),
    ("dsseEnvelope", "signatures", 0, "sig"),
]


@given(st.sampled_from(PLACES), JSON)
def test_anything_in_any_place_of_a_bundle_is_refused_or_changes_nothing(place: tuple[Any, ...], value: Any) -> None:
    document = json.loads(WHOLE)
    below = document
    for step in place[:-1]:
        below = below[step]
    below[place[-1]] = value
    verdict = judge(DIGEST, [found(document)], [KEY.public])
    assert not verdict.signed or place == ("verificationMaterial", "publicKey")
    assert len(verdict.refused) + len(verdict.attestations) == 1


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_no_changed_byte_makes_another_image_signed(place: int, difference: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= difference
    other = Digest.of(b"another image")
    for digest in (DIGEST, other):
        verdict = judge(digest, [Found(manifest=Digest.of(b"m"), data=bytes(data))], [KEY.public])
        if verdict.signed:  # a byte that says nothing, such as one of the hint
            assert digest == DIGEST
            assert open_bundle(bytes(data), "it").payload == open_bundle(WHOLE, "it").payload


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    (refused,) = judge(DIGEST, [Found(manifest=Digest.of(b"m"), data=data)], [KEY.public]).refused
    assert refused.why


@given(st.binary(max_size=80) | JSON.map(msgspec.json.encode))
def test_a_key_that_signs_nonsense_approves_of_nothing(statement: bytes) -> None:
    verdict = judge(DIGEST, [Found(manifest=Digest.of(b"m"), data=signed(KEY, statement))], [KEY.public])
    assert not verdict.signed
    assert "its statement" in verdict.refused[0].why
