"""What is believed of an image: each reason not to, and that one good signature is enough wherever it is found."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from tiffin.oci.digest import Digest
from tiffin.trust.bundle import write_bundle
from tiffin.trust.decision import Found, Verdict, judge
from tiffin.trust.envelope import signed_bytes
from tiffin.trust.keys import PrivateKey
from tiffin.trust.statement import PAYLOAD_TYPE, PROVENANCE, SIGNATURE, write_statement

IMAGE, OTHER = Digest.of(b"an image"), Digest.of(b"another")


def bundle(key: PrivateKey, statement: bytes, number: int = 0) -> Found:
    data = write_bundle(statement, key.sign(signed_bytes(PAYLOAD_TYPE, statement)), key.public.id)
    return Found(manifest=Digest.of(b"manifest %d" % number), data=data)


def reasons(verdict: Verdict) -> list[str]:
    return [refused.why for refused in verdict.refused]


def test_a_signature_by_the_key_is_believed(key: PrivateKey) -> None:
    verdict = judge(IMAGE, [bundle(key, write_statement(IMAGE, SIGNATURE))], [key.public])
    assert verdict.signed
    assert (verdict.attestations[0].what, verdict.attestations[0].key) == ("signature", key.public.id)


def test_nothing_beside_it_is_no_signature(key: PrivateKey) -> None:
    verdict = judge(IMAGE, [], [key.public])
    assert not verdict.signed
    assert reasons(verdict) == []


def test_another_key_is_named(key: PrivateKey, other_key: PrivateKey) -> None:
    verdict = judge(IMAGE, [bundle(other_key, write_statement(IMAGE, SIGNATURE))], [key.public])
    assert reasons(verdict) == [f"it is signed with another key: {other_key.public.id}"]


def test_a_key_that_claims_to_be_ours_is_not(key: PrivateKey, other_key: PrivateKey) -> None:
    statement = write_statement(IMAGE, SIGNATURE)
    forged = write_bundle(statement, other_key.sign(signed_bytes(PAYLOAD_TYPE, statement)), key.public.id)
    verdict = judge(IMAGE, [Found(manifest=IMAGE, data=forged)], [key.public])
    assert reasons(verdict) == ["its signature does not fit what it signs: one of them was changed"]


def test_what_anybody_may_have_written_is_not_printed_as_it_is(key: PrivateKey, other_key: PrivateKey) -> None:
    statement = write_statement(IMAGE, SIGNATURE)
    data = write_bundle(statement, other_key.sign(statement), "\x1b[2K\niris is signed")
    verdict = judge(IMAGE, [Found(manifest=IMAGE, data=data)], [key.public])
    assert reasons(verdict) == ["it is signed with another key: one without an ID"]


def test_the_bundle_of_another_image_speaks_of_that(key: PrivateKey) -> None:
    verdict = judge(IMAGE, [bundle(key, write_statement(OTHER, SIGNATURE))], [key.public])
    assert reasons(verdict) == [f"it speaks of another image: {OTHER}"]


def test_a_statement_of_another_kind_is_refused(key: PrivateKey) -> None:
    old = write_statement(IMAGE, SIGNATURE).replace(b"Statement/v1", b"Statement/v0.1")
    verdict = judge(IMAGE, [bundle(key, old)], [key.public])
    assert reasons(verdict) == ["its statement is of another type: 'https://in-toto.io/Statement/v0.1'"]


def test_what_the_key_says_of_an_image_does_not_approve_of_it(key: PrivateKey) -> None:
    verdict = judge(IMAGE, [bundle(key, write_statement(IMAGE, PROVENANCE))], [key.public])
    assert not verdict.signed
    assert [one.what for one in verdict.attestations] == ["provenance"]


def test_a_payload_changed_after_it_was_signed_is_refused(key: PrivateKey) -> None:
    statement = write_statement(OTHER, SIGNATURE)
    signature = key.sign(signed_bytes(PAYLOAD_TYPE, statement))
    moved = write_bundle(write_statement(IMAGE, SIGNATURE), signature, key.public.id)
    verdict = judge(IMAGE, [Found(manifest=IMAGE, data=moved)], [key.public])
    assert reasons(verdict) == ["its signature does not fit what it signs: one of them was changed"]


def test_a_signature_of_the_bare_payload_is_none(key: PrivateKey) -> None:
    """What is signed says its type, so that a document of another kind cannot pass for a statement."""
    statement = write_statement(IMAGE, SIGNATURE)
    found = Found(manifest=IMAGE, data=write_bundle(statement, key.sign(statement), key.public.id))
    assert not judge(IMAGE, [found], [key.public]).signed


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_one_good_signature_among_bad_ones_is_enough_in_any_order(
    order: tuple[int, ...], key: PrivateKey, other_key: PrivateKey
) -> None:
    found = [
        bundle(key, write_statement(IMAGE, SIGNATURE), 0),
        bundle(other_key, write_statement(IMAGE, SIGNATURE), 1),
        bundle(key, write_statement(OTHER, SIGNATURE), 2),
        Found(manifest=Digest.of(b"gone"), trouble="the registry does not have it"),
    ]
    verdict = judge(IMAGE, [found[place] for place in order], [key.public])
    assert verdict.signed
    assert verdict == judge(IMAGE, found, [key.public])
    assert len(verdict.refused) == 3


def test_any_of_several_keys_is_enough(key: PrivateKey, other_key: PrivateKey) -> None:
    found = [bundle(other_key, write_statement(IMAGE, SIGNATURE))]
    verdict = judge(IMAGE, found, [key.public, other_key.public])
    assert verdict.signed
    assert verdict.attestations[0].key == other_key.public.id


def test_a_verdict_is_a_document(key: PrivateKey) -> None:
    verdict = judge(IMAGE, [bundle(key, write_statement(IMAGE, SIGNATURE))], [key.public])
    document = msgspec.json.decode(msgspec.json.encode(verdict, enc_hook=str))
    assert document["attestations"][0]["statement"]["subject"] == [{"digest": {"sha256": IMAGE.hex}}]
